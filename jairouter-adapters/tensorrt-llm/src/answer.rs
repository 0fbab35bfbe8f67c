//! Answers: the server's own bytes, but for what the model thinks, which may be there twice.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use jairouter_core::translate::{self, Message, Translate};
use jairouter_core::{Error, Kind, refusal};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

type Object<'a> = BTreeMap<Cow<'a, str>, Cow<'a, RawValue>>;

/// What tells an answer from an error.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, default)]
    object: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
}

/// Checks and rewrites an answer in one piece.
pub(crate) fn whole(bytes: Bytes) -> Result<Bytes, Error> {
    check(&bytes)?;
    Ok(match once(&bytes, "message")? {
        Some(rewritten) => {
            let mut out = BytesMut::with_capacity(bytes.len());
            translate::json(&mut out, &rewritten);
            out.freeze()
        }
        None => bytes,
    })
}

/// Rewrites the chunks of one answer.
pub(crate) struct Stream {
    is_chat: bool,
    done: bool,
}

impl Stream {
    pub(crate) fn new(is_chat: bool) -> Self {
        Self { is_chat, done: false }
    }
}

impl Translate for Stream {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        // Frames end with a space in front of the line break.
        let data = message.data.trim_ascii();
        if self.done || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.done = true;
            translate::done(out);
            return Ok(());
        }
        check(data)?;
        let rewritten = if self.is_chat { once(data, "delta")? } else { None };
        match rewritten {
            Some(rewritten) => translate::event(out, &rewritten),
            None => {
                out.put_slice(b"data: ");
                out.put_slice(data);
                out.put_slice(b"\n\n");
            }
        }
        Ok(())
    }

    /// An engine that fails drops the connection without a word.
    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        if self.done {
            return Ok(());
        }
        Err(Error::new(Kind::Broken, "the instance's stream was cut off"))
    }
}

/// Refuses an error, and what is no answer at all.
fn check(data: &[u8]) -> Result<(), Error> {
    let shape: Shape<'_> = translate::parse(data)?;
    if shape.error.is_some() || shape.object.as_deref() == Some("error") {
        return Err(refusal::in_stream(data));
    }
    match shape.choices {
        Some(_) => Ok(()),
        None => Err(Error::new(Kind::Broken, "the instance's answer holds no choices")),
    }
}

/// The answer with every `reasoning` as `reasoning_content` and nothing else, if it has any.
fn once<'a>(data: &'a [u8], part: &str) -> Result<Option<Object<'a>>, Error> {
    const NAME: &str = "reasoning";
    // Most answers have none, and then they are not taken apart.
    let text = std::str::from_utf8(data).unwrap_or_default();
    if !text.contains(r#""reasoning""#) {
        return Ok(None);
    }
    let mut answer = object(text)?;
    let Some(choices) = answer.get("choices") else { return Ok(None) };
    let choices: Vec<Box<RawValue>> = translate::parse(choices.get().as_bytes())?;
    let mut rewritten = Vec::with_capacity(choices.len());
    for choice in &choices {
        let mut choice = object(choice.get())?;
        if let Some(said) = choice.remove(part) {
            let mut said: BTreeMap<String, Box<RawValue>> =
                translate::parse(said.get().as_bytes())?;
            if let Some(thought) = said.remove(NAME).filter(|thought| thought.get() != "null") {
                let known = said.entry("reasoning_content".to_owned());
                let known = known.or_insert_with(|| thought.clone());
                if known.get() == "null" {
                    *known = thought;
                }
            }
            choice.insert(Cow::Owned(part.to_owned()), Cow::Owned(raw(&said)?));
        }
        rewritten.push(raw(&choice)?);
    }
    answer.insert("choices".into(), Cow::Owned(raw(&rewritten)?));
    Ok(Some(answer))
}

fn object(text: &str) -> Result<Object<'_>, Error> {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = translate::parse(text.as_bytes())?;
    Ok(fields.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect())
}

fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>, Error> {
    to_raw_value(value).map_err(|error| {
        Error::new(Kind::Internal, "an answer could not be written").with_source(error)
    })
}
