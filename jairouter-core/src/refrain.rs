//! A [`Refrain`]: the event that a stream says again and again, with another text in it.

use std::ops::Range;

use crate::translate::first_blank_line;

/// How many events it is tried with. A stream that has not repeated itself by then does not.
const MOST_TRIES: u8 = 8;

/// The longest that is kept, for as long as the stream is open.
const LONGEST: usize = 1024;

/// Knows an event again in which nothing but a text has changed.
///
/// Around each token an engine says the same hundred or two hundred bytes. What was found by looking for words in one
/// such event is found in the next one as well, so that the next one need not be searched; a comparison is a tenth of that.
///
/// Two events are the same for this if they are byte for byte, but for what is between two quotes that no colon follows,
/// and that has no quote, no backslash, no colon, no opening bracket and no control character in either of them. A text
/// that is searched for and has one of `":[` in it then stands in one where it stands in the other, or nowhere, with a
/// single exception: a word in quotes which is the whole text. Who minds that looks at the text, which is small.
///
/// ```
/// use jairouter_core::translate::Refrain;
///
/// let mut refrain = Refrain::default();
/// for text in ["a", " bc"] {
///     let event = format!("data: {{\"delta\":{{\"content\":\"{text}\"}},\"usage\":null}}\n\n");
///     assert!(refrain.strip(event.as_bytes()).is_none());
///     refrain.learn(event.as_bytes());
/// }
/// let event = b"data: {\"delta\":{\"content\":\"def\"},\"usage\":null}\n\ndata: [DONE]\n\n";
/// let (text, rest) = refrain.strip(event).unwrap();
/// assert_eq!((text, rest), (&b"def"[..], &b"data: [DONE]\n\n"[..]));
/// let other = b"data: {\"delta\":{\"content\":\"def\"},\"usage\":{}}\n\n";
/// assert!(refrain.strip(other).is_none());
/// ```
#[derive(Debug, Default)]
pub struct Refrain {
    /// The event that is known, and behind it the last that was to be learnt and is not known.
    events: Vec<u8>,
    /// How long the first is; nothing while none is known.
    known: usize,
    /// Where its text is.
    text: (u16, u16),
    /// How many there were since one was known.
    tries: u8,
}

impl Refrain {
    /// The text of the event that these bytes begin with, and what is behind it, if it is the same but for that.
    pub fn strip<'a>(&mut self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (before, behind) = self.around()?;
        let rest = bytes.strip_prefix(before)?;
        let (text, rest) = rest.split_at(rest.iter().position(|byte| !is_text(*byte))?);
        let rest = rest.strip_prefix(behind)?;
        self.tries = 0;
        Some((text, rest))
    }

    /// Takes an event of which it is known what is in it, and says whether this one will be known again. One that is not
    /// whole, or not alone, is none. The first costs an allocation.
    pub fn learn(&mut self, event: &[u8]) -> bool {
        let is_one = event.len() <= LONGEST
            && event.ends_with(b"\n\n")
            && first_blank_line(event) == Some(event.len());
        if self.tries == MOST_TRIES || !is_one {
            return false;
        }
        self.tries += 1;
        let text = difference(&self.events[self.known..], event);
        self.events.truncate(if text.is_some() { 0 } else { self.known });
        if self.events.capacity() == 0 {
            // For both, of which the second may be a little longer.
            self.events.reserve_exact(2 * event.len() + 64);
        }
        self.events.extend_from_slice(event);
        if let Some(text) = &text {
            (self.known, self.text) = (event.len(), (text.start as u16, text.end as u16));
        }
        text.is_some()
    }

    /// What stands before the text of the event that is known, its quote included, and what stands behind it.
    pub fn around(&self) -> Option<(&[u8], &[u8])> {
        let (event, (start, end)) = (&self.events[..self.known], self.text);
        (!event.is_empty()).then(|| (&event[..usize::from(start)], &event[usize::from(end)..]))
    }
}

/// Whether this may be in a text whose words nobody looks for.
fn is_text(byte: u8) -> bool {
    byte >= b' ' && !matches!(byte, b'"' | b'\\' | b':' | b'[')
}

/// Where in `event` the text is which is all that it does not share with another. Of two that are the same, the last.
fn difference(other: &[u8], event: &[u8]) -> Option<Range<usize>> {
    let shared = other.iter().zip(event).take_while(|(one, another)| one == another).count();
    let end = |event: &[u8], start| {
        let length = event.get(start..)?.iter().position(|byte| !is_text(*byte))?;
        Some(start + length)
    };
    memchr::memrchr_iter(b'"', &event[..shared]).find_map(|quote| {
        let text = quote + 1..end(event, quote + 1)?;
        let behind = event[text.end..].strip_prefix(b"\"")?;
        let is_value = matches!(behind.trim_ascii_start().first(), Some(b',' | b'}' | b']'));
        let is_all = event[text.end..] == other[end(other, text.start)?..];
        (is_value && is_all).then_some(text)
    })
}

#[cfg(test)]
mod tests {
    use memchr::memmem;
    use proptest::prelude::*;

    use super::*;

    fn learnt(events: &[&str]) -> Refrain {
        let mut refrain = Refrain::default();
        for event in events {
            refrain.learn(event.as_bytes());
        }
        refrain
    }

