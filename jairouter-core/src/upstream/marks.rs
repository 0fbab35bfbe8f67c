//! What a stream of events says of its own end.

use crate::endpoint::{Endpoint, Words};
use crate::needle::Needle;
use crate::translate::is_break;

/// What whole events have said so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    of: Of,
    begun: bool,
    finished: bool,
    done: bool,
    /// How many images have come.
    ended: u32,
    /// The number of the next event, where they are numbered.
    next: u64,
}

/// By what the end is known.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// A reason to finish, and `[DONE]`.
    #[default]
    Chunks,
    /// An event of one of these types.
    Types(&'static [&'static str]),
    /// An event of the last type if there was one of the others, which those that know no end do not
    /// send.
    Dialect(&'static [&'static str], &'static str),
    /// The same for each of so many images.
    Images(&'static str, &'static str, u32),
}

impl Marks {
    /// Those of a stream of this endpoint's, which was asked for so many images.
    pub(super) fn of(endpoint: Endpoint, images: u32) -> Self {
        let of = match endpoint {
            Endpoint::Speech => Of::Dialect(&["speech.audio.delta"], "speech.audio.done"),
            Endpoint::Transcriptions | Endpoint::Translations => Of::Dialect(
                &["transcript.text.delta", "transcript.text.segment"],
                "transcript.text.done",
            ),
            Endpoint::ImageGenerations => {
                Of::Images("image_generation.partial_image", "image_generation.completed", images)
            }
            Endpoint::ImageEdits => {
                Of::Images("image_edit.partial_image", "image_edit.completed", images)
            }
            _ => match endpoint.words() {
                Words::OpenAi => Of::Chunks,
                Words::Anthropic => Of::Types(&["message_stop"]),
                Words::Responses => {
                    Of::Types(&["response.completed", "response.incomplete", "response.failed"])
                }
            },
        };
        Self { of, ..Self::default() }
    }

    /// Whether its own end has come: nothing is to follow.
    pub(super) fn is_done(self) -> bool {
        self.done
    }

    /// Whether it has said why it ended, or that it did.
    pub(super) fn is_finished(self) -> bool {
        self.finished || self.done
    }

    /// Whether it has begun in words that tell of their end, and has not come to it.
    pub(super) fn is_unfinished(self) -> bool {
        self.begun && !self.is_finished()
    }

    /// The number that an event has which is put behind those that were seen.
    pub(super) fn next_number(self) -> u64 {
        self.next
    }

    pub(super) fn see(&mut self, events: &[u8]) {
        match self.of {
            Of::Chunks => {
                if !self.finished {
                    self.finished = says_why(events);
                }
                self.done |= says_done(events);
            }
            Of::Types(last) => {
                self.done |= last_type(events, last).is_some();
                self.next =
                    last_number(events).map_or(self.next, |number| number.saturating_add(1));
            }
            Of::Dialect(begins, end) => {
                self.begun |= begins.iter().any(|begin| last_type(events, &[begin]).is_some());
                self.done |= last_type(events, &[end]).is_some() || says_done(events);
            }
            Of::Images(begin, end, images) => {
                self.ended = self.ended.saturating_add(types(events, end));
                let (begin, end) = (last_type(events, &[begin]), last_type(events, &[end]));
                self.begun |= begin.is_some();
                if begin.is_some() || end.is_some() {
                    self.finished = end > begin && self.ended >= images;
                }
                self.done |= says_done(events);
            }
        }
    }
}

/// Whether the last of these chunks that tells of a reason to finish has one.
fn says_why(events: &[u8]) -> bool {
    static REASON: Needle = Needle::new(b"\"finish_reason\":");
    let reason = REASON.rfind(events).map(|at| &events[at + REASON.length()..]);
    reason.is_some_and(|reason| reason.trim_ascii_start().starts_with(b"\""))
}

fn says_done(events: &[u8]) -> bool {
    static DONE: Needle = Needle::new(b"[DONE]");
    DONE.find_iter(events).any(|at| {
        let before = events[..at].strip_suffix(b" ").unwrap_or(&events[..at]);
        let line = before.strip_suffix(b"data:");
        line.is_some_and(|line| line.last().is_none_or(|byte| is_break(*byte)))
    })
}

fn last_number(events: &[u8]) -> Option<u64> {
    static KEY: Needle = Needle::new(b"\"sequence_number\":");
    let number = events[KEY.rfind(events)? + KEY.length()..].trim_ascii_start();
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&number[..digits]).ok()?.parse().ok()
}

