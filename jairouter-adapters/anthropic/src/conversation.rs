//! The messages of a chat, as Anthropic takes them: what the system says on its own, and then user
//! and assistant in turns.

use std::borrow::Cow;

use jairouter_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::content::{Block, Content, blocks, text_block};
use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::{Fields, place};

/// A message as `OpenAI` writes it.
#[derive(Deserialize)]
struct Given<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<GivenCall<'a>>>,
    #[serde(default)]
    tool_call_id: Option<Cow<'a, str>>,
    /// Our own extension, as an earlier answer had it.
    #[serde(borrow, default)]
    thinking_blocks: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct GivenCall<'a> {
    #[serde(default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<GivenFunction<'a>>,
}

#[derive(Deserialize)]
struct GivenFunction<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Cow<'a, str>,
}

/// What the user or the assistant says at a time.
#[derive(Serialize)]
pub(crate) struct Turn<'a> {
    role: &'static str,
    content: Content<'a>,
    /// How many of the blocks, from the first on, are results of tools.
    #[serde(skip)]
    results: usize,
}

/// A conversation, sorted.
pub(crate) struct Conversation<'a> {
    pub(crate) system: System<'a>,
    pub(crate) turns: Vec<Turn<'a>>,
}

/// What the system and the developer say, wherever they said it.
pub(crate) struct System<'a>(Vec<Block<'a>>);

impl System<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One text, unless parts of it are to be cached.
impl Serialize for System<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plain = |block: &Block<'_>| match block {
            Block::Text { text, cache_control: None } => Some(text.to_string()),
            _ => None,
        };
        match self.0.iter().map(plain).collect::<Option<Vec<_>>>() {
            Some(texts) => texts.join("\n").serialize(serializer),
            None => self.0.serialize(serializer),
        }
    }
}

/// Reads the messages of a request.
pub(crate) fn conversation<'a>(fields: &Fields<'a>) -> Result<Conversation<'a>, Error> {
    let given = fields.required("messages")?;
    let given: Vec<Given<'_>> = serde_json::from_str(given.get()).map_err(|error| {
        let place = place(&error);
        invalid("messages", format!("'messages' is not a list of messages {place} of it"))
    })?;
    if given.is_empty() {
        return Err(invalid("messages", "'messages' must hold at least one message"));
    }
    let mut system = System(Vec::new());
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for message in given {
        match &*message.role {
            "system" | "developer" => system.0.extend(instructions(&message)?),
            "user" => say(&mut turns, "user", content(&message)?),
            "assistant" => say(&mut turns, "assistant", assistant(message)?),
            "tool" => answer(&mut turns, result(message)?),
            "function" => {
                let message = "anthropic knows the role tool, not the older function";
                return Err(unsupported("messages", message));
            }
            _ => {
                let message = "a message's role must be system, developer, user, assistant or tool";
                return Err(invalid("messages", message));
            }
        }
    }
    if turns.is_empty() {
        let message = "anthropic answers a user: a message of theirs must say something";
        return Err(unsupported("messages", message));
    }
    Ok(Conversation { system, turns })
}

/// Neighbours of the same role are one turn, and one that says nothing is none.
fn say<'a>(turns: &mut Vec<Turn<'a>>, role: &'static str, blocks: Vec<Block<'a>>) {
    match turns.last_mut() {
        _ if blocks.is_empty() => {}
        Some(last) if last.role == role => last.content.0.extend(blocks),
        _ => turns.push(Turn { role, content: Content(blocks), results: 0 }),
    }
}

/// Results come first in the turn behind the calls.
fn answer<'a>(turns: &mut Vec<Turn<'a>>, result: Block<'a>) {
    match turns.last_mut() {
        Some(last) if last.role == "user" => {
            last.content.0.insert(last.results, result);
            last.results += 1;
        }
        _ => turns.push(Turn { role: "user", content: Content(vec![result]), results: 1 }),
    }
}

fn content<'a>(message: &Given<'a>) -> Result<Vec<Block<'a>>, Error> {
    match message.content {
        Some(content) => blocks(content),
        None => Err(invalid("messages", "a message has no content")),
    }
}

fn instructions<'a>(message: &Given<'a>) -> Result<Vec<Block<'a>>, Error> {
    let blocks = content(message)?;
    if blocks.iter().all(|block| matches!(block, Block::Text { .. })) {
        return Ok(blocks);
    }
    Err(unsupported("messages", "anthropic's system speaks in texts alone"))
}

fn assistant(message: Given<'_>) -> Result<Vec<Block<'_>>, Error> {
    // Thoughts go before what came of them. Without their signature they would be refused, so
    // `reasoning_content` is not among them.
    let thoughts = message.thinking_blocks.into_iter().flatten();
    let mut said: Vec<_> = thoughts.map(Block::Own).collect();
    match message.content {
        Some(content) => said.extend(blocks(content)?),
        None => said.extend(message.refusal.and_then(|text| text_block(text, None))),
    }
    for call in message.tool_calls.into_iter().flatten() {
        said.push(tool_use(call)?);
    }
    Ok(said)
}

fn tool_use(call: GivenCall<'_>) -> Result<Block<'_>, Error> {
    let Some(GivenFunction { name, arguments }) = call.function else {
        return Err(unsupported("messages", "anthropic knows calls of functions alone"));
    };
    let Some(id) = call.id.filter(|id| !id.is_empty()) else {
        return Err(invalid("messages", "a tool call has no id"));
    };
    let arguments = match arguments.trim() {
        // A call without arguments, as some clients keep it.
        "" => "{}",
        arguments => arguments,
    };
    let object = serde_json::from_str::<Box<RawValue>>(arguments).ok();
    let input = object
        .filter(|object| object.get().starts_with('{'))
        .ok_or_else(|| invalid("messages", "a tool call's arguments must be a JSON object"))?;
    Ok(Block::ToolUse { id: plain(id), name, input })
}

fn result(message: Given<'_>) -> Result<Block<'_>, Error> {
    let content = Content(content(&message)?);
    match message.tool_call_id.filter(|id| !id.is_empty()) {
        Some(id) => Ok(Block::ToolResult { tool_use_id: plain(id), content }),
        None => Err(invalid("messages", "a message of a tool has no tool_call_id")),
    }
}

/// An id in the letters that Anthropic takes: other engines write `functions.f:0`.
fn plain(id: Cow<'_, str>) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.chars().all(is_plain) {
        return id;
    }
    id.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}
