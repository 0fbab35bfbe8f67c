//! [`LlamaCpp`]: llama.cpp's server, by its OpenAI-compatible API, or for completions by its own.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, Route};
//! use jairouter_llamacpp::LlamaCpp;
//!
//! let completion = Route::new(Endpoint::Completions, "qwen3", true);
//! assert_eq!(LlamaCpp::new().path(&completion).as_deref(), Some("/v1/completions"));
//! assert_eq!(LlamaCpp::native().path(&completion).as_deref(), Some("/completion"));
//! ```
//!
//! Its chats are OpenAI's and pass byte for byte, but for errors in the middle of a stream. Its
//! rerankings are given the documents back, and what it was not started for (501) is no failure.

mod completion;

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode};
use jairouter_core::backend::InvalidOption;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Route, refusal};
use jairouter_openai::habits::{End, Habits};
use jairouter_openai::{refusals, rerank, tokens};

const HABITS: Habits = Habits::new().end(End::Done);

/// llama.cpp's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LlamaCpp {
    is_native: bool,
}

impl LlamaCpp {
    /// All by its OpenAI-compatible API.
    pub const fn new() -> Self {
        Self { is_native: false }
    }

    /// Completions by `/completion`, which takes every sampling option it has as an extra field.
    pub const fn native() -> Self {
        Self { is_native: true }
    }

    /// The backend of these options: `api`, which is `native` or `openai`.
    ///
    /// # Errors
    ///
    /// For any other option, or value.
    pub fn from_options<'a>(
        options: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, InvalidOption> {
        let mut backend = Self::new();
        for option in options {
            backend = match option {
                ("api", "openai") => Self::new(),
                ("api", "native") => Self::native(),
                ("api", _) => return Err(InvalidOption::new("api", "must be openai or native")),
                (key, _) => {
                    let message = "is no option of llamacpp, which has one: api";
                    return Err(InvalidOption::new(key, message));
                }
            };
        }
        Ok(backend)
    }
}

impl Backend for LlamaCpp {
    fn name(&self) -> &'static str {
        "llamacpp"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        use Endpoint::{
            ChatCompletions, Completions, CountTokens, Detokenize, Embeddings, Messages, Rerank,
            Responses, Tokenize, Transcriptions,
        };
        match route.endpoint {
            Completions if self.is_native => Some("/completion".into()),
            Tokenize => Some("/tokenize".into()),
            Detokenize => Some("/detokenize".into()),
            ChatCompletions | Completions | CountTokens | Embeddings | Messages | Rerank
            | Responses | Transcriptions => Some(route.endpoint.path().into()),
            _ => None,
        }
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match request.endpoint {
            Endpoint::Completions if self.is_native => completion::encode(request),
            Endpoint::Rerank => rerank::encode_texts(request),
            Endpoint::Tokenize | Endpoint::Detokenize => {
                tokens::encode_content(request, "llama.cpp")
            }
            _ => Ok(request.payload.clone()),
        }
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        match request.endpoint {
            Endpoint::Completions if self.is_native => completion::decode(request, answer),
            Endpoint::Rerank => rerank::decode(request, answer),
            Endpoint::Tokenize | Endpoint::Detokenize => tokens::decode(request, answer),
            _ => HABITS.decode(request, answer),
        }
    }

    fn refusal(&self, _: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        // It says 500 of requests that it cannot read, too: that is for the caller to see.
        match answer.status() {
            StatusCode::INTERNAL_SERVER_ERROR => refusal::classify(answer),
            _ => refusals::refusal(answer),
        }
    }
}
