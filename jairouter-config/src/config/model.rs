//! `model`: the services, what they inherit, and how they are balanced.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jairouter_core::balance::{HashAlgorithm, RetryOn};
use jairouter_core::upstream::Timeouts;

use super::adapters::{self, Adapter, Adapters};
use super::governed::{
    CircuitBreaker, Concurrency, Discovery, Fallback, HealthCheck, Queue, RateLimit, Scope,
};
use super::identity;
use super::instance::instances;
use super::map::Map;
use super::mentions::{self, Mention};
use super::reader::Field;
use super::sections;
use super::server::set;
use super::tls::{self, Tls};
use super::types::{Balance, BalanceKind, Http2, Instance, Retry, Service, Tell};
use super::value::{self, flag, whole};

/// What each level may say and the one below it inherits.
#[derive(Clone)]
pub(super) struct Level {
    pub(super) adapter: Adapter,
    pub(super) timeouts: Timeouts,
    pub(super) connect_timeout: Duration,
    pub(super) max_concurrency: Option<u32>,
    pub(super) breaker: CircuitBreaker,
    pub(super) health: HealthCheck,
    pub(super) discovery: Discovery,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) http2: Http2,
    pub(super) link_local: bool,
    /// This level's own: each one acts.
    pub(super) rate_limit: Option<RateLimit>,
    /// Those of the levels above that every instance has for itself.
    pub(super) of_each_instance: Vec<RateLimit>,
    concurrency: Concurrency,
    queue: Queue,
    is_instance: bool,
    pub(super) asked_name: bool,
    balance: Balance,
    retry: Retry,
    fallback: Option<Fallback>,
    tell: Tell,
    adapters: Adapters,
}

impl Default for Level {
    fn default() -> Self {
        Self {
            adapter: Adapter::default(),
            timeouts: Timeouts::default(),
            connect_timeout: Duration::from_secs(2),
            max_concurrency: None,
            breaker: CircuitBreaker::default(),
            health: HealthCheck::default(),
            discovery: Discovery::default(),
            tls: None,
            http2: Http2::default(),
            link_local: false,
            rate_limit: None,
            of_each_instance: Vec::new(),
            concurrency: Concurrency::default(),
            queue: Queue::default(),
            is_instance: false,
            asked_name: false,
            balance: Balance::new(BalanceKind::Random),
            retry: Retry::default(),
            fallback: None,
            tell: Tell::default(),
            adapters: Adapters::default(),
        }
    }
}

impl Level {
    /// Reads what every level may say.
    pub(super) fn read(&mut self, map: &mut Map<'_>) {
        if let Some(field) = map.take("adapter")
            && let Some(adapter) = field.parse(|text| self.adapters.find(text))
        {
            self.adapter = adapter;
        }
        if let Some(field) = map.take("timeouts") {
            self.timeouts(&field);
        }
        if let Some(field) = map.take("concurrency") {
            self.concurrency(&field);
        }
        self.rate_limit = map.take("rate-limit").and_then(|field| sections::rate_limit(&field));
        if let Some(field) = map.take("circuit-breaker") {
            sections::circuit_breaker(&field, &mut self.breaker);
        }
        if let Some(field) = map.take("health-check") {
            sections::health_check(&field, &mut self.health);
        }
        if let Some(field) = map.take("tls") {
            self.tls = tls::tls(&field).or_else(|| self.tls.take());
        }
        set(map, "http2", &mut self.http2, |text| match (text, flag(text)) {
            ("auto", _) => Ok(Http2::Offered),
            (_, Ok(true)) => Ok(Http2::Always),
            (_, Ok(false)) => Ok(Http2::Never),
            _ => Err(format!("'{text}' is neither auto nor true nor false")),
        });
        set(map, "allow-link-local", &mut self.link_local, flag);
        if let Some(field) = map.take("discovery") {
            sections::discovery(&field, &mut self.discovery);
        }
    }

