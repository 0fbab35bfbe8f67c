//! What Ollama answers: one object, or one a line.

use std::borrow::Cow;
use std::fmt;

use jairouter_core::{Error, Kind, refusal, translate};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

use crate::answer::Usage;
use jairouter_openai::fields::is_hollow;

/// An answer or a piece of one, of chat and generate alike.
#[derive(Deserialize)]
pub(crate) struct Line<'a> {
    #[serde(borrow, default)]
    pub(crate) model: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) created_at: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(crate) message: Message<'a>,
    /// Of generate.
    #[serde(borrow, default)]
    pub(crate) response: Text<'a>,
    #[serde(default)]
    pub(crate) done: bool,
    #[serde(borrow, default)]
    done_reason: Text<'a>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
pub(crate) struct Message<'a> {
    #[serde(borrow, default)]
    pub(crate) content: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) thinking: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
pub(crate) struct Call<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Text<'a>,
    #[serde(borrow)]
    pub(crate) function: Function<'a>,
}

#[derive(Deserialize)]
pub(crate) struct Function<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}

/// Null is nothing.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl<'a> Line<'a> {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is the report of an error, or answers another question.
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, Error> {
        let line: Self = translate::parse(data)?;
        if line.error.is_some() {
            return Err(refusal::in_stream(data));
        }
        if matches!(&*line.done_reason, "load" | "unload") {
            return Err(Error::new(Kind::Broken, "the instance loaded the model and said nothing"));
        }
        Ok(line)
    }

    /// Reads an answer in one piece.
    ///
    /// # Errors
    ///
    /// As [`Line::read`], and if there should be more.
    pub(crate) fn whole(data: &'a [u8]) -> Result<Self, Error> {
        let line = Self::read(data)?;
        if line.done {
            return Ok(line);
        }
        Err(Error::new(Kind::Broken, "the instance's answer is not complete"))
    }

    /// The log probabilities, as Ollama writes them.
    pub(crate) fn logprobs(&self) -> Option<&'a RawValue> {
        self.logprobs.filter(|logprobs| !is_hollow(logprobs))
    }

    pub(crate) fn finish_reason(&self, called_a_tool: bool) -> &'static str {
        match &*self.done_reason {
            "length" => "length",
            _ if called_a_tool => "tool_calls",
            _ => "stop",
        }
    }

    /// The counts, which are left out where they are 0.
    pub(crate) fn usage(&self) -> Usage {
        Usage::new(self.prompt_eval_count.unwrap_or(0), self.eval_count.unwrap_or(0))
    }
}

/// A text that is not copied unless it holds escapes; null is an empty one.
#[derive(Default, Clone)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

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
