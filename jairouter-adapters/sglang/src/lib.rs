//! [`SgLang`]: `SGLang`, by its OpenAI-compatible API, or for completions by its own.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, Route};
//! use jairouter_sglang::SgLang;
//!
//! let completion = Route::new(Endpoint::Completions, "qwen3", true);
//! assert_eq!(SgLang::new().path(&completion).as_deref(), Some("/v1/completions"));
//! assert_eq!(SgLang::native().path(&completion).as_deref(), Some("/generate"));
//! ```
//!
//! What it says otherwise than OpenAI is told in OpenAI's words: tool calls whose deltas say that
//! they have no id, the tokens of reasoning, bare lists of ranks, and answers that were aborted, which
//! are errors.

mod generate;

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use jairouter_core::backend::InvalidOption;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Route};
use jairouter_openai::habits::{End, Habits};
use jairouter_openai::refusals::refusal;
use jairouter_openai::{embeddings, rerank, tokens};

const HABITS: Habits =
    Habits::new().reasoning().reasoning_tokens_aside().repeated_deltas().end(End::Done);

/// `SGLang`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SgLang {
    is_native: bool,
}

impl SgLang {
    /// All by its OpenAI-compatible API.
    pub const fn new() -> Self {
        Self { is_native: false }
    }

    /// Completions by `/generate`, of a server that streams its text cumulatively: one that was not
    /// started with `--incremental-streaming-output`.
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
                    let message = "is no option of sglang, which has one: api";
                    return Err(InvalidOption::new(key, message));
                }
            };
        }
        Ok(backend)
    }
}

impl Backend for SgLang {
    fn name(&self) -> &'static str {
        "sglang"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        use Endpoint::{
            ChatCompletions, Completions, CountTokens, Detokenize, Embeddings, Messages, Rerank,
            Responses, Tokenize, Transcriptions,
        };
        match route.endpoint {
            Completions if self.is_native => Some("/generate".into()),
            ChatCompletions | Completions | CountTokens | Detokenize | Embeddings | Messages
            | Rerank | Responses | Tokenize | Transcriptions => Some(route.endpoint.path().into()),
            _ => None,
        }
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match request.endpoint {
            Endpoint::Completions if self.is_native => generate::encode(request),
            Endpoint::Rerank => rerank::encode_texts(request),
            _ => Ok(request.payload.clone()),
        }
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        match request.endpoint {
            Endpoint::Completions if self.is_native => generate::decode(request, answer),
            Endpoint::Embeddings => embeddings::decode(request, answer),
            Endpoint::Rerank => rerank::decode(request, answer),
            Endpoint::Tokenize | Endpoint::Detokenize => tokens::decode(request, answer),
            _ => HABITS.decode(request, answer),
        }
    }

    fn refusal(&self, _: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        refusal(answer)
    }
}