    fn event(text: &str) -> String {
        format!("data: {{\"id\":7,\"delta\":{{\"content\":\"{text}\"}},\"usage\":null}}\n\n")
    }

    #[test]
    fn two_events_that_differ_in_one_text_are_one() {
        for (one, other) in [
            ("a", "bc"),
            ("a", "a"),
            ("", ""),
            ("", "x"),
            ("the", "then"),
            (" a, b", " a; b"),
            ("é", "è"),
        ] {
            let mut refrain = learnt(&[&event(one), &event(other)]);
            for text in [one, other, "", "{x}, y] 'z'"] {
                let again = event(text) + "data:";
                let stripped = refrain.strip(again.as_bytes());
                assert_eq!(stripped, Some((text.as_bytes(), &b"data:"[..])), "{text}");
            }
            for text in ["a\\n", "a\"", "a:", "[", "\n", "\",\"usage\":{},\"x\":\""] {
                assert_eq!(refrain.strip(event(text).as_bytes()), None, "{text}");
            }
            let longer = event("a");
            for cut in 0..longer.len() {
                assert_eq!(refrain.strip(&longer.as_bytes()[..cut]), None, "at {cut}");
            }
        }
    }

    #[test]
    fn events_that_differ_otherwise_are_not() {
        for (one, other) in [
            (event("a"), event("b").replace("null", "{}")),
            (event("a").replace('7', "8"), event("a")),
            (event("a"), event("b").replace("\"usage\"", "\"usagx\"")),
            ("data: {\"a\":1}\n\n".into(), "data: {\"b\":1}\n\n".into()),
            ("data: {\"a\" :1}\n\n".into(), "data: {\"b\" :1}\n\n".into()),
            ("data: {\"a\":\"\"}".into(), "data: {\"a\":\"b\"}".into()),
            ("data: a\n\n".into(), "data: b\n\n".into()),
            (event("a") + &event("a"), event("b") + &event("a")),
        ] {
            let mut refrain = learnt(&[&one, &other]);
            assert!(refrain.around().is_none(), "{one}{other}");
            assert_eq!(refrain.strip(other.as_bytes()), None);
        }
    }

    #[test]
    fn a_stream_that_does_not_repeat_itself_is_given_up() {
        let mut refrain = Refrain::default();
        for number in 0..u32::from(MOST_TRIES) {
            refrain.learn(format!("data: {{\"created\":{number}}}\n\n").as_bytes());
        }
        for text in ["a", "b"] {
            assert!(!refrain.learn(event(text).as_bytes()));
        }
        let long = "x".repeat(LONGEST);
        assert!(learnt(&[&event(&long), &event(&long)]).events.is_empty());
    }

    #[test]
    fn what_is_known_is_kept_until_something_else_comes_twice() {
        let mut refrain = learnt(&[&event("a"), &event("b")]);
        let odd = event("\\n");
        for _ in 0..3 * MOST_TRIES {
            assert!(!refrain.learn(odd.as_bytes()));
            assert!(refrain.strip(event("c").as_bytes()).is_some());
        }
        let another = |text| event(text).replace("content", "reasoning");
        assert!(!refrain.learn(another("a").as_bytes()));
        assert!(refrain.learn(another("b").as_bytes()));
        assert!(refrain.strip(another("c").as_bytes()).is_some());
        assert!(refrain.strip(event("c").as_bytes()).is_none());
    }

    /// Everything that anybody looks for in events, and more of its kind.
    const SEARCHED: [&str; 14] = [
        "[DONE]",
        "\"error\"",
        "event:",
        "data:",
        "\"finish_reason\"",
        "\"finish_reason\":",
        "\"usage\"",
        "\"reasoning\"",
        "\"type\"",
        "content\":",
        "text\":",
        "reasoning\":",
        "\"a\"",
        "a\":",
    ];

    proptest! {
        #[test]
        fn whatever_is_searched_for_stands_where_it_stood(
            before in "(data: )?[a{\",: ]{0,6}(\"content\":|\"a\" ?:|\"error\",)? ?\"",
            behind in "\"[a}\\],: ]{1,6}(\"a\":\"error\"\\})?",
            texts in prop::collection::vec("[a{}, ]{0,4}|error|usage|content|data|\\[DONE\\]|event:", 3),
        ) {
            let events: Vec<_> = texts.iter().map(|text| format!("{before}{text}{behind}\n\n")).collect();
            let mut refrain = learnt(&[&events[0], &events[1]]);
            if let Some((text, rest)) = refrain.strip(events[2].as_bytes()) {
                prop_assert!(rest.is_empty());
                let (known, new) = (events[1].as_bytes(), events[2].as_bytes());
                let (start, _) = refrain.around().map(|(before, behind)| (before.len(), behind.len())).unwrap();
                for word in SEARCHED {
                    let quoted = |text: &[u8]| word.as_bytes() == [b"\"", text, b"\""].concat();
                    let places = |event: &[u8]| {
                        // From the front before the text, and from the end behind it.
                        let of = |at: usize| if at < start { (at, 0) } else { (0, event.len() - at) };
                        memmem::find_iter(event, word).map(of).collect::<Vec<_>>()
                    };
                    let known_text = refrain.strip(known).unwrap().0;
                    if !quoted(text) && !quoted(known_text) {
                        prop_assert_eq!(places(known), places(new), "{} in {:?}", word, events);
                    }
                }
            }
        }
    }
}
