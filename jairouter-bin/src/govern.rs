//! From a configuration to what governs: limits, breakers and fallbacks.

use std::sync::Arc;

use jairouter_core::circuit_breaker::Breaker;
use jairouter_core::fallback::{self, FallbackLayer, ModelChain};
use jairouter_core::rate_limit::{
    Algorithm, ClientConcurrency, Concurrency, LeakyBucket, Limit, Limiter, PerClient, PerModel,
    SlidingWindow, TokenBucket, TokensPerMinute, WarmUp,
};
use jairouter_core::waiting_room;

use crate::config::{self, Config, Fallback, LimitAlgorithm, Queue, RateLimit, Scope, Service};

/// Several limits, each of which acts.
pub(crate) type Limits = Vec<Arc<dyn Limiter>>;

/// The most clients that one limit tells apart.
const MOST_CLIENTS: usize = 1 << 17;

/// The most that all limits tell apart together, of 16 bytes each.
const CLIENTS_IN_ALL: usize = 3 << 19;

/// How many clients each limit tells apart: the more such limits there are, the fewer.
pub(crate) fn clients(config: &Config) -> usize {
    let of_limits = |limits: &[RateLimit]| {
        let of_clients = limits.iter().filter(|one| one.per_client || one.scope == Scope::ClientIp);
        of_clients.map(|one| 1 + usize::from(one.tokens_per_minute.is_some())).sum::<usize>()
    };
    let of_services = config.services.iter().map(|service| {
        let of_instances = service.instances.iter().map(|one| of_limits(&one.rate_limits));
        of_limits(&service.rate_limits)
            + usize::from(service.concurrency.per_client.is_some())
            + of_instances.sum::<usize>()
    });
    let each = CLIENTS_IN_ALL / of_services.sum::<usize>().max(1);
    // Tables are of a power of two.
    1 << each.clamp(1, MOST_CLIENTS).ilog2()
}

/// Whether any limit goes by tokens, so that streams have to say what they use.
pub(crate) fn counts_tokens(config: &Config) -> bool {
    config.services.iter().any(|service| {
        let of_instances = service.instances.iter().flat_map(|one| &one.rate_limits);
        let mut limits = service.rate_limits.iter().chain(of_instances);
        limits.any(|limit| limit.tokens_per_minute.is_some())
    })
}

/// The limits of a service beside those of its models, each of which tells so many clients apart.
pub(crate) fn of_service(service: &Service, clients: usize) -> Limits {
    let name = service.service_type;
    let mut limits: Limits = Vec::new();
    for limit in &service.rate_limits {
        let of = format!("the service '{name}'");
        match limit.scope {
            Scope::ClientIp => of_clients(limit, &of, clients, &mut limits),
            Scope::Model if limit.per_client => of_clients(limit, &of, clients, &mut limits),
            Scope::Model => {}
            Scope::Service | Scope::Instance => of_one(limit, &of, clients, &mut limits),
        }
    }
    if let Some(most) = service.concurrency.per_client {
        let what = format!("your concurrency limit at the service '{name}'");
        limits.push(Arc::new(ClientConcurrency::new(most).clients(clients).named(what)));
    }
    limits
}

/// The limits of the models of a service: of whoever asks for one, callers and fallbacks.
pub(crate) fn of_models(service: &Service) -> Limits {
    let mut limits: Limits = Vec::new();
    for limit in service.rate_limits.iter().filter(|limit| limit.scope == Scope::Model) {
        of_each_model(service, limit, &mut limits);
    }
    if let Some(most) = service.concurrency.per_model {
        let limit = |model: &str| {
            Concurrency::new(most).named(format!("the concurrency limit of the model '{model}'"))
        };
        limits.push(per_model(service, limit));
    }
    limits
}

/// The limits of an instance. Whatever their scope, they are of this one alone.
pub(crate) fn of_instance(instance: &config::Instance, clients: usize) -> Limits {
    let of = format!("the instance '{}'", instance.id);
    let mut limits: Limits = Vec::new();
    for limit in &instance.rate_limits {
        match limit.scope {
            Scope::ClientIp => of_clients(limit, &of, clients, &mut limits),
            _ => of_one(limit, &of, clients, &mut limits),
        }
    }
    limits
}

