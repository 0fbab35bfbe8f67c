//! Requests, and instances around engines in memory.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use jairouter_core::upstream::{Timeouts, Upstream};
use jairouter_core::{Backend, Endpoint, InferenceRequest, Route};

use super::engine::Engine;

/// A framework that is OpenAI's API itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenAi;

impl Backend for OpenAi {
    fn name(&self) -> &'static str {
        "normal"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        Some(route.endpoint.path().into())
    }
}

/// A chat request for a stream of the model `m`.
pub(crate) fn request() -> InferenceRequest {
    let payload = Bytes::from_static(br#"{"model":"m","stream":true,"messages":[]}"#);
    InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload).unwrap()
}

/// An instance that is this engine.
pub(crate) fn upstream(engine: &Engine, timeouts: Timeouts) -> Upstream<OpenAi, Engine> {
    let target = "http://engine.invalid".parse().unwrap();
    Upstream::new(OpenAi, target, engine.clone()).with_timeouts(timeouts)
}
