use std::fmt;
use std::sync::Arc;

use super::{Governed, Limits};
use crate::backend::Backend;
use crate::balance::Instance;
use crate::circuit_breaker::{Breaker, CircuitBreaker};
use crate::endpoint::{Endpoint, Endpoints};
use crate::rate_limit::{Limiter, RateLimitLayer};
use crate::upstream::Upstream;
use tower::Layer;

/// An instance and what governs it alone.
pub struct Member<B, C> {
    instance: Instance<Upstream<B, C>>,
    limits: Limits,
    breaker: Option<Arc<Breaker>>,
}

impl<B, C> Member<B, C> {
    /// An instance without a limit or a breaker.
    pub const fn new(instance: Instance<Upstream<B, C>>) -> Self {
        Self { instance, limits: None, breaker: None }
    }

    /// What requests to this instance have to pass. One that does not is sent to another.
    #[must_use]
    pub fn limit(mut self, limiter: impl Limiter + 'static) -> Self {
        self.limits = Some(Arc::new(limiter));
        self
    }

    /// What judges this instance. While it is open, the balancer passes the instance over.
    #[must_use]
    pub fn breaker(mut self, breaker: Arc<Breaker>) -> Self {
        self.instance.state().guard_by(Arc::clone(&breaker));
        self.breaker = Some(breaker);
        self
    }

    pub(super) fn offers(&self) -> Endpoints
    where
        B: Backend,
    {
        let upstream = self.instance.get_ref();
        Endpoint::ALL.iter().copied().filter(|endpoint| upstream.offers(*endpoint)).collect()
    }

    pub(super) fn build(self) -> Instance<Governed<B, C>> {
        let Self { instance, limits, breaker } = self;
        instance.map(|upstream| {
            let guarded = CircuitBreaker::optional(upstream, breaker);
            RateLimitLayer::of_instance(limits).layer(guarded)
        })
    }
}

/// An instance of average weight, called what the upstream [is](Upstream::with_name), or else by its base URL, which callers
/// are told then.
impl<B, C> From<Upstream<B, C>> for Member<B, C> {
    fn from(upstream: Upstream<B, C>) -> Self {
        Self::new(Instance::new(upstream.label(), upstream))
    }
}

impl<B, C> From<Instance<Upstream<B, C>>> for Member<B, C> {
    fn from(instance: Instance<Upstream<B, C>>) -> Self {
        Self::new(instance)
    }
}

impl<B, C> fmt::Debug for Member<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("state", self.instance.state())
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
