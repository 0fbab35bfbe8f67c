//! [`GpuStack`]: a `GPUStack` server, in front of whatever engines it runs.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, Route};
//! use jairouter_gpustack::GpuStack;
//!
//! let chat = Route::new(Endpoint::ChatCompletions, "qwen3", true);
//! assert_eq!(GpuStack::new().path(&chat).as_deref(), Some("/v1/chat/completions"));
//! assert_eq!(GpuStack::legacy().path(&chat).as_deref(), Some("/v1-openai/chat/completions"));
//! ```
//!
//! It asks its engines for the usage of every stream, whether the caller did or not: that chunk is
//! swallowed. What its engines say otherwise than OpenAI is told in OpenAI's words.

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use jairouter_core::backend::InvalidOption;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Payload, Route};
use jairouter_openai::fields::unsupported;
use jairouter_openai::habits::Habits;
use jairouter_openai::refusals::refusal;
use jairouter_openai::{embeddings, form, rerank, transcript};

/// Those of the engines it may run, and its own.
const HABITS: Habits =
    Habits::new().unasked_usage().reasoning().reasoning_tokens_aside().repeated_deltas();

/// `GPUStack`, of either age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GpuStack {
    is_legacy: bool,
}

impl GpuStack {
    /// `GPUStack` since 2.0, with its paths below `/v1`.
    pub const fn new() -> Self {
        Self { is_legacy: false }
    }

    /// Older servers, with their paths below `/v1-openai`.
    pub const fn legacy() -> Self {
        Self { is_legacy: true }
    }

    /// The backend of these options: `api`, which is `legacy` or `openai`.
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
                ("api", "legacy") => Self::legacy(),
                ("api", _) => return Err(InvalidOption::new("api", "must be openai or legacy")),
                (key, _) => {
                    let message = "is no option of gpustack, which has one: api";
                    return Err(InvalidOption::new(key, message));
                }
            };
        }
        Ok(backend)
    }
}

impl Backend for GpuStack {
    fn name(&self) -> &'static str {
        "gpustack"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        use Endpoint::{
            ChatCompletions, Completions, Detokenize, Embeddings, ImageEdits, ImageGenerations,
            Rerank, Responses, Speech, Tokenize, Transcriptions,
        };
        let path = match (self.is_legacy, route.endpoint) {
            (_, Tokenize | Detokenize) => return None,
            (false, endpoint) => endpoint.path(),
            (true, ChatCompletions) => "/v1-openai/chat/completions",
            (true, Completions) => "/v1-openai/completions",
            (true, Responses) => "/v1-openai/responses",
            (true, Embeddings) => "/v1-openai/embeddings",
            (true, Transcriptions) => "/v1-openai/audio/transcriptions",
            (true, Speech) => "/v1-openai/audio/speech",
            (true, ImageGenerations) => "/v1-openai/images/generations",
            (true, ImageEdits) => "/v1-openai/images/edits",
            // Not of OpenAI's API, and never below its name.
            (true, Rerank) => Rerank.path(),
            (true, _) => return None,
        };
        Some(path.into())
    }

    fn form(&self, request: &InferenceRequest) -> Result<Payload, Error> {
        // It builds forms anew, and of fields that have one name it keeps the last.
        for name in ["image[]", "timestamp_granularities[]", "include[]"] {
            if form::count(request, name) > 1 {
                let message = format!("gpustack keeps the last '{name}' of several alone");
                return Err(unsupported(name, message));
            }
        }
        Ok(request.form())
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        match request.endpoint {
            Endpoint::Embeddings => embeddings::decode(request, answer),
            Endpoint::Rerank => rerank::decode(request, answer),
            Endpoint::Transcriptions | Endpoint::Translations => transcript::decode(answer),
            _ => HABITS.decode(request, answer),
        }
    }

    fn refusal(&self, _: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        refusal(answer)
    }

    fn health(&self) -> Cow<'static, str> {
        "/readyz".into()
    }

    fn models(&self) -> Cow<'static, str> {
        if self.is_legacy { "/v1-openai/models" } else { "/v1/models?with_meta=true" }.into()
    }
}
