//! Choices of a chat, as `OpenAI` writes them.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::call_id;
use crate::native::{self, Blob, Call};

/// A choice in one piece.
#[derive(Serialize)]
pub(super) struct Whole {
    pub(super) index: u32,
    pub(super) message: Said,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<Logprobs>,
    pub(super) finish_reason: &'static str,
}

#[derive(Serialize)]
pub(super) struct Said {
    pub(super) role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<String>,
    /// Null if there are only calls.
    pub(super) content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) images: Vec<Image>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall>,
}

/// A piece of a choice.
#[derive(Serialize, Default)]
pub(super) struct Piece<'a> {
    pub(super) index: u32,
    pub(super) delta: Delta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<Logprobs>,
    pub(super) finish_reason: Option<&'static str>,
}

#[derive(Serialize, Default)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) images: &'a [Image],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) tool_calls: &'a [ToolCall],
}

/// A picture that a model drew: an extension of the field, as its routers write it.
#[derive(Serialize)]
pub(super) struct Image {
    r#type: &'static str,
    image_url: Url,
}

#[derive(Serialize)]
struct Url {
    url: String,
}

impl Image {
    pub(super) fn new(blob: &Blob<'_>) -> Self {
        let url = format!("data:{};base64,{}", &*blob.mime_type, &*blob.data);
        Self { r#type: "image_url", image_url: Url { url } }
    }
}

#[derive(Serialize)]
pub(super) struct ToolCall {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    id: String,
    r#type: &'static str,
    function: ToolFunction,
}

#[derive(Serialize)]
struct ToolFunction {
    name: String,
    arguments: String,
}

impl ToolCall {
    /// A call as `OpenAI` writes it: its arguments are text, and its id tells what Gemini wants back.
    pub(super) fn new(index: Option<u32>, call: &Call<'_>, signature: &str) -> Self {
        let arguments = call.args.map_or("{}", RawValue::get).to_owned();
        let function = ToolFunction { name: call.name.to_string(), arguments };
        Self { index, id: call_id::write(&call.id, signature), r#type: "function", function }
    }
}

#[derive(Serialize)]
pub(super) struct Logprobs {
    content: Vec<Token>,
}

#[derive(Serialize)]
struct Token {
    #[serde(flatten)]
    chosen: Likelihood,
    top_logprobs: Vec<Likelihood>,
}

#[derive(Serialize)]
struct Likelihood {
    token: String,
    logprob: f64,
    bytes: Vec<u8>,
}

impl Likelihood {
    fn new(token: &native::Token<'_>) -> Self {
        let text = token.token.to_string();
        Self { bytes: text.clone().into_bytes(), token: text, logprob: token.log_probability }
    }
}

impl Logprobs {
    pub(super) fn new(native: &native::Logprobs<'_>) -> Self {
        let token = |(at, chosen): (usize, &native::Token<'_>)| Token {
            chosen: Likelihood::new(chosen),
            top_logprobs: native
                .top_candidates
                .get(at)
                .map_or_else(Vec::new, |top| top.candidates.iter().map(Likelihood::new).collect()),
        };
        Self { content: native.chosen_candidates.iter().enumerate().map(token).collect() }
    }
}
