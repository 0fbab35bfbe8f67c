use std::collections::BTreeMap;
use std::fmt;

use super::{EndpointRouter, ModelRouter, Router};
use crate::balance::{Instance, LoadBalance, RetryBudget, Settings, Strategy};
use crate::endpoint::ServiceType;
use crate::upstream::Upstream;

type MakeStrategy = Box<dyn Fn() -> Box<dyn Strategy> + Send>;

/// The instances of one service, by the models they serve, and how they are balanced.
pub struct Group<B, C> {
    models: BTreeMap<Box<str>, Vec<Instance<Upstream<B, C>>>>,
    strategy: MakeStrategy,
    settings: Settings,
}

impl<B, C> Group<B, C> {
    /// A group without instances. Each model gets a clone of the strategy.
    pub fn new(strategy: impl Strategy + Clone) -> Self {
        Self {
            models: BTreeMap::new(),
            strategy: Box::new(move || Box::new(strategy.clone())),
            settings: Settings::default(),
        }
    }

    /// How many instances a request may be sent to (1 to 8, default 3), and how much failing over
    /// may add to the load.
    #[must_use]
    pub fn retry(mut self, max_attempts: usize, budget: RetryBudget) -> Self {
        self.settings = Settings::new(max_attempts, budget);
        self
    }

    /// An instance that serves the model callers call by this name. Several instances of one name
    /// are its replicas.
    #[must_use]
    pub fn instance(
        mut self,
        model: impl Into<Box<str>>,
        instance: Instance<Upstream<B, C>>,
    ) -> Self {
        self.models.entry(model.into()).or_default().push(instance);
        self
    }
}

impl<B, C> fmt::Debug for Group<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("models", &self.models.keys()).finish_non_exhaustive()
    }
}

/// Builds a [`Router`].
#[must_use]
pub struct Builder<B, C> {
    groups: Vec<(ServiceType, Group<B, C>)>,
}

impl<B, C> Builder<B, C> {
    pub(super) fn new() -> Self {
        Self { groups: Vec::new() }
    }

    /// A service of this type. Of two of one type the last counts.
    pub fn service(mut self, service_type: ServiceType, group: Group<B, C>) -> Self {
        self.groups.push((service_type, group));
        self
    }

    /// The router.
    pub fn build(self) -> Router<B, C> {
        let services = self.groups.into_iter().map(|(service_type, group)| {
            let Group { models, strategy, settings } = group;
            let models = models.into_iter().map(|(model, instances)| {
                (model, LoadBalance::new(instances, strategy(), settings))
            });
            (service_type, ModelRouter::new(models))
        });
        Router(EndpointRouter::new(services))
    }
}

impl<B, C> fmt::Debug for Builder<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("groups", &self.groups).finish()
    }
}
