//! A stream handed on in whole events, without copying and without changing a byte.
//!
//! What follows the last blank line waits for its end, so that when the instance breaks off the
//! caller's parser meets our error event and not half of somebody's JSON in front of it.

use std::ops::Range;

use bytes::Bytes;

use super::first::First;
use super::marks::Marks;
use super::queue::Queue;
use crate::needle::Needle;
use crate::translate::{Events, first_blank_line, last_blank_line};

/// An event that grows past this is no event; it passes as it comes.
const LARGEST_EVENT: usize = 256 * 1024;

/// The part of a stream whose blank line has not come.
#[derive(Debug, Default)]
pub(super) struct Tail {
    partial: Queue,
    /// The last bytes of `partial`, since a blank line may be cut in two.
    edge: Edge,
    /// What has been said of the stream's end.
    marks: Marks,
    /// Whether part of an event has passed whose end has not come.
    open: bool,
    /// The same with what that part says; it counts once the event's end has come.
    ahead: Option<Marks>,
}

/// What whole events were about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    Events,
    /// The last of them was an error of the instance's, which is this one and has not passed. What
    /// came behind it is dropped.
    Error(Bytes),
}

/// How a stream ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// After a whole event.
    Whole,
    /// With an error of the instance's that had no blank line.
    Error(Bytes),
    /// In the middle of an event.
    Cut,
}

impl Tail {
    /// The part of a stream that will say these things of its end.
    pub(super) fn new(marks: Marks) -> Self {
        Self { marks, ..Self::default() }
    }

    /// Takes the next bytes; whole events go to `out`.
    pub(super) fn push(&mut self, data: Bytes, out: &mut Queue) -> Passed {
        let completed = self.edge.completed_by(&data);
        let blank = last_blank_line(&data).or(completed);
        let end = match blank {
            Some(end) => end,
            None if self.partial.len() + data.len() > LARGEST_EVENT => data.len(),
            None => return self.keep(data),
        };
        self.open = blank.is_none();
        let before = self.marks;
        self.marks = self.ahead.take().unwrap_or(before);
        let mut data = data;
        let rest = data.split_off(end);
        self.edge = Edge::default();
        // Events are looked at whole: one that was cut is put together first.
        let mut start = 0;
        if self.partial.len() > 0 {
            start = completed.or_else(|| first_blank_line(&data)).unwrap_or(data.len());
            let joined = self.partial.joined(&data[..start]);
            if error_event(&joined).is_some() {
                self.partial.clear();
                return Passed::Error(joined.into());
            }
            self.marks.see(&joined);
        }
        while let Some(bytes) = self.partial.pop() {
            out.push(bytes);
        }
        if let Some(error) = error_event(&data[start..]) {
            let event = data.slice(start + error.start..start + error.end);
            out.push(data.split_to(start + error.start));
            return Passed::Error(event);
        }
        self.marks.see(&data[start..]);
        if self.open {
            self.ahead = Some(std::mem::replace(&mut self.marks, before));
        }
        out.push(data);
        self.keep(rest)
    }

    /// The stream ended properly: what is left goes on as it is.
    pub(super) fn finish(&mut self, out: &mut Queue) -> Ending {
        if self.open {
            // The half that has passed was too long to be held back, and the other has not come.
            return Ending::Cut;
        }
        if self.partial.len() == 0 {
            return Ending::Whole;
        }
        let last = self.partial.joined(b"\n\n");
        let ending = ending(&last);
        if ending == Ending::Whole {
            self.marks.see(&last);
        }
        if ending == Ending::Error(Bytes::new()) {
            self.partial.clear();
            return Ending::Error(last.into());
        }
        while let Some(bytes) = self.partial.pop() {
            out.push(bytes);
        }
        ending
    }

    /// What it has said of its end.
    pub(super) fn marks(&self) -> Marks {
        self.marks
    }

    /// Whether half an event has passed already, because it was too long to be held back.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Forgets a half event.
    pub(super) fn clear(&mut self) {
        self.partial.clear();
    }

    fn keep(&mut self, data: Bytes) -> Passed {
        self.edge.slide(&data);
        self.partial.push(data);
        Passed::Events
    }
}

/// What an event that was closed for it says of the end of its stream.
fn ending(last: &[u8]) -> Ending {
    let mut ending = Ending::Whole;
    let judged = Events::default().push(last, |message| {
        let data = message.data.trim_ascii();
        let is_json = matches!(data.first(), Some(b'{' | b'[')) && data != b"[DONE]";
        if is_json && serde_json::from_slice::<serde::de::IgnoredAny>(data).is_err() {
            ending = Ending::Cut;
        }
        Ok(())
    });
    match First::default().push(last) {
        Err(_) => Ending::Error(Bytes::new()),
        Ok(_) if judged.is_err() => Ending::Cut,
        Ok(_) => ending,
    }
}

