use std::time::Duration;

use tower::Layer;

use super::budget::RetryBudget;
use super::retry_on::RetryOn;
use super::service::{Instance, LoadBalance};
use super::strategy::Strategy;
use super::told::{FailedAttempt, Told};
use super::tried::MOST_ATTEMPTS;

/// Makes a [`LoadBalance`] of a list of instances.
///
/// The strategy learns the instances when the layer is applied, so a layer is applied once.
pub struct LoadBalanceLayer<F> {
    strategy: F,
    settings: Settings,
}

/// How a balancer asks, and what it tells.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(super) max_attempts: usize,
    pub(super) budget: RetryBudget,
    pub(super) retry_on: RetryOn,
    pub(super) slow_start: Duration,
    pub(super) headers: bool,
    pub(super) tell_attempts: bool,
    pub(super) told: Told,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            budget: RetryBudget::default(),
            retry_on: RetryOn::ALL,
            slow_start: Duration::from_secs(10),
            headers: true,
            tell_attempts: false,
            told: Told::default(),
        }
    }
}

impl<P: Strategy + Clone> LoadBalanceLayer<P> {
    /// Picks by this strategy, asks at most 3 instances, within the default [`RetryBudget`].
    pub fn new(strategy: P) -> Self {
        Self { strategy, settings: Settings::default() }
    }

    /// How many instances a request may be sent to, 1 to 8. Default 3. One that refuses before
    /// anything is sent (its breaker, its limit, its concurrency) does not count.
    #[must_use]
    pub fn max_attempts(mut self, max: usize) -> Self {
        self.settings.max_attempts = max.clamp(1, MOST_ATTEMPTS);
        self
    }

    /// How much failing over may add to the load.
    #[must_use]
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.settings.budget = budget;
        self
    }

    /// Which failures are worth asking another instance for. Default all of [`RetryOn`].
    #[must_use]
    pub fn retry_on(mut self, failures: RetryOn) -> Self {
        self.settings.retry_on = failures;
        self
    }

    /// For how long an instance whose breaker has closed again is given only a share of the requests,
    /// which grows to all of them. Default 10 s; zero for none.
    #[must_use]
    pub fn slow_start(mut self, period: Duration) -> Self {
        self.settings.slow_start = period;
        self
    }

    /// Whether answers carry `x-jairouter-instance`, `-model` and `-attempts`. Default yes.
    #[must_use]
    pub fn headers(mut self, wanted: bool) -> Self {
        self.settings.headers = wanted;
        self
    }

    /// Whether a final error lists in its body which instances were asked in vain. Default no: the
    /// log has them.
    #[must_use]
    pub fn tell_attempts(mut self, wanted: bool) -> Self {
        self.settings.tell_attempts = wanted;
        self
    }

    /// Who is told of each instance that a request was sent to in vain, as it happens: to log it, say.
    /// Default nobody. It is called on the way of the request, so it must not block.
    #[must_use]
    pub fn tell_failures(
        mut self,
        tell: impl Fn(&FailedAttempt<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.settings.told = Told::new(tell);
        self
    }

    pub(crate) fn into_parts(self) -> (P, Settings) {
        (self.strategy, self.settings)
    }
}

impl<P: Strategy + Clone> From<P> for LoadBalanceLayer<P> {
    fn from(strategy: P) -> Self {
        Self::new(strategy)
    }
}

impl<P, I, S> Layer<I> for LoadBalanceLayer<P>
where
    P: Strategy + Clone,
    I: IntoIterator<Item = Instance<S>> + Clone,
{
    type Service = LoadBalance<S>;

    fn layer(&self, instances: I) -> Self::Service {
        LoadBalance::new(
            instances,
            Box::new(self.strategy.clone()),
            self.settings.clone(),
            None,
            None,
        )
    }
}
