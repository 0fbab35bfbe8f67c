use tower::Layer;

use super::limiter::Limiter;
use super::service::RateLimit;

/// Lets only those requests through that a [`Limiter`](super::Limiter) admits.
#[derive(Debug, Clone)]
pub struct RateLimitLayer<L> {
    limiter: L,
    of_instance: bool,
}

impl<L: Limiter> RateLimitLayer<L> {
    /// A limit of the gateway's: a refusal is final, 429 `rate_limit_exceeded`.
    ///
    /// Clones of the limiter must be one: an `Arc` of it, usually.
    pub const fn new(limiter: L) -> Self {
        Self { limiter, of_instance: false }
    }

    /// A limit of one instance, inside a balancer: a refusal is
    /// [`Kind::Busy`](crate::Kind::Busy), and another instance may be asked.
    pub const fn of_instance(limiter: L) -> Self {
        Self { limiter, of_instance: true }
    }
}

impl<L: Clone, S> Layer<S> for RateLimitLayer<L> {
    type Service = RateLimit<L, S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, self.limiter.clone(), self.of_instance)
    }
}
