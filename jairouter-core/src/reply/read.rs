//! What an event of a chat or a completion says, or the whole answer.

use std::collections::VecDeque;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Piece;
use crate::error::{Error, Kind};
use crate::refusal;
use crate::translate;
use crate::upstream::filled;
use crate::usage::Told;

/// The most that one message may say: what is not taken from here would grow to many times its size.
const MOST_PIECES: usize = 10_000;

/// How far an answer is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether there was a choice.
    begun: bool,
    /// Which of the answers have said something, and not why they end. There is one as a rule.
    open: Vec<u32>,
    /// How many calls each of the answers has begun without giving them numbers.
    calls: Vec<(u32, u32)>,
    finished: bool,
    /// How many pieces there may be when this message has been read.
    most: usize,
}

impl Progress {
    /// Adds what this message says.
    ///
    /// # Errors
    ///
    /// If it is no JSON, has choices that cannot be read, or is an error.
    pub(super) fn read(&mut self, data: &[u8], pieces: &mut VecDeque<Piece>) -> Result<(), Error> {
        let before = pieces.len();
        self.most = before + MOST_PIECES;
        let mut read =
            Read { pieces, progress: self, usage: None, is_error: false, is_chat: false };
        let mut json = serde_json::Deserializer::from_slice(data);
        let outcome = (&mut read).deserialize(&mut json).and_then(|()| json.end());
        let Read { usage, is_error, is_chat, .. } = read;
        if let Err(error) = outcome {
            pieces.truncate(before);
            if is_chat {
                return Err(unreadable(error));
            }
            // In the words of somebody else, of which none is an answer's.
            return translate::check(data);
        }
        if is_error {
            return Err(refusal::in_stream(data));
        }
        let usage =
            usage.and_then(|usage| serde_json::from_str::<Option<Told>>(usage.get()).ok()?);
        pieces.extend(usage.map(|told| Piece::Used(told.into())));
        Ok(())
    }

    /// Whether each of the answers has said why it ends.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_begun()?;
        if self.finished && self.open.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::Broken, "the stream ended before the answer did"))
    }

    /// Whether there was an answer.
    pub(super) fn check_begun(&self) -> Result<(), Error> {
        match self.begun {
            true => Ok(()),
            false => Err(Error::new(Kind::Broken, "this is no answer to a chat or a completion")),
        }
    }

    fn says(&mut self, choice: u32) {
        if !self.open.contains(&choice) {
            self.open.push(choice);
        }
    }

    fn finishes(&mut self, choice: u32) {
        self.finished = true;
        self.open.retain(|open| *open != choice);
    }

    fn bound<E: de::Error>(&self, pieces: &VecDeque<Piece>) -> Result<(), E> {
        match pieces.len() > self.most {
            true => Err(E::custom("one message says more than ten thousand things")),
            false => Ok(()),
        }
    }

    /// The number of a call that has none: another one if it says what it is called by.
    fn number(&mut self, choice: u32, is_new: bool) -> u32 {
        let at = self.calls.iter().position(|(of, _)| *of == choice).unwrap_or_else(|| {
            self.calls.push((choice, 0));
            self.calls.len() - 1
        });
        let begun = &mut self.calls[at].1;
        *begun += u32::from(is_new || *begun == 0);
        *begun - 1
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new(Kind::Broken, "the instance sent an answer that cannot be read").with_source(error)
}

/// Reads an event, from the outside to the inside, without a value of it in memory.
struct Read<'a, 'de> {
    pieces: &'a mut VecDeque<Piece>,
    progress: &'a mut Progress,
    usage: Option<&'de RawValue>,
    is_error: bool,
    /// Whether there were choices in it.
    is_chat: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Choices,
    Usage,
    Error,
    Object,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for &mut Read<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Read<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event of a chat")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(field) = fields.next_key()? {
            match field {
                Field::Choices => {
                    self.is_chat = true;
                    let (progress, pieces) = (&mut *self.progress, &mut *self.pieces);
                    fields.next_value_seed(Choices { progress, pieces })?;
                }
                Field::Usage => self.usage = fields.next_value()?,
                // Some have it in each event, and nothing in it.
                Field::Error => self.is_error |= filled(fields.next_value()?),
                Field::Object => {
                    let object: &RawValue = fields.next_value()?;
                    self.is_error |= object.get() == "\"error\"";
                }
                Field::Other => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Choices<'a> {
    progress: &'a mut Progress,
    pieces: &'a mut VecDeque<Piece>,
}

impl<'de> DeserializeSeed<'de> for Choices<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Choices<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut choices: A) -> Result<(), A::Error> {
        while let Some(choice) = choices.next_element::<Choice<'de>>()? {
            self.progress.begun = true;
            choice.tell(self.progress, self.pieces).map_err(de::Error::custom)?;
            self.progress.bound(self.pieces)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u32>,
    /// Of a stream of a chat.
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    /// Of a whole chat.
    #[serde(borrow)]
    message: Option<Said<'a>>,
    /// Of a completion.
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

/// A part of a message. Engines have several names for what a model thinks, and some say it under two.
#[derive(Deserialize, Clone, Copy)]
struct Said<'a> {
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<Function<'a>>,
}

