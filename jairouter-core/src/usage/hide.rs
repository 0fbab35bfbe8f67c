//! Leaving out what tells of the usage.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::translate::{Events, first_blank_line, last_blank_line};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

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
        let end = last_blank_line(&data).unwrap_or(0);
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
    // With every other event the usage is null, if it is there at all.
    let may_be_told = memmem::find_iter(&events, b"\"usage\"").any(|at| {
        let value = events[at + b"\"usage\"".len()..].trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|value| value.trim_ascii_start().first() == Some(&b'{'))
    });
    if !may_be_told {
        return events;
    }
    let mut kept = BytesMut::new();
    let (mut start, mut whole) = (0, true);
    while start < events.len() {
        let end = first_blank_line(&events[start..]).map_or(events.len(), |length| start + length);
        let event = &events[start..end];
        match told(event) {
            Told::Nothing => kept.extend_from_slice(event),
            Told::Alone => whole = false,
            Told::Beside(usage) => {
                whole = false;
                kept.extend_from_slice(&event[..usage.start]);
                kept.extend_from_slice(b"null");
                kept.extend_from_slice(&event[usage.end..]);
            }
        }
        start = end;
    }
    if whole { events } else { kept.freeze() }
}

/// What an event says of the usage.
enum Told {
    Nothing,
    /// That and nothing else.
    Alone,
    /// Here, beside something else.
    Beside(Range<usize>),
}

fn told(event: &[u8]) -> Told {
    let mut told = Told::Nothing;
    // The last event may have no blank line.
    let closed = [event, b"\n\n"].concat();
    let read = Events::default().push(&closed, |message| {
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(message.data) else { return Ok(()) };
        let Some(usage) = chunk.usage.map(RawValue::get).filter(|usage| usage.starts_with('{'))
        else {
            return Ok(());
        };
        told = match chunk.choices {
            Some(choices) if !is_empty_list(choices.get()) => {
                // Data of several lines has been put together, and stands nowhere.
                let data = memmem::find(event, message.data);
                let within = usage.as_ptr() as usize - message.data.as_ptr() as usize;
                data.map_or(Told::Nothing, |data| {
                    Told::Beside(data + within..data + within + usage.len())
                })
            }
            _ => Told::Alone,
        };
        Ok(())
    });
    if read.is_ok() { told } else { Told::Nothing }
}

fn is_empty_list(json: &str) -> bool {
    json.strip_prefix('[').is_some_and(|rest| rest.trim_start() == "]")
}
