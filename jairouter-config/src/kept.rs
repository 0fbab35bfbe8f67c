//! What outlives a stack: the handles that the next one is built over.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{AbortHandle, Abortable, BoxFuture};
use jairouter_core::balance::InstanceState;
use jairouter_core::circuit_breaker::Breaker;
use jairouter_core::fallback::Cache;
use jairouter_core::health::{Health, Status};
use jairouter_core::rate_limit::Limiter;
use jairouter_core::{Backend, ServiceType};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::config::{
    self, CircuitBreaker, Discovery, HealthCheck, Http2, Jwks, Jwt, KeySource, LimitAlgorithm,
    RateLimit, Tls,
};
use crate::discover::{Listed, Lister};
use crate::govern;
use crate::hooks::Hooks;
use crate::jwt::{self, Algorithm, Current, Holders};
use crate::reasons::Reasons;
use crate::served::ServedLimit;
use crate::transport::Transport;
use crate::watch::Watch;

/// Something that goes on beside the requests, for as long as its instance is served.
pub(crate) type Task = Abortable<BoxFuture<'static, ()>>;

/// The handles of a stack, by what they are of.
#[derive(Default)]
pub(crate) struct Kept {
    limits: HashMap<LimitName, Vec<KeptLimit>>,
    caches: HashMap<ServiceType, (config::Cache, Cache)>,
    transports: HashMap<Place, Transport>,
    instances: HashMap<String, Arc<Attended>>,
    tokens: Option<Arc<Tokens>>,
    holders: Arc<Holders>,
}

/// The keys that tokens are checked with, and what fetches them until nobody serves them any more.
struct Tokens {
    jwks: Jwks,
    algorithms: Vec<Algorithm>,
    current: Arc<Current>,
    task: AbortHandle,
}

/// Where a limit is, and what people call it. Several may be called the same, in their order.
type LimitName = (String, String);

struct KeptLimit {
    service: &'static str,
    spec: LimitSpec,
    limit: Arc<dyn Limiter>,
    /// Since when nothing has it.
    unused: Option<Instant>,
}

/// For how long a limit is kept that nothing has, as that of a model which an engine lists no more: it may
/// come back, and is not to be given twice. And how many such limits.
const MEMORY: Duration = Duration::from_secs(600);
const MOST_UNUSED: usize = 10_000;

/// What a limit is made of. One that is made of the same goes on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LimitSpec {
    /// What is limited, and to how much.
    pub of: Limited,
    /// Whether each client has its own: it has a table of them.
    pub per_client: bool,
}

/// What is limited.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Limited {
    /// How many requests come in a time.
    Requests(RateLimit),
    /// Tokens, a minute.
    Tokens(u64),
    /// Requests at a time.
    Concurrency(u32),
}

/// An instance that is looked after: its handles, and what goes on beside its requests until nobody
/// serves it any more.
pub struct Attended {
    spec: InstanceSpec,
    state: Arc<InstanceState>,
    breaker: Option<Arc<Breaker>>,
    pub(crate) reasons: Arc<Reasons>,
    tasks: Vec<AbortHandle>,
}

/// Where an instance is, and how it is connected to.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    url: String,
    connect_timeout: Duration,
    tls: Option<Arc<Tls>>,
    http2: Http2,
    link_local: bool,
}

/// What the handles of an instance depend on. Of one of which this is the same they go on.
#[derive(PartialEq)]
struct InstanceSpec {
    place: Place,
    adapter: Vec<String>,
    active: bool,
    breaker: CircuitBreaker,
    /// With the headers of the instance.
    health: HealthCheck,
    asked: Option<Discovery>,
}

/// Collects the handles of a new stack: those of the old one that it goes on with, and new ones.
pub(crate) struct Keeper<'a> {
    old: &'a Kept,
    new: Kept,
    tasks: Vec<Task>,
    lists: mpsc::Sender<Listed>,
    pub(crate) hooks: &'static dyn Hooks,
}

