//! What limits let pass and what they refuse.

use jairouter_core::InferenceRequest;
use jairouter_core::rate_limit::{Grant, Limiter, Quota, Refusal};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

/// Of all limits.
#[derive(Debug, Clone)]
pub(crate) struct Families(Family<EventLabels, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    service: &'static str,
    algorithm: &'static str,
    result: &'static str,
}

/// A limit whose decisions are counted.
pub(crate) struct Counted<L> {
    limit: L,
    allowed: Counter,
    rejected: Counter,
}

impl Families {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let events = Family::default();
        let help = "Requests that a limit has let pass or refused; each has one or more limits";
        registry.register("jairouter_rate_limit_events", help, events.clone());
        Self(events)
    }

    /// This limit, of this service.
    pub(crate) fn count<L>(
        &self,
        limit: L,
        service: &'static str,
        algorithm: &'static str,
    ) -> Counted<L> {
        let counter =
            |result| self.0.get_or_create(&EventLabels { service, algorithm, result }).clone();
        Counted { limit, allowed: counter("allowed"), rejected: counter("rejected") }
    }
}

impl<L: Limiter> Limiter for Counted<L> {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        self.limit.check(request, now).inspect_err(|_| {
            self.rejected.inc();
        })
    }

    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        let granted = self.limit.acquire(request, now);
        match &granted {
            Ok(_) => self.allowed.inc(),
            Err(_) => self.rejected.inc(),
        };
        granted
    }

    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        self.limit.give_back(request, now);
    }

    fn left(&self, now: Instant) -> Option<Quota> {
        self.limit.left(now)
    }
}
