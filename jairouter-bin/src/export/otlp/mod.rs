//! Spans in batches to a collector, by OTLP over HTTP in protobuf.
//!
//! Whoever tells of a request never waits: what finds no room in the queue is dropped and counted. One
//! batch is on its way at a time, and is tried again a few times if its collector may yet take it.

mod collector;
mod span;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use jairouter_config::config::Otlp;
use jairouter_core::observe::Exchange;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Sent;
use collector::{Collector, Verdict};

/// How many requests wait to be told.
const MOST_WAITING: usize = 2048;

/// How many spans make a batch that does not wait for more, and for how long others do.
const LARGE: usize = 512;
const EVERY: Duration = Duration::from_secs(1);

/// For how long a batch rests that the collector may take later, each time.
const RESTS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// The longest that it rests if the collector says for how long.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// How long the end of the process waits for the last spans to go.
const LAST: Duration = Duration::from_secs(3);

/// Where requests are told.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    queue: mpsc::Sender<Vec<Span>>,
    sent: Arc<Sent>,
}

/// What sends them on.
#[derive(Debug)]
pub(crate) struct Exporter {
    queue: mpsc::Receiver<Vec<Span>>,
    collecting: Vec<Span>,
    /// What is on its way, and how many spans that is.
    batch: Option<(Bytes, usize)>,
    collector: Collector,
    sent: Arc<Sent>,
    /// Whether the last that was heard is that it fails.
    fails: bool,
}

impl Spans {
    /// A request is over.
    pub(crate) fn tell(&self, exchange: &Exchange) {
        let Some(trace) = exchange.trace.as_ref().filter(|trace| trace.is_sampled()) else {
            return;
        };
        match self.queue.try_reserve() {
            Ok(place) => place.send(span::spans(exchange, trace)),
            Err(_) => {
                let count = 1 + trace.asked().count();
                self.sent.dropped.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    }
}

impl Exporter {
    /// To this collector, counting here.
    ///
    /// # Errors
    ///
    /// If its URL is none, as text. A configuration that was loaded has no such URL.
    pub(crate) fn new(otlp: &Otlp, sent: Arc<Sent>) -> Result<(Spans, Self), String> {
        let (sender, queue) = mpsc::channel(MOST_WAITING);
        let spans = Spans { queue: sender, sent: Arc::clone(&sent) };
        let collector = Collector::new(otlp)?;
        let (collecting, batch, fails) = (Vec::new(), None, false);
        Ok((spans, Self { queue, collecting, batch, collector, sent, fails }))
    }

    /// Sends what is told, for as long as it is polled. Dropping this future loses nothing.
    pub(crate) async fn run(&mut self) {
        loop {
            if self.batch.is_none() {
                let Some(()) = self.collect().await else { return };
                self.pack();
            }
            self.deliver().await;
        }
    }

    /// Sends what is left, in the time that the end of the process has for it.
    pub(crate) async fn flush(mut self) {
        let left = timeout(LAST, async {
            loop {
                if self.batch.is_some() {
                    self.deliver().await;
                }
                while self.collecting.len() < LARGE
                    && let Ok(spans) = self.queue.try_recv()
                {
                    self.collecting.extend(spans);
                }
                if self.collecting.is_empty() {
                    return;
                }
                self.pack();
            }
        });
        if left.await.is_err() {
            tracing::warn!("the last spans were not taken in time");
        }
    }

    /// Waits for spans, and for more of them. `None` if none can come.
    async fn collect(&mut self) -> Option<()> {
        if self.collecting.is_empty() {
            self.collecting = self.queue.recv().await?;
        }
        let until = Instant::now() + EVERY;
        while self.collecting.len() < LARGE {
            match timeout_at(until, self.queue.recv()).await {
                Ok(Some(spans)) => self.collecting.extend(spans),
                Ok(None) | Err(_) => break,
            }
        }
        Some(())
    }

    fn pack(&mut self) {
        let spans = std::mem::take(&mut self.collecting);
        let count = spans.len();
        self.batch = Some((self.collector.pack(spans), count));
    }

    /// Sees a batch through: taken, or dropped.
    async fn deliver(&mut self) {
        let Some((bytes, count)) = self.batch.clone() else { return };
        let mut rests = RESTS.into_iter();
        let taken = loop {
            match self.collector.send(bytes.clone()).await {
                Verdict::Taken { rejected } => {
                    self.works();
                    break count.saturating_sub(rejected);
                }
                Verdict::Never(why) => {
                    self.failed(&why);
                    break 0;
                }
                Verdict::Later(why, after) => {
                    self.failed(&why);
                    let Some(rest) = rests.next() else { break 0 };
                    sleep(after.unwrap_or(rest).min(LONGEST_REST)).await;
                }
            }
        };
        self.batch = None;
        self.sent.exported.fetch_add(taken as u64, Ordering::Relaxed);
        self.sent.dropped.fetch_add((count - taken) as u64, Ordering::Relaxed);
    }

    /// Says so once.
    fn failed(&mut self, why: &str) {
        if !std::mem::replace(&mut self.fails, true) {
            tracing::warn!(
                endpoint = self.collector.endpoint(),
                reason = why,
                "spans are not taken; those that find no room are dropped"
            );
        }
    }

    fn works(&mut self) {
        if std::mem::replace(&mut self.fails, false) {
            tracing::info!(endpoint = self.collector.endpoint(), "spans are taken again");
        }
    }
}