/// One for all, and if wanted one for each client with the same numbers.
fn of_one(limit: &RateLimit, of: &str, clients: usize, limits: &mut Limits) {
    let what = format!("the rate limit of {of}");
    limits.push(Arc::new(Limit::new(algorithm(limit)).named(what)));
    if let Some(tokens) = limit.tokens_per_minute {
        let what = format!("the token limit of {of}");
        limits.push(Arc::new(TokensPerMinute::new(tokens).named(what)));
    }
    if limit.per_client {
        of_clients(limit, of, clients, limits);
    }
}

fn of_clients(limit: &RateLimit, of: &str, clients: usize, limits: &mut Limits) {
    let what = format!("your rate limit at {of}");
    limits.push(Arc::new(PerClient::new(algorithm(limit)).clients(clients).named(what)));
    if let Some(tokens) = limit.tokens_per_minute {
        let what = format!("your token limit at {of}");
        limits.push(Arc::new(TokensPerMinute::per_client(tokens).clients(clients).named(what)));
    }
}

fn of_each_model(service: &Service, limit: &RateLimit, limits: &mut Limits) {
    let requests = |model: &str| {
        Limit::new(algorithm(limit)).named(format!("the rate limit of the model '{model}'"))
    };
    limits.push(per_model(service, requests));
    if let Some(most) = limit.tokens_per_minute {
        let tokens = |model: &str| {
            TokensPerMinute::new(most).named(format!("the token limit of the model '{model}'"))
        };
        limits.push(per_model(service, tokens));
    }
}

fn per_model<L: Limiter + 'static>(
    service: &Service,
    limit: impl Fn(&str) -> L,
) -> Arc<dyn Limiter> {
    let mut models: Vec<&str> = service.instances.iter().map(|one| one.name.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    let limits = models.into_iter().map(|model| (Box::from(model), limit(model)));
    Arc::new(PerModel::new(limits))
}

fn algorithm(limit: &RateLimit) -> Box<dyn Algorithm> {
    let (rate, capacity) = (limit.rate, limit.capacity);
    match limit.algorithm {
        LimitAlgorithm::TokenBucket => Box::new(TokenBucket::new(rate, capacity)),
        LimitAlgorithm::LeakyBucket => Box::new(LeakyBucket::new(rate, capacity)),
        LimitAlgorithm::SlidingWindow => Box::new(SlidingWindow::new(rate, capacity)),
        LimitAlgorithm::WarmUp => Box::new(WarmUp::new(rate, capacity, limit.warm_up)),
    }
}

/// The breaker of an instance, if it has one.
pub(crate) fn breaker(instance: &config::Instance) -> Option<Arc<Breaker>> {
    instance.breaker.enabled.then(|| Arc::new(Breaker::new(instance.breaker.settings)))
}

/// Where requests wait.
pub(crate) fn waiting_room(queue: Queue) -> waiting_room::Settings {
    waiting_room::Settings::default().with_places(queue.places).with_timeout(queue.timeout)
}

/// What answers when no instance can, within these limits of its models.
///
/// # Errors
///
/// If a canned answer is none, as text. A configuration that was loaded has no such answer.
pub(crate) fn fallback(
    fallback: Option<&Fallback>,
    of_models: Limits,
) -> Result<FallbackLayer, String> {
    let mut layer = FallbackLayer::new();
    let Some(fallback) = fallback else { return Ok(layer) };
    let chain = |models: &[String]| {
        ModelChain::new(models.iter().map(String::as_str))
            .on_context_length(fallback.on_context_length)
            .on_missing_model(fallback.on_missing_model)
    };
    if !of_models.is_empty() {
        layer = layer.limit(of_models);
    }
    if !fallback.models.is_empty() {
        layer = layer.models(chain(&fallback.models));
    }
    for (model, models) in &fallback.per_model {
        layer = layer.models_for(model.as_str(), chain(models));
    }
    if let Some(cache) = &fallback.cache {
        let store = fallback::Cache::builder().entries(cache.entries).bytes(cache.bytes);
        layer = layer.cache(store.ttl(cache.ttl).any(cache.any).build()).cache_first(true);
    }
    if let Some(canned) = &fallback.response {
        layer = layer.answer(config::answer(canned)?);
    }
    Ok(layer)
}
