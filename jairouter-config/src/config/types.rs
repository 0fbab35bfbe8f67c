use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use ipnet::IpNet;
use jairouter_core::balance::{HashAlgorithm, RetryOn};
use jairouter_core::upstream::{Target, Timeouts};
use jairouter_core::{Backend, Endpoint, ServiceType};

use super::governed::{
    CircuitBreaker, Concurrency, Discovery, Fallback, HealthCheck, Queue, RateLimit,
};
use super::identity;
use super::security::Security;
use super::tls::{Identity, Tls};
use super::traces::Tracing;

/// A configuration, checked and resolved: every instance holds what counts for it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Config {
    /// The listener of callers.
    pub server: Server,
    /// Who may ask.
    pub security: Security,
    /// The listener of operators.
    pub management: Management,
    /// Which requests are traced.
    pub tracing: Tracing,
    /// What is served.
    pub services: Vec<Service>,
    /// What was checked and does not act in this version.
    pub inactive: Vec<Inactive>,
    /// What somebody wrote, if it is not made up: then what it names must not be replaced by something near.
    pub text: Option<Text>,
}

impl Config {
    /// The keys of another configuration that act only when a program which listens by them starts again.
    pub fn needs_restart(&self, after: &Self) -> Vec<&'static str> {
        // The token acts at once.
        let listener =
            |of: &Self| (of.management.enabled, of.management.address, of.management.port);
        let operators = ("management.server", listener(self) != listener(after));
        let spans = ("tracing.otlp", self.tracing.otlp != after.tracing.otlp);
        let (before, after) = (&self.server, &after.server);
        let differs = [
            ("server.address", before.address != after.address),
            ("server.port", before.port != after.port),
            ("server.workers", before.workers != after.workers),
            ("server.log", before.log != after.log),
            operators,
            spans,
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// The text of a configuration. There may be secrets in it.
#[derive(Clone)]
pub struct Text(pub Arc<str>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").finish_non_exhaustive()
    }
}

/// How callers are served.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Server {
    /// `server.address`. Default 127.0.0.1.
    pub address: IpAddr,
    /// `server.port`; 0 is any free one. Default 8080.
    pub port: u16,
    /// `server.tls`: who the program is to callers. Default nobody: it speaks no TLS with them.
    pub tls: Option<Arc<Identity>>,
    /// `server.http2`: whether callers over TLS may choose it. Default they may.
    pub http2: bool,
    /// `server.max-request-body`, in bytes. Default 32 MiB.
    pub max_request_body: usize,
    /// `server.max-body-memory`, in bytes: all request bodies together. Default 1 GiB.
    pub max_body_memory: usize,
    /// `server.header-timeout`: to the first head of a connection. Default 10 s.
    pub header_timeout: Duration,
    /// `server.body-timeout`: silence in the middle of a request body. Default 10 s.
    pub body_timeout: Duration,
    /// `server.write-timeout`: for a caller that does not read. Default 60 s.
    pub write_timeout: Duration,
    /// `server.stream-keep-alive`: silence in a stream of events after which there is a comment. Default never.
    pub stream_keep_alive: Option<Duration>,
    /// `server.shutdown-delay`: from the signal to the end of accepting. Default 0.
    pub shutdown_delay: Duration,
    /// `server.drain-timeout`: for answers to finish at the end. Default 30 s.
    pub drain_timeout: Duration,
    /// `server.trusted-proxies`. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// `server.allowed-hosts`: names by which callers reach a gateway of this machine alone. Default none.
    pub allowed_hosts: Vec<String>,
    /// `server.max-connections`. Default unlimited.
    pub max_connections: Option<usize>,
    /// `server.max-connections-per-client`. Default unlimited.
    pub max_connections_per_client: Option<usize>,
    /// `server.workers`, each a thread. Default one for each core.
    pub workers: Option<NonZeroUsize>,
    /// `server.log`.
    pub log: Log,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 8080,
            tls: None,
            http2: true,
            max_request_body: 32 << 20,
            max_body_memory: 1 << 30,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            stream_keep_alive: None,
            shutdown_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
            allowed_hosts: Vec::new(),
            max_connections: None,
            max_connections_per_client: None,
            workers: None,
            log: Log::default(),
        }
    }
}

