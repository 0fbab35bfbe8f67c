use tower::Layer;

use super::budget::RetryBudget;
use super::service::{Instance, LoadBalance};
use super::strategy::Strategy;
use super::tried::MOST_ATTEMPTS;

/// Makes a [`LoadBalance`] of a list of instances.
///
/// The strategy learns the instances when the layer is applied, so a layer is applied once.
pub struct LoadBalanceLayer<F> {
    strategy: F,
    settings: Settings,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(super) max_attempts: usize,
    pub(super) budget: RetryBudget,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_attempts: 3, budget: RetryBudget::default() }
    }
}

impl Settings {
    pub(crate) fn new(max_attempts: usize, budget: RetryBudget) -> Self {
        Self { max_attempts: max_attempts.clamp(1, MOST_ATTEMPTS), budget }
    }
}

impl<P: Strategy + Clone> LoadBalanceLayer<P> {
    /// Picks by this strategy, asks at most 3 instances, within the default [`RetryBudget`].
    pub fn new(strategy: P) -> Self {
        Self { strategy, settings: Settings::default() }
    }

    /// How many instances a request may be sent to, 1 to 8. Default 3.
    #[must_use]
    pub fn max_attempts(mut self, max: usize) -> Self {
        self.settings = Settings::new(max, self.settings.budget);
        self
    }

    /// How much failing over may add to the load.
    #[must_use]
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.settings.budget = budget;
        self
    }
}

impl<P, I, S> Layer<I> for LoadBalanceLayer<P>
where
    P: Strategy + Clone,
    I: IntoIterator<Item = Instance<S>> + Clone,
{
    type Service = LoadBalance<S>;

    fn layer(&self, instances: I) -> Self::Service {
        LoadBalance::new(instances, Box::new(self.strategy.clone()), self.settings)
    }
}