    /// Reads what only the global level and services may say. Returns the models it names.
    fn read_wide<'a>(&mut self, map: &mut Map<'a>) -> Vec<Mention<'a>> {
        let mut mentions = Vec::new();
        if let Some(field) = map.take("load-balance") {
            // As a whole: what it does not say is the default, not the wider level's.
            self.balance = balance(&field);
        }
        if let Some(field) = map.take("retry") {
            retry(&field, &mut self.retry);
        }
        if let Some(field) = map.take("fallback") {
            self.fallback = sections::fallback(&field, &mut mentions);
        }
        set(map, "response-headers", &mut self.tell.headers, flag);
        if let Some(field) = map.take("response-model") {
            let names = [("instance", false), ("asked", true)];
            self.asked_name = field.one_of("name", &names).unwrap_or(self.asked_name);
        }
        set(map, "error-attempts", &mut self.tell.attempts, flag);
        self.read(map);
        mentions
    }

    /// The limits of this level that a service has, and those that each of its instances has.
    fn split_limit(&mut self) -> Option<RateLimit> {
        let limit = self.rate_limit.take()?;
        if limit.scope == Scope::Instance {
            self.of_each_instance.push(limit);
            return None;
        }
        Some(limit)
    }

    /// Reads what only instances may say, beside what is theirs alone.
    pub(super) fn read_narrow(&mut self, map: &mut Map<'_>) {
        self.is_instance = true;
        if let Some(field) = map.take("retry") {
            retry(&field, &mut self.retry);
            field.inactive("a request is retried as its service says, not as an instance does");
        }
        self.read(map);
    }

    fn timeouts(&mut self, field: &Field<'_>) {
        let Some(mut map) = field.map() else { return };
        set(&mut map, "connect", &mut self.connect_timeout, value::timeout);
        set(&mut map, "first-token", &mut self.timeouts.first_token, value::timeout);
        set(&mut map, "idle", &mut self.timeouts.idle, value::timeout);
        set(&mut map, "total", &mut self.timeouts.total, value::timeout);
        map.finish();
    }

    fn concurrency(&mut self, field: &Field<'_>) {
        let Some(mut map) = field.map() else { return };
        let limit = |text: &str| match text {
            "unlimited" => Ok(None),
            text => whole(text, 1, u32::MAX.into()).map(|limit| Some(limit as u32)),
        };
        set(&mut map, "limit", &mut self.max_concurrency, limit);
        let Concurrency { per_model, per_client } = &mut self.concurrency;
        for (key, value) in [("model-limit", per_model), ("client-limit", per_client)] {
            match map.take(key) {
                Some(field) if self.is_instance => {
                    let message = "this belongs under a service or 'model': an instance has a \
                                   'limit' alone";
                    field.error_at_key(message);
                }
                Some(field) => *value = field.parse(limit).unwrap_or(*value),
                None => {}
            }
        }
        if let Some(field) = map.take("queue") {
            let places = field.parse(|text| whole(text, 0, 1_000_000));
            self.queue.places = places.map_or(self.queue.places, |places| places as u32);
            if self.is_instance {
                field.inactive("requests wait for a model, not for one of its instances");
            }
        }
        if let Some(field) = map.take("queue-timeout") {
            self.queue.timeout = field.parse(value::timeout).unwrap_or(self.queue.timeout);
            if self.is_instance {
                field.inactive("requests wait for a model, not for one of its instances");
            }
        }
        map.finish();
    }
}

const NOBODY_WAITS: &str = "requests never wait in the 'queue' of 'concurrency': no instance has a \
                            'limit' there or of its own";

/// Reads `model`.
pub(super) fn services(field: &Field<'_>) -> Vec<Service> {
    let Some(mut map) = field.map() else { return Vec::new() };
    let mut global = Level::default();
    if let Some(field) = map.take("adapter-definitions") {
        global.adapters = adapters::definitions(&field);
    }
    let mentions = global.read_wide(&mut map);
    let services = match map.take("services") {
        Some(services) => read_services(&services, &global, &mentions),
        None => {
            map.error("there is no 'services', which says what is served");
            Vec::new()
        }
    };
    map.finish();
    services
}