/// How the program logs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Log {
    /// `server.log.level`: error, warn, info, debug or trace. Default info. The environment's
    /// `RUST_LOG` goes before it.
    pub level: String,
    /// `server.log.format`. Default auto.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// JSON.
    Json,
}

/// The listener of operators.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Management {
    /// Whether there is one: whether `management.server` is there.
    pub enabled: bool,
    /// `management.server.address`. Default 127.0.0.1.
    pub address: IpAddr,
    /// `management.server.port`. Default 8081.
    pub port: u16,
    /// SHA-256 of `management.server.token`, which whoever changes something has to show. Default none; then
    /// nothing can be changed but from this machine.
    pub token: Option<[u8; 32]>,
}

impl Management {
    /// Whether anybody can be heard there.
    pub fn hears(&self) -> bool {
        self.token.is_some() || self.address.is_loopback()
    }
}

impl Default for Management {
    fn default() -> Self {
        Self { enabled: false, address: Ipv4Addr::LOCALHOST.into(), port: 8081, token: None }
    }
}

/// The instances of one service type, and how they are balanced.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Service {
    /// Its key under `services`.
    pub service_type: ServiceType,
    /// `load-balance`.
    pub balance: Balance,
    /// `retry`.
    pub retry: Retry,
    /// `rate-limit`, of the global level and of its own: each acts.
    pub rate_limits: Vec<RateLimit>,
    /// `concurrency.model-limit` and `.client-limit`.
    pub concurrency: Concurrency,
    /// `concurrency.queue` and `.queue-timeout`.
    pub queue: Queue,
    /// `fallback`, if it is on.
    pub fallback: Option<Fallback>,
    /// What callers are told.
    pub tell: Tell,
    /// `instances`.
    pub instances: Vec<Instance>,
}

/// What callers are told of how their answer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tell {
    /// `response-headers`: `x-jairouter-instance`, `-model` and `-attempts`. Default true.
    pub headers: bool,
    /// `error-attempts`: which instances were asked in vain. Default false.
    pub attempts: bool,
}

impl Default for Tell {
    fn default() -> Self {
        Self { headers: true, attempts: false }
    }
}

impl Service {
    /// Whether an instance can be full.
    pub(super) fn has_limit(&self) -> bool {
        self.instances.iter().any(|instance| instance.max_concurrency.is_some())
    }

    /// A service without instances.
    pub fn new(service_type: ServiceType, balance: Balance) -> Self {
        Self {
            service_type,
            balance,
            retry: Retry::default(),
            rate_limits: Vec::new(),
            concurrency: Concurrency::default(),
            queue: Queue::default(),
            fallback: None,
            tell: Tell::default(),
            instances: Vec::new(),
        }
    }
}

/// How instances are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Balance {
    /// `load-balance.type`. Default random.
    pub kind: BalanceKind,
    /// `load-balance.hash-algorithm`, of the two that hash. Default md5.
    pub hash: HashAlgorithm,
    /// `load-balance.virtual-nodes`, of consistent-hash. Default 150.
    pub virtual_nodes: u32,
    /// `load-balance.slow-start`. Default 10 s.
    pub slow_start: Duration,
}

impl Balance {
    /// This strategy, with the defaults of those that hash.
    pub fn new(kind: BalanceKind) -> Self {
        let slow_start = Duration::from_secs(10);
        Self { kind, hash: HashAlgorithm::Md5, virtual_nodes: 150, slow_start }
    }
}

/// The strategies, by their names in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BalanceKind {
    Random,
    RoundRobin,
    LeastConnections,
    IpHash,
    ConsistentHash,
    PowerOfTwoChoices,
}

impl BalanceKind {
    pub(super) const ALL: [Self; 6] = [
        Self::Random,
        Self::RoundRobin,
        Self::LeastConnections,
        Self::IpHash,
        Self::ConsistentHash,
        Self::PowerOfTwoChoices,
    ];

    /// Its name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
            Self::LeastConnections => "least-connections",
            Self::IpHash => "ip-hash",
            Self::ConsistentHash => "consistent-hash",
            Self::PowerOfTwoChoices => "power-of-two-choices",
        }
    }
}

impl fmt::Display for BalanceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How often a request is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// `retry.max-attempts`, 1 to 8. Default 3.
    pub max_attempts: usize,
    /// `retry.budget-percent`, of what is in flight. Default 20.
    pub budget_percent: u32,
    /// `retry.on`. Default all.
    pub on: RetryOn,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: 3, budget_percent: 20, on: RetryOn::ALL }
    }
}

