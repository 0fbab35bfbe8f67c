//! Leaving out the event that tells of the usage alone.

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::translate::Events;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: &'a RawValue,
    #[serde(borrow)]
    usage: &'a RawValue,
}

/// These events without those that have a usage and no choices. Streams come in whole events.
pub(super) fn usage(events: Bytes) -> Bytes {
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
        let end = end_of_event(&events, start);
        if is_usage_alone(&events[start..end]) {
            whole = false;
        } else {
            kept.extend_from_slice(&events[start..end]);
        }
        start = end;
    }
    if whole { events } else { kept.freeze() }
}

/// Behind the blank line that ends the event which starts here.
fn end_of_event(events: &[u8], start: usize) -> usize {
    let blank =
        |line: &[u8]| memmem::find(&events[start..], line).map(|at| start + at + line.len());
    [blank(b"\n\n"), blank(b"\r\n\r\n"), blank(b"\r\r")]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(events.len())
}

fn is_usage_alone(event: &[u8]) -> bool {
    let mut alone = false;
    let read = Events::default().push(event, |message| {
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