/// Where the last of these events that has one of these types says so.
fn last_type(events: &[u8], types: &[&str]) -> Option<usize> {
    of_data(events, types).last().max(of_name(events, types).last())
}

/// How many of these events have this type.
fn types(events: &[u8], name: &str) -> u32 {
    let (data, names) = (of_data(events, &[name]).count(), of_name(events, &[name]).count());
    data.max(names) as u32
}

/// Where events say in their data that they have one of these types. In text that a model writes the
/// quotes are escaped.
fn of_data<'a>(events: &'a [u8], types: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
    static TYPE: Needle = Needle::new(b"\"type\"");
    TYPE.find_iter(events).filter(|at| {
        let value = events[at + TYPE.length()..].trim_ascii_start().strip_prefix(b":");
        let value = value.and_then(|value| value.trim_ascii_start().strip_prefix(b"\""));
        value.is_some_and(|value| {
            let end = memchr::memchr(b'"', value).unwrap_or(value.len());
            types.iter().any(|name| name.as_bytes() == &value[..end])
        })
    })
}

/// Where events say it by their names.
fn of_name<'a>(events: &'a [u8], types: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
    static EVENT: Needle = Needle::new(b"event:");
    EVENT.find_iter(events).filter(|at| {
        let is_line = events[..*at].last().is_none_or(|byte| is_break(*byte));
        let value = &events[at + EVENT.length()..];
        let end = memchr::memchr2(b'\n', b'\r', value).unwrap_or(value.len());
        is_line && types.iter().any(|name| name.as_bytes() == value[..end].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(endpoint: Endpoint, pieces: &[&str]) -> Marks {
        let mut marks = Marks::of(endpoint, 1);
        for piece in pieces {
            marks.see(piece.as_bytes());
        }
        marks
    }

    fn name_of(event: &str) -> &str {
        event.rsplit('"').nth(1).unwrap()
    }

    #[test]
    fn a_dialect_that_tells_of_its_end_has_to_come_to_it_and_another_need_not() {
        use Endpoint::{ImageEdits, ImageGenerations, Speech, Transcriptions, Translations};
        for (endpoint, begin, end) in [
            (Speech, "speech.audio.delta", "speech.audio.done"),
            (Transcriptions, "transcript.text.delta", "transcript.text.done"),
            (Translations, "transcript.text.delta", "transcript.text.done"),
            (ImageGenerations, "image_generation.partial_image", "image_generation.completed"),
            (ImageEdits, "image_edit.partial_image", "image_edit.completed"),
        ] {
            let [begin, end] =
                [begin, end].map(|name| format!("data: {{\"type\": \"{name}\"}}\n\n"));
            let said = format!("data: {{\"text\":{end:?}}}\n\n");
            assert!(!after(endpoint, &[]).is_unfinished());
            assert!(!after(endpoint, &[&said]).is_unfinished(), "another dialect");
            assert!(after(endpoint, &[&begin, &said]).is_unfinished());
            assert!(!after(endpoint, &[&begin, &end]).is_unfinished());
            let spaced = begin.replace("\"type\":", "\"type\" :");
            assert!(after(endpoint, &[&spaced]).is_unfinished());
            assert!(
                after(endpoint, &[&format!("event: {}\ndata: {{}}\n\n", name_of(&begin))])
                    .is_unfinished()
            );
            assert!(!after(endpoint, &[&(begin.clone() + &end)]).is_unfinished());
            assert!(!after(endpoint, &[&begin, "data: [DONE]\n\n"]).is_unfinished());
            let is_image = matches!(endpoint, ImageGenerations | ImageEdits);
            for again in
                [after(endpoint, &[&end, &begin]), after(endpoint, &[&(end.clone() + &begin)])]
            {
                assert_eq!((again.is_unfinished(), again.is_done()), (is_image, !is_image));
            }
        }
    }

    #[test]
    fn as_many_images_have_to_come_as_were_asked_for() {
        let [begin, end] = ["partial_image", "completed"].map(|name| {
            format!(
                "event: image_generation.{name}\ndata: {{\"type\":\"image_generation.{name}\"}}\n\n"
            )
        });
        let mut marks = Marks::of(Endpoint::ImageGenerations, 2);
        for (event, is_unfinished) in
            [(&begin, true), (&end, true), (&begin, true), (&begin, true), (&end, false)]
        {
            marks.see(event.as_bytes());
            assert_eq!(marks.is_unfinished(), is_unfinished);
        }
    }
}
