//! [`Vllm`]: vLLM's OpenAI-compatible server.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, InferenceRequest};
//! use jairouter_vllm::Vllm;
//!
//! let question = r#"{"model":"m","messages":[],"guided_choice":["red","blue"],"seed":7}"#;
//! let request =
//!     InferenceRequest::new(Endpoint::ChatCompletions, http::HeaderMap::new(), question.into())?;
//! assert_eq!(
//!     Vllm::new().encode(&request)?,
//!     r#"{"model":"m","messages":[],"seed":7,"structured_outputs":{"choice":["red","blue"]}}"#,
//! );
//! # Ok::<(), jairouter_core::Error>(())
//! ```
//!
//! What it says otherwise than OpenAI is told in OpenAI's words: `reasoning`, transcripts in chunks,
//! and answers that were aborted, which are errors. Everything else passes byte for byte.

mod guided;

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Route};
use jairouter_openai::habits::{End, Habits};
use jairouter_openai::refusals::refusal;
use jairouter_openai::{rerank, transcript};

const HABITS: Habits = Habits::new().reasoning().end(End::Done);

/// vLLM, since 0.12: older ones do not know `structured_outputs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vllm;

impl Vllm {
    /// The backend; it has no settings.
    pub const fn new() -> Self {
        Self
    }
}

impl Backend for Vllm {
    fn name(&self) -> &'static str {
        "vllm"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        use Endpoint::{
            ChatCompletions, Completions, CountTokens, Detokenize, Embeddings, Messages, Rerank,
            Responses, Tokenize, Transcriptions, Translations,
        };
        match route.endpoint {
            Tokenize => Some("/tokenize".into()),
            Detokenize => Some("/detokenize".into()),
            ChatCompletions | Completions | CountTokens | Embeddings | Messages | Rerank
            | Responses | Transcriptions | Translations => Some(route.endpoint.path().into()),
            _ => None,
        }
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match request.endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions => guided::encode(request),
            _ => Ok(request.payload.clone()),
        }
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        match request.endpoint {
            Endpoint::Rerank => rerank::decode(request, answer),
            Endpoint::Transcriptions | Endpoint::Translations => transcript::decode(answer),
            _ => HABITS.decode(request, answer),
        }
    }

    fn refusal(&self, _: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        refusal(answer)
    }
}
