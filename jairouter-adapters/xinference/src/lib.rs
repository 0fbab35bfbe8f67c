//! [`Xinference`]: Xinference.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, InferenceRequest};
//! use jairouter_xinference::Xinference;
//!
//! let question = r#"{"model":"sdxl","prompt":"a cat","size":"512x512","steps":4}"#;
//! let request =
//!     InferenceRequest::new(Endpoint::ImageGenerations, http::HeaderMap::new(), question.into())?;
//! assert_eq!(
//!     Xinference::new().encode(&request)?,
//!     r#"{"model":"sdxl","prompt":"a cat","size":"512*512","kwargs":"{\"steps\":4}"}"#,
//! );
//! # Ok::<(), jairouter_core::Error>(())
//! ```
//!
//! Its completions end without `[DONE]`, its embeddings are never base64, and its rerankings count
//! tokens in a place of their own: all that is told in OpenAI's words, and Jina's.

mod images;

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Route, translate};
use jairouter_openai::fields::Fields;
use jairouter_openai::habits::{End, Habits};
use jairouter_openai::refusals::refusal;
use jairouter_openai::{ask, embeddings, rerank};

const CHAT: Habits = Habits::new().reasoning().end(End::Done);
const COMPLETIONS: Habits = Habits::new().end(End::Finished);

/// Xinference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Xinference;

impl Xinference {
    /// The backend; it has no settings.
    pub const fn new() -> Self {
        Self
    }
}

impl Backend for Xinference {
    fn name(&self) -> &'static str {
        "xinference"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        use Endpoint::{
            ChatCompletions, Completions, Embeddings, ImageEdits, ImageGenerations,
            ImageVariations, Messages, Rerank, Speech, Transcriptions, Translations,
        };
        match route.endpoint {
            ChatCompletions | Completions | Embeddings | ImageEdits | ImageGenerations
            | ImageVariations | Messages | Rerank | Speech | Transcriptions | Translations => {
                Some(route.endpoint.path().into())
            }
            _ => None,
        }
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match request.endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions => text(request),
            Endpoint::Rerank => ranking(request),
            Endpoint::ImageGenerations => images::encode(request),
            _ => Ok(request.payload.clone()),
        }
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        match request.endpoint {
            Endpoint::Completions => COMPLETIONS.decode(request, answer),
            Endpoint::Embeddings => embeddings::decode(request, answer),
            Endpoint::Rerank => rerank::decode(request, answer),
            _ => CHAT.decode(request, answer),
        }
    }

    /// What it finds wrong with a request is a 500 of plain text, too: `Internal Server Error: 1
    /// validation error for CreateChatCompletion` (4.1). No other instance would take it.
    fn refusal(&self, _: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        if answer.status() != StatusCode::INTERNAL_SERVER_ERROR || !is_invalid(answer.body()) {
            return refusal(answer);
        }
        let mut answer = answer.clone();
        *answer.status_mut() = StatusCode::BAD_REQUEST;
        refusal(&answer)
    }

    fn health(&self) -> Cow<'static, str> {
        "/status".into()
    }
}

/// A chat or a completion. It drops `n` without a word, and answers 501 to `logit_bias`.
fn text(request: &InferenceRequest) -> Result<Bytes, Error> {
    let mut fields = Fields::of_request(request)?;
    ask::one_only(&fields, "n", "xinference")?;
    ask::refuse(&fields, &[("logit_bias", "xinference has no logit_bias")])?;
    if fields.given("max_completion_tokens").is_none() {
        return Ok(request.payload.clone());
    }
    fields.rename("max_completion_tokens", "max_tokens");
    Ok(fields.write())
}

/// Whether this 500 says what is wrong with a request: the name is of what Xinference reads it as. A
/// model that is handed something wrong fails with other names.
fn is_invalid(text: &[u8]) -> bool {
    const READ_AS: [&str; 6] = [
        "CreateChatCompletion",
        "CreateCompletionRequest",
        "CreateEmbeddingRequest",
        "RerankRequest",
        "SpeechRequest",
        "TextToImageRequest",
    ];
    let first = text.split(|byte| *byte == b'\n').next().and_then(|it| str::from_utf8(it).ok());
    let error = first.and_then(|first| first.strip_prefix("Internal Server Error: "));
    error.and_then(|error| error.split_once(" for ")).is_some_and(|(errors, name)| {
        (errors.ends_with(" validation error") || errors.ends_with(" validation errors"))
            && READ_AS.contains(&name.trim_end())
    })
}

/// It counts tokens only if it is told to.
fn ranking(request: &InferenceRequest) -> Result<Bytes, Error> {
    if translate::find(&request.payload, b"\"return_len\"").is_some() {
        return Ok(request.payload.clone());
    }
    let mut fields = Fields::of_request(request)?;
    fields.set("return_len", &true);
    Ok(fields.write())
}
