//! [`Triton`]: the generate extension of NVIDIA's Triton Inference Server.
//!
//! Chats and completions go to `/v2/models/{model}/generate` and `/generate_stream`. Triton itself
//! knows tensors and no chat, so a deployment has [`Settings`]: the [`Dialect`] of what generates the
//! text, and the [`Template`] that makes a prompt of messages. Embeddings are those of vLLM.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, InferenceRequest};
//! use jairouter_triton::{Dialect, Settings, Template, Triton};
//!
//! let triton = Triton::with(Settings::new(Dialect::Ensemble).template(Template::chatml()));
//! let question = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":7}"#;
//! let request = InferenceRequest::new(
//!     Endpoint::ChatCompletions,
//!     http::HeaderMap::new(),
//!     question.into(),
//! )?;
//! let native: serde_json::Value = serde_json::from_slice(&triton.encode(&request)?).unwrap();
//! assert_eq!(native["text_input"], "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
//! assert_eq!(native["max_tokens"], 7);
//! # Ok::<(), jairouter_core::Error>(())
//! ```
//!
//! The same from a configuration, as flat texts:
//!
//! ```
//! use jairouter_triton::Triton;
//!
//! let triton = Triton::from_options([("dialect", "vllm"), ("template", "llama3")])?;
//! let error = Triton::from_options([("dialect", "onnx")]).unwrap_err();
//! assert_eq!(error.to_string(), "'dialect' must be ensemble, llmapi or vllm");
//! # Ok::<(), jairouter_core::backend::InvalidOption>(())
//! ```
//!
//! What Triton has no input for and would change the answer is refused, with the parameter's name:
//! tools, images, `logprobs`, `logit_bias`, and their like. An answer's stream ends where its body
//! does, as Triton has no other sign, and a `generate` that fails may say so in a 200: both are known.

mod answer;
mod asked;
mod asking;
mod echo;
mod embed;
mod format;
mod infer;
mod message;
mod options;
mod reply;
mod request;
mod settings;
mod stream;
mod tail;
mod teller;
mod template;
mod url;
mod whole;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use jairouter_core::backend::InvalidOption;
use jairouter_core::translate::{self, Framing};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route, refusal};
use serde::Deserialize;

use crate::asked::Asked;

pub use settings::{Dialect, Echo, Settings, StreamText};
pub use template::{Template, Turn};

/// The largest answer in one piece, in bytes.
const LARGEST_ANSWER: usize = 256 << 20;

/// Triton's generate extension, as one deployment of it is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Triton {
    settings: Arc<Settings>,
}

impl Triton {
    /// An ensemble of TensorRT-LLM without a prompt template: it completes, and does not chat.
    pub fn new() -> Self {
        Self::default()
    }

    /// A deployment that is set up like this.
    pub fn with(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }

    /// The same, from a configuration's keys and texts. The keys:
    ///
    /// | key | values | default |
    /// |---|---|---|
    /// | `dialect` | `ensemble` (and `tensorrt_llm_bls`), `llmapi`, `vllm` | `ensemble` |
    /// | `api` | `generate`, or `infer` where that is off (an ensemble's answers in one piece) | `generate` |
    /// | `template` | `none`, `chatml`, `llama3`, `mistral`, `gemma`, `custom` | `none` |
    /// | `system-prefix`, `system-suffix`, `user-prefix`, … `assistant-suffix` | what stands around a message | the template's |
    /// | `answer-prefix` | what the answer is to follow | the template's |
    /// | `prompt-prefix` | what the prompt begins with | nothing |
    /// | `stream-text` | `delta`, `cumulative` | the dialect's |
    /// | `model` | the model's name in paths | the request's model |
    /// | `max-tokens` | the limit of a request that has none | 1024 of a chat, 16 of a completion |
    /// | `inputs` | the names of the inputs the model declares, with commas | not known: all are sent |
    /// | `echo` | `auto`, `always`, `never` | `auto` |
    ///
    /// # Errors
    ///
    /// The first option that is unknown, or has a value it cannot have.
    pub fn from_options<'a>(
        options: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, InvalidOption> {
        options::read(options).map(Self::with)
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn offers(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::ChatCompletions => self.settings.template.is_some(),
            Endpoint::Completions => true,
            Endpoint::Embeddings => self.settings.dialect == Dialect::Vllm,
            _ => false,
        }
    }
}

