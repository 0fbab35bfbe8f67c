//! From a configuration to the stack that answers: nothing here decides anything about a request.

use std::sync::Arc;

use jairouter_core::balance::{
    ConsistentHash, Instance, IpHash, LeastConnections, LoadBalanceLayer, PowerOfTwoChoices,
    Random, RetryBudget, RoundRobin, Strategy,
};
use jairouter_core::observe::{Exchange, ObserveLayer, Observed};
use jairouter_core::rate_limit::{RateLimit, RateLimitLayer};
use jairouter_core::router::{Builder, Group, Member};
use jairouter_core::trace::Tracing;
use jairouter_core::usage::{StreamUsage, StreamUsageLayer};
use jairouter_core::{Backend, Gateway, Router, ServiceType, Upstream};
use tower::Layer;

use crate::authorize::{Authorize, KeyLimits};
use crate::caught::Caught;
use crate::config::{self, BalanceKind, Config, ModelName};
use crate::discover::Known;
use crate::govern;
use crate::hooks::{Hooks, Selected};
use crate::jwt::{self, Door};
use crate::kept::Keeper;
use crate::keys::{Key, Keys};
use crate::neighbours::Neighbours;
use crate::transport::{Siblings, Transport};

/// Any framework, over any transport.
pub type AnyRouter = Router<Arc<dyn Backend>, Transport>;

/// One instance of that router.
type AnyMember = Member<Arc<dyn Backend>, Transport>;

type AnyBuilder = Builder<Arc<dyn Backend>, Transport>;

/// What answers on one core.
pub type App = Gateway<StreamUsage<Observed<Tell, Caught<ForKeys>>>>;

/// What is told of every request that is over. It is as long as the process: what counts, say, is one for all cores,
/// and no core counts the others' handles of it.
pub type Tell = &'static (dyn Fn(&Exchange) + Send + Sync);

/// What serves one core: who is let in, and what answers. They are of one configuration.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    /// Who may ask.
    pub(crate) keys: Arc<Keys>,
    /// What answers.
    pub(crate) app: App,
}

/// The router, for the holders of keys.
type ForKeys = RateLimit<KeyLimits, Authorize<AnyRouter>>;

/// Retries that are always allowed at a time, however little is in flight.
const RETRY_FLOOR: u32 = 2;

/// The router of this configuration, with the models that are known of instances that are asked for
/// theirs, over the handles of the one before. It is to be [built](Builder::build), or to
/// [succeed](Builder::succeed) that one.
///
/// # Errors
///
/// If an instance cannot be made, as text. A configuration that was loaded has no such instance.
pub(crate) fn router(
    config: &Config,
    known: &Known,
    keeper: &mut Keeper<'_>,
) -> Result<AnyBuilder, String> {
    let mut builder = Router::builder();
    let clients = govern::clients(config);
    for service in &config.services {
        let names: Vec<_> =
            service.instances.iter().map(|instance| instance.names(known)).collect();
        let of_models = govern::of_models(service, names.iter().flatten(), keeper);
        let mut limits = govern::of_service(service, clients, keeper);
        limits.extend(of_models.iter().cloned());
        let mut group = group(service, keeper.hooks)
            .fallback(govern::fallback(service, of_models, keeper)?)
            .waiting_room(govern::waiting_room(service.queue))
            .incomplete(service.instances.iter().any(|one| one.is_unknown(known)));
        if !limits.is_empty() {
            group = group.limit(limits);
        }
        for (settings, names) in service.instances.iter().zip(names) {
            let known = known.get(&settings.id);
            let of = (service.service_type, service.balance.kind.as_str());
            for (name, member) in members(of, settings, names, clients, known, keeper)? {
                group = group.instance(name, member);
            }
        }
        builder = builder.service(service.service_type, group);
    }
    Ok(builder)
}

/// Who may ask by this configuration, over the handles of those before, where this is served.
pub(crate) fn keys(config: &Config, router: &AnyRouter, keeper: &mut Keeper<'_>) -> Keys {
    let served = Arc::new(jwt::served(router.models()));
    let key = |settings: &config::Key| {
        Key::new(settings.clone(), govern::of_key(settings, keeper), &served)
    };
    let security = &config.security;
    let keys = security.keys.as_ref().map(|keys| keys.iter().map(key).collect());
    let door = security.jwt.as_ref().map(|settings| {
        let (current, holders) = (keeper.jwt(settings), keeper.holders());
        Door::new(Arc::clone(settings), current, holders, Arc::clone(&served))
    });
    let failures = govern::failures(config, keeper);
    Keys::new(keys, door, failures, Neighbours::of(config))
}

/// What is the same before every router of a configuration.
pub(crate) struct Front {
    gateway: Gateway<()>,
    counts_tokens: bool,
    tell: Tell,
    /// Whether somebody is told of what becomes of traced requests.
    recorded: bool,
}

impl Front {
    pub(crate) fn new(config: &Config, tell: Tell, recorded: bool) -> Self {
        let gateway = Gateway::new(()).with_max_body_memory(config.server.max_body_memory);
        Self::of(gateway, config, tell, recorded)
    }

