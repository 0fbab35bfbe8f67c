//! Leaving out what tells of the usage.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde_json::value::RawValue;

use super::told::USAGE;
use crate::translate::{Events, first_blank_line, is_break, last_blank_line};

type Chunk<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// What every chunk has, and what tells nothing.
const ENVELOPE: [&str; 7] =
    ["id", "object", "created", "model", "usage", "system_fingerprint", "service_tier"];

/// An event that grows past this is none that tells of the usage alone; it passes as it comes.
const LARGEST_EVENT: usize = 256 * 1024;

/// The part of an event whose end has not come.
#[derive(Debug, Default)]
pub(super) struct Partial(Bytes);

impl Partial {
    /// What has come whole with the next bytes, without the usage. The rest waits.
    pub(super) fn push(&mut self, data: Bytes) -> Bytes {
        let mut data = match self.0.is_empty() {
            true => data,
            false => [&self.0[..], &data].concat().into(),
        };
        let end = match last_blank_line(&data) {
            // The other half of a line break may still come.
            Some(end) if end == data.len() && data.ends_with(b"\r") => {
                last_blank_line(&data[..end - 1]).unwrap_or(0)
            }
            end => end.unwrap_or(0),
        };
        let rest = data.split_off(end);
        let large = rest.len() > LARGEST_EVENT;
        self.0 = if large { Bytes::new() } else { rest.clone() };
        match (large, data.is_empty()) {
            (true, true) => rest,
            (true, false) => [&usage(data)[..], &rest].concat().into(),
            _ => usage(data),
        }
    }

    /// What is left, at the end.
    pub(super) fn finish(&mut self) -> Bytes {
        usage(std::mem::take(&mut self.0))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// These events without those that have a usage and no choices; of others the usage is null.
fn usage(events: Bytes) -> Bytes {
    if !may_tell(&events) {
        return events;
    }
    let mut kept = BytesMut::new();
    let (mut start, mut whole) = (0, true);
    while start < events.len() {
        let end = first_blank_line(&events[start..]).map_or(events.len(), |length| start + length);
        let event = &events[start..end];
        // One among many is what is parsed.
        match if may_tell(event) { told(event) } else { Told::Nothing } {
            Told::Nothing => kept.extend_from_slice(event),
            Told::Alone => whole = false,
            Told::Beside(usage) => {
                whole = false;
                kept.extend_from_slice(&event[..usage.start]);
                kept.extend_from_slice(b"null");
                kept.extend_from_slice(&event[usage.end..]);
            }
            Told::Scattered(written) => {
                whole = false;
                kept.extend_from_slice(&written);
            }
        }
        start = end;
    }
    if whole { events } else { kept.freeze() }
}

/// Whether there may be a usage in these bytes. With every other event it is null, if it is there at all.
fn may_tell(bytes: &[u8]) -> bool {
    USAGE.find_iter(bytes).any(|at| {
        let value = bytes[at + USAGE.length()..].trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|value| value.trim_ascii_start().first() == Some(&b'{'))
    })
}

/// What an event says of the usage.
enum Told {
    Nothing,
    /// That and nothing else.
    Alone,
    /// Here, beside something else.
    Beside(Range<usize>),
    /// The same in data of several lines. The event without it, in one.
    Scattered(Vec<u8>),
}

fn told(event: &[u8]) -> Told {
    let mut told = Told::Nothing;
    // The last event may have no blank line.
    let closed = [event, b"\n\n"].concat();
    let read = Events::default().push(&closed, |message| {
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(message.data) else { return Ok(()) };
        let Some(usage) = chunk.get("usage").map(|usage| usage.get()) else { return Ok(()) };
        if !usage.starts_with('{') {
            return Ok(());
        }
        let is_alone = match chunk.get("choices") {
            Some(choices) => is_empty_list(choices.get()),
            None => chunk.keys().all(|key| ENVELOPE.contains(&&**key)),
        };
        if is_alone {
            told = Told::Alone;
            return Ok(());
        }
        let within = usage.as_ptr() as usize - message.data.as_ptr() as usize;
        told = match memmem::find(event, message.data) {
            Some(data) => Told::Beside(data + within..data + within + usage.len()),
            None => Told::Scattered(written(event, message.data, within..within + usage.len())),
        };
        Ok(())
    });
    if read.is_ok() { told } else { Told::Nothing }
}

/// The event with its data in one line, in which this is null.
fn written(event: &[u8], data: &[u8], usage: Range<usize>) -> Vec<u8> {
    let mut written = Vec::with_capacity(event.len());
    for line in event.split(|byte| is_break(*byte)) {
        if !line.is_empty() && !line.starts_with(b"data") {
            written.extend_from_slice(line);
            written.push(b'\n');
        }
    }
    written.extend_from_slice(b"data: ");
    for piece in [&data[..usage.start], b"null", &data[usage.end..]] {
        // Between two tokens of JSON, a line's end is a space.
        written.extend(piece.iter().map(|byte| if is_break(*byte) { b' ' } else { *byte }));
    }
    written.extend_from_slice(b"\n\n");
    written
}

fn is_empty_list(json: &str) -> bool {
    json.strip_prefix('[').is_some_and(|rest| rest.trim_start() == "]")
}
