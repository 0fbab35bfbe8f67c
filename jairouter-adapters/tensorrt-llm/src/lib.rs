//! [`TensorRtLlm`]: `trtllm-serve`, the server of TensorRT-LLM.
//!
//! It speaks `OpenAI`'s API, and is strict about it: a field it does not know is an error, where other
//! servers shrug. So each request is checked against the fields it has. What makes no difference to an
//! answer is left out, what would make one is refused by name, and a request that needs no change
//! passes byte for byte.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, InferenceRequest};
//! use jairouter_tensorrt_llm::TensorRtLlm;
//!
//! let question = r#"{"model":"m","messages":[],"max_completion_tokens":7,"store":false}"#;
//! let request = InferenceRequest::new(
//!     Endpoint::ChatCompletions,
//!     http::HeaderMap::new(),
//!     question.into(),
//! )?;
//! let native = TensorRtLlm::new().encode(&request)?;
//! assert_eq!(native, r#"{"max_tokens":7,"messages":[],"model":"m"}"#);
//! # Ok::<(), jairouter_core::Error>(())
//! ```
//!
//! In answers, what the model thinks may come under two names at once; callers get it once, as
//! `reasoning_content`.

mod answer;
mod fields;
mod request;

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode};
use jairouter_core::translate::{self, Framing};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route, refusal};

/// The largest answer in one piece, in bytes.
const LARGEST_ANSWER: usize = 256 << 20;

/// What `FastAPI` says of a path that is not there.
const NO_SUCH_PATH: &[u8] = br#"{"detail":"Not Found"}"#;

/// The server of TensorRT-LLM, `trtllm-serve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TensorRtLlm;

impl TensorRtLlm {
    /// The backend; it has no settings.
    pub const fn new() -> Self {
        Self
    }
}

impl Backend for TensorRtLlm {
    fn name(&self) -> &'static str {
        "tensorrt-llm"
    }

    /// Embeddings are those of `trtllm-serve embeddings`, which in turn has nothing else.
    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        use Endpoint::{ChatCompletions, Completions, Embeddings, Responses};
        let offered =
            matches!(route.endpoint, ChatCompletions | Completions | Embeddings | Responses);
        offered.then(|| route.endpoint.path().into())
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        request::encode(request)
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        let is_chat = match request.endpoint {
            Endpoint::ChatCompletions => true,
            Endpoint::Completions => false,
            // Its events and vectors are `OpenAI`'s own.
            _ => return answer,
        };
        let (parts, body) = answer.into_parts();
        let (kind, body) = if request.stream {
            let body = translate::stream(body, Framing::Sse, answer::Stream::new(is_chat));
            ("text/event-stream", body)
        } else {
            ("application/json", translate::whole(body, LARGEST_ANSWER, answer::whole))
        };
        translate::replace(Response::from_parts(parts, Body::empty()), kind, body)
    }

    /// A server that was started for another task has no such path, which is not the model's absence.
    fn refusal(&self, request: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        if answer.status() == StatusCode::NOT_FOUND && answer.body().trim_ascii() == NO_SUCH_PATH {
            let message = format!("this trtllm-serve does not offer {}", request.endpoint);
            return Error::new(Kind::Unsupported, message);
        }
        refusal::classify(answer)
    }
}