fn read_services(
    field: &Field<'_>,
    global: &Level,
    mentioned_by_all: &[Mention<'_>],
) -> Vec<Service> {
    // Whether every instance could be read: a name may be that of one that could not.
    let mut complete = true;
    let mut services: Vec<Service> = Vec::new();
    let Some(fields) = field.named() else { return services };
    if fields.is_empty() {
        field.error_at_key("there is no service here");
    }
    for (name, field) in fields {
        let service_type = match sections::service_type(name) {
            Ok(service_type) => service_type,
            Err(message) => {
                field.error_at_key(message);
                complete = false;
                continue;
            }
        };
        if services.iter().any(|service| service.service_type == service_type) {
            field.error_at_key(format!("the service '{service_type}' is given twice"));
            complete = false;
            continue;
        }
        let Some(mut map) = field.map() else {
            complete = false;
            continue;
        };
        let mut level = global.clone();
        let of_all = level.split_limit();
        let mentions = level.read_wide(&mut map);
        let mut service = Service::new(service_type, level.balance);
        service.rate_limits = of_all.into_iter().chain(level.split_limit()).collect();
        service.concurrency = level.concurrency;
        service.queue = level.queue;
        service.retry = level.retry;
        service.fallback = level.fallback.take();
        service.tell = level.tell;
        let field = map.take("instances");
        let given = field.as_ref().and_then(Field::list).map_or(0, |list| list.len());
        match field {
            Some(field) => service.instances = instances(&field, service_type, &level),
            None => map.error("this service has no 'instances'"),
        }
        if given > 0 && service.instances.len() == given {
            let models = models(&service.instances);
            mentions::check(&mentions, "this service", models.as_ref());
            if service.queue.places > global.queue.places && !service.has_limit() {
                map.error(NOBODY_WAITS);
            }
        } else {
            complete = false;
        }
        map.finish();
        services.push(service);
    }
    if complete {
        let instances = services.iter().flat_map(|service| &service.instances);
        mentions::check(mentioned_by_all, "any service", models(instances).as_ref());
        if global.queue.places > 0 && !services.iter().any(Service::has_limit) {
            field.error_at_key(NOBODY_WAITS);
        }
    }
    identity::complete(&mut services);
    services
}

/// What callers call the models of these instances.
///
/// Of an instance that is asked for its own they are not known: then these are not all, and there is
/// none to compare with.
fn models<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> Option<HashSet<&'a str>> {
    let mut names = HashSet::new();
    for instance in instances {
        if instance.is_asked() {
            return None;
        }
        names.extend(instance.models.given().iter().map(|model| &*model.name));
    }
    Some(names)
}

fn balance(field: &Field<'_>) -> Balance {
    let mut balance = Balance::new(BalanceKind::Random);
    let Some(mut map) = field.map() else { return balance };
    if let Some(field) = map.take("type") {
        let kinds = BalanceKind::ALL.map(|kind| (kind.as_str(), kind));
        balance.kind = field.one_of("strategy", &kinds).unwrap_or(balance.kind);
    }
    if let Some(field) = map.take("hash-algorithm") {
        let algorithms = [
            ("md5", HashAlgorithm::Md5),
            ("sha1", HashAlgorithm::Sha1),
            ("sha256", HashAlgorithm::Sha256),
        ];
        balance.hash = field.one_of("hash algorithm", &algorithms).unwrap_or(balance.hash);
    }
    set(&mut map, "slow-start", &mut balance.slow_start, value::duration);
    set(&mut map, "virtual-nodes", &mut balance.virtual_nodes, |text| {
        whole(text, 1, 100_000).map(|nodes| nodes as u32)
    });
    map.finish();
    balance
}

fn retry(field: &Field<'_>, retry: &mut Retry) {
    let Some(mut map) = field.map() else { return };
    set(&mut map, "max-attempts", &mut retry.max_attempts, |text| {
        whole(text, 1, 8).map(|attempts| attempts as usize)
    });
    set(&mut map, "budget-percent", &mut retry.budget_percent, |text| {
        whole(text, 0, 100).map(|percent| percent as u32)
    });
    if let Some(on) = map.take("on") {
        let failures = RetryOn::NAMES;
        let chosen = on.list().unwrap_or_default();
        let chosen = chosen.iter().filter_map(|failure| failure.one_of("failure", &failures));
        retry.on = chosen.fold(RetryOn::NONE, RetryOn::and);
    }
    map.finish();
}
