//! What Anthropic answers: a message, or events of one.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

use jairouter_openai::identity::Usage;

/// A message in one piece, or the head of a stream.
#[derive(Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow, default)]
    pub(crate) r#type: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) id: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) model: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) content: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    pub(crate) stop_reason: Text<'a>,
    #[serde(default)]
    pub(crate) usage: Option<Counts>,
    #[serde(borrow, default)]
    pub(crate) error: Option<&'a RawValue>,
}

/// An event of a stream, of any type: flat, since only so nothing is copied.
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(borrow, default)]
    pub(crate) r#type: Text<'a>,
    #[serde(default)]
    pub(crate) index: u64,
    #[serde(borrow, default)]
    pub(crate) message: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(crate) content_block: Option<Block<'a>>,
    #[serde(borrow, default)]
    pub(crate) delta: Option<Delta<'a>>,
    #[serde(default)]
    pub(crate) usage: Option<Counts>,
    #[serde(borrow, default)]
    pub(crate) error: Option<&'a RawValue>,
}

/// A block of a message, of any type.
#[derive(Deserialize)]
pub(crate) struct Block<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) text: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) thinking: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) signature: Text<'a>,
    /// Of a thought that is not to be read.
    #[serde(borrow, default)]
    pub(crate) data: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) id: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) name: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) input: Option<&'a RawValue>,
}

/// What is added to a block, or to the message.
#[derive(Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(crate) text: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) thinking: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) signature: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) partial_json: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) stop_reason: Text<'a>,
}

/// Tokens, as Anthropic counts them: what was cached is not in `input_tokens`.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
pub(crate) struct Counts {
    #[serde(rename = "input_tokens")]
    input: Option<u64>,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_creation: Option<u64>,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: Option<u64>,
    #[serde(rename = "output_tokens")]
    output: Option<u64>,
    #[serde(rename = "output_tokens_details")]
    of_output: Option<OfOutput>,
}

#[derive(Deserialize, Clone, Copy)]
struct OfOutput {
    #[serde(default)]
    thinking_tokens: Option<u64>,
}

impl Counts {
    /// Takes over what a later count says: each is of all that has come.
    pub(crate) fn learn(&mut self, later: Self) {
        self.input = later.input.or(self.input);
        self.cache_creation = later.cache_creation.or(self.cache_creation);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.output = later.output.or(self.output);
        self.of_output = later.of_output.or(self.of_output);
    }

    pub(crate) fn usage(self) -> Usage {
        let inputs = [self.input, self.cache_creation, self.cache_read];
        let prompt = inputs.into_iter().flatten().fold(0, u64::saturating_add);
        let reasoning = self.of_output.and_then(|of_output| of_output.thinking_tokens);
        Usage::new(prompt, self.output.unwrap_or(0), self.cache_read, reasoning)
    }
}

/// Why an answer ended, in `OpenAI`'s words.
pub(crate) fn finish_reason(stop_reason: &str, called_a_tool: bool) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "content_filter",
        "tool_use" => "tool_calls",
        _ if called_a_tool => "tool_calls",
        _ => "stop",
    }
}

/// A text that is not copied unless it holds escapes; null is an empty one.
#[derive(Default)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }
}