impl Backend for Triton {
    fn name(&self) -> &'static str {
        "triton"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        let verb = match route.stream {
            _ if self.settings.infers => "infer",
            true if route.endpoint != Endpoint::Embeddings => "generate_stream",
            _ => "generate",
        };
        let model = url::segment(self.settings.model.as_deref().unwrap_or(route.model));
        self.offers(route.endpoint).then(|| format!("/v2/models/{model}/{verb}").into())
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match request.endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions if self.settings.infers => {
                match request.stream {
                    true => Err(infer::no_stream()),
                    false => infer::encode(&asking::encode(&self.settings, request)?),
                }
            }
            Endpoint::ChatCompletions | Endpoint::Completions => {
                asking::encode(&self.settings, request)
            }
            Endpoint::Embeddings if self.offers(Endpoint::Embeddings) => embed::encode(request),
            Endpoint::Embeddings => {
                let message = "of Triton's dialects, only vllm has embeddings";
                Err(Error::new(Kind::Unsupported, message))
            }
            other => Err(Error::new(Kind::Unsupported, format!("triton does not offer {other}"))),
        }
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        let (parts, body) = answer.into_parts();
        let (settings, asked) = (Arc::clone(&self.settings), request.clone());
        let (kind, body) = match (request.endpoint, request.stream) {
            (Endpoint::Embeddings, _) => {
                let rewrite = move |bytes: Bytes| embed::decode(&asked, &bytes);
                ("application/json", translate::whole(body, LARGEST_ANSWER, rewrite))
            }
            (_, true) => match Asked::read(&settings, request) {
                Ok(asked) => {
                    let stream = stream::Stream::new(&settings, request, &asked);
                    // By lines, since an event that is cut off has to be seen as one: Triton's events
                    // are one line each, and nothing but the end of the body says that all have come.
                    ("text/event-stream", translate::stream(body, Framing::Ndjson, stream))
                }
                Err(error) => {
                    let failed = translate::whole(Body::empty(), 0, |_| Err(error));
                    ("text/event-stream", failed)
                }
            },
            (_, false) => {
                let rewrite = move |bytes: Bytes| {
                    let bytes = if settings.infers { infer::decode(bytes) } else { bytes };
                    whole::decode(&settings, &asked, &bytes)
                };
                ("application/json", translate::whole(body, LARGEST_ANSWER, rewrite))
            }
        };
        translate::replace(Response::from_parts(parts, Body::empty()), kind, body)
    }

    /// Servers have had other statuses for a model that is not there, or not yet.
    fn refusal(&self, request: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        let _ = request;
        let text = String::from_utf8_lossy(answer.body());
        let status = match answer.status() {
            StatusCode::BAD_REQUEST if text.contains("is not at ready state") => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            StatusCode::BAD_REQUEST if text.contains("Request for unknown model") => {
                StatusCode::NOT_FOUND
            }
            status => status,
        };
        let mut sorted = Response::new(answer.body().clone());
        *sorted.status_mut() = status;
        sorted.headers_mut().clone_from(answer.headers());
        refusal::classify(&sorted)
    }

    fn health(&self) -> Cow<'static, str> {
        "/v2/health/ready".into()
    }

    fn models(&self) -> Cow<'static, str> {
        "/v2/repository/index".into()
    }

    fn models_request(&self) -> Option<&'static str> {
        Some(r#"{"ready":true}"#)
    }

    /// Those that are ready. An ensemble's parts are models, too: where the settings name one, the
    /// others are its parts.
    fn model_names(&self, body: &[u8]) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Model {
            name: String,
            #[serde(default)]
            state: Option<String>,
        }
        let models: Vec<Model> = translate::parse(body)?;
        let mut names: Vec<String> = Vec::new();
        for model in models {
            let is_ready = model.state.as_deref() == Some("READY");
            let is_entry = self.settings.model.as_ref().is_none_or(|entry| *entry == model.name);
            // There is a row for each version.
            if is_ready && is_entry && !names.contains(&model.name) {
                names.push(model.name);
            }
        }
        Ok(names)
    }
}
