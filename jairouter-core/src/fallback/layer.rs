use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tower::Layer;

use super::cache::Cache;
use super::canned::CannedAnswer;
use super::chain::ModelChain;
use super::service::Fallback;
use crate::rate_limit::Limiter;

/// Lets something else answer when the service inside cannot. See the [module](super).
///
/// Without any option it passes everything on, in one type of body.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct FallbackLayer {
    policies: Policies,
}

#[derive(Clone, Default)]
pub(super) struct Policies {
    common: ModelChain,
    own: HashMap<Box<str>, ModelChain>,
    pub(super) cache: Option<Cache>,
    pub(super) cache_first: bool,
    pub(super) canned: Option<Arc<CannedAnswer>>,
    pub(super) limits: Option<Arc<dyn Limiter>>,
}

impl FallbackLayer {
    /// No fallback at all, yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Other models, for every model without a chain of its own.
    pub fn models(mut self, chain: ModelChain) -> Self {
        self.policies.common = chain;
        self
    }

    /// Other models for this one, instead of the common chain. An empty chain is for a model whose
    /// callers would rather have none than another.
    pub fn models_for(mut self, model: impl Into<Box<str>>, chain: ModelChain) -> Self {
        self.policies.own.insert(model.into(), chain);
        self
    }

    /// What a request has to pass once more when another model is to answer it: the limits of that
    /// model, which it has not been counted by. One that refuses is passed over for the next.
    pub fn limit(mut self, limiter: impl Limiter + 'static) -> Self {
        self.policies.limits = Some(Arc::new(limiter));
        self
    }

    /// The last good answers. A cache is a handle: one that is given to the layers before and after
    /// a reload, or of several cores, is one cache.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.policies.cache = Some(cache);
        self
    }

    /// Whether the last good answer comes before other models: the model the caller meant, as it was,
    /// rather than another, as it is. Default no.
    pub fn cache_first(mut self, first: bool) -> Self {
        self.policies.cache_first = first;
        self
    }

    /// What is said when there is nothing else.
    pub fn answer(mut self, canned: CannedAnswer) -> Self {
        self.policies.canned = Some(Arc::new(canned));
        self
    }
}

impl<S> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Fallback<S> {
        Fallback::new(inner, Arc::new(self.policies.clone()))
    }
}

// === impl Policies ===

impl Policies {
    /// The chain of this model.
    pub(super) fn chain(&self, model: &str) -> &ModelChain {
        self.own.get(model).unwrap_or(&self.common)
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies")
            .field("common", &self.common)
            .field("own", &self.own)
            .field("cache", &self.cache)
            .field("canned", &self.canned)
            .finish_non_exhaustive()
    }
}
