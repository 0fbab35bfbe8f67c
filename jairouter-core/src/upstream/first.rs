//! Whether a stream has said anything yet.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::refusal;
use crate::translate::{Events, Message};

/// How much is held back at most, waiting for content.
const MOST_EVENTS: usize = 64;
const MOST_BYTES: usize = 256 * 1024;

/// Watches the head of a stream for its first content.
#[derive(Default)]
pub(super) struct First {
    events: Events,
    count: usize,
    bytes: usize,
}

impl First {
    /// Takes the next frame. True once the stream is committed.
    ///
    /// # Errors
    ///
    /// If the stream's first word is an error.
    pub(super) fn push(&mut self, frame: &[u8]) -> Result<bool, Error> {
        self.bytes += frame.len();
        let mut content = false;
        let count = &mut self.count;
        self.events.push(frame, |message| {
            *count += 1;
            if !content {
                content = says_something(message)?;
            }
            Ok(())
        })?;
        Ok(content || self.count >= MOST_EVENTS || self.bytes >= MOST_BYTES)
    }
}

/// Whether this event carries text, reasoning, a tool call, or anything we do not know to be empty.
fn says_something(message: Message<'_>) -> Result<bool, Error> {
    if message.name == b"error" {
        return Err(refusal::in_stream(message.data));
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(message.data) else {
        return Ok(!message.data.trim_ascii().is_empty());
    };
    let name = chunk.r#type.map(|name| name.get().trim_matches('"'));
    if filled(chunk.error) || matches!(name, Some("error" | "response.failed")) {
        return Err(refusal::in_stream(message.data));
    }
    let opens = name.is_some_and(|name| OPENING.contains(&name));
    Ok(!opens && chunk.choices.is_none_or(|choices| choices.says_something))
}

/// Events of the APIs whose events have types that come before any content.
const OPENING: [&str; 9] = [
    "message_start",
    "content_block_start",
    "ping",
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.reasoning_summary_part.added",
];

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    choices: Option<Choices>,
}

/// The choices, of which nothing else is kept.
struct Choices {
    says_something: bool,
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut choices: A) -> Result<Choices, A::Error> {
        let mut says_something = false;
        while let Some(choice) = choices.next_element::<Choice<'de>>()? {
            says_something |= choice.says_something();
        }
        Ok(Choices { says_something })
    }
}

#[derive(Deserialize)]
struct Choice<'a> {
    delta: Option<Delta>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

/// What a choice adds, of which only whether it is something is kept.
struct Delta {
    says_something: bool,
}

impl<'de> Deserialize<'de> for Delta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DeltaVisitor)
    }
}

struct DeltaVisitor;

impl<'de> Visitor<'de> for DeltaVisitor {
    type Value = Delta;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a delta")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Delta, A::Error> {
        let mut says_something = false;
        // Engines have names of their own for what they think; only the role is known to be empty.
        while let Some(IsRole(is_role)) = fields.next_key()? {
            let value = fields.next_value::<&RawValue>()?;
            says_something |= !is_role && filled(Some(value));
        }
        Ok(Delta { says_something })
    }
}

/// Whether a key is `role`. Keys are not copied.
struct IsRole(bool);

impl<'de> Deserialize<'de> for IsRole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(IsRoleVisitor)
    }
}

struct IsRoleVisitor;

impl Visitor<'_> for IsRoleVisitor {
    type Value = IsRole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<IsRole, E> {
        Ok(IsRole(key == "role"))
    }
}

impl Choice<'_> {
    fn says_something(&self) -> bool {
        filled(self.text)
            || filled(self.finish_reason)
            || self.delta.as_ref().is_some_and(|delta| delta.says_something)
    }
}

/// Whether there is something in it.
pub(crate) fn filled(value: Option<&RawValue>) -> bool {
    value.is_some_and(|value| !matches!(value.get(), "null" | "false" | "\"\"" | "[]" | "{}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> Result<bool, Error> {
        First::default().push(format!("data: {data}\n\n").as_bytes())
    }

    #[test]
    fn role_usage_pings_and_empty_deltas_are_not_content() {
        let mut first = First::default();
        for silent in [
            ": ping\n\n",
            "event: ping\n\n",
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":null,\"tool_calls\":[]},\"finish_reason\":null}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
            "data:\n\n",
            "data: {\"choices\":[{\"text\":\"\"}]}\n\n",
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n",
            "data: {\"type\": \"response.created\",\"response\":{\"error\":null}}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"half an event",
        ] {
            assert!(!first.push(silent.as_bytes()).unwrap(), "{silent}");
        }
        assert!(first.push(b"\"}}]}\n\n").unwrap(), "and its other half");
    }

    #[test]
    fn text_reasoning_tools_an_end_and_anything_unknown_are_content() {
        for content in [
            r#"{"choices":[{"delta":{"content":"x"}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"x"}}]}"#,
            r#"{"choices":[{"delta":{"reasoning":"x"}}]}"#,
            r#"{"choices":[{"delta":{"thinking":"x"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"content":"x"}}],"error":""}"#,
            r#"{"choices":[{"text":" x"}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"type":"transcript.text.delta","delta":"x"}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}"#,
            r#"{"type":"response.output_text.delta","delta":"x"}"#,
            "[DONE]",
            "not json",
        ] {
            assert!(event(content).unwrap(), "{content}");
        }
    }

    #[test]
    fn an_error_before_any_content_is_an_error_and_not_a_stream() {
        for error in [
            r#"{"error":{"message":"m"}}"#,
            r#"{"error":"m"}"#,
            r#"{"type":"error","message":"m","code":null}"#,
            r#"{"type":"response.failed","response":{"error":{"code":"c","message":"m"}}}"#,
        ] {
            assert_eq!(event(error).unwrap_err().status(), 502, "{error}");
        }
        let named = First::default().push(b"event: error\ndata: {\"message\":\"m\"}\n\n");
        assert!(named.is_err());
        let bad = event(r#"{"error":{"message":"m","code":400}}"#).unwrap_err();
        assert_eq!(bad.kind(), crate::Kind::Rejected);
        for (name, status) in [("overloaded_error", 503), ("rate_limit_error", 429)] {
            let told = format!(r#"{{"type":"error","error":{{"type":"{name}","message":"m"}}}}"#);
            let error = event(&told).unwrap_err();
            assert_eq!(error.status().as_u16(), status);
        }
    }

    #[test]
    fn what_never_says_anything_is_held_only_so_long() {
        let mut first = First::default();
        let silent = b"data: {\"choices\":[]}\n\n";
        for _ in 1..MOST_EVENTS {
            assert!(!first.push(silent).unwrap());
        }
        assert!(first.push(silent).unwrap());
        let mut first = First::default();
        assert!(first.push(&vec![b':'; MOST_BYTES]).unwrap());
    }
}
