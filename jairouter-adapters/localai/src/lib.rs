//! [`LocalAi`]: `LocalAI`.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, Route};
//! use jairouter_localai::LocalAi;
//!
//! // It translates where it transcribes, if the form says so.
//! let translation = Route::new(Endpoint::Translations, "whisper-1", false);
//! assert_eq!(LocalAi::new().path(&translation).as_deref(), Some("/v1/audio/transcriptions"));
//! ```
//!
//! What it says otherwise than OpenAI is told in OpenAI's words: `reasoning`, deltas that repeat a
//! tool call's id, and embeddings, which it neither counts nor writes in base64.

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Payload, Route};
use jairouter_openai::habits::{End, Habits};
use jairouter_openai::refusals::refusal;
use jairouter_openai::{embeddings, form, rerank, tokens};

const HABITS: Habits = Habits::new().reasoning().repeated_deltas().end(End::Done);

/// `LocalAI`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocalAi;

impl LocalAi {
    /// The backend; it has no settings.
    pub const fn new() -> Self {
        Self
    }
}

impl Backend for LocalAi {
    fn name(&self) -> &'static str {
        "localai"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        match route.endpoint {
            Endpoint::CountTokens | Endpoint::ImageEdits | Endpoint::ImageVariations => None,
            Endpoint::Translations => Some(Endpoint::Transcriptions.path().into()),
            endpoint => Some(endpoint.path().into()),
        }
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match request.endpoint {
            Endpoint::Rerank => rerank::encode_texts(request),
            Endpoint::Tokenize | Endpoint::Detokenize => tokens::encode_content(request, "localai"),
            _ => Ok(request.payload.clone()),
        }
    }

    fn form(&self, request: &InferenceRequest) -> Result<Payload, Error> {
        match request.endpoint {
            Endpoint::Transcriptions | Endpoint::Translations => Ok(transcription(request)),
            _ => Ok(request.form()),
        }
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        match request.endpoint {
            Endpoint::Embeddings => embeddings::decode(request, answer),
            Endpoint::Rerank => rerank::decode(request, answer),
            Endpoint::Tokenize | Endpoint::Detokenize => tokens::decode(request, answer),
            _ => HABITS.decode(request, answer),
        }
    }

    fn refusal(&self, _: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        refusal(answer)
    }

    fn health(&self) -> Cow<'static, str> {
        "/readyz".into()
    }
}

/// The form, with OpenAI's default where `LocalAI` has another, and its word for translating.
fn transcription(request: &InferenceRequest) -> Payload {
    let mut missing = Vec::new();
    if form::count(request, "response_format") == 0 {
        missing.push(("response_format", "json"));
    }
    if request.endpoint == Endpoint::Translations {
        missing.push(("translate", "true"));
    }
    if missing.is_empty() {
        return request.form();
    }
    form::with_fields(request, &missing)
}