// === impl Kept ===

impl Kept {
    /// The limits that act.
    pub(crate) fn limits(&self) -> Vec<ServedLimit> {
        let acting = self.limits.iter().flat_map(|((place, name), limits)| {
            let acting = limits.iter().filter(|kept| kept.unused.is_none());
            acting.map(|kept| ServedLimit {
                service: kept.service,
                place: place.clone(),
                name: name.clone(),
                spec: kept.spec.clone(),
                limit: Arc::clone(&kept.limit),
            })
        });
        acting.collect()
    }

    /// The instances that are served, by their ids.
    pub(crate) const fn instances(&self) -> &HashMap<String, Arc<Attended>> {
        &self.instances
    }
}

// === impl Keeper ===

impl<'a> Keeper<'a> {
    /// Instances that are asked for their models answer into this channel.
    pub(crate) fn new(
        old: &'a Kept,
        lists: mpsc::Sender<Listed>,
        hooks: &'static dyn Hooks,
    ) -> Self {
        let new = Kept { holders: Arc::clone(&old.holders), ..Kept::default() };
        Self { old, new, tasks: Vec::new(), lists, hooks }
    }

    /// All of them, and what is to be done beside the requests.
    pub(crate) fn done(mut self) -> (Kept, Vec<Task>) {
        self.remember();
        (self.new, self.tasks)
    }

    /// Keeps limits that nothing has any more, for a while.
    fn remember(&mut self) {
        let now = Instant::now();
        let gone = self.old.limits.iter().filter(|(name, _)| !self.new.limits.contains_key(*name));
        let gone = gone.filter_map(|(name, limits)| {
            let unused = |kept: &KeptLimit| {
                // Tables of clients are large, and each limit's share of the memory is for those in use.
                if kept.spec.per_client {
                    return None;
                }
                let since = kept.unused.unwrap_or(now);
                (now.saturating_duration_since(since) < MEMORY).then(|| KeptLimit {
                    service: kept.service,
                    spec: kept.spec.clone(),
                    limit: Arc::clone(&kept.limit),
                    unused: Some(since),
                })
            };
            let limits: Option<Vec<_>> = limits.iter().map(unused).collect();
            Some((name.clone(), limits?))
        });
        let gone: Vec<_> = gone.take(MOST_UNUSED).collect();
        self.new.limits.extend(gone);
    }

    /// The limit that is called this at this place of a service.
    pub(crate) fn limit<L: Limiter + 'static>(
        &mut self,
        (service, place): (&'static str, &str),
        what: String,
        spec: LimitSpec,
        make: impl FnOnce(String) -> L,
    ) -> Arc<dyn Limiter> {
        let name = (place.to_owned(), what);
        let ours = self.new.limits.get(&name).map_or(0, Vec::len);
        let old = self.old.limits.get(&name).and_then(|limits| limits.get(ours));
        let limit = match old {
            Some(kept) if kept.spec == spec => Arc::clone(&kept.limit),
            _ => {
                let limit = Arc::new(make(name.1.clone()));
                self.hooks.limit(limit, service, spec.algorithm())
            }
        };
        let kept = KeptLimit { service, spec, limit: Arc::clone(&limit), unused: None };
        self.new.limits.entry(name).or_default().push(kept);
        limit
    }

    /// The cache of a service.
    pub(crate) fn cache(&mut self, of: ServiceType, settings: config::Cache) -> Cache {
        let old = self.old.caches.get(&of).filter(|(before, _)| *before == settings);
        let new = || {
            let store = Cache::builder().entries(settings.entries).bytes(settings.bytes);
            store.ttl(settings.ttl).any(settings.any).build()
        };
        let cache = old.map_or_else(new, |(_, cache)| cache.clone());
        self.new.caches.insert(of, (settings, cache.clone()));
        cache
    }

