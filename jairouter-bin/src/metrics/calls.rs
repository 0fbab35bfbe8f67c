//! What is asked of instances, one by one.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jairouter_config::hooks::{Calls, Outcome, Selected};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{DURATIONS, OTHER, PROBES};

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
    status: Status,
}

/// What came of a call, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Status(Outcome);

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self.0 {
            Outcome::Status(status) => status.encode(encoder),
            Outcome::Failed(kind) => kind.code().encode(encoder),
            _ => "abandoned".encode(encoder),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabels {
    adapter: Arc<str>,
    instance: Arc<str>,
}

/// Of one instance.
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
    pub(crate) fn of(&self, to: &Selected<'_>) -> Arc<dyn Calls> {
        let labels = self.labels(to.adapter, to.instance);
        let (service, instance) = (to.service.as_str(), Arc::clone(&labels.instance));
        let selected = SelectionLabels { service, strategy: to.strategy, instance };
        let begun = self.selections.get_or_create(&selected).clone();
        let requests = Requests { calls: self.calls.clone(), begun, ok: OnceLock::new() };
        Arc::new(Counted::new(labels, self.durations.clone(), Some(requests)))
    }

    /// The probes of this instance.
    pub(crate) fn probes(&self, adapter: &str, instance: &str) -> Arc<dyn Calls> {
        let labels = self.labels(adapter, instance);
        Arc::new(Counted::new(labels, self.probes.clone(), None))
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

impl Counted {
    fn new(labels: InstanceLabels, durations: Durations, requests: Option<Requests>) -> Self {
        Self { labels, durations, duration: OnceLock::new(), requests }
    }
}

impl Calls for Counted {
    fn begun(&self) {
        if let Some(requests) = &self.requests {
            requests.begun.inc();
        }
    }

    fn over(&self, outcome: Outcome, took: Duration) {
        let Self { labels, durations, duration, requests } = self;
        if let Some(Requests { calls, ok, .. }) = requests {
            let counter = || {
                let InstanceLabels { adapter, instance } = labels.clone();
                let status = Status(outcome);
                calls.get_or_create(&CallLabels { adapter, instance, status }).clone()
            };
            match outcome {
                Outcome::Status(200) => ok.get_or_init(counter).inc(),
                _ => counter().inc(),
            };
        }
        let duration = duration.get_or_init(|| durations.get_or_create(labels).clone());
        duration.observe(took.as_secs_f64());
    }
}
