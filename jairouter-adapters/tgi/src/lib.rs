//! [`Tgi`]: Hugging Face's text-generation-inference.
//!
//! Chat goes to `/v1/chat/completions`, which has the model's template, and completions to `/generate`
//! and `/generate_stream`, which tell why an answer ended and how long it was.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, InferenceRequest};
//! use jairouter_tgi::Tgi;
//!
//! let question = r#"{"model":"m","messages":[],"max_completion_tokens":7,"stop":"\n","top_p":1}"#;
//! let request =
//!     InferenceRequest::new(Endpoint::ChatCompletions, http::HeaderMap::new(), question.into())?;
//! assert_eq!(
//!     Tgi::new().encode(&request)?,
//!     r#"{"model":"tgi","messages":[],"max_tokens":7,"stop":["\n"]}"#,
//! );
//! # Ok::<(), jairouter_core::Error>(())
//! ```
//!
//! Every request names the model `tgi`: any other name is one of an adapter's (`LoRA`) that the server
//! would look for. What TGI has no word for and would change the answer is refused, with the
//! parameter's name.

mod chat;
mod error;
mod generate;
mod request;

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route};
use jairouter_openai::fields::Fields;
use jairouter_openai::habits::{End, Habits};
use jairouter_openai::refusals::refusal;
use jairouter_openai::tokens;

const CHAT: Habits = Habits::new()
    .no_ids()
    .shared_tool_ids()
    .repeated_deltas()
    .stop_after_calls()
    .kept_stops()
    .end(End::Done)
    .errors(error::in_stream);

/// text-generation-inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tgi;

impl Tgi {
    /// The backend; it has no settings.
    pub const fn new() -> Self {
        Self
    }
}

impl Backend for Tgi {
    fn name(&self) -> &'static str {
        "tgi"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        let path = match (route.endpoint, route.stream) {
            (Endpoint::ChatCompletions, _) => route.endpoint.path(),
            (Endpoint::Completions, false) => "/generate",
            (Endpoint::Completions, true) => "/generate_stream",
            (Endpoint::Tokenize, _) => "/tokenize",
            _ => return None,
        };
        Some(path.into())
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match request.endpoint {
            Endpoint::ChatCompletions => chat::encode(request),
            Endpoint::Completions => generate::encode(request),
            Endpoint::Tokenize => {
                let asked = Fields::of_request(request)?;
                let mut native = Fields::new();
                native.set("inputs", &tokens::prompt(&asked, "tgi")?);
                Ok(native.write())
            }
            other => Err(Error::new(Kind::Unsupported, format!("tgi does not offer {other}"))),
        }
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        match request.endpoint {
            Endpoint::Completions => generate::decode(request, answer),
            Endpoint::Tokenize => tokens::decode(request, answer),
            _ => CHAT.decode(request, answer),
        }
    }

    fn refusal(&self, _: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        refusal(answer)
    }
}
