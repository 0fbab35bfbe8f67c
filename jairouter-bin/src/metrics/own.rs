//! What the program counts of itself: its own work on requests, and what it could not tell.

use std::fmt::Error;
use std::sync::Arc;

use jairouter_core::observe::Exchange;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::export::Sent;
use crate::log;

/// Seconds: much less than any engine takes.
const WORK: [f64; 12] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.1, 1.0];

/// Of the program as a whole.
#[derive(Debug)]
pub(crate) struct Own {
    work: Histogram,
    /// What became of spans.
    pub(crate) spans: Arc<Sent>,
}

impl Own {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let own = Self { work: Histogram::new(WORK), spans: Arc::default() };
        registry.register_with_unit(
            "jairouter_overhead",
            "How long the gateway was at work on a request until its answer began: no waiting is in it",
            Unit::Seconds,
            own.work.clone(),
        );
        registry.register_collector(Box::new(Told(Arc::clone(&own.spans))));
        own
    }

    pub(super) fn tell(&self, exchange: &Exchange) {
        self.work.observe(exchange.worked.as_secs_f64());
    }
}

#[derive(Debug)]
struct Told(Arc<Sent>);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let lines = "Lines of the log that nobody read in time";
        let taken = "Spans that the collector took";
        let lost = "Spans that found no room, or that the collector did not take";
        let counts = [
            ("jairouter_log_lines_dropped", lines, log::dropped()),
            ("jairouter_spans_exported", taken, self.0.exported()),
            ("jairouter_spans_dropped", lost, self.0.dropped()),
        ];
        for (name, help, count) in counts {
            let counter = ConstCounter::new(count);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}
