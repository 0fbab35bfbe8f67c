//! Choices of a chat, as `OpenAI` writes them.

use serde::Serialize;
use serde_json::value::RawValue;

/// A choice in one piece.
#[derive(Serialize)]
pub(super) struct Whole<'a> {
    pub(super) index: u32,
    pub(super) message: Said<'a>,
    pub(super) finish_reason: &'static str,
}

#[derive(Serialize)]
pub(super) struct Said<'a> {
    pub(super) role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) thinking_blocks: &'a [&'a RawValue],
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
    pub(super) finish_reason: Option<&'static str>,
}

#[derive(Serialize, Default)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) thinking_blocks: &'a [Thought<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) tool_calls: &'a [ToolCall<'a>],
}

/// A thought as Anthropic wants it back, at the end of it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thought<'a> {
    Thinking { thinking: &'a str, signature: &'a str },
    RedactedThinking { data: &'a str },
}

/// A call, or in a stream a piece of one: the first has the id and the name.
#[derive(Serialize)]
pub(super) struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: ToolFunction<'a>,
}

#[derive(Serialize)]
struct ToolFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl<'a> ToolCall<'a> {
    /// A call, or the beginning of one.
    pub(super) fn new(index: Option<u32>, id: &'a str, name: &'a str, arguments: &'a str) -> Self {
        let function = ToolFunction { name: Some(name), arguments };
        Self { index, id: Some(id), r#type: Some("function"), function }
    }

    /// More arguments of a call that has begun.
    pub(super) fn more(index: u32, arguments: &'a str) -> Self {
        let function = ToolFunction { name: None, arguments };
        Self { index: Some(index), id: None, r#type: None, function }
    }
}