    /// That of another configuration. Bodies that are there are counted in both.
    pub(crate) fn after(&self, before: &Config, config: &Config) -> Self {
        let memory = config.server.max_body_memory;
        let gateway = self.gateway.clone();
        Self::of(
            match memory == before.server.max_body_memory {
                true => gateway,
                false => gateway.with_max_body_memory(memory),
            },
            config,
            self.tell,
            self.recorded,
        )
    }

    fn of(gateway: Gateway<()>, config: &Config, tell: Tell, recorded: bool) -> Self {
        let tracing = Tracing::new().sampling(config.tracing.sampling_ratio).recorded(recorded);
        let gateway = gateway
            .with_max_body(config.server.max_request_body)
            .with_body_timeout(config.server.body_timeout)
            .with_tracing(tracing);
        Self { gateway, counts_tokens: govern::counts_tokens(config), tell, recorded }
    }
}

/// The gateway of this router, over the connections of one core.
pub(crate) fn app(front: &Front, router: &AnyRouter, siblings: &mut Siblings) -> App {
    let mut models: Vec<Box<str>> = router.models().map(|(_, model)| model.into()).collect();
    models.sort_unstable();
    let for_keys = RateLimitLayer::new(KeyLimits).layer(Authorize::new(over(router, siblings)));
    let observed = ObserveLayer::new(front.tell).layer(Caught::new(for_keys));
    // Around it, so that what callers are not told is seen all the same.
    let counted = StreamUsageLayer::new(front.counts_tokens).layer(observed);
    front.gateway.map(|()| counted).with_models(models)
}

/// This router, over the connections of one core.
pub(crate) fn over(router: &AnyRouter, siblings: &mut Siblings) -> AnyRouter {
    siblings.renew();
    let router = router.map_clients(|transport| siblings.of(transport));
    siblings.close_unused();
    router
}

fn group(
    service: &config::Service,
    hooks: &'static dyn Hooks,
) -> Group<Arc<dyn Backend>, Transport> {
    let balance = service.balance;
    match balance.kind {
        BalanceKind::Random => Group::new(balanced(Random::new(), service, hooks)),
        BalanceKind::RoundRobin => Group::new(balanced(RoundRobin::new(), service, hooks)),
        BalanceKind::LeastConnections => {
            Group::new(balanced(LeastConnections::new(), service, hooks))
        }
        BalanceKind::PowerOfTwoChoices => {
            Group::new(balanced(PowerOfTwoChoices::new(), service, hooks))
        }
        BalanceKind::IpHash => Group::new(balanced(IpHash::new(balance.hash), service, hooks)),
        BalanceKind::ConsistentHash => {
            let strategy = ConsistentHash::new(balance.hash, balance.virtual_nodes);
            Group::new(balanced(strategy, service, hooks))
        }
    }
}

fn balanced<P: Strategy + Clone>(
    strategy: P,
    service: &config::Service,
    hooks: &'static dyn Hooks,
) -> LoadBalanceLayer<P> {
    let budget = RetryBudget::new(service.retry.budget_percent, RETRY_FLOOR);
    LoadBalanceLayer::new(strategy)
        .max_attempts(service.retry.max_attempts)
        .retry_budget(budget)
        .retry_on(service.retry.on)
        .slow_start(service.balance.slow_start)
        .headers(service.tell.headers)
        .tell_attempts(service.tell.attempts)
        .tell_failures(move |failed| hooks.attempt(failed))
}

/// An instance, once for each model it serves, and what callers call that.
fn members(
    (service, strategy): (ServiceType, &'static str),
    settings: &config::Instance,
    names: Vec<ModelName>,
    clients: usize,
    known: Option<&Vec<Box<str>>>,
    keeper: &mut Keeper<'_>,
) -> Result<Vec<(Box<str>, AnyMember)>, String> {
    let transport = keeper.transport(settings)?;
    let attended = keeper.instance(settings, &transport, known)?;
    let adapter = settings.backend.name();
    let selected = Selected { service, strategy, adapter, instance: &settings.id };
    let transport = transport
        .explained(Arc::clone(&attended.reasons))
        .counted(keeper.hooks.requests(&selected));
    let limits = govern::of_instance(service.as_str(), settings, clients, keeper);
    let member = |ModelName { name, own }| {
        let backend = Arc::clone(&settings.backend);
        let mut upstream = Upstream::new(backend, settings.target.clone(), transport.clone())
            .with_name(settings.id.as_str())
            .with_timeouts(settings.timeouts)
            .with_asked_name(settings.asked_name)
            .with_headers(settings.headers.clone());
        if let Some((endpoint, path)) = &settings.path {
            upstream = upstream.with_path(*endpoint, path.clone());
        }
        if let Some(own) = own {
            upstream = upstream.with_model(own);
        }
        if settings.forward_authorization {
            upstream = upstream.with_forwarded([http::header::AUTHORIZATION]);
        }
        let state = Arc::clone(attended.state());
        let mut member = Member::new(Instance::with_state(state, upstream));
        if let Some(breaker) = attended.breaker() {
            member = member.breaker(Arc::clone(breaker));
        }
        if !limits.is_empty() {
            member = member.limit(limits.clone());
        }
        (name, member)
    };
    Ok(names.into_iter().map(member).collect())
}
