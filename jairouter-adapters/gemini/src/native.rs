//! What Gemini answers: one object, or a stream of pieces of it in the same form.

use std::borrow::Cow;
use std::fmt;

use jairouter_core::{Error, translate};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

use crate::failure;
use jairouter_openai::identity::Usage;

/// An answer or a piece of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer<'a> {
    #[serde(borrow, default)]
    pub(crate) candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow, default)]
    prompt_feedback: Option<Feedback<'a>>,
    #[serde(default)]
    pub(crate) usage_metadata: Option<Counts>,
    #[serde(borrow, default)]
    pub(crate) model_version: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) response_id: Text<'a>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow, default)]
    block_reason: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Candidate<'a> {
    /// Left out where it is 0.
    #[serde(default)]
    pub(crate) index: u32,
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) logprobs_result: Option<Logprobs<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    /// Left out where all tokens went into thoughts.
    #[serde(borrow, default)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part<'a> {
    #[serde(borrow, default)]
    pub(crate) text: Text<'a>,
    /// Whether the text is what it thinks.
    #[serde(default)]
    pub(crate) thought: bool,
    #[serde(borrow, default)]
    pub(crate) thought_signature: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) function_call: Option<Call<'a>>,
    #[serde(borrow, default)]
    pub(crate) inline_data: Option<Blob<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Call<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) name: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blob<'a> {
    #[serde(borrow, default)]
    pub(crate) mime_type: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) data: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Logprobs<'a> {
    #[serde(borrow, default)]
    pub(crate) chosen_candidates: Vec<Token<'a>>,
    #[serde(borrow, default)]
    pub(crate) top_candidates: Vec<Alternatives<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Alternatives<'a> {
    #[serde(borrow, default)]
    pub(crate) candidates: Vec<Token<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token<'a> {
    #[serde(borrow, default)]
    pub(crate) token: Text<'a>,
    #[serde(default)]
    pub(crate) log_probability: f64,
}

/// Tokens, as Gemini counts them: what it thinks is not among what it says, and no number is 0.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
pub(crate) struct Counts {
    #[serde(rename = "promptTokenCount")]
    prompt: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    candidates: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts: Option<u64>,
    #[serde(rename = "cachedContentTokenCount")]
    cached: Option<u64>,
}

impl<'a> Answer<'a> {
    /// Reads an answer or a piece of one.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is the report of an error, which may come as a list of one.
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, Error> {
        if data.trim_ascii_start().first() == Some(&b'[') {
            return Err(failure::reported(data));
        }
        let answer: Self = translate::parse(data)?;
        if answer.error.is_some() { Err(failure::reported(data)) } else { Ok(answer) }
    }

    /// Whether the prompt was not even answered.
    pub(crate) fn is_blocked(&self) -> bool {
        self.prompt_feedback.as_ref().is_some_and(|feedback| !feedback.block_reason.is_empty())
    }
}

impl<'a> Candidate<'a> {
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part<'a>> {
        self.content.iter().flat_map(|content| content.parts.iter().flatten())
    }

    /// Why it ended, if it has.
    pub(crate) fn finish(&self) -> Option<&str> {
        let reason = &*self.finish_reason;
        (!matches!(reason, "" | "FINISH_REASON_UNSPECIFIED")).then_some(reason)
    }
}

impl Counts {
    /// Takes over what a later count says: each is of all that has come.
    pub(crate) fn learn(&mut self, later: Self) {
        self.prompt = later.prompt.or(self.prompt);
        self.candidates = later.candidates.or(self.candidates);
        self.thoughts = later.thoughts.or(self.thoughts);
        self.cached = later.cached.or(self.cached);
    }

    pub(crate) fn prompt(self) -> u64 {
        self.prompt.unwrap_or(0)
    }

    /// The total is our own: Gemini's leaves out thoughts now and then.
    pub(crate) fn usage(self) -> Usage {
        let completion = self.candidates.unwrap_or(0).saturating_add(self.thoughts.unwrap_or(0));
        Usage::new(self.prompt(), completion, self.cached, self.thoughts)
    }
}

/// Why an answer ended, in `OpenAI`'s words. A call that Gemini could not write to its end is no
/// call, and so the answer has just stopped.
pub(crate) fn finish_reason(native: &str, called_a_tool: bool) -> &'static str {
    match native {
        "MAX_TOKENS" => "length",
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => "content_filter",
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
