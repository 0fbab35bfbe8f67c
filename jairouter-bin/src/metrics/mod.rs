//! What is counted and measured, for Prometheus.
//!
//! Names begin with `jairouter_`, as the original has them, or are `OpenTelemetry`'s for generative AI where it
//! has one. Labels are of what the configuration and the engines name, never of what a caller writes: a model
//! that nobody serves is `other`, and so is each one above a thousand.

mod calls;
mod found;
mod limits;
mod own;
mod scrape;

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use jairouter_config::served::Served;
use jairouter_core::observe::Exchange;
use jairouter_core::usage::Usage;
use jairouter_core::{Endpoint, Kind};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use found::{Models, OfService, PerEndpoint};

/// The most models that have labels of their own.
const MOST_MODELS: usize = 1000;

/// What a model is called that has none.
const OTHER: &str = "other";

/// Seconds, as `OpenTelemetry` advises for requests to models.
const DURATIONS: [f64; 16] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84,
    327.68,
];

/// Seconds, as it advises for first tokens.
const FIRST_TOKENS: [f64; 18] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    30.0, 60.0,
];

/// Seconds, as it advises for the tokens after the first.
const NEXT_TOKENS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0];

/// Seconds that a probe takes.
const PROBES: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Tokens, as it advises.
const TOKENS: [f64; 12] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
];

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<ServiceLabels, Histogram>,
    model_durations: Family<ModelLabels, Histogram>,
    first_tokens: Family<ModelLabels, Histogram>,
    next_tokens: Family<ModelLabels, Histogram>,
    usage: Family<TokenLabels, Histogram>,
    errors: Family<ErrorLabels, Counter>,
    limited: Family<ServiceLabels, Counter>,
    pub(crate) calls: calls::Families,
    pub(crate) limits: limits::Families,
    pub(crate) own: own::Own,
    reloads: Family<ReloadLabels, Counter>,
    reloaded: Gauge<i64, AtomicI64>,
    last_success: Gauge<f64, AtomicU64>,
    pub(crate) panics: Counter,
    services: PerEndpoint<OfService>,
    models: RwLock<Models>,
    served: Arc<ArcSwap<Served>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    service: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServiceLabels {
    service: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    gen_ai_operation_name: &'static str,
    gen_ai_request_model: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    gen_ai_operation_name: &'static str,
    gen_ai_request_model: Arc<str>,
    gen_ai_token_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    service: &'static str,
    error: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

impl Metrics {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let durations = || Histogram::new(DURATIONS);
        let first_tokens = || Histogram::new(FIRST_TOKENS);
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            model_durations: Family::new_with_constructor(durations),
            first_tokens: Family::new_with_constructor(first_tokens),
            next_tokens: Family::new_with_constructor(|| Histogram::new(NEXT_TOKENS)),
            usage: Family::new_with_constructor(|| Histogram::new(TOKENS)),
            errors: Family::default(),
            limited: Family::default(),
            calls: calls::Families::new(&mut registry),
            limits: limits::Families::new(&mut registry),
            own: own::Own::new(&mut registry),
            reloads: Family::default(),
            reloaded: Gauge::default(),
            last_success: Gauge::default(),
            panics: Counter::default(),
            services: PerEndpoint::new(),
            models: RwLock::new(Models::new(OTHER)),
            served: Arc::default(),
            registry,
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        // Not an info of `OpenMetrics`, which not every reader of the older format skips.
        let build = Family::<[(&str, &str); 1], Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("jairouter_build_info", "1, and which version the program is", build);
        registry.register(
            "jairouter_requests",
            "Requests that are over, by the status their callers got; 499 if they left before it",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "jairouter_request_duration",
            "From a request to the end of its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit(
            "gen_ai_server_request_duration",
            "From a request to the end of its answer",
            Unit::Seconds,
            self.model_durations.clone(),
        );
        registry.register_with_unit(
            "gen_ai_server_time_to_first_token",
            "From a request to the first content of its stream",
            Unit::Seconds,
            self.first_tokens.clone(),
        );
        registry.register_with_unit(
            "gen_ai_server_time_per_output_token",
            "From the first content of a stream to its end, for each token after the first",
            Unit::Seconds,
            self.next_tokens.clone(),
        );
        registry.register(
            "gen_ai_client_token_usage",
            "Tokens that a request took, as far as the engine has said so",
            self.usage.clone(),
        );
        registry.register(
            "jairouter_request_errors",
            "Requests that failed, or whose answers broke off, by why",
            self.errors.clone(),
        );
        registry.register(
            "jairouter_rate_limit_rejections",
            "Requests that were over a limit of the gateway's",
            self.limited.clone(),
        );
        registry.register(
            "jairouter_config_reloads",
            "Configurations that were read while the program served",
            self.reloads.clone(),
        );
        registry.register(
            "jairouter_config_last_reload_success",
            "1 if the last configuration that was read is the one that is served",
            self.reloaded.clone(),
        );
        registry.register_with_unit(
            "jairouter_config_last_reload_success_timestamp",
            "When the configuration that is served was read, since 1970",
            Unit::Seconds,
            self.last_success.clone(),
        );
        registry.register(
            "jairouter_panics",
            "Defects of the gateway that ended a request, or something else that it did",
            self.panics.clone(),
        );
        registry.register_collector(Box::new(scrape::Gauges(Arc::clone(&self.served))));
        self.taken(true);
        self
    }

    /// A request is over.
    pub(crate) fn tell(&self, exchange: &Exchange) {
        self.own.tell(exchange);
        let service = exchange.endpoint.service_type().as_str();
        let found = self.services.of(exchange.endpoint);
        let status = exchange.status.as_u16();
        let requests = || {
            self.requests.get_or_create(&RequestLabels { service, method: "POST", status }).clone()
        };
        match status {
            200 => found.ok.get_or_init(requests).inc(),
            _ => requests().inc(),
        };
        let total = exchange.total.as_secs_f64();
        let durations = || self.durations.get_or_create(&ServiceLabels { service }).clone();
        found.duration.get_or_init(durations).observe(total);
        self.of_its_model(exchange, total);
        if let Some(kind) = exchange.error {
            self.errors.get_or_create(&ErrorLabels { service, error: kind.code() }).inc();
        }
        if exchange.error == Some(Kind::RateLimited) {
            self.limited.get_or_create(&ServiceLabels { service }).inc();
        }
    }

    fn of_its_model(&self, exchange: &Exchange, total: f64) {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let (model, found) = models.of(&exchange.model);
        let found = found.of(exchange.endpoint);
        let operation = operation(exchange.endpoint);
        let of = |family: &Family<ModelLabels, Histogram>| {
            let (gen_ai_operation_name, gen_ai_request_model) = (operation, Arc::clone(model));
            let labels = ModelLabels { gen_ai_operation_name, gen_ai_request_model };
            family.get_or_create(&labels).clone()
        };
        let tokens = |gen_ai_token_type| {
            let (gen_ai_operation_name, gen_ai_request_model) = (operation, Arc::clone(model));
            let labels =
                TokenLabels { gen_ai_operation_name, gen_ai_request_model, gen_ai_token_type };
            self.usage.get_or_create(&labels).clone()
        };
        found.duration.get_or_init(|| of(&self.model_durations)).observe(total);
        let first = exchange.first.filter(|_| exchange.stream);
        if let (Some(first), None) = (first, exchange.error) {
            let first_tokens = found.first_token.get_or_init(|| of(&self.first_tokens));
            first_tokens.observe(first.as_secs_f64());
        }
        let Some(Usage { input, output, .. }) = exchange.usage else { return };
        found.input_tokens.get_or_init(|| tokens("input")).observe(input as f64);
        found.output_tokens.get_or_init(|| tokens("output")).observe(output as f64);
        if let (Some(first), 2..) = (first, output) {
            let rest = exchange.total.saturating_sub(first).as_secs_f64();
            let next_tokens = found.next_tokens.get_or_init(|| of(&self.next_tokens));
            next_tokens.observe(rest / (output - 1) as f64);
        }
    }

    /// What is served from now on.
    pub(crate) fn serve(&self, served: &Arc<Served>) {
        // Those that have been served have their labels for good, so that they are counted, too.
        let mut named = self.models.write().unwrap_or_else(PoisonError::into_inner);
        for (_, model) in &served.models {
            named.name(model, MOST_MODELS);
        }
        drop(named);
        self.served.store(Arc::clone(served));
    }

    /// A configuration was read, and is served or not.
    pub(crate) fn reloaded(&self, taken: bool) {
        let result = if taken { "taken" } else { "refused" };
        self.reloads.get_or_create(&ReloadLabels { result }).inc();
        self.taken(taken);
    }

    fn taken(&self, taken: bool) {
        self.reloaded.set(taken.into());
        if taken {
            let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
            self.last_success.set(now);
        }
    }

    /// All of it, in the text format of `OpenMetrics` 1.0.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Memory does not refuse a write.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

/// The same in the older text format, 0.0.4, in which a counter has its whole name everywhere.
pub(crate) fn classic(text: &str) -> String {
    let mut classic = String::with_capacity(text.len());
    let mut help: Option<(&str, &str)> = None;
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (mark, kind, name) = (words.next(), words.next(), words.next());
        let rest = words.next().unwrap_or_default();
        match (mark, kind, name) {
            (Some("#"), Some("HELP"), Some(name)) => help = Some((name, rest)),
            (Some("#"), Some("TYPE"), Some(name)) => {
                let total = if rest == "counter" { "_total" } else { "" };
                if let Some((_, help)) = help.take().filter(|(of, _)| *of == name) {
                    // Memory does not refuse a write.
                    let _ = writeln!(classic, "# HELP {name}{total} {help}");
                }
                let _ = writeln!(classic, "# TYPE {name}{total} {rest}");
            }
            (Some("#"), ..) => {}
            _ => {
                classic.push_str(line);
                classic.push('\n');
            }
        }
    }
    classic
}

/// What `OpenTelemetry` calls it, or else its service.
pub(crate) fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::Responses => "chat",
        Endpoint::Completions => "text_completion",
        Endpoint::Embeddings => "embeddings",
        other => other.service_type().as_str(),
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
