//! Leaving out the event that tells of the usage alone.

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::translate::{Events, first_blank_line, last_blank_line};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: &'a RawValue,
    #[serde(borrow)]
    usage: &'a RawValue,
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

/// These events without those that have a usage and no choices.
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
        if is_usage_alone(&events[start..end]) {
            whole = false;
        } else {
            kept.extend_from_slice(&events[start..end]);
        }
        start = end;
    }
    if whole { events } else { kept.freeze() }
}

fn is_usage_alone(event: &[u8]) -> bool {
    let mut alone = false;
    // The last event may have no blank line.
    let closed = [event, b"\n\n"].concat();
    let read = Events::default().push(&closed, |message| {
        alone = serde_json::from_slice::<Chunk<'_>>(message.data).is_ok_and(|chunk| {
            chunk.usage.get().starts_with('{') && is_empty_list(chunk.choices.get())
        });
        Ok(())
    });
    read.is_ok() && alone
}

fn is_empty_list(json: &str) -> bool {
    json.strip_prefix('[').is_some_and(|rest| rest.trim_start() == "]")
}
