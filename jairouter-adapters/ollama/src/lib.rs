//! [`Ollama`]: Ollama's native API, in both directions.
//!
//! Chat goes to `/api/chat`, completions to `/api/generate`, embeddings to `/api/embed`. The native
//! API says more than Ollama's own `OpenAI`-compatible one: errors in the middle of a stream, thinking
//! levels, and options such as `num_ctx`, which pass through as extra fields of the request.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, InferenceRequest};
//! use jairouter_ollama::Ollama;
//!
//! let question = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":7}"#;
//! let request = InferenceRequest::new(
//!     Endpoint::ChatCompletions,
//!     http::HeaderMap::new(),
//!     question.into(),
//! )?;
//! let native: serde_json::Value = serde_json::from_slice(&Ollama::new().encode(&request)?).unwrap();
//! assert_eq!(native["options"]["num_predict"], 7);
//! assert_eq!(native["stream"], false);
//! # Ok::<(), jairouter_core::Error>(())
//! ```
//!
//! What Ollama has no word for and would change the answer is refused, with the parameter's name:
//! `n` over 1, a forced `tool_choice`, `logit_bias`, images by URL, and their like.

mod answer;
mod chat;
mod content;
mod embed;
mod generate;
mod line;
mod message;
mod options;
mod request;
mod shape;
mod time;

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use jairouter_core::translate::{self, Framing, Translate};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route};
use serde::Deserialize;

/// The largest answer in one piece, in bytes.
const LARGEST_ANSWER: usize = 256 << 20;

/// Ollama's native API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ollama;

impl Ollama {
    /// The backend; it has no settings.
    pub const fn new() -> Self {
        Self
    }
}

impl Backend for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        match route.endpoint {
            Endpoint::ChatCompletions => Some("/api/chat".into()),
            Endpoint::Completions => Some("/api/generate".into()),
            Endpoint::Embeddings => Some("/api/embed".into()),
            _ => None,
        }
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match request.endpoint {
            Endpoint::ChatCompletions => chat::encode(request),
            Endpoint::Completions => generate::encode(request),
            Endpoint::Embeddings => embed::encode(request),
            other => Err(Error::new(Kind::Unsupported, format!("ollama does not offer {other}"))),
        }
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        let asked = request.clone();
        match (request.endpoint, request.stream) {
            (Endpoint::ChatCompletions, true) => stream(answer, chat::Stream::new(request)),
            (Endpoint::ChatCompletions, false) => {
                whole(answer, move |bytes| chat::whole(&asked, &bytes))
            }
            (Endpoint::Completions, true) => stream(answer, generate::Stream::new(request)),
            (Endpoint::Completions, false) => {
                whole(answer, move |bytes| generate::whole(&asked, &bytes))
            }
            _ => whole(answer, move |bytes| embed::decode(&asked, &bytes)),
        }
    }

    fn health(&self) -> Cow<'static, str> {
        "/api/version".into()
    }

    fn models(&self) -> Cow<'static, str> {
        "/api/tags".into()
    }

    fn model_names(&self, body: &[u8]) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Tags {
            models: Vec<Tag>,
        }
        #[derive(Deserialize)]
        struct Tag {
            name: String,
        }
        let tags: Tags = translate::parse(body)?;
        Ok(tags.models.into_iter().map(|tag| tag.name).collect())
    }
}

fn stream(answer: Response<Body>, translate: impl Translate + 'static) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let body = translate::stream(body, Framing::Ndjson, translate);
    translate::replace(Response::from_parts(parts, Body::empty()), "text/event-stream", body)
}

fn whole(
    answer: Response<Body>,
    rewrite: impl FnOnce(Bytes) -> Result<Bytes, Error> + Send + 'static,
) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let body = translate::whole(body, LARGEST_ANSWER, rewrite);
    translate::replace(Response::from_parts(parts, Body::empty()), "application/json", body)
}
