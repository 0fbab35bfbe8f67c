use std::time::Duration;

use crate::engine::Engine;
use crate::failure::Failure;

/// Settings of an [`Engine`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    pub(crate) settings: Settings,
}

#[derive(Debug, Clone)]
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

    /// From the request to the first token. Default 200 ms.
    pub fn first_token(mut self, delay: Duration) -> Self {
        self.settings.first_token = delay;
        self
    }

    /// Tokens a second after the first; 0, or what is no number above it, is all at once. Default 30.
    pub fn rate(mut self, tokens_per_second: f64) -> Self {
        let is_rate = tokens_per_second.is_finite() && tokens_per_second > 0.0;
        self.settings.rate = is_rate.then_some(tokens_per_second);
        self
    }

    /// How many tokens an answer has if the request allows them, at least 1. Default 64.
    pub fn length(mut self, tokens: usize) -> Self {
        self.settings.length = tokens.max(1);
        self
    }

    /// The share of requests that fail, 0 to 1. Default 0. Which ones is decided by the seed and the
    /// number of the request.
    pub fn failure_rate(mut self, share: f64) -> Self {
        self.settings.failure_rate = share.clamp(0.0, 1.0);
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

    /// How many requests it works on at a time; more get 503 "server busy". Default unlimited.
    pub fn concurrency(mut self, limit: u32) -> Self {
        self.settings.concurrency = limit;
        self
    }

    /// The engine.
    pub fn build(self) -> Engine {
        Engine::new(self.settings)
    }
}