impl Choice<'_> {
    fn tell(self, progress: &mut Progress, pieces: &mut VecDeque<Piece>) -> serde_json::Result<()> {
        let (choice, before) = (self.index.unwrap_or_default(), pieces.len());
        for said in [self.delta, self.message].into_iter().flatten() {
            let mut thought = None;
            for name in [said.reasoning_content, said.reasoning, said.thinking] {
                thought = match thought {
                    None => text(name)?,
                    told => told,
                };
            }
            pieces.extend(thought.map(|text| Piece::Reasoning { choice, text }));
            pieces.extend(text(said.content)?.map(|text| Piece::Text { choice, text }));
            pieces.extend(text(said.refusal)?.map(|text| Piece::Refusal { choice, text }));
            if let Some(calls) = said.tool_calls {
                let mut json = serde_json::Deserializer::from_str(calls.get());
                Calls { choice, progress, pieces }.deserialize(&mut json)?;
            }
            // What tools were called by before there could be several.
            if let Some(Function { name, arguments }) = said.function_call {
                let (name, arguments) = (text(name)?, arguments_of(arguments)?);
                pieces.push_back(Piece::ToolCall { choice, index: 0, id: None, name, arguments });
            }
        }
        pieces.extend(text(self.text)?.map(|text| Piece::Text { choice, text }));
        if pieces.len() > before {
            progress.says(choice);
        }
        if let Some(reason) = text(self.finish_reason)? {
            progress.finishes(choice);
            pieces.push_back(Piece::Finished { choice, reason });
        }
        Ok(())
    }
}

struct Calls<'a> {
    choice: u32,
    progress: &'a mut Progress,
    pieces: &'a mut VecDeque<Piece>,
}

impl<'de> DeserializeSeed<'de> for Calls<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Calls<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of calls")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut calls: A) -> Result<(), A::Error> {
        while let Some(Call { index, id, function }) = calls.next_element()? {
            let Function { name, arguments } = function.unwrap_or_default();
            let read = || Ok((text(id)?, text(name)?, arguments_of(arguments)?));
            let (id, name, arguments) =
                read().map_err(|error: serde_json::Error| de::Error::custom(error))?;
            let is_new = id.is_some() || name.is_some();
            let index = index.unwrap_or_else(|| self.progress.number(self.choice, is_new));
            let choice = self.choice;
            self.pieces.push_back(Piece::ToolCall { choice, index, id, name, arguments });
            self.progress.bound(self.pieces)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Call<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize, Clone, Copy, Default)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// The text of a value that is one, and not empty: a string, or the parts that some engines make of it.
///
/// # Errors
///
/// If it is something else, which may be what the model says.
fn text(value: Option<&RawValue>) -> serde_json::Result<Option<String>> {
    let Some(value) = value else { return Ok(None) };
    let value = value.get();
    let Some(written) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        let parts: Option<Vec<Part>> = serde_json::from_str(value)?;
        let all: String = parts.into_iter().flatten().map(|part| part.text).collect();
        return Ok(Some(all).filter(|all| !all.is_empty()));
    };
    Ok((!written.is_empty()).then(|| unescaped(written)))
}

/// A part of a content that is written as a list.
#[derive(Deserialize)]
struct Part {
    text: String,
}

/// The arguments of a call: as text, or, where an engine writes them so, as what that text would be.
fn arguments_of(value: Option<&RawValue>) -> serde_json::Result<String> {
    match value {
        Some(value) if value.get().starts_with('{') => Ok(value.get().to_owned()),
        value => text(value).map(Option::unwrap_or_default),
    }
}

/// What is written in a JSON string, in one allocation, where `serde_json` makes two. Half of a character that
/// is written in two halves is U+FFFD: an engine whose tokens cut it wrote the other into another event.
fn unescaped(mut written: &str) -> String {
    let mut text = String::with_capacity(written.len());
    while let Some(at) = memchr::memchr(b'\\', written.as_bytes()) {
        text.push_str(&written[..at]);
        let (character, length) = escape(&written[at..]);
        text.push(character);
        written = &written[at + length..];
    }
    text.push_str(written);
    text
}

/// The character that an escape in front of the rest stands for, and how long it is. The rest is JSON.
fn escape(rest: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = rest.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(0) else {
        return match rest.as_bytes().get(1) {
            Some(b'n') => ('\n', 2),
            Some(b't') => ('\t', 2),
            Some(b'r') => ('\r', 2),
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            // A quote, or one of the strokes.
            Some(other) => (char::from(*other), 2),
            None => (char::REPLACEMENT_CHARACTER, rest.len()),
        };
    };
    match char::decode_utf16([first].into_iter().chain(unit(6))).next() {
        Some(Ok(character)) => (character, 6 * character.len_utf16()),
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_what_serde_json_reads(text in any::<String>(), ascii in any::<bool>()) {
            let mut written = serde_json::to_string(&text).unwrap();
            if ascii {
                let units = |c: char| {
                    let escaped = |unit: &u16| format!("\\u{unit:04X}");
                    c.encode_utf16(&mut [0; 2]).iter().map(escaped).collect::<String>()
                };
                let escaped = |c: char| if c.is_ascii() { c.to_string() } else { units(c) };
                written = written.chars().map(escaped).collect();
            }
            let value: &RawValue = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(super::text(Some(value)).unwrap().unwrap_or_default(), text);
        }
    }

    #[test]
    fn half_of_a_character_is_replaced_and_what_is_around_it_is_not() {
        for (written, expected) in [
            (r"a\ud83db", "a\u{fffd}b"),
            (r"\ud83d", "\u{fffd}"),
            (r"\ude00\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\ud83d\u0041\n", "\u{fffd}A\n"),
            (r"\/\\\u0000", "/\\\0"),
        ] {
            assert_eq!(unescaped(written), expected, "{written}");
        }
    }
}
