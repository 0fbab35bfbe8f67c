//! What can be set, and its bounds.

use std::time::Duration;

use crate::engine::Engine;
use crate::failure::Failure;

/// The longest wait for a first token.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(3600);
pub(crate) const SLOWEST: f64 = 0.001;
pub(crate) const FASTEST: f64 = 1_000_000.0;
/// The most tokens of an answer.
pub(crate) const LONGEST: usize = 1_000_000;

/// Settings of an [`Engine`]. What is out of bounds is taken as the nearest bound.
#[derive(Debug, Clone)]
#[must_use = "an engine is there once it is built"]
pub struct Builder {
    pub(crate) settings: Settings,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) models: Vec<String>,
    pub(crate) first_token: Duration,
    /// Tokens a second; none is all at once.
    pub(crate) rate: Option<f64>,
    pub(crate) length: usize,
    pub(crate) failure_rate: f64,
    pub(crate) failure: Failure,
    pub(crate) seed: u64,
    pub(crate) concurrency: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            settings: Settings {
                models: vec!["simulated".into()],
                first_token: Duration::from_millis(200),
                rate: Some(30.0),
                length: 64,
                failure_rate: 0.0,
                failure: Failure::Status(500),
                seed: 0,
                concurrency: u32::MAX,
            },
        }
    }
}

impl Builder {
    /// The models it lists. It answers for any. Default `simulated`.
    pub fn models<M: Into<String>>(mut self, models: impl IntoIterator<Item = M>) -> Self {
        self.settings.models = models.into_iter().map(Into::into).collect();
        self
    }

    /// From the request to the first token, or to the answer for embeddings; at most an hour.
    /// Default 200 ms.
    pub fn first_token(mut self, delay: Duration) -> Self {
        self.settings.first_token = delay.min(LONGEST_DELAY);
        self
    }

    /// Tokens a second, from one in a thousand seconds to a million; 0, or what is no number above
    /// it, is all at once. Default 30.
    pub fn rate(mut self, tokens_per_second: f64) -> Self {
        let is_rate = tokens_per_second.is_finite() && tokens_per_second > 0.0;
        self.settings.rate = is_rate.then(|| tokens_per_second.clamp(SLOWEST, FASTEST));
        self
    }

    /// How many tokens a text has if the request allows them, 1 to a million. Default 64. JSON and
    /// tool calls are as long as their schema wants.
    pub fn length(mut self, tokens: usize) -> Self {
        self.settings.length = tokens.clamp(1, LONGEST);
        self
    }

    /// The share of requests that fail, 0 to 1. Default 0. Which ones is decided by the seed and the
    /// number of the request.
    pub fn failure_rate(mut self, share: f64) -> Self {
        self.settings.failure_rate = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    /// How they fail. Default [`Failure::Status`] 500.
    pub fn failure(mut self, failure: Failure) -> Self {
        self.settings.failure = failure;
        self
    }

    /// What decides which requests fail. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// How many requests it works on at a time, at least 1; more get 503 "server busy". Default
    /// unlimited.
    pub fn concurrency(mut self, limit: u32) -> Self {
        self.settings.concurrency = limit.max(1);
        self
    }

    /// The engine.
    #[must_use]
    pub fn build(self) -> Engine {
        Engine::new(self.settings)
    }
}
