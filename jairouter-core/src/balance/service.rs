use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use http_body::Body as HttpBody;
use tokio::time::Instant;
use tower::Service;

use super::budget::{Retries, RetryBudget};
use super::future::ResponseFuture;
use super::layer::Settings;
use super::state::{InFlight, InstanceState};
use super::strategy::{Busiest, Candidates, Strategy, Which};
use super::tried::Tried;
use crate::body::GuardedBody;
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;
use crate::waiting_room::{LastCall, Room};

/// The bounds of when to come back to a pool that has none left.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(30);

/// In what time each of a pool whose breakers are all open is asked again.
const ROUND: Duration = Duration::from_secs(4);

/// One service among several that answer the same requests.
#[derive(Debug, Clone)]
pub struct Instance<S> {
    service: S,
    state: Arc<InstanceState>,
}

impl<S> Instance<S> {
    /// An instance of this name, weight 1 and unlimited concurrency.
    pub fn new(id: impl Into<Box<str>>, service: S) -> Self {
        Self::with_state(Arc::new(InstanceState::new(id)), service)
    }

    /// An instance with a state that something else sees, or that outlives this one.
    pub fn with_state(state: Arc<InstanceState>, service: S) -> Self {
        Self { service, state }
    }

    /// The same instance behind another service, such as a layer around this one.
    #[must_use]
    pub fn map<T>(self, service: impl FnOnce(S) -> T) -> Instance<T> {
        Instance { service: service(self.service), state: self.state }
    }

    /// The service.
    pub fn get_ref(&self) -> &S {
        &self.service
    }

    /// What the balancer knows of it.
    pub fn state(&self) -> &Arc<InstanceState> {
        &self.state
    }
}

/// Balances requests over instances. See the [module](super).
///
/// Always ready. The chosen instance is cloned and driven to readiness inside the call, so no
/// clone of this service holds readiness that another request counts on.
///
/// # Errors
///
/// The last instance's own error, with [what was tried](Error::attempts); [`Kind::Busy`] if every
/// instance is full, [`Kind::BreakerOpen`] if all fail, [`Kind::NoInstance`] if none is up.
pub struct LoadBalance<S>(Arc<Pool<S>>);

/// An instance that is to be asked.
pub(super) struct Picked<S> {
    pub(super) index: usize,
    pub(super) service: S,
    pub(super) in_flight: InFlight,
}

pub(super) struct Pool<S> {
    services: Box<[S]>,
    pub(super) shared: Arc<Shared>,
}

/// What is left of a budget for retries.
#[derive(Clone)]
pub(crate) struct Ledger {
    retries: Arc<Retries>,
    budget: RetryBudget,
}

/// What all balancers over the same instances decide by, whatever clients they own.
pub(super) struct Shared {
    states: Box<[Arc<InstanceState>]>,
    strategy: Box<dyn Strategy>,
    pub(super) settings: Settings,
    pub(super) retries: Arc<Retries>,
    /// Where requests wait for a place at one of them.
    room: Option<Arc<Room>>,
    /// When an instance was last asked against its breaker, in milliseconds after the epoch.
    relented: AtomicU64,
    epoch: Instant,
}

// === impl LoadBalance ===

impl<S> LoadBalance<S> {
    pub(crate) fn new(
        instances: impl IntoIterator<Item = Instance<S>>,
        mut strategy: Box<dyn Strategy>,
        settings: Settings,
        room: Option<Arc<Room>>,
        before: Option<&Ledger>,
    ) -> Self {
        // More than this many replicas of one model are not told apart by the tried set.
        let instances = instances.into_iter().take(usize::from(u16::MAX));
        let (services, states): (Vec<_>, Vec<_>) =
            instances.map(|instance| (instance.service, instance.state)).unzip();
        strategy.bind(&states);
        let states = states.into();
        let kept = before.filter(|ledger| ledger.budget == settings.budget);
        let retries = kept.map_or_else(
            || Arc::new(Retries::new(settings.budget)),
            |ledger| Arc::clone(&ledger.retries),
        );
        let (relented, epoch) = (AtomicU64::new(0), Instant::now());
        let shared = Shared { states, strategy, settings, retries, room, relented, epoch };
        Self(Arc::new(Pool { services: services.into(), shared: Arc::new(shared) }))
    }

    /// The same balancer over other services of the same instances, such as ones whose connections
    /// belong to another core. Both decide as one: turns, counts and the retry budget are shared.
    #[must_use]
    pub fn map<T>(&self, service: impl FnMut(&S) -> T) -> LoadBalance<T> {
        let services = self.0.services.iter().map(service).collect();
        LoadBalance(Arc::new(Pool { services, shared: Arc::clone(&self.0.shared) }))
    }

    /// What it has earned and spent, for another one that takes its place.
    pub(crate) fn ledger(&self) -> Ledger {
        let Shared { retries, settings, .. } = &*self.0.shared;
        Ledger { retries: Arc::clone(retries), budget: settings.budget }
    }

    /// The states of the instances, in the order given.
    pub fn instances(&self) -> &[Arc<InstanceState>] {
        &self.0.shared.states
    }
}

impl<S, B> Service<InferenceRequest> for LoadBalance<S>
where
    S: Service<InferenceRequest, Response = Response<B>> + Clone,
    S::Error: Into<Error>,
    B: HttpBody<Data = bytes::Bytes, Error = Error>,
{
    type Response = Response<GuardedBody<B, InFlight>>;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        self.0.shared.retries.earn(self.0.shared.settings.budget);
        ResponseFuture::new(Arc::clone(&self.0), request)
    }
}

impl<S> Clone for LoadBalance<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for LoadBalance<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadBalance").field("instances", &self.instances()).finish_non_exhaustive()
    }
}

