use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use tower::Layer;

use super::member::Member;
use super::{EndpointRouter, Limits, ModelRouter, Router};
use crate::backend::Backend;
use crate::balance::{
    InstanceState, Ledger, LoadBalance, LoadBalanceLayer, Rooms, Settings, Strategy,
};
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
    incomplete: bool,
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
            incomplete: false,
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

    /// Whether there may be models it has not been told of, as those of an engine that has not said yet
    /// which it has. One that it does not know is then 503, for a while, and not 404. Default false.
    #[must_use]
    pub fn incomplete(mut self, incomplete: bool) -> Self {
        self.incomplete = incomplete;
        self
    }

    /// An instance that serves the model callers call by this name, or a [`Member`]: one with a limit
    /// or a breaker of its own. Several instances of one name are its replicas. One that serves several
    /// models is given once for each, with one [state](crate::balance::Instance::with_state).
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
        self.build_with(|_, _| None)
    }

    /// The router, to take the place of this one: who waits for a model there, and who will here, stand
    /// in one line, and what is left of a budget for retries is left. What else is to go on is given to both, such as the states of their instances.
    pub fn succeed<A, D>(self, before: &Router<A, D>) -> Router<B, C> {
        let services = before.0.services();
        let models = services.flat_map(|(service_type, service)| {
            let models = service.get_ref().get_ref().models();
            models.map(move |(name, room)| {
                ((service_type, name), (Arc::clone(room.room()), room.get_ref().ledger()))
            })
        });
        let models: HashMap<_, _> = models.collect();
        self.build_with(|service_type, model| models.get(&(service_type, model)).cloned())
    }

    fn build_with(
        self,
        before: impl Fn(ServiceType, &str) -> Option<(Arc<Room>, Ledger)>,
    ) -> Router<B, C> {
        let mut listeners = Listeners::default();
        let services = self.groups.into_iter().map(|(service_type, group)| {
            let Group { models, strategy, settings, limits, fallback, waiting_room, incomplete } =
                group;
            let models = models.into_iter().map(|(name, Model { members, offers })| {
                let (before, ledger) = before(service_type, &name).unzip();
                let before = before.filter(|room| room.is_of(waiting_room));
                let new = || Arc::new(Room::new(waiting_room).before_balancer());
                let room = before.unwrap_or_else(new);
                let instances = members.into_iter().map(Member::build);
                let waits = waiting_room.has_places().then(|| Arc::clone(&room));
                let settings = settings.clone();
                let balance =
                    LoadBalance::new(instances, strategy(), settings, waits, ledger.as_ref());
                listeners.add(balance.instances(), &room, waiting_room.has_places());
                (name, offers, WaitingRoom::new(balance, room))
            });
            let models = ModelRouter::offering(models).incomplete(incomplete);
            (service_type, RateLimitLayer::new(limits).layer(fallback.layer(models)))
        });
        let router = Router(EndpointRouter::new(services));
        listeners.tell();
        router
    }
}

/// Who is told of a place that becomes free, by the instance it is free at.
#[derive(Default)]
struct Listeners(HashMap<*const InstanceState, (Arc<InstanceState>, Rooms)>);

impl Listeners {
    fn add(&mut self, instances: &[Arc<InstanceState>], room: &Arc<Room>, has_places: bool) {
        for (index, state) in instances.iter().enumerate() {
            let none = || (Arc::clone(state), Rooms::new());
            let (_, rooms) = self.0.entry(Arc::as_ptr(state)).or_insert_with(none);
            if has_places {
                let bit = u32::try_from(index).ok().and_then(|index| 1_u64.checked_shl(index));
                rooms.push((Arc::clone(room), bit));
            }
        }
    }

    fn tell(self) {
        for (state, rooms) in self.0.into_values() {
            state.announce_to(rooms);
        }
    }
}

impl<B, C> fmt::Debug for Builder<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("groups", &self.groups).finish()
    }
}
