//! [`Gemini`]: Google's Gemini API, in both directions.
//!
//! Chat goes to `:generateContent` or `:streamGenerateContent`, embeddings to `:batchEmbedContents`,
//! each below the model's own path.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, InferenceRequest, Route};
//! use jairouter_gemini::Gemini;
//!
//! let question = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":7}"#;
//! let request = InferenceRequest::new(
//!     Endpoint::ChatCompletions,
//!     http::HeaderMap::new(),
//!     question.into(),
//! )?;
//! let native: serde_json::Value = serde_json::from_slice(&Gemini::new().encode(&request)?).unwrap();
//! assert_eq!(native["contents"][0]["parts"][0]["text"], "Hi");
//! assert_eq!(native["generationConfig"]["maxOutputTokens"], 7);
//!
//! let route = Route::new(request.endpoint, &request.model, request.stream);
//! let path = Gemini::new().path(&route);
//! assert_eq!(path.as_deref(), Some("/v1beta/models/m:generateContent"));
//! # Ok::<(), jairouter_core::Error>(())
//! ```
//!
//! # Signatures
//!
//! Gemini signs the tool calls it makes while it thinks (`thoughtSignature`) and wants the signatures
//! back with the results; Gemini 3 refuses a conversation without them. They travel in the ids of the
//! calls, which every client keeps, in letters that every API takes. `extra_content`, as Google's own
//! compatible API writes it, is read, too. Where a signature was lost, or the call was another
//! model's, Gemini 3 is given the word it takes instead. What it signs of its texts it does not insist on.
//!
//! # Extensions
//!
//! `top_k`, `thinking_config`, `safety_settings` and `cached_content` go to Gemini as they are, and of
//! embeddings `task_type` and `title`. A picture that a model draws is in the message's `images`.
//!
//! What Gemini has no word for and would change the answer is refused, with the parameter's name:
//! `logit_bias`, `parallel_tool_calls: false`, images whose type cannot be told, and their like.

mod call_id;
mod chat;
mod config;
mod content;
mod conversation;
mod embed;
mod failure;
mod model;
mod native;
mod tools;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, Response};
use jairouter_core::translate::{self, Framing};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route};
use serde::Deserialize;

/// The largest answer in one piece, in bytes.
const LARGEST_ANSWER: usize = 256 << 20;

/// Google's Gemini API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gemini;

impl Gemini {
    /// The backend; it has no settings.
    pub const fn new() -> Self {
        Self
    }
}

impl Backend for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        let method = match (route.endpoint, route.stream) {
            (Endpoint::ChatCompletions, false) => "generateContent",
            // Without this it would be a list, element by element.
            (Endpoint::ChatCompletions, true) => "streamGenerateContent?alt=sse",
            (Endpoint::Embeddings, _) => "batchEmbedContents",
            _ => return None,
        };
        Some(model::path(route.model, method).into())
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match request.endpoint {
            Endpoint::ChatCompletions => chat::encode(request),
            Endpoint::Embeddings => embed::encode(request),
            other => Err(Error::new(Kind::Unsupported, format!("gemini does not offer {other}"))),
        }
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        let (parts, body) = answer.into_parts();
        let head = Response::from_parts(parts, Body::empty());
        if request.endpoint == Endpoint::ChatCompletions && request.stream {
            let body = translate::stream(body, Framing::Sse, chat::Stream::new(request));
            return translate::replace(head, "text/event-stream", body);
        }
        let asked = request.clone();
        let body = translate::whole(body, LARGEST_ANSWER, move |bytes| match asked.endpoint {
            Endpoint::ChatCompletions => chat::whole(&asked, &bytes),
            _ => embed::decode(&asked, &bytes),
        });
        translate::replace(head, "application/json", body)
    }

    fn refusal(&self, _: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        failure::refused(answer)
    }

    /// The API has no health path of its own; listing models runs no inference.
    fn key_header(&self) -> (HeaderName, Cow<'_, str>) {
        (HeaderName::from_static("x-goog-api-key"), "".into())
    }

    fn health(&self) -> Cow<'static, str> {
        "/v1beta/models?pageSize=1".into()
    }

    /// All of them at once: the API would give 50.
    fn models(&self) -> Cow<'static, str> {
        "/v1beta/models?pageSize=1000".into()
    }

    fn model_names(&self, body: &[u8]) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct List {
            models: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            name: String,
        }
        let bare = |Model { name }| match name.strip_prefix("models/") {
            Some(bare) => bare.to_owned(),
            None => name,
        };
        let list: List = translate::parse(body)?;
        Ok(list.models.into_iter().map(bare).collect())
    }
}
