use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower::Layer;

use super::member::Member;
use super::{EndpointRouter, Limits, ModelRouter, Router};
use crate::balance::{LoadBalance, RetryBudget, RetryOn, Settings, Strategy};
use crate::endpoint::ServiceType;
use crate::fallback::FallbackLayer;
use crate::rate_limit::{Limiter, RateLimitLayer};
use crate::waiting_room::{self, Room, WaitingRoom};

type MakeStrategy = Box<dyn Fn() -> Box<dyn Strategy> + Send>;

/// The instances of one service, by the models they serve, and how they are governed.
pub struct Group<B, C> {
    models: BTreeMap<Box<str>, Vec<Member<B, C>>>,
    strategy: MakeStrategy,
    settings: Settings,
    limits: Limits,
    fallback: FallbackLayer,
    waiting_room: waiting_room::Settings,
}

impl<B, C> Group<B, C> {
    /// A group without instances. Each model gets a clone of the strategy.
    pub fn new(strategy: impl Strategy + Clone) -> Self {
        Self {
            models: BTreeMap::new(),
            strategy: Box::new(move || Box::new(strategy.clone())),
            settings: Settings::default(),
            limits: None,
            fallback: FallbackLayer::new(),
            waiting_room: waiting_room::Settings::default(),
        }
    }

    /// How many instances a request may be sent to (1 to 8, default 3), and how much failing over
    /// may add to the load.
    #[must_use]
    pub fn retry(mut self, max_attempts: usize, budget: RetryBudget) -> Self {
        self.settings.max_attempts(max_attempts);
        self.settings.budget(budget);
        self
    }

    /// Which failures are worth asking another instance for. Default all.
    #[must_use]
    pub fn retry_on(mut self, failures: RetryOn) -> Self {
        self.settings.retry_on(failures);
        self
    }

    /// For how long an instance whose breaker has closed again is spared. Default 10 s.
    #[must_use]
    pub fn slow_start(mut self, period: Duration) -> Self {
        self.settings.slow_start(period);
        self
    }

    /// Whether answers carry `x-jairouter-instance`, `-model` and `-attempts`. Default yes.
    #[must_use]
    pub fn headers(mut self, wanted: bool) -> Self {
        self.settings.headers(wanted);
        self
    }

    /// Whether a final error lists in its body which instances were asked in vain. Default no.
    #[must_use]
    pub fn tell_attempts(mut self, wanted: bool) -> Self {
        self.settings.tell_attempts(wanted);
        self
    }

    /// What every request of this service has to pass before anything is done for it. Several limits
    /// are a tuple or a `Vec` of them.
    #[must_use]
    pub fn limit(mut self, limiter: impl Limiter + 'static) -> Self {
        self.limits = Some(Arc::new(limiter));
        self
    }

    /// What answers when no instance of a model can.
    #[must_use]
    pub fn fallback(mut self, fallback: FallbackLayer) -> Self {
        self.fallback = fallback;
        self
    }

    /// Where requests wait while every instance of their model is at its concurrency: a room for each
    /// model. Default none.
    #[must_use]
    pub fn waiting_room(mut self, settings: waiting_room::Settings) -> Self {
        self.waiting_room = settings;
        self
    }

    /// An instance that serves the model callers call by this name, or a [`Member`]: one with a limit
    /// or a breaker of its own. Several instances of one name are its replicas.
    #[must_use]
    pub fn instance(
        mut self,
        model: impl Into<Box<str>>,
        instance: impl Into<Member<B, C>>,
    ) -> Self {
        self.models.entry(model.into()).or_default().push(instance.into());
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
            let Group { models, strategy, settings, limits, fallback, waiting_room } = group;
            let models = models.into_iter().map(|(model, members)| {
                let room = Arc::new(Room::new(waiting_room));
                let instances = members.into_iter().map(Member::build);
                let balance = LoadBalance::new(instances, strategy(), settings);
                if waiting_room.has_places() {
                    for state in balance.instances() {
                        state.announce_to(Arc::clone(&room));
                    }
                }
                (model, WaitingRoom::new(balance, room))
            });
            let models = fallback.layer(ModelRouter::new(models));
            (service_type, RateLimitLayer::new(limits).layer(models))
        });
        Router(EndpointRouter::new(services))
    }
}

impl<B, C> fmt::Debug for Builder<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("groups", &self.groups).finish()
    }
}
