//! Choices of a chat, as `OpenAI` writes them.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::line::Call;
use jairouter_openai::answer::random;

/// A choice in one piece.
#[derive(Serialize)]
pub(super) struct Whole<'a> {
    pub(super) index: u32,
    pub(super) message: Said<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<Logprobs<'a>>,
    pub(super) finish_reason: &'static str,
}

#[derive(Serialize)]
pub(super) struct Said<'a> {
    pub(super) role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<&'a str>,
    /// Null if there are only calls.
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) tool_calls: &'a [ToolCall<'a>],
}

/// A piece of a choice.
#[derive(Serialize, Default)]
pub(super) struct Piece<'a> {
    pub(super) index: u32,
    pub(super) delta: Delta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<Logprobs<'a>>,
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
    pub(super) tool_calls: &'a [ToolCall<'a>],
}

#[derive(Serialize)]
pub(super) struct Logprobs<'a> {
    pub(super) content: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    id: Cow<'a, str>,
    r#type: &'static str,
    function: ToolFunction<'a>,
}

#[derive(Serialize)]
struct ToolFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> ToolCall<'a> {
    /// A call as `OpenAI` writes it: its arguments are text, and its id is one of a kind.
    pub(super) fn new(call: &'a Call<'_>, index: Option<u32>) -> Self {
        let id = match &*call.id {
            // Older servers give none.
            "" => Cow::Owned(format!("call_{:016x}", random())),
            id => Cow::Borrowed(id),
        };
        let arguments = call.function.arguments.map_or("{}", RawValue::get);
        let function = ToolFunction { name: &call.function.name, arguments };
        Self { index, id, r#type: "function", function }
    }
}
