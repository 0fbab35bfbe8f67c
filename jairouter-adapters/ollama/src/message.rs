//! Messages of a chat, as Ollama takes them.

use std::borrow::Cow;

use jairouter_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::content::Content;
use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::{Fields, place};

/// A message as `OpenAI` writes it.
#[derive(Deserialize)]
struct Given<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<GivenCall<'a>>>,
    #[serde(default)]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(default)]
    reasoning_content: Option<Cow<'a, str>>,
    /// Its other name. A caller may hand back both.
    #[serde(default)]
    reasoning: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct GivenCall<'a> {
    #[serde(default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: GivenFunction<'a>,
}

#[derive(Deserialize)]
struct GivenFunction<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Cow<'a, str>,
}

/// A message as Ollama takes it.
#[derive(Serialize)]
pub(crate) struct Native<'a> {
    role: Cow<'a, str>,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<NativeCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct NativeCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    function: NativeFunction<'a>,
}

#[derive(Serialize)]
struct NativeFunction<'a> {
    index: usize,
    name: Cow<'a, str>,
    arguments: Box<RawValue>,
}

/// The messages of a request, of which there must be one: none is Ollama's order to load the model.
pub(crate) fn messages<'a>(fields: &Fields<'a>) -> Result<Vec<Native<'a>>, Error> {
    let given = fields.required("messages")?;
    let given: Vec<Given<'_>> = serde_json::from_str(given.get()).map_err(|error| {
        let place = place(&error);
        invalid("messages", format!("'messages' is not a list of messages {place} of it"))
    })?;
    if given.is_empty() {
        return Err(invalid("messages", "'messages' must hold at least one message"));
    }
    let mut messages = Vec::with_capacity(given.len());
    for message in given {
        let message = native(message, &messages)?;
        messages.push(message);
    }
    Ok(messages)
}

fn native<'a>(given: Given<'a>, before: &[Native<'a>]) -> Result<Native<'a>, Error> {
    let role = match given.role.to_ascii_lowercase() {
        // Only some templates know the newer name.
        role if role == "developer" => Cow::Borrowed("system"),
        role if role == "function" => {
            let message = "ollama knows the role tool, not the older function";
            return Err(unsupported("messages", message));
        }
        role => Cow::Owned(role),
    };
    let Content { text, images } = match given.content.filter(|content| content.get() != "null") {
        Some(content) => Content::read(content)?,
        // It called a tool, or thought and said nothing.
        None if role == "assistant" => Content { text: "".into(), images: Vec::new() },
        None => return Err(invalid("messages", "a message has no content")),
    };
    let calls = given.tool_calls.unwrap_or_default();
    let tool_calls = calls.into_iter().enumerate().map(call).collect::<Result<_, _>>()?;
    let tool_name = match given.name {
        _ if role != "tool" => None,
        Some(name) => Some(name),
        None => given.tool_call_id.as_deref().and_then(|id| called(before, id)),
    };
    Ok(Native {
        role,
        content: text,
        images,
        thinking: given.reasoning_content.or(given.reasoning).filter(|text| !text.is_empty()),
        tool_calls,
        tool_name,
        tool_call_id: given.tool_call_id,
    })
}

/// The tool that the call of this id named.
fn called<'a>(messages: &[Native<'a>], id: &str) -> Option<Cow<'a, str>> {
    let mut calls = messages.iter().rev().flat_map(|message| &message.tool_calls);
    calls.find(|call| call.id.as_deref() == Some(id)).map(|call| call.function.name.clone())
}

fn call((index, call): (usize, GivenCall<'_>)) -> Result<NativeCall<'_>, Error> {
    let arguments = match call.function.arguments.trim() {
        // A call without arguments, as some clients keep it.
        "" => "{}",
        arguments => arguments,
    };
    let object = serde_json::from_str::<Box<RawValue>>(arguments).ok();
    let arguments = object
        .filter(|object| object.get().starts_with('{'))
        .ok_or_else(|| invalid("messages", "a tool call's arguments must be a JSON object"))?;
    let function = NativeFunction { index, name: call.function.name, arguments };
    Ok(NativeCall { id: call.id, function })
}