/// One instance, with everything that counts for it.
#[derive(Clone)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct Instance {
    /// What it serves.
    pub models: Models,
    /// What the instance is called in logs and to callers.
    pub id: String,
    /// How it is spoken to.
    pub backend: Arc<dyn Backend>,
    /// Where it is, as it was written.
    pub base_url: String,
    /// Where it is.
    pub target: Target,
    /// Another path than the adapter's, of one endpoint.
    pub path: Option<(Endpoint, String)>,
    /// `response-model: asked`: whether answers call the model by the name callers use.
    pub asked_name: bool,
    /// Its share of requests.
    pub weight: NonZeroU16,
    /// Whether it is in rotation.
    pub active: bool,
    /// What its requests carry. The values are secrets.
    pub headers: HeaderMap,
    /// Whether the caller's `Authorization` is sent on.
    pub forward_authorization: bool,
    /// First token, idle and total.
    pub timeouts: Timeouts,
    /// Resolving and connecting.
    pub connect_timeout: Duration,
    /// The most requests at a time.
    pub max_concurrency: Option<u32>,
    /// `rate-limit`, of its own and those of wider levels with the scope `instance`: each acts.
    pub rate_limits: Vec<RateLimit>,
    /// `circuit-breaker`.
    pub breaker: CircuitBreaker,
    /// `health-check`.
    pub health: HealthCheck,
    /// `tls`, of an instance that is spoken to over it.
    pub tls: Option<Arc<Tls>>,
    /// `http2`, over that. Default never.
    pub http2: Http2,
    /// `allow-link-local`. Default false.
    pub link_local: bool,
    /// `discovery`, of an instance that is asked for its models.
    pub discovery: Discovery,
}

impl Instance {
    /// An instance of these models with the defaults of everything else.
    ///
    /// # Errors
    ///
    /// If the URL is none, as text.
    pub fn new(models: Models, backend: Arc<dyn Backend>, base_url: &str) -> Result<Self, String> {
        let target: Target = base_url.parse().map_err(|error| format!("{base_url}: {error}"))?;
        Ok(Self {
            id: identity::plain(&models, target.authority().as_str()),
            models,
            backend,
            base_url: base_url.to_owned(),
            target,
            path: None,
            asked_name: false,
            weight: NonZeroU16::MIN,
            active: true,
            headers: HeaderMap::new(),
            forward_authorization: false,
            timeouts: Timeouts::default(),
            connect_timeout: Duration::from_secs(2),
            max_concurrency: None,
            rate_limits: Vec::new(),
            breaker: CircuitBreaker::default(),
            health: HealthCheck::default(),
            tls: None,
            http2: Http2::default(),
            link_local: false,
            discovery: Discovery::default(),
        })
    }

    /// Whether it says itself which models it has.
    pub fn is_asked(&self) -> bool {
        self.active && matches!(self.models, Models::Asked(_))
    }
}

/// Whether an instance is spoken to over HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Http2 {
    /// `false`: over HTTP/1.1 alone.
    #[default]
    Never,
    /// `auto`: as the instance chooses.
    Offered,
    /// `true`: or not at all.
    Always,
}

/// Which models an instance serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Models {
    /// `name` and `model`, or `models`: these.
    Given(Vec<ModelName>),
    /// Those it lists when it is asked, and these names for some of them.
    Asked(Vec<ModelName>),
}

impl Models {
    /// One, which the instance calls the same.
    pub fn one(name: &str) -> Self {
        Self::Given(vec![ModelName { name: name.into(), own: None }])
    }

    /// Those that are known without asking.
    pub fn given(&self) -> &[ModelName] {
        match self {
            Self::Given(names) => names,
            Self::Asked(_) => &[],
        }
    }
}

/// What a model is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    /// By callers.
    pub name: Box<str>,
    /// By the instance, if otherwise.
    pub own: Option<Box<str>>,
}

/// Never prints the headers' values.
impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("models", &self.models)
            .field("id", &self.id)
            .field("adapter", &self.backend.name())
            .field("target", &self.target)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A section that was checked and does not act in this version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inactive {
    /// The keys that lead there.
    pub path: String,
    /// Its line, from 1.
    pub line: usize,
    /// What does not happen.
    pub what: &'static str,
}
