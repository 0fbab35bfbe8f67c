//! From a configuration to what governs: limits, breakers and fallbacks.

use std::sync::Arc;

use jairouter_core::circuit_breaker::Breaker;
use jairouter_core::fallback::{FallbackLayer, ModelChain};
use jairouter_core::rate_limit::{
    Algorithm, ClientConcurrency, Concurrency, LeakyBucket, Limit, Limiter, PerClient, PerModel,
    SlidingWindow, TokenBucket, TokensPerMinute, WarmUp,
};
use jairouter_core::waiting_room;

use crate::authorize::OwnLimit;
use crate::config::{self, Config, LimitAlgorithm, ModelName, Queue, RateLimit, Scope, Service};
use crate::kept::{Keeper, LimitSpec, Limited};

/// Several limits, each of which acts.
pub(crate) type Limits = Vec<Arc<dyn Limiter>>;

/// The most clients that one limit tells apart.
const MOST_CLIENTS: usize = 1 << 17;

/// The most addresses that are told apart of those who ask without a good key.
const MOST_STRANGERS: usize = 1 << 14;

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
    let mut keys = config.security.keys.iter().flatten();
    let of_keys = keys.any(|key| key.rights.tokens_per_minute.is_some());
    let of_tokens = config.security.jwt.as_ref();
    of_keys
        || of_tokens.is_some_and(|jwt| jwt.rights.tokens_per_minute.is_some())
        || config.services.iter().any(|service| {
            let of_instances = service.instances.iter().flat_map(|one| &one.rate_limits);
            let mut limits = service.rate_limits.iter().chain(of_instances);
            limits.any(|limit| limit.tokens_per_minute.is_some())
        })
}

/// The limits of one place, as they are collected.
struct Place<'a, 'k> {
    keeper: &'a mut Keeper<'k>,
    /// Of what service, or of any.
    service: &'static str,
    /// Where: a service, or an instance.
    at: String,
    /// How many clients each limit tells apart.
    clients: usize,
    limits: Limits,
}

/// The limits of a service beside those of its models, each of which tells so many clients apart.
pub(crate) fn of_service(service: &Service, clients: usize, keeper: &mut Keeper<'_>) -> Limits {
    let name = service.service_type;
    let (service_name, at) = (name.as_str(), name.to_string());
    let mut place = Place { keeper, service: service_name, at, clients, limits: Vec::new() };
    let of = format!("the service '{name}'");
    for limit in &service.rate_limits {
        match limit.scope {
            Scope::ClientIp => place.of_clients(limit, &of),
            Scope::Model if limit.per_client => place.of_clients(limit, &of),
            Scope::Model => {}
            Scope::Service | Scope::Instance => place.of_one(limit, &of),
        }
    }
    if let Some(most) = service.concurrency.per_client {
        let what = format!("your concurrency limit at {of}");
        let spec = LimitSpec::per_client(Limited::Concurrency(most));
        place.add(what, spec, |what| ClientConcurrency::new(most).clients(clients).named(what));
    }
    place.limits
}

/// The limits of these models of a service: of whoever asks for one, callers and fallbacks.
pub(crate) fn of_models<'n>(
    service: &Service,
    names: impl Iterator<Item = &'n ModelName>,
    keeper: &mut Keeper<'_>,
) -> Limits {
    let mut models: Vec<&str> = names.map(|model| &*model.name).collect();
    models.sort_unstable();
    models.dedup();
    let at = service.service_type.as_str();
    let mut limits: Limits = Vec::new();
    for limit in service.rate_limits.iter().filter(|limit| limit.scope == Scope::Model) {
        let spec = LimitSpec::shared(Limited::Requests(limit.clone()));
        let requests = |what| Limit::new(algorithm(limit)).named(what);
        limits.push(of_each(&models, "rate limit", at, &spec, keeper, requests));
        if let Some(most) = limit.tokens_per_minute {
            let spec = LimitSpec::shared(Limited::Tokens(most));
            let tokens = |what| TokensPerMinute::new(most).named(what);
            limits.push(of_each(&models, "token limit", at, &spec, keeper, tokens));
        }
    }
    if let Some(most) = service.concurrency.per_model {
        let spec = LimitSpec::shared(Limited::Concurrency(most));
        let running = |what| Concurrency::new(most).named(what);
        limits.push(of_each(&models, "concurrency limit", at, &spec, keeper, running));
    }
    limits
}

/// A limit of its own for each of these models.
fn of_each<L: Limiter + 'static>(
    models: &[&str],
    kind: &str,
    at: &'static str,
    spec: &LimitSpec,
    keeper: &mut Keeper<'_>,
    make: impl Fn(String) -> L,
) -> Arc<dyn Limiter> {
    let limits = models.iter().map(|model| {
        let what = format!("the {kind} of the model '{model}'");
        (Box::from(*model), keeper.limit((at, at), what, spec.clone(), &make))
    });
    Arc::new(PerModel::new(limits.collect::<Vec<_>>()))
}

