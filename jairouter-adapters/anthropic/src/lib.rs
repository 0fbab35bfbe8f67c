//! [`Anthropic`]: the Messages API, in both directions.
//!
//! Chat goes to `/v1/messages` in its own words. Requests that are written in these words already, of
//! the endpoints [`Messages`](Endpoint::Messages) and [`CountTokens`](Endpoint::CountTokens), pass
//! byte for byte, and so do their answers.
//!
//! ```
//! use jairouter_anthropic::Anthropic;
//! use jairouter_core::{Backend, Endpoint, InferenceRequest};
//!
//! let question = r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},
//!     {"role":"user","content":"Hi"}]}"#;
//! let request = InferenceRequest::new(
//!     Endpoint::ChatCompletions,
//!     http::HeaderMap::new(),
//!     question.into(),
//! )?;
//! let native: serde_json::Value =
//!     serde_json::from_slice(&Anthropic::new().encode(&request)?).unwrap();
//! assert_eq!(native["system"], "Be brief.");
//! assert_eq!(native["max_tokens"], 4096, "it has to be told");
//! # Ok::<(), jairouter_core::Error>(())
//! ```
//!
//! # Thoughts
//!
//! `reasoning_effort` becomes an effort, or for models of before 4.6 a number of tokens. What the
//! model thinks is `reasoning_content`. When it calls a tool while it thinks, Anthropic wants its
//! signed thoughts back with the results: they are in `thinking_blocks`, an extension of the message
//! (in a stream of the delta, at the end of each thought). A client that hands the message back as it
//! came hands them back, too. `reasoning_content` alone, which nobody signed, is not sent back.
//!
//! # What is left out, and what is refused
//!
//! `seed` and the penalties are left out, a `temperature` over 1 is 1. What Anthropic has no word for
//! and would change the answer is refused, with the parameter's name: `n` over 1, `logprobs`,
//! `logit_bias`, `response_format` of type `json_object`, sound, and their like.

mod chat;
mod content;
mod conversation;
mod failure;
mod ids;
mod native;
mod thinking;
mod tools;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use jairouter_core::translate::{self, Framing};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route};

/// The largest answer in one piece, in bytes.
const LARGEST_ANSWER: usize = 256 << 20;

/// Anthropic's Messages API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Anthropic;

impl Anthropic {
    /// The backend; it has no settings.
    pub const fn new() -> Self {
        Self
    }
}

impl Backend for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        match route.endpoint {
            Endpoint::ChatCompletions | Endpoint::Messages => Some("/v1/messages".into()),
            Endpoint::CountTokens => Some("/v1/messages/count_tokens".into()),
            _ => None,
        }
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match request.endpoint {
            Endpoint::ChatCompletions => chat::encode(request),
            Endpoint::Messages | Endpoint::CountTokens => Ok(request.payload.clone()),
            other => {
                Err(Error::new(Kind::Unsupported, format!("anthropic does not offer {other}")))
            }
        }
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        if request.endpoint != Endpoint::ChatCompletions {
            return answer;
        }
        let (parts, body) = answer.into_parts();
        let head = Response::from_parts(parts, Body::empty());
        if request.stream {
            let body = translate::stream(body, Framing::Sse, chat::Stream::new(request));
            return translate::replace(head, "text/event-stream", body);
        }
        let asked = request.clone();
        let body = translate::whole(body, LARGEST_ANSWER, move |bytes| chat::whole(&asked, &bytes));
        translate::replace(head, "application/json", body)
    }

    fn refusal(&self, _: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        failure::refused(answer)
    }

    /// The API has no health path of its own; listing models runs no inference.
    fn health(&self) -> Cow<'static, str> {
        "/v1/models?limit=1".into()
    }

    fn key_header(&self) -> (HeaderName, Cow<'_, str>) {
        (HeaderName::from_static("x-api-key"), "".into())
    }

    fn headers(&self) -> HeaderMap {
        let version = HeaderName::from_static("anthropic-version");
        HeaderMap::from_iter([(version, HeaderValue::from_static("2023-06-01"))])
    }

    /// All of them at once: the API would give 20.
    fn models(&self) -> Cow<'static, str> {
        "/v1/models?limit=1000".into()
    }
}