// === impl Pool ===

impl<S: Clone> Pool<S> {
    /// An instance this request has not been sent to, counted, and its service. Whoever asks it says
    /// that it is tried.
    ///
    /// Those that rest, or have just come back, are asked only when no other is left: what made them
    /// rest may have been the caller's doing, and a pool that refuses on such evidence alone fails for
    /// everybody. Nor, if this is `patient`, while a place at another may be waited for.
    pub(super) fn pick(
        &self,
        request: &InferenceRequest,
        tried: &Tried,
        now: Instant,
        patient: bool,
    ) -> Option<Picked<S>> {
        let shared = &*self.shared;
        let well = Which::Well(shared.settings.slow_start);
        let busiest = Busiest::unknown();
        let candidates = Candidates::new(&shared.states, tried, now, well, &busiest);
        let taken = if request.extensions.get::<LastCall>().is_some() && tried.is_empty() {
            shared.take(request, &candidates.only(Which::Resting))
        } else {
            shared.take(request, &candidates).or_else(|| {
                let waits = patient && shared.room.is_some() && candidates.may_be_waited_for();
                let others = if waits { Which::Rested } else { Which::All };
                shared.take(request, &candidates.only(others))
            })
        };
        let taken = taken.or_else(|| {
            let relents = tried.is_empty() && shared.relent(now);
            if relents { shared.take(request, &candidates.only(Which::All)) } else { None }
        });
        let (index, in_flight) = taken?;
        Some(Picked { index, service: self.services[index].clone(), in_flight })
    }

    /// Where a request that has been to these waits for a place at another, if one would have it.
    pub(super) fn room_for(&self, tried: &Tried, now: Instant) -> Option<&Arc<Room>> {
        let busiest = Busiest::unknown();
        let all = Candidates::new(&self.shared.states, tried, now, Which::All, &busiest);
        self.shared.room.as_ref().filter(|_| all.may_be_waited_for())
    }

    /// Whether it may wait on, if it does.
    pub(super) fn may_recover(&self, tried: &Tried, now: Instant) -> bool {
        let busiest = Busiest::unknown();
        Candidates::new(&self.shared.states, tried, now, Which::All, &busiest).may_recover()
    }

    /// That an instance is full, if one is that would be asked otherwise.
    pub(super) fn full(&self, now: Instant) -> Option<Error> {
        let would_be_asked = |state: &&Arc<InstanceState>| {
            state.is_up() && state.is_full() && state.is_refusing(now).is_none()
        };
        self.shared.states.iter().any(|state| would_be_asked(&state)).then(|| {
            let message = "every instance of the model is at its concurrency limit";
            Error::new(Kind::Busy, message).with_retry_after(SOON).unsent()
        })
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.shared.states.iter().map(|state| state.in_flight()).fold(0, u32::saturating_add)
    }

    /// Why [`Pool::pick`] found none for a new request, and when to come back.
    pub(super) fn none_left(&self, now: Instant) -> Error {
        if let Some(full) = self.full(now) {
            return full;
        }
        let up = self.shared.states.iter().filter(|state| state.is_up());
        let wait = |state: &Arc<InstanceState>| {
            let wait = state.is_refusing(now)?;
            Some(state.relents_after().map_or(wait, |soon| wait.min(soon)))
        };
        let error = match up.filter_map(wait).min() {
            Some(wait) => {
                let message = "every instance of the model has failed too often lately";
                let wait = wait.clamp(SOON, LATE);
                Error::new(Kind::BreakerOpen, message).with_retry_after(wait)
            }
            None => Error::new(Kind::NoInstance, "no instance of the model is up")
                .with_retry_after(SOON),
        };
        error.unsent()
    }
}

// === impl Shared ===

impl Shared {
    fn take(
        &self,
        request: &InferenceRequest,
        candidates: &Candidates<'_>,
    ) -> Option<(usize, InFlight)> {
        // Another request may take the last place between the choice and the count.
        for _ in 0..=self.states.len() {
            let index = match candidates.come_from() {
                Some(last) => candidates.after(last)?,
                None => self.strategy.select(request, candidates)?,
            };
            if let Some(in_flight) = self.states[index].acquire() {
                return Some((index, in_flight));
            }
        }
        None
    }

    /// Lets the probes of one breaker find out how its instance is, now and then, when every breaker is
    /// open and nothing else speaks against the instance: what opened them all may have been the doing
    /// of one caller, and what is well must not be refused to everybody until the time of a breaker is
    /// over. Whether one may.
    fn relent(&self, now: Instant) -> bool {
        if self.states.iter().any(|state| state.is_up() && state.is_refusing(now).is_none()) {
            return false;
        }
        let relenting = || {
            let states = self.states.iter();
            states.filter_map(|state| Some((state, state.breaker()?, state.relents_after()?)))
        };
        // The more there are, the sooner the next one, so that none waits for long.
        let pause = SOON.min(ROUND / relenting().count().max(1) as u32).as_millis().max(1) as u64;
        let at = now.saturating_duration_since(self.epoch).as_millis() as u64;
        let last = self.relented.load(Ordering::Relaxed);
        let (next, order) = (last + pause, Ordering::Relaxed);
        if at < next || self.relented.compare_exchange(last, at, order, order).is_err() {
            return false;
        }
        // Each in its turn: the one that was asked the longest ago. If another request has just had it, so
        // has the pool its probe.
        let due = relenting().filter(|(state, _, after)| state.may_be_asked_anyway(now, *after));
        let due = due.min_by_key(|(state, ..)| state.asked_anyway());
        let due = due.filter(|(state, _, after)| state.ask_anyway(now, *after));
        due.inspect(|(_, breaker, _)| breaker.probe_soon(now)).is_some()
    }
}