    /// What the holders of tokens have left.
    pub(crate) fn holders(&self) -> Arc<Holders> {
        Arc::clone(&self.new.holders)
    }

    /// The keys that tokens are checked with. Those of a new URL are fetched from now on.
    pub(crate) fn jwt(&mut self, jwt: &Arc<Jwt>) -> Arc<Current> {
        let jwks = match &jwt.source {
            KeySource::Known(set) => return Arc::new(Current::new(Some(Arc::clone(set)))),
            KeySource::Url(jwks) => jwks,
        };
        let old = self.old.tokens.as_ref();
        let old = old.filter(|old| old.jwks == *jwks && old.algorithms == jwt.algorithms);
        let tokens = match old {
            Some(old) => Arc::clone(old),
            None => {
                let current = Arc::new(Current::new(None));
                let run = jwt::run(Arc::clone(jwt), Arc::clone(&current));
                let task = self.task(Box::pin(run));
                let (jwks, algorithms) = (jwks.clone(), jwt.algorithms.clone());
                Arc::new(Tokens { jwks, algorithms, current, task })
            }
        };
        if let Some(set) = &jwt.fetched {
            tokens.current.replace(Arc::clone(set));
        }
        let current = Arc::clone(&tokens.current);
        self.new.tokens = Some(tokens);
        current
    }

    /// The connections to an instance. Instances at one place share them.
    ///
    /// # Errors
    ///
    /// If the place is none, as text. A configuration that was loaded has no such place.
    pub(crate) fn transport(&mut self, instance: &config::Instance) -> Result<Transport, String> {
        let place = place(instance);
        let kept = self.new.transports.get(&place).or_else(|| self.old.transports.get(&place));
        let transport = match kept {
            Some(kept) => kept.clone(),
            None => Transport::to(instance)?,
        };
        self.new.transports.insert(place, transport.clone());
        Ok(transport)
    }

    /// The handles of an instance. Those of a new one are looked after from now on.
    ///
    /// # Errors
    ///
    /// If it cannot be asked for its health or its models, as text. A configuration that was loaded has
    /// no such instance.
    pub(crate) fn instance(
        &mut self,
        instance: &config::Instance,
        transport: &Transport,
        known: Option<&Vec<Box<str>>>,
    ) -> Result<Arc<Attended>, String> {
        let spec = InstanceSpec::of(instance);
        let old = self.old.instances.get(&instance.id).filter(|old| old.spec == spec);
        let attended = match old {
            Some(old) => Arc::clone(old),
            None => Arc::new(self.attend(spec, instance, transport, known)?),
        };
        // An operator's word holds until it is taken back, whatever becomes of the instance.
        let is_out = |one: &Arc<Attended>| {
            one.state.health().is_some_and(|health| health.status() == Status::Draining)
        };
        if self.old.instances.get(&instance.id).is_some_and(is_out)
            && let Some(health) = attended.state.health()
        {
            health.set_draining(true);
        }
        attended.state.set_weight(instance.weight);
        attended.state.set_max_concurrency(instance.max_concurrency.unwrap_or(u32::MAX));
        self.new.instances.insert(instance.id.clone(), Arc::clone(&attended));
        Ok(attended)
    }

    fn attend(
        &mut self,
        spec: InstanceSpec,
        instance: &config::Instance,
        transport: &Transport,
        known: Option<&Vec<Box<str>>>,
    ) -> Result<Attended, String> {
        let breaker = govern::breaker(instance);
        let reasons = Arc::new(Reasons::new(&instance.id));
        let transport = &transport.clone().explained(Arc::clone(&reasons));
        let recovered = Arc::new(Notify::new());
        let probes = self.hooks.probes(instance.backend.name(), &instance.id);
        let (guard, back) = (breaker.clone(), Arc::clone(&recovered));
        let watch = Watch::new(instance, transport, guard, back, probes)?;
        let mut state = InstanceState::new(instance.id.as_str());
        let mut tasks = Vec::new();
        if let Some(watch) = watch {
            state = state.with_health(watch.health());
            tasks.push(self.task(Box::pin(watch.run())));
        } else {
            // Nobody probes it, and an operator may take it out all the same.
            state = state.with_health(Arc::new(Health::new()));
        }
        if instance.is_asked() {
            let lister = Lister::new(instance, transport.sibling())?;
            let lists = self.lists.clone();
            tasks.push(self.task(Box::pin(lister.run(known.cloned(), recovered, lists))));
        }
        state.set_up(instance.active);
        Ok(Attended { spec, state: Arc::new(state), breaker, reasons, tasks })
    }

