//! What Triton answers: one object, or one an event.

use std::borrow::Cow;

use jairouter_core::{Error, Kind, refusal, translate};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::request::Text;

/// An answer or a piece of one. An output of one element is a scalar, of several a list, and of none
/// an empty one.
#[derive(Deserialize)]
pub(crate) struct Reply<'a> {
    #[serde(borrow)]
    text_output: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    num_input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    num_output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_log_probs: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Reply<'a> {
    /// Reads an answer or a piece of one.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is the report of an error, which comes with a 200 as well.
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, Error> {
        let reply: Self = translate::parse(data)?;
        if reply.error.is_some() {
            return Err(refusal::in_stream(data));
        }
        if reply.text_output.is_none() {
            return Err(Error::new(Kind::Broken, "the instance's answer holds no text_output"));
        }
        Ok(reply)
    }

    /// The texts, one for each choice.
    pub(crate) fn texts(&self) -> Result<Vec<Cow<'a, str>>, Error> {
        texts(self.text_output)
    }

    /// Why each choice has ended; `None` of one that has not. Nothing if that is not told at all.
    pub(crate) fn reasons(&self) -> Result<Vec<Option<&'static str>>, Error> {
        texts(self.finish_reason)?.iter().map(|reason| finish_reason(reason)).collect()
    }

    /// How many tokens the prompt has, if that is told.
    pub(crate) fn input_tokens(&self) -> Option<u64> {
        counts(self.num_input_tokens).into_iter().max()
    }

    /// How many tokens each choice has, or how many more, if that is told.
    pub(crate) fn output_tokens(&self) -> Vec<u64> {
        counts(self.num_output_tokens)
    }

    /// How many tokens have a probability: what is left to count by where counts are not told.
    pub(crate) fn probable_tokens(&self) -> Option<u64> {
        let list: Vec<f64> = serde_json::from_str(self.output_log_probs?.get()).ok()?;
        Some(list.len() as u64)
    }
}

fn texts(value: Option<&RawValue>) -> Result<Vec<Cow<'_, str>>, Error> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let json = value.get().as_bytes();
    if json.starts_with(b"[") {
        let texts: Vec<Text<'_>> = translate::parse(json)?;
        return Ok(texts.into_iter().map(|Text(text)| text).collect());
    }
    translate::parse(json).map(|Text(text)| vec![text])
}

fn counts(value: Option<&RawValue>) -> Vec<u64> {
    let Some(value) = value else { return Vec::new() };
    match serde_json::from_str(value.get()) {
        Ok(count) => vec![count],
        // What is no count is none: some metrics are texts.
        Err(_) => serde_json::from_str(value.get()).unwrap_or_default(),
    }
}

/// Python's `None` is written out where there is no reason yet.
fn finish_reason(reason: &str) -> Result<Option<&'static str>, Error> {
    Ok(match reason {
        "" | "None" => None,
        "length" => Some("length"),
        "abort" | "error" | "cancelled" | "timeout" => {
            return Err(Error::new(Kind::Broken, "the instance gave up in the middle"));
        }
        _ => Some("stop"),
    })
}