/// The limits of an instance. Whatever their scope, they are of this one alone.
pub(crate) fn of_instance(
    service: &'static str,
    instance: &config::Instance,
    clients: usize,
    keeper: &mut Keeper<'_>,
) -> Limits {
    let of = format!("the instance '{}'", instance.id);
    let at = instance.id.clone();
    let mut place = Place { keeper, service, at, clients, limits: Vec::new() };
    for limit in &instance.rate_limits {
        match limit.scope {
            Scope::ClientIp => place.of_clients(limit, &of),
            _ => place.of_one(limit, &of),
        }
    }
    place.limits
}

impl Place<'_, '_> {
    fn add<L: Limiter + 'static>(
        &mut self,
        what: String,
        spec: LimitSpec,
        make: impl FnOnce(String) -> L,
    ) {
        self.limits.push(self.keeper.limit((self.service, &self.at), what, spec, make));
    }

    /// One for all, and if wanted one for each client with the same numbers.
    fn of_one(&mut self, limit: &RateLimit, of: &str) {
        let spec = LimitSpec::shared(Limited::Requests(limit.clone()));
        self.add(format!("the rate limit of {of}"), spec, |what| {
            Limit::new(algorithm(limit)).named(what)
        });
        if let Some(tokens) = limit.tokens_per_minute {
            self.add(
                format!("the token limit of {of}"),
                LimitSpec::shared(Limited::Tokens(tokens)),
                |what| TokensPerMinute::new(tokens).named(what),
            );
        }
        if limit.per_client {
            self.of_clients(limit, of);
        }
    }

    fn of_clients(&mut self, limit: &RateLimit, of: &str) {
        let clients = self.clients;
        let spec = LimitSpec::per_client(Limited::Requests(limit.clone()));
        self.add(format!("your rate limit at {of}"), spec, |what| {
            PerClient::new(algorithm(limit)).clients(clients).named(what)
        });
        if let Some(tokens) = limit.tokens_per_minute {
            let spec = LimitSpec::per_client(Limited::Tokens(tokens));
            self.add(format!("your token limit at {of}"), spec, |what| {
                TokensPerMinute::per_client(tokens).clients(clients).named(what)
            });
        }
    }
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

/// The limits of a key's holder, wherever it asks from.
pub(crate) fn of_key(key: &config::Key, keeper: &mut Keeper<'_>) -> Limits {
    let at = format!("the key '{}'", key.name);
    let mut place = Place { keeper, service: "any", at, clients: 0, limits: Vec::new() };
    if let Some(most) = key.rights.requests_per_minute {
        let rate = most as f64 / 60.0;
        let limit = RateLimit { rate, capacity: most, ..RateLimit::default() };
        place.add(
            "the rate limit of your API key".into(),
            LimitSpec::shared(Limited::Requests(limit)),
            |what| OwnLimit(Limit::new(TokenBucket::new(rate, most)).named(what)),
        );
    }
    if let Some(most) = key.rights.tokens_per_minute {
        place.add(
            "the token limit of your API key".into(),
            LimitSpec::shared(Limited::Tokens(most)),
            |what| TokensPerMinute::new(most).named(what),
        );
    }
    if let Some(most) = key.rights.concurrency {
        let what = "the concurrency limit of your API key".into();
        place.add(what, LimitSpec::shared(Limited::Concurrency(most)), |what| {
            Concurrency::new(most).named(what)
        });
    }
    place.limits
}

/// How many requests without a good key an address may send, if there is such a limit.
pub(crate) fn failures(config: &Config, keeper: &mut Keeper<'_>) -> Option<Arc<dyn Limiter>> {
    // Where no key is asked for none is bad, and a table of addresses would be for nothing.
    let most = config.security.failures_per_minute.filter(|_| !config.security.is_open())?;
    let rate = most as f64 / 60.0;
    let limit = RateLimit { rate, capacity: most, ..RateLimit::default() };
    let spec = LimitSpec::per_client(Limited::Requests(limit));
    let what = "the limit of requests without a good key".to_owned();
    Some(keeper.limit(("any", "security"), what, spec, |what| {
        PerClient::new(TokenBucket::new(rate, most)).clients(MOST_STRANGERS).named(what)
    }))
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
    service: &Service,
    of_models: Limits,
    keeper: &mut Keeper<'_>,
) -> Result<FallbackLayer, String> {
    let mut layer = FallbackLayer::new();
    let Some(fallback) = &service.fallback else { return Ok(layer) };
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
    if let Some(settings) = fallback.cache {
        layer = layer.cache(keeper.cache(service.service_type, settings)).cache_first(true);
    }
    if let Some(canned) = &fallback.response {
        layer = layer.answer(config::answer(canned)?);
    }
    Ok(layer)
}
