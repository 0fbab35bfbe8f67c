//! What is looked up when somebody asks.

use std::fmt::Error;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jairouter_config::served::{Attended, Served};
use jairouter_core::circuit_breaker::State;
use jairouter_core::health::Status;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::Instant;

/// The most limits that are told of.
const MOST_LIMITS: usize = 1000;

#[derive(Debug)]
pub(super) struct Gauges(pub(super) Arc<ArcSwap<Served>>);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let served = self.0.load();
        let now = Instant::now();
        let is_up = |one: &Attended| Some(i64::from(one.state().is_up()));
        let help = "1 if requests are sent to the instance";
        gauge(&mut encoder, "jairouter_backend_health", help, &served, is_up)?;
        statuses(&mut encoder, "How an instance is: 1 for what it is", &served)?;
        let in_flight = |one: &Attended| Some(i64::from(one.state().in_flight()));
        let help = "Requests an instance is working on, to the ends of their answers";
        gauge(&mut encoder, "jairouter_backend_in_flight", help, &served, in_flight)?;
        let breaker = |one: &Attended| {
            Some(match one.breaker()?.state(now) {
                State::Closed => 0,
                State::HalfOpen => 2,
                State::Open => 1,
            })
        };
        let help = "0 closed, 1 open, 2 half-open";
        gauge(&mut encoder, "jairouter_circuit_breaker_state", help, &served, breaker)?;
        let trips = |one: &Attended| Some(one.breaker()?.trips().cast_signed());
        let help = "How often the breaker has opened";
        gauge(&mut encoder, "jairouter_circuit_breaker_trips", help, &served, trips)?;
        events(&mut encoder, &served)?;
        remaining(&mut encoder, &served, now)?;
        let help = "Requests that wait for a place at an instance";
        let name = "jairouter_queue_waiting";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (service, model, room) in &served.rooms {
            let labels = [("service", service.as_str()), ("model", model)];
            let value = ConstGauge::new(room.waiting() as f64);
            value.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    served: &Served,
    value: impl Fn(&Attended) -> Option<i64>,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (service, instance, one) in served.each() {
        if let Some(value) = value(one) {
            let labels = [
                ("service", service.as_str()),
                ("adapter", instance.backend.name()),
                ("instance", &instance.id),
            ];
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn events(encoder: &mut DescriptorEncoder<'_>, served: &Served) -> Result<(), Error> {
    let (name, help) = ("jairouter_circuit_breaker_events", "What has happened to breakers");
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (service, instance, one) in served.each() {
        let Some(breaker) = one.breaker() else { continue };
        let counts = breaker.counts();
        for (event, count) in [
            ("opened", counts.opened),
            ("half_opened", counts.half_opened),
            ("closed", counts.closed),
            ("refused", counts.refused),
        ] {
            let service = service.as_str();
            let labels = [("service", service), ("instance", &instance.id), ("event", event)];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn remaining(
    encoder: &mut DescriptorEncoder<'_>,
    served: &Served,
    now: Instant,
) -> Result<(), Error> {
    let (name, help) = ("jairouter_rate_limit_remaining", "How much of a limit is left for all");
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    let shared = served.limits.iter().filter_map(|one| Some((one, one.limit.left(now)?)));
    for (one, left) in shared.take(MOST_LIMITS) {
        let labels = [
            ("service", one.service),
            ("place", &*one.place),
            ("limit", &*one.name),
            ("algorithm", one.spec.algorithm()),
        ];
        ConstGauge::new(left.remaining as f64).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn statuses(encoder: &mut DescriptorEncoder<'_>, help: &str, served: &Served) -> Result<(), Error> {
    let name = "jairouter_backend_status";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (service, instance, one) in served.each() {
        let now = one.state().health().map_or(Status::Up, |health| health.status());
        for status in Status::ALL {
            let labels = [
                ("service", service.as_str()),
                ("adapter", instance.backend.name()),
                ("instance", &instance.id),
                ("status", status.as_str()),
            ];
            let value = ConstGauge::new(i64::from(now == status));
            value.encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
