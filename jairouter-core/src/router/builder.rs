use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tower::Layer;

use super::member::Member;
use super::{EndpointRouter, Limits, ModelRouter, Router};
use crate::backend::Backend;
use crate::balance::{LoadBalance, LoadBalanceLayer, Settings, Strategy};
use crate::endpoint::{Endpoints, ServiceType};
use crate::fallback::FallbackLayer;
use crate::rate_limit::{Limiter, RateLimitLayer};
use crate::waiting_room::{self, Room, WaitingRoom};

type MakeStrategy = Box<dyn Fn() -> Box<dyn Strategy> + Send>;

/// The instances of one service, by the models they serve, and how they are governed.
pub struct Group<B, C> {
    models: BTreeMap<Box<str>, Model<B, C>>,
    strategy: MakeStrategy,
    settings: Settings,
    limits: Limits,
    fallback: FallbackLayer,
    waiting_room: waiting_room::Settings,
}

/// The replicas of a model, and what at least one of them offers.
struct Model<B, C> {
    members: Vec<Member<B, C>>,
    offers: Endpoints,
}

impl<B, C> Group<B, C> {
    /// A group without instances, of which each model is balanced like this: by a strategy, or by a
    /// [`LoadBalanceLayer`] that says more.
    ///
    /// ```
    /// use jairouter_core::balance::{LeastConnections, LoadBalanceLayer, RoundRobin};
    /// use jairouter_core::router::Group;
    /// # struct Normal;
    /// # struct Client;
    ///
    /// let usual = Group::<Normal, Client>::new(LeastConnections::new());
    /// let once = LoadBalanceLayer::new(RoundRobin::new()).max_attempts(1);
    /// let other = Group::<Normal, Client>::new(once);
    /// ```
    pub fn new<P: Strategy + Clone>(balance: impl Into<LoadBalanceLayer<P>>) -> Self {
        let (strategy, settings) = balance.into().into_parts();
        Self {
            models: BTreeMap::new(),
            strategy: Box::new(move || Box::new(strategy.clone())),
            settings,
            limits: None,
            fallback: FallbackLayer::new(),
            waiting_room: waiting_room::Settings::default(),
        }
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
    pub fn instance(mut self, model: impl Into<Box<str>>, instance: impl Into<Member<B, C>>) -> Self
    where
        B: Backend,
    {
        let member = instance.into();
        let none = || Model { members: Vec::new(), offers: Endpoints::default() };
        let model = self.models.entry(model.into()).or_insert_with(none);
        model.offers = model.offers.or(member.offers());
        model.members.push(member);
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
            let models = models.into_iter().map(|(name, Model { members, offers })| {
                let room = Arc::new(Room::new(waiting_room).before_balancer());
                let instances = members.into_iter().map(Member::build);
                let balance = LoadBalance::new(instances, strategy(), settings);
                if waiting_room.has_places() {
                    for (index, state) in balance.instances().iter().enumerate() {
                        state.announce_to(Arc::clone(&room), index);
                    }
                }
                (name, offers, WaitingRoom::new(balance, room))
            });
            let models = fallback.layer(ModelRouter::offering(models));
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