    fn task(&mut self, work: BoxFuture<'static, ()>) -> AbortHandle {
        let (handle, registration) = AbortHandle::new_pair();
        self.tasks.push(Abortable::new(work, registration));
        handle
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Attended ===

impl Attended {
    /// How it is, and how much it has to do.
    pub fn state(&self) -> &Arc<InstanceState> {
        &self.state
    }

    /// Its circuit breaker, if it has one.
    pub fn breaker(&self) -> Option<&Arc<Breaker>> {
        self.breaker.as_ref()
    }

    /// Why it could not be reached the last time, with all that is behind that, if it has not answered since.
    pub fn reason(&self) -> Option<String> {
        self.reasons.last()
    }
}

impl fmt::Debug for Attended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attended").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

// === impl LimitSpec ===

impl LimitSpec {
    /// One for all.
    pub(crate) const fn shared(of: Limited) -> Self {
        Self { of, per_client: false }
    }

    /// One for each client.
    pub(crate) const fn per_client(of: Limited) -> Self {
        Self { of, per_client: true }
    }

    /// How it counts, as the configuration and the metrics call it.
    pub const fn algorithm(&self) -> &'static str {
        match &self.of {
            Limited::Requests(limit) => limit.algorithm.as_str(),
            Limited::Tokens(_) => LimitAlgorithm::TokenBucket.as_str(),
            Limited::Concurrency(_) => "concurrency",
        }
    }

    /// What is counted: `requests`, `tokens`, or `concurrency`, which is requests at a time.
    pub const fn unit(&self) -> &'static str {
        match &self.of {
            Limited::Requests(_) => "requests",
            Limited::Tokens(_) => "tokens",
            Limited::Concurrency(_) => "concurrency",
        }
    }

    /// The most of that there can be.
    pub fn capacity(&self) -> u64 {
        match &self.of {
            Limited::Requests(limit) => limit.capacity,
            Limited::Tokens(tokens) => *tokens,
            Limited::Concurrency(most) => (*most).into(),
        }
    }

    /// How much of it comes back, a second, where that is a matter of time.
    pub fn rate(&self) -> Option<f64> {
        match &self.of {
            Limited::Requests(limit) => Some(limit.rate),
            Limited::Tokens(tokens) => Some(*tokens as f64 / 60.0),
            Limited::Concurrency(_) => None,
        }
    }
}

// === impl InstanceSpec ===

impl InstanceSpec {
    fn of(instance: &config::Instance) -> Self {
        Self {
            place: place(instance),
            adapter: questions(&*instance.backend),
            active: instance.active,
            breaker: instance.breaker,
            health: instance.health.clone(),
            asked: instance.is_asked().then_some(instance.discovery),
        }
    }
}

/// What is asked of an engine beside the requests.
fn questions(backend: &dyn Backend) -> Vec<String> {
    let texts = [backend.name().to_owned(), backend.health().into(), backend.models().into()];
    let headers = backend.headers();
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value:?}"));
    texts.into_iter().chain(headers).collect()
}

fn place(instance: &config::Instance) -> Place {
    let (url, tls) = (instance.base_url.clone(), instance.tls.clone());
    Place {
        url,
        connect_timeout: instance.connect_timeout,
        tls,
        http2: instance.http2,
        link_local: instance.link_local,
    }
}
