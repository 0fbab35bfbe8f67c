//! Messages of a chat, as Ollama takes them.

use std::borrow::Cow;

use jairouter_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{invalid, unsupported};

/// A message as OpenAI writes it.
#[derive(Deserialize)]
pub(crate) struct Given<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<GivenCall<'a>>>,
    #[serde(borrow, default)]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "reasoning")]
    reasoning_content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct GivenCall<'a> {
    #[serde(borrow, default)]
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

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text {
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    ImageUrl {
        #[serde(borrow)]
        image_url: ImageUrl<'a>,
    },
    InputAudio {
        #[serde(borrow)]
        input_audio: InputAudio<'a>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ImageUrl<'a> {
    Object {
        #[serde(borrow)]
        url: Cow<'a, str>,
    },
    Bare(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Deserialize)]
struct InputAudio<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
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

/// The messages, in Ollama's form.
pub(crate) fn convert(given: Vec<Given<'_>>) -> Result<Vec<Native<'_>>, Error> {
    let mut messages: Vec<Native<'_>> = Vec::with_capacity(given.len());
    for message in given {
        let role = match message.role.to_ascii_lowercase() {
            // Only some templates know the newer name.
            role if role == "developer" => Cow::Borrowed("system"),
            role => Cow::Owned(role),
        };
        let (content, images) = content(message.content)?;
        let calls = message.tool_calls.unwrap_or_default();
        let tool_calls = calls.into_iter().enumerate().map(call).collect::<Result<_, _>>()?;
        let is_result = role == "tool";
        let tool_name = match message.name {
            Some(name) if is_result => Some(name),
            _ if is_result => message.tool_call_id.as_deref().and_then(|id| called(&messages, id)),
            _ => None,
        };
        messages.push(Native {
            role,
            content,
            images,
            thinking: message.reasoning_content.filter(|text| !text.is_empty()),
            tool_calls,
            tool_name,
            tool_call_id: message.tool_call_id,
        });
    }
    Ok(messages)
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
    let arguments: Box<RawValue> = serde_json::from_str(arguments)
        .ok()
        .filter(|arguments: &Box<RawValue>| arguments.get().starts_with('{'))
        .ok_or_else(|| invalid("messages", "a tool call's arguments must be a JSON object"))?;
    let function = NativeFunction { index, name: call.function.name, arguments };
    Ok(NativeCall { id: call.id, function })
}

/// The text of a content, and its images (and sounds, which travel as images) in base64.
fn content(content: Option<&RawValue>) -> Result<(Cow<'_, str>, Vec<Cow<'_, str>>), Error> {
    let Some(content) = content.filter(|content| content.get() != "null") else {
        return Ok((Cow::Borrowed(""), Vec::new()));
    };
    let wrong = |_| invalid("messages", "a message's content must be a text or a list of parts");
    if content.get().starts_with('"') {
        return Ok((text(content.get()).map_err(wrong)?, Vec::new()));
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).map_err(wrong)?;
    let mut texts = Vec::new();
    let mut images = Vec::new();
    for part in parts {
        match part {
            Part::Text { text } => texts.push(text),
            Part::ImageUrl { image_url: ImageUrl::Object { url } | ImageUrl::Bare(url) } => {
                images.push(image(url)?)
            }
            Part::InputAudio { input_audio } => images.push(input_audio.data),
            Part::Other => {
                let message = "ollama takes parts of type text, image_url and input_audio";
                return Err(unsupported("messages", message));
            }
        }
    }
    let text = match texts.len() {
        1 => texts.swap_remove(0),
        _ => Cow::Owned(texts.join("\n")),
    };
    Ok((text, images))
}

fn text(json: &str) -> serde_json::Result<Cow<'_, str>> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(json).map(|text| text.0)
}

/// The bare base64 of a `data:` URL.
fn image(url: Cow<'_, str>) -> Result<Cow<'_, str>, Error> {
    let Some(data) = url.strip_prefix("data:") else {
        let message = "ollama does not fetch images: send them as data: URLs with base64";
        return Err(unsupported("messages", message));
    };
    let Some(start) = data.find(";base64,") else {
        return Err(invalid("messages", "an image's data: URL must be in base64"));
    };
    let behind = "data:".len() + start + ";base64,".len();
    Ok(match url {
        Cow::Borrowed(url) => Cow::Borrowed(&url[behind..]),
        Cow::Owned(mut url) => Cow::Owned(url.split_off(behind)),
    })
}
