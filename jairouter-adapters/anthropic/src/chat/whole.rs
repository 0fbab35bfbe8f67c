//! Answers of `/v1/messages` in one piece.

use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, Kind, translate};
use serde_json::value::RawValue;

use super::chunk::{Said, ToolCall, Whole};
use crate::failure;
use crate::ids::Ids;
use crate::native::{Block, Message, finish_reason};
use jairouter_openai::identity::Identity;

/// What the blocks of a message say altogether.
#[derive(Default)]
struct Blocks<'a> {
    text: String,
    thinking: String,
    /// Thoughts as they came: they are signed.
    thoughts: Vec<&'a RawValue>,
    calls: Vec<(String, Block<'a>)>,
}

/// Rewrites an answer in one piece.
pub(crate) fn whole(request: &InferenceRequest, bytes: &[u8]) -> Result<Bytes, Error> {
    let message: Message<'_> = translate::parse(bytes)?;
    if message.error.is_some() || &*message.r#type == "error" {
        return Err(failure::reported(bytes));
    }
    let Some(content) = message.content else {
        return Err(Error::new(Kind::Broken, "the instance's answer holds no message"));
    };
    if message.stop_reason.is_empty() {
        return Err(Error::new(Kind::Broken, "the instance's answer is not complete"));
    }
    let blocks = read(content)?;
    let calls: Vec<_> = blocks.calls.iter().map(|(id, block)| call(id, block)).collect();
    let choice = Whole {
        index: 0,
        message: Said {
            role: "assistant",
            reasoning_content: (!blocks.thinking.is_empty()).then_some(&blocks.thinking),
            thinking_blocks: &blocks.thoughts,
            content: (!blocks.text.is_empty() || calls.is_empty()).then_some(&blocks.text),
            tool_calls: &calls,
        },
        finish_reason: finish_reason(&message.stop_reason, !calls.is_empty()),
    };
    let mut identity = Identity::new(request);
    identity.learn(&message.id, &message.model);
    let usage = Some(message.usage.unwrap_or_default().usage());
    let mut out = BytesMut::with_capacity(bytes.len() + 256);
    translate::json(&mut out, &identity.answer("chat.completion", &[choice], usage));
    Ok(out.freeze())
}

fn call<'a>(id: &'a str, block: &'a Block<'_>) -> ToolCall<'a> {
    ToolCall::new(None, id, &block.name, block.input.map_or("{}", RawValue::get))
}

fn read(content: Vec<&RawValue>) -> Result<Blocks<'_>, Error> {
    let mut said = Blocks::default();
    let mut ids = Ids::default();
    for raw in content {
        let block: Block<'_> = translate::parse(raw.get().as_bytes())?;
        match &*block.r#type {
            "text" => said.text.push_str(&block.text),
            "thinking" => {
                said.thinking.push_str(&block.thinking);
                said.thoughts.push(raw);
            }
            "redacted_thinking" => said.thoughts.push(raw),
            "tool_use" => said.calls.push((ids.next(&block.id), block)),
            // Of tools on Anthropic's side, which nobody has asked for.
            _ => {}
        }
    }
    Ok(said)
}
