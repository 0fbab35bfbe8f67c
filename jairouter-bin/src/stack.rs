//! From a configuration to the stack that answers: nothing here decides anything about a request.

use std::sync::Arc;

use jairouter_adapters::simulated::Engine;
use jairouter_core::balance::{
    ConsistentHash, Instance, InstanceState, IpHash, LeastConnections, LoadBalanceLayer,
    PowerOfTwoChoices, Random, RetryBudget, RoundRobin, Strategy,
};
use jairouter_core::client::HttpClient;
use jairouter_core::observe::{Exchange, ObserveLayer, Observed};
use jairouter_core::router::{Group, Member};
use jairouter_core::usage::{StreamUsage, StreamUsageLayer};
use jairouter_core::{Backend, Gateway, Router, Upstream};
use tower::Layer;

use crate::config::{self, BalanceKind, Config};
use crate::govern;
use crate::log;
use crate::transport::Transport;
use crate::watch::Watch;

/// Any framework, over any transport.
pub type AnyRouter = Router<Arc<dyn Backend>, Transport>;

/// One instance of that router.
type AnyMember = Member<Arc<dyn Backend>, Transport>;

/// What answers on one core.
pub type App = Gateway<Observed<fn(&Exchange), StreamUsage<AnyRouter>>>;

/// Retries that are always allowed at a time, however little is in flight.
const RETRY_FLOOR: u32 = 2;

/// The router of this configuration, and what looks after the health of its instances.
///
/// # Errors
///
/// If an instance cannot be made, as text. A configuration that was loaded has no such instance.
pub fn router(config: &Config) -> Result<(AnyRouter, Vec<Watch>), String> {
    let mut builder = Router::builder();
    let mut watches = Vec::new();
    let clients = govern::clients(config);
    for service in &config.services {
        let of_models = govern::of_models(service);
        let mut limits = govern::of_service(service, clients);
        limits.extend(of_models.iter().cloned());
        let mut group = group(service)
            .fallback(govern::fallback(service.fallback.as_ref(), of_models)?)
            .waiting_room(govern::waiting_room(service.queue));
        if !limits.is_empty() {
            group = group.limit(limits);
        }
        for settings in &service.instances {
            let (member, watch) = member(settings, clients)?;
            group = group.instance(settings.name.as_str(), member);
            watches.extend(watch);
        }
        builder = builder.service(service.service_type, group);
    }
    Ok((builder.build(), watches))
}

/// The gateway of this router, with the limits of this configuration.
pub fn gateway(router: AnyRouter, config: &Config) -> App {
    let mut models: Vec<Box<str>> = router.models().map(|(_, model)| model.into()).collect();
    models.sort_unstable();
    let counted = StreamUsageLayer::new(govern::counts_tokens(config)).layer(router);
    let observed = ObserveLayer::new(log::access as fn(&Exchange)).layer(counted);
    Gateway::new(observed)
        .with_models(models)
        .with_max_body(config.server.max_request_body)
        .with_max_body_memory(config.server.max_body_memory)
        .with_body_timeout(config.server.body_timeout)
}

/// The same gateway over connections that belong to another core.
pub fn sibling(app: &App) -> App {
    app.map(|observed| {
        let counted = observed.get_ref().map(|router| router.map_clients(Transport::sibling));
        ObserveLayer::new(log::access as fn(&Exchange)).layer(counted)
    })
}

fn group(service: &config::Service) -> Group<Arc<dyn Backend>, Transport> {
    let balance = service.balance;
    match balance.kind {
        BalanceKind::Random => Group::new(balanced(Random::new(), service)),
        BalanceKind::RoundRobin => Group::new(balanced(RoundRobin::new(), service)),
        BalanceKind::LeastConnections => Group::new(balanced(LeastConnections::new(), service)),
        BalanceKind::PowerOfTwoChoices => Group::new(balanced(PowerOfTwoChoices::new(), service)),
        BalanceKind::IpHash => Group::new(balanced(IpHash::new(balance.hash), service)),
        BalanceKind::ConsistentHash => {
            let strategy = ConsistentHash::new(balance.hash, balance.virtual_nodes);
            Group::new(balanced(strategy, service))
        }
    }
}

fn balanced<P: Strategy + Clone>(strategy: P, service: &config::Service) -> LoadBalanceLayer<P> {
    let budget = RetryBudget::new(service.retry.budget_percent, RETRY_FLOOR);
    LoadBalanceLayer::new(strategy)
        .max_attempts(service.retry.max_attempts)
        .retry_budget(budget)
        .retry_on(service.retry.on)
        .slow_start(service.balance.slow_start)
        .headers(service.tell.headers)
        .tell_attempts(service.tell.attempts)
}

fn member(
    settings: &config::Instance,
    clients: usize,
) -> Result<(AnyMember, Option<Watch>), String> {
    let backend = Arc::clone(&settings.backend);
    let transport = if settings.target.scheme() == "simulated" {
        let engine = settings.base_url.parse::<Engine>().map_err(|error| error.to_string())?;
        Transport::Simulated(engine)
    } else {
        let client = HttpClient::builder().connect_timeout(settings.connect_timeout);
        Transport::Http(client.build(settings.target.authority()))
    };
    let breaker = govern::breaker(settings);
    let watch = Watch::new(settings, &*backend, &transport, breaker.clone())?;
    let mut upstream = Upstream::new(backend, settings.target.clone(), transport)
        .with_timeouts(settings.timeouts)
        .with_asked_name(settings.asked_name)
        .with_headers(settings.headers.clone());
    if let Some((endpoint, path)) = &settings.path {
        upstream = upstream.with_path(*endpoint, path.clone());
    }
    if let Some(model) = &settings.model {
        upstream = upstream.with_model(model.as_str());
    }
    if settings.forward_authorization {
        upstream = upstream.with_forwarded([http::header::AUTHORIZATION]);
    }
    let mut state = InstanceState::new(settings.id.as_str()).with_weight(settings.weight);
    if let Some(max) = settings.max_concurrency {
        state = state.with_max_concurrency(max);
    }
    if let Some(watch) = &watch {
        state = state.with_health(watch.health());
    }
    state.set_up(settings.active);
    let mut member = Member::new(Instance::with_state(Arc::new(state), upstream));
    if let Some(breaker) = breaker {
        member = member.breaker(breaker);
    }
    let limits = govern::of_instance(settings, clients);
    if !limits.is_empty() {
        member = member.limit(limits);
    }
    Ok((member, watch))
}
