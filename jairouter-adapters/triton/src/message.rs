//! Messages of a chat: who says what, in text alone.

use std::borrow::Cow;

use jairouter_core::Error;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::request::{Fields, Text, invalid, place, unsupported};
use crate::template::Role;

#[derive(Deserialize)]
struct Given<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text {
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    #[serde(other)]
    Other,
}

/// The messages of a request, of which there must be one.
pub(crate) fn messages<'a>(fields: &Fields<'a>) -> Result<Vec<(Role, Cow<'a, str>)>, Error> {
    let given = fields.required("messages")?;
    let given: Vec<Given<'_>> = serde_json::from_str(given.get()).map_err(|error| {
        let place = place(&error);
        invalid("messages", format!("'messages' is not a list of messages {place} of it"))
    })?;
    if given.is_empty() {
        return Err(invalid("messages", "'messages' must hold at least one message"));
    }
    given.into_iter().map(message).collect()
}

fn message(given: Given<'_>) -> Result<(Role, Cow<'_, str>), Error> {
    let role = match &*given.role {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => {
            return Err(unsupported(
                "messages",
                "triton's prompts have no tools and their results",
            ));
        }
        _ => return Err(invalid("messages", "a role must be system, user or assistant")),
    };
    if given.tool_calls.is_some_and(|calls| !calls.is_empty()) {
        return Err(unsupported("messages", "triton's prompts have no calls of tools"));
    }
    let content = given.content.filter(|content| content.get() != "null");
    let content = content.ok_or_else(|| invalid("messages", "a message has no content"))?;
    Ok((role, text(content)?))
}

/// A text, or a list of parts that are texts, which are joined by line breaks.
fn text(content: &RawValue) -> Result<Cow<'_, str>, Error> {
    let wrong = |_| invalid("messages", "a message's content must be a text or a list of parts");
    if content.get().starts_with('"') {
        return serde_json::from_str(content.get()).map(|Text(text)| text).map_err(wrong);
    }
    let mut texts = Vec::new();
    for part in serde_json::from_str::<Vec<Part<'_>>>(content.get()).map_err(wrong)? {
        match part {
            Part::Text { text } => texts.push(text),
            Part::Other => {
                // Where an image stands in a prompt is different for every model.
                return Err(unsupported("messages", "triton's prompts are text alone"));
            }
        }
    }
    Ok(match texts.len() {
        1 => texts.swap_remove(0),
        _ => Cow::Owned(texts.join("\n")),
    })
}