/// Where the first error event in these whole events is, if there is one.
///
/// In text that a model writes the quotes are escaped, so the search below hardly ever finds one.
fn error_event(events: &[u8]) -> Option<Range<usize>> {
    if !may_be_error(events) {
        return None;
    }
    let mut start = 0;
    while start < events.len() {
        let end = first_blank_line(&events[start..]).map_or(events.len(), |length| start + length);
        if First::default().push(&events[start..end]).is_err() {
            return Some(start..end);
        }
        start = end;
    }
    None
}

fn may_be_error(bytes: &[u8]) -> bool {
    static ERROR: Needle = Needle::new(b"\"error\"");
    static EVENT: Needle = Needle::new(b"event:");
    let name = |at: usize| bytes[at + EVENT.length()..].trim_ascii_start();
    ERROR.find(bytes).is_some() || EVENT.find_iter(bytes).any(|at| name(at).starts_with(b"error"))
}

/// The last three bytes seen: enough of a blank line to know its end.
#[derive(Debug, Default, Clone, Copy)]
struct Edge {
    bytes: [u8; 3],
}

impl Edge {
    fn slide(&mut self, data: &[u8]) {
        for byte in &data[data.len().saturating_sub(3)..] {
            self.bytes = [self.bytes[1], self.bytes[2], *byte];
        }
    }

