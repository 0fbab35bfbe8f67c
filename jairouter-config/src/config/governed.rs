//! What governs services and instances, checked and resolved.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use jairouter_core::circuit_breaker;

/// A limit on requests, and perhaps on tokens.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RateLimit {
    /// `algorithm`. Default token-bucket.
    pub algorithm: LimitAlgorithm,
    /// `capacity`, in requests. Default 100.
    pub capacity: u64,
    /// `rate`, in requests a second. Default 10.
    pub rate: f64,
    /// `scope`. Default service.
    pub scope: Scope,
    /// `client-ip-enable`: the same numbers again for each client. Default false.
    pub per_client: bool,
    /// `warm-up-period`. Default 600 s.
    pub warm_up: Duration,
    /// `tokens-per-minute`. Default unlimited.
    pub tokens_per_minute: Option<u64>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            algorithm: LimitAlgorithm::TokenBucket,
            capacity: 100,
            rate: 10.0,
            scope: Scope::Service,
            per_client: false,
            warm_up: Duration::from_secs(600),
            tokens_per_minute: None,
        }
    }
}

/// How requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LimitAlgorithm {
    TokenBucket,
    LeakyBucket,
    SlidingWindow,
    WarmUp,
}

impl LimitAlgorithm {
    pub(super) const ALL: [Self; 4] =
        [Self::TokenBucket, Self::LeakyBucket, Self::SlidingWindow, Self::WarmUp];

    /// Its name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenBucket => "token-bucket",
            Self::LeakyBucket => "leaky-bucket",
            Self::SlidingWindow => "sliding-window",
            Self::WarmUp => "warm-up",
        }
    }
}

/// What has a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Scope {
    Service,
    Model,
    ClientIp,
    Instance,
}

/// The requests that may run at a time, beside the limit of each instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concurrency {
    /// `concurrency.model-limit`. Default unlimited.
    pub per_model: Option<u32>,
    /// `concurrency.client-limit`. Default unlimited.
    pub per_client: Option<u32>,
}

/// Where requests wait while every instance of their model is at its concurrency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// `concurrency.queue`, for each model. Default 0: none.
    pub places: u32,
    /// `concurrency.queue-timeout`. Default 10 s.
    pub timeout: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self { places: 0, timeout: Duration::from_secs(10) }
    }
}

/// A breaker, if it is on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct CircuitBreaker {
    /// `enabled`. Default false.
    pub enabled: bool,
    /// All other keys.
    pub settings: circuit_breaker::Settings,
}

/// What answers when no instance can.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fallback {
    /// `models`: asked in this order.
    pub models: Vec<String>,
    /// `per-model`: the same for some models.
    pub per_model: BTreeMap<String, Vec<String>>,
    /// `on-context-length`. Default false.
    pub on_context_length: bool,
    /// `on-missing-model`. Default false.
    pub on_missing_model: bool,
    /// `strategy: cache`.
    pub cache: Option<Cache>,
    /// `response`.
    pub response: Option<Canned>,
}

/// Last good answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cache {
    /// `cache-size`, in answers. Default 100.
    pub entries: usize,
    /// `cache-bytes`. Default 64 MiB.
    pub bytes: usize,
    /// `cache-ttl`. Default 300 s.
    pub ttl: Duration,
    /// `cache-any`: answers to requests that may be answered in another way next time, too. Default
    /// false.
    pub any: bool,
}

impl Default for Cache {
    fn default() -> Self {
        Self { entries: 100, bytes: 64 << 20, ttl: Duration::from_secs(300), any: false }
    }
}

/// An answer that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Canned {
    /// `status`. Default 200.
    pub status: StatusCode,
    /// What it says.
    pub said: Said,
}

/// How a canned answer is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// `text`: as a model would say it, streamed if a stream was asked for.
    Text(String),
    /// `body`, with its `content-type`, as it is.
    Raw(String, Bytes),
}

/// How an instance is asked for its models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discovery {
    /// `interval`. Default 60 s.
    pub interval: Duration,
    /// `timeout`. Default 5 s.
    pub timeout: Duration,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60), timeout: Duration::from_secs(5) }
    }
}

/// How an instance is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCheck {
    /// `enabled`. Default true.
    pub enabled: bool,
    /// `path`. Default the adapter's.
    pub path: Option<String>,
    /// `interval`. Default 5 s.
    pub interval: Duration,
    /// `timeout`. Default 2 s.
    pub timeout: Duration,
    /// The instance's own headers.
    pub headers: HeaderMap,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            enabled: true,
            path: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            headers: HeaderMap::new(),
        }
    }
}
