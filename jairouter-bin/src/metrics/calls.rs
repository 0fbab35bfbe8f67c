//! What is asked of instances, one by one.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use http::Response;
use jairouter_core::Error;
use pin_project_lite::pin_project;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use super::{DURATIONS, OTHER, PROBES};
use crate::reasons::Reasons;

/// The most instances that have labels of their own.
const MOST_INSTANCES: usize = 10_000;

/// Of all instances.
#[derive(Debug, Clone)]
pub(crate) struct Families {
    /// The instances that have labels of their own.
    named: Arc<Mutex<HashSet<InstanceLabels>>>,
    calls: Family<CallLabels, Counter>,
    durations: Durations,
    selections: Family<SelectionLabels, Counter>,
    probes: Durations,
}

type Durations = Family<InstanceLabels, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SelectionLabels {
    service: &'static str,
    strategy: &'static str,
    instance: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    adapter: Arc<str>,
    instance: Arc<str>,
    status: Outcome,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    /// An answer of this status.
    Status(u16),
    /// None, for this reason.
    None(&'static str),
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.encode(encoder),
            Self::None(reason) => reason.encode(encoder),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabels {
    adapter: Arc<str>,
    instance: Arc<str>,
}

/// Of one instance. A handle: every request to it has a clone.
#[derive(Debug, Clone)]
pub(crate) struct Calls(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    labels: InstanceLabels,
    durations: Durations,
    /// The one of this instance, once there is one.
    duration: OnceLock<Histogram>,
    /// What came of them; not of probes.
    requests: Option<Requests>,
}

#[derive(Debug)]
struct Requests {
    calls: Family<CallLabels, Counter>,
    begun: Counter,
    /// Those that were answered with 200, as nearly all are.
    ok: OnceLock<Counter>,
}

impl Families {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let durations: fn() -> _ = || Histogram::new(DURATIONS);
        let (calls, selections) = (Family::default(), Family::default());
        let durations = Family::new_with_constructor(durations);
        let probes = Family::new_with_constructor((|| Histogram::new(PROBES)) as fn() -> _);
        let families = Self { named: Arc::default(), calls, durations, selections, probes };
        registry.register(
            "jairouter_loadbalancer_selections",
            "Requests that the balancer has sent to an instance",
            families.selections.clone(),
        );
        registry.register_with_unit(
            "jairouter_health_check_duration",
            "From a probe to the head of the answer of an instance",
            Unit::Seconds,
            families.probes.clone(),
        );
        registry.register(
            "jairouter_backend_calls",
            "Requests to an instance, by the status it answered with or why it did not",
            families.calls.clone(),
        );
        registry.register_with_unit(
            "jairouter_backend_call_duration",
            "From a request to the head of the answer of an instance",
            Unit::Seconds,
            families.durations.clone(),
        );
        families
    }

    /// The requests that this service's balancer sends to this instance.
    pub(crate) fn of(
        &self,
        adapter: &str,
        instance: &str,
        (service, strategy): (&'static str, &'static str),
    ) -> Calls {
        let labels = self.labels(adapter, instance);
        let instance = Arc::clone(&labels.instance);
        let selected = SelectionLabels { service, strategy, instance };
        let begun = self.selections.get_or_create(&selected).clone();
        let requests = Requests { calls: self.calls.clone(), begun, ok: OnceLock::new() };
        Calls::new(labels, self.durations.clone(), Some(requests))
    }

    /// The probes of this instance.
    pub(crate) fn probes(&self, adapter: &str, instance: &str) -> Calls {
        let labels = self.labels(adapter, instance);
        Calls::new(labels, self.probes.clone(), None)
    }

    fn labels(&self, adapter: &str, instance: &str) -> InstanceLabels {
        let mut labels = InstanceLabels { adapter: adapter.into(), instance: instance.into() };
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if !named.contains(&labels) {
            if named.len() < MOST_INSTANCES {
                named.insert(labels.clone());
            } else {
                labels = InstanceLabels { adapter: OTHER.into(), instance: OTHER.into() };
            }
        }
        labels
    }
}

impl Calls {
    fn new(labels: InstanceLabels, durations: Durations, requests: Option<Requests>) -> Self {
        Self(Arc::new(Counted { labels, durations, duration: OnceLock::new(), requests }))
    }

    fn begun(&self) {
        if let Some(requests) = &self.0.requests {
            requests.begun.inc();
        }
    }

    fn over(&self, status: Outcome, started: Instant) {
        let Counted { labels, durations, duration, requests } = &*self.0;
        if let Some(Requests { calls, ok, .. }) = requests {
            let counter = || {
                let InstanceLabels { adapter, instance } = labels.clone();
                calls.get_or_create(&CallLabels { adapter, instance, status }).clone()
            };
            match status {
                Outcome::Status(200) => ok.get_or_init(counter).inc(),
                _ => counter().inc(),
            };
        }
        let duration = duration.get_or_init(|| durations.get_or_create(labels).clone());
        duration.observe(started.elapsed().as_secs_f64());
    }
}

pin_project! {
    /// A call that is counted when its answer's head is there. One that is dropped before is `abandoned`.
    #[derive(Debug)]
    pub struct Timed<F> {
        #[pin]
        future: F,
        reasons: Option<Arc<Reasons>>,
        call: Call,
    }
}

#[derive(Debug)]
struct Call {
    calls: Option<Calls>,
    started: Instant,
}

impl<F> Timed<F> {
    pub(crate) fn new(future: F, calls: Option<&Calls>, reasons: Option<&Arc<Reasons>>) -> Self {
        calls.inspect(|calls| calls.begun());
        let call = Call { calls: calls.cloned(), started: Instant::now() };
        Self { future, reasons: reasons.cloned(), call }
    }
}

impl<F, B> Future for Timed<F>
where
    F: Future<Output = Result<Response<B>, Error>>,
{
    type Output = Result<Response<B>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.future.poll(cx));
        if let Some(reasons) = this.reasons.take() {
            match &answer {
                Ok(_) => reasons.worked(),
                Err(error) => reasons.failed(error),
            }
        }
        if let Some(calls) = this.call.calls.take() {
            let status = match &answer {
                Ok(answer) => Outcome::Status(answer.status().as_u16()),
                Err(error) => Outcome::None(error.kind().code()),
            };
            calls.over(status, this.call.started);
        }
        Poll::Ready(answer)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(calls) = self.calls.take() {
            calls.over(Outcome::None("abandoned"), self.started);
        }
    }
}