    /// How many of `data`'s bytes end a blank line that began here.
    fn completed_by(self, data: &[u8]) -> Option<usize> {
        let mut joined = [0; 6];
        let taken = data.len().min(3);
        joined[..3].copy_from_slice(&self.bytes);
        joined[3..3 + taken].copy_from_slice(&data[..taken]);
        let end = last_blank_line(&joined[..3 + taken])?;
        (end > 3).then(|| end - 3)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::endpoint::Endpoint;

    fn drain(queue: &mut Queue) -> Vec<u8> {
        std::iter::from_fn(|| queue.pop()).flatten().collect()
    }

    fn pass(chunks: &[&[u8]]) -> (Vec<u8>, Vec<u8>, bool) {
        let (mut tail, mut out) = (Tail::default(), Queue::default());
        for chunk in chunks {
            if let Passed::Error(event) = tail.push(Bytes::copy_from_slice(chunk), &mut out) {
                return ([drain(&mut out), event.to_vec()].concat(), Vec::new(), false);
            }
        }
        let whole = drain(&mut out);
        tail.finish(&mut out);
        (whole, drain(&mut out), tail.marks().is_done())
    }

    #[test]
    fn whole_events_pass_at_once_and_half_ones_wait_wherever_they_are_cut() {
        for blank in ["\n\n", "\r\n\r\n", "\r\r", "\r\n\n"] {
            let text = format!("data: 1{blank}data: 2{blank}: x{blank}data: half");
            let whole = text.len() - "data: half".len();
            for cut in 0..=text.len() {
                let (a, b) = text.as_bytes().split_at(cut);
                let (mut passed, rest, _) = pass(&[a, b]);
                // The second half of a cut CRLF may wait: the event in front of it is whole.
                passed.extend(rest.strip_suffix(b"data: half").unwrap());
                assert_eq!(passed, &text.as_bytes()[..whole], "{text:?} cut at {cut}");
                assert!(rest.len() <= "\ndata: half".len(), "{text:?} cut at {cut}");
            }
            let single: Vec<_> = text.as_bytes().chunks(1).collect();
            let (passed, rest, _) = pass(&single);
            assert!(rest.len() <= "\ndata: half".len(), "{text:?} byte by byte");
            assert_eq!([passed, rest].concat(), text.as_bytes(), "{text:?} byte by byte");
        }
    }

    #[test]
    fn done_is_seen_with_any_framing_wherever_it_is_cut() {
        for text in [
            "data: [DONE]\n\n",
            "data: x\n\ndata:[DONE]\r\n\r\n",
            "data: [DONE]",
            "data: [DONE]\n\n: bye\n\n",
        ] {
            for cut in 0..=text.len() {
                let (a, b) = text.as_bytes().split_at(cut);
                assert!(pass(&[a, b]).2, "{text:?} at {cut}");
            }
            let single: Vec<_> = text.as_bytes().chunks(1).collect();
            assert!(pass(&single).2, "{text:?} byte by byte");
        }
        for text in ["data: x[DONE]\n\n", "data: {\"a\":\"[DONE]\"}\n\n", "x: data: [DONE]\n\n"] {
            assert!(!pass(&[text.as_bytes()]).2, "{text}");
        }
    }

    #[test]
    fn a_stream_that_ends_inside_an_event_is_cut_and_one_without_a_blank_line_is_not() {
        for (text, ending) in [
            ("data: {\"a\":1}\n\n", Ending::Whole),
            ("data: {\"a\":1}\n", Ending::Whole),
            ("data: {\"a\":1}", Ending::Whole),
            ("data: [DONE]", Ending::Whole),
            ("data: plain words", Ending::Whole),
            (": ping", Ending::Whole),
            ("data: {\"a\":", Ending::Cut),
            ("data: 1\n\ndata: {\"choices\":[{\"delta\":{\"con", Ending::Cut),
            ("data: {\"error\":{\"message\":\"m\"}}", Ending::Error(Bytes::new())),
            ("event:error\ndata: {\"message\":\"m\"}", Ending::Error(Bytes::new())),
        ] {
            for cut in 0..=text.len() {
                let (a, b) = text.as_bytes().split_at(cut);
                let (mut tail, mut out) = (Tail::default(), Queue::default());
                tail.push(Bytes::copy_from_slice(a), &mut out);
                tail.push(Bytes::copy_from_slice(b), &mut out);
                match tail.finish(&mut out) {
                    Ending::Error(event) => {
                        assert_eq!(ending, Ending::Error(Bytes::new()), "{text} cut at {cut}");
                        assert_eq!(event, format!("{text}\n\n"));
                    }
                    other => {
                        assert_eq!(other, ending, "{text} cut at {cut}");
                        assert_eq!(drain(&mut out), text.as_bytes());
                    }
                }
            }
        }
    }

    // fault: U23
    #[test]
    fn half_of_a_last_event_is_no_end_wherever_it_is_cut() {
        for (endpoint, last) in [
            (
                Endpoint::Responses,
                r#"data: {"type": "response.completed", "response": {"id": "r"}}"#,
            ),
            (Endpoint::Messages, r#"data: {"type": "message_stop"}"#),
        ] {
            for cut in 0..=last.len() {
                let (mut tail, mut out) = (Tail::new(Marks::of(endpoint, 1)), Queue::default());
                tail.push(Bytes::copy_from_slice(b"data: {}\n\n"), &mut out);
                tail.push(Bytes::copy_from_slice(&last.as_bytes()[..cut]), &mut out);
                tail.finish(&mut out);
                assert_eq!(tail.marks().is_done(), cut == last.len(), "{last} cut at {cut}");
            }
            // One that is too long to be held back is no end either, before its own.
            let long = format!("{} {}", last.trim_end_matches('}'), " ".repeat(LARGEST_EVENT));
            let (mut tail, mut out) = (Tail::new(Marks::of(endpoint, 1)), Queue::default());
            for (piece, is_done) in [(long.as_str(), false), ("  ", false), ("}\n\n", true)] {
                tail.push(Bytes::copy_from_slice(piece.as_bytes()), &mut out);
                assert_eq!(tail.marks().is_done(), is_done);
            }
        }
    }

    // fault: S4
    #[test]
    fn an_event_that_dribbles_in_is_kept_in_few_pieces() {
        let (mut tail, mut out) = (Tail::default(), Queue::default());
        for _ in 0..100_000 {
            tail.push(Bytes::from_static(b"x"), &mut out);
        }
        assert_eq!((tail.partial.len(), tail.partial.rest.len()), (100_000, 0));
    }

    // fault: U27
    #[test]
    fn an_error_event_passes_and_nothing_behind_it_does() {
        let text =
            b"data: {\"choices\":[]}\n\ndata: {\"error\": {\"message\":\"m\"}}\n\ndata: [DONE]\n\n";
        let named =
            b"event:x\ndata: {}\n\nevent:error\ndata: {\"message\":\"m\"}\n\ndata: [DONE]\n\n";
        for text in [&text[..], named] {
            let end = text.len() - b"data: [DONE]\n\n".len();
            for cut in 0..=text.len() {
                let (a, b) = text.split_at(cut);
                assert_eq!(pass(&[a, b]).0, &text[..end], "cut at {cut}");
            }
        }
        let harmless = b"data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\"\"},\"t\":\"error\"}]}\n\n";
        assert_eq!(pass(&[harmless]).0, harmless);
    }

    proptest! {
        // fault: U23
        #[test]
        fn any_bytes_in_any_cut_pass_unchanged(
            bytes in "[\r\n:a\u{e9}]{0,40}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = bytes.as_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let (whole, rest, _) = pass(&chunks);
            prop_assert_eq!([whole, rest].concat(), bytes);
        }
    }
}
