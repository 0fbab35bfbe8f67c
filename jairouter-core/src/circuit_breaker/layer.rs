use std::sync::Arc;

use tower::Layer;

use super::breaker::Breaker;
use super::service::CircuitBreaker;

/// Puts a [`CircuitBreaker`] around a service.
///
/// Every service it is applied to is judged by the same breaker: a layer is of one instance.
#[derive(Debug, Clone)]
pub struct CircuitBreakerLayer {
    breaker: Arc<Breaker>,
}

impl CircuitBreakerLayer {
    /// Asks this breaker, and tells it how requests went.
    pub const fn new(breaker: Arc<Breaker>) -> Self {
        Self { breaker }
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker::new(inner, Arc::clone(&self.breaker))
    }
}
