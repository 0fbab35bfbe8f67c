//! A stream handed on in whole events, without copying and without changing a byte.
//!
//! What follows the last blank line waits for its end, so that when the instance breaks off the
//! caller's parser meets our error event and not half of somebody's JSON in front of it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::first::First;

/// An event that grows past this is no event; it passes as it comes.
const LARGEST_EVENT: usize = 256 * 1024;

/// Frames on their way; one costs no allocation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    first: Option<Bytes>,
    rest: VecDeque<Bytes>,
    len: usize,
}

impl Queue {
    pub(super) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(bytes);
        } else {
            self.rest.push_back(bytes);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let bytes = self.first.take().or_else(|| self.rest.pop_front())?;
        self.len -= bytes.len();
        Some(bytes)
    }

    /// In bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The part of a stream whose blank line has not come.
#[derive(Debug, Default)]
pub(super) struct Tail {
    partial: Queue,
    /// The last bytes of `partial`, since a blank line may be cut in two.
    edge: Edge,
    done: bool,
}

/// What whole events were about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    Events,
    /// The last of them was an error of the instance's. What came behind it is dropped.
    Error,
}

impl Tail {
    /// Takes the next bytes; whole events go to `out`.
    pub(super) fn push(&mut self, data: Bytes, out: &mut Queue) -> Passed {
        let completed = self.edge.completed_by(&data);
        let end = match last_blank_line(&data) {
            Some(end) => end,
            None => match completed {
                Some(end) => end,
                None if self.partial.len() + data.len() > LARGEST_EVENT => data.len(),
                None => return self.keep(data),
            },
        };
        let mut data = data;
        let rest = data.split_off(end);
        self.edge = Edge::default();
        let error = error_end(&self.partial, &data, completed);
        while let Some(bytes) = self.partial.pop() {
            out.push(bytes);
        }
        if let Some(error) = error {
            out.push(data.split_to(error));
            return Passed::Error;
        }
        self.see_done(&data);
        out.push(data);
        self.keep(rest)
    }

    /// The stream ended properly: what is left goes on as it is.
    pub(super) fn finish(&mut self, out: &mut Queue) {
        while let Some(bytes) = self.partial.pop() {
            self.see_done(&bytes);
            out.push(bytes);
        }
    }

    /// Whether the stream's last event was `[DONE]`.
    pub(super) fn is_done(&self) -> bool {
        self.done
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

    fn see_done(&mut self, data: &[u8]) {
        let data = data.trim_ascii_end();
        if !data.is_empty() {
            self.done = data.ends_with(b"[DONE]");
        }
    }
}

/// Where an error event in these bytes ends, if there is one.
///
/// In text that a model writes the quotes are escaped, so the search below hardly ever finds one.
fn error_end(partial: &Queue, data: &[u8], completed: Option<usize>) -> Option<usize> {
    let near_miss = |bytes: &[u8]| {
        memchr::memmem::find(bytes, b"\"error\"").is_some()
            || memchr::memmem::find(bytes, b"event: error").is_some()
    };
    let mut start = 0;
    if partial.len() > 0 {
        start = completed.or_else(|| first_blank_line(data)).unwrap_or(data.len());
        let pieces = partial.first.iter().chain(&partial.rest);
        let mut joined: Vec<u8> = pieces.flatten().copied().collect();
        joined.extend_from_slice(&data[..start]);
        if near_miss(&joined) && First::default().push(&joined).is_err() {
            return Some(start);
        }
    }
    if !near_miss(&data[start..]) {
        return None;
    }
    while let Some(length) = first_blank_line(&data[start..]) {
        let end = start + length;
        if First::default().push(&data[start..end]).is_err() {
            return Some(end);
        }
        start = end;
    }
    None
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Whether the line break that ends at `at` (inclusive) ends a blank line.
fn ends_blank_line(bytes: &[u8], at: usize) -> bool {
    let before = if bytes[at] == b'\n' && at > 0 && bytes[at - 1] == b'\r' { 2 } else { 1 };
    at >= before && is_break(bytes[at - before])
}

/// The offset behind the last blank line.
fn last_blank_line(bytes: &[u8]) -> Option<usize> {
    memchr::memrchr2_iter(b'\n', b'\r', bytes)
        .find(|at| ends_blank_line(bytes, *at))
        .map(|at| at + 1)
}

/// The offset behind the first blank line.
fn first_blank_line(bytes: &[u8]) -> Option<usize> {
    let at = memchr::memchr2_iter(b'\n', b'\r', bytes).find(|at| ends_blank_line(bytes, *at))?;
    // A carriage return may be the first half of its line break.
    let whole = bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n');
    Some(at + 1 + usize::from(whole))
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

    fn drain(queue: &mut Queue) -> Vec<u8> {
        std::iter::from_fn(|| queue.pop()).flatten().collect()
    }

    fn pass(chunks: &[&[u8]]) -> (Vec<u8>, Vec<u8>, bool) {
        let (mut tail, mut out) = (Tail::default(), Queue::default());
        for chunk in chunks {
            if tail.push(Bytes::copy_from_slice(chunk), &mut out) == Passed::Error {
                return (drain(&mut out), Vec::new(), false);
            }
        }
        let whole = drain(&mut out);
        tail.finish(&mut out);
        (whole, drain(&mut out), tail.is_done())
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
    fn done_is_seen_with_any_framing_and_only_last() {
        for text in ["data: [DONE]\n\n", "data: x\n\ndata:[DONE]\r\n\r\n", "data: [DONE]"] {
            for cut in 0..=text.len() {
                let (a, b) = text.as_bytes().split_at(cut);
                assert!(pass(&[a, b]).2 || cut > text.trim_end().len() - 6, "{text:?} at {cut}");
            }
        }
        assert!(!pass(&[b"data: [DONE]\n\ndata: more\n\n"]).2);
    }

    // fault: U27
    #[test]
    fn an_error_event_passes_and_nothing_behind_it_does() {
        let text =
            b"data: {\"choices\":[]}\n\ndata: {\"error\": {\"message\":\"m\"}}\n\ndata: [DONE]\n\n";
        let end = text.len() - b"data: [DONE]\n\n".len();
        for cut in 0..=text.len() {
            let (a, b) = text.split_at(cut);
            assert_eq!(pass(&[a, b]).0, &text[..end], "cut at {cut}");
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
