//! What an event of a chat or a completion says, or the whole answer.

use std::collections::VecDeque;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Piece;
use crate::error::{Error, Kind};
use crate::refusal;
use crate::translate;
use crate::usage::Told;

/// Adds what it says. Whether it says why an answer ended.
///
/// # Errors
///
/// If it is no JSON, has choices that cannot be read, or is an error.
pub(super) fn event(data: &[u8], pieces: &mut VecDeque<Piece>) -> Result<bool, Error> {
    let before = pieces.len();
    let mut read = Read { pieces, usage: None, is_error: false, is_in_choices: false };
    let mut json = serde_json::Deserializer::from_slice(data);
    let outcome = (&mut read).deserialize(&mut json).and_then(|()| json.end());
    let Read { usage, is_error, is_in_choices, .. } = read;
    if let Err(error) = outcome {
        pieces.truncate(before);
        if is_in_choices {
            return Err(unreadable(error));
        }
        // In the words of somebody else, of which none is an answer's.
        return translate::check(data).map(|()| false);
    }
    if is_error {
        return Err(refusal::in_stream(data));
    }
    let is_end = |piece: &Piece| matches!(piece, Piece::Finished { .. });
    let is_finished = pieces.range(before..).any(is_end);
    let usage = usage.and_then(|usage| serde_json::from_str::<Option<Told>>(usage.get()).ok()?);
    pieces.extend(usage.map(|told| Piece::Used(told.into())));
    Ok(is_finished)
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new(Kind::Broken, "the instance sent an answer that cannot be read").with_source(error)
}

/// Reads an event, from the outside to the inside, without a value of it in memory.
struct Read<'a, 'de> {
    pieces: &'a mut VecDeque<Piece>,
    usage: Option<&'de RawValue>,
    is_error: bool,
    is_in_choices: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Choices,
    Usage,
    Error,
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
                    self.is_in_choices = true;
                    fields.next_value_seed(Choices(self.pieces))?;
                    self.is_in_choices = false;
                }
                Field::Usage => self.usage = fields.next_value()?,
                Field::Error => {
                    self.is_error |= fields.next_value::<Option<IgnoredAny>>()?.is_some();
                }
                Field::Other => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Choices<'a>(&'a mut VecDeque<Piece>);

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
            choice.tell(self.0).map_err(serde::de::Error::custom)?;
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
}

impl Choice<'_> {
    fn tell(self, pieces: &mut VecDeque<Piece>) -> serde_json::Result<()> {
        let choice = self.index.unwrap_or_default();
        if let Some(said) = self.delta.or(self.message) {
            let thought = [said.reasoning_content, said.reasoning, said.thinking];
            let thought = thought.into_iter().find_map(text);
            pieces.extend(thought.map(|text| Piece::Reasoning { choice, text }));
            pieces.extend(text(said.content).map(|text| Piece::Text { choice, text }));
            pieces.extend(text(said.refusal).map(|text| Piece::Refusal { choice, text }));
            if let Some(calls) = said.tool_calls {
                let mut json = serde_json::Deserializer::from_str(calls.get());
                Calls { choice, pieces }.deserialize(&mut json)?;
            }
        }
        pieces.extend(text(self.text).map(|text| Piece::Text { choice, text }));
        let reason = text(self.finish_reason);
        pieces.extend(reason.map(|reason| Piece::Finished { choice, reason }));
        Ok(())
    }
}

struct Calls<'a> {
    choice: u32,
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
        let mut position = 0;
        while let Some(Call { index, id, function }) = calls.next_element()? {
            let Function { name, arguments } = function.unwrap_or_default();
            self.pieces.push_back(Piece::ToolCall {
                choice: self.choice,
                // In a whole answer they are in their order.
                index: index.unwrap_or(position),
                id: text(id),
                name: text(name),
                arguments: text(arguments).unwrap_or_default(),
            });
            position += 1;
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

#[derive(Deserialize, Default)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// The text of a value that is one, and not empty.
fn text(value: Option<&RawValue>) -> Option<String> {
    let quoted = value?.get().strip_prefix('"')?;
    let written = quoted.strip_suffix('"').filter(|written| !written.is_empty())?;
    Some(unescaped(written))
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
            prop_assert_eq!(super::text(Some(value)).unwrap_or_default(), text);
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
