//! How many tokens an answer took, as its engine says, or as far as can be told from its text.

use crate::needle::Needle;

use super::told::{Reported, Usage};

/// Bytes of text that make a token, about: English has four, most other languages fewer.
pub(crate) const BYTES_A_TOKEN: usize = 4;

/// What an event has text in: an answer, what it was thought out with (by either name), a tool's
/// arguments, and a completion of old.
static KEYS: [Needle; 4] = [
    Needle::new(b"content\":"),
    Needle::new(b"reasoning\":"),
    Needle::new(b"arguments\":"),
    Needle::new(b"text\":"),
];

/// Watches an answer for what the engine says it used, or else counts.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    told: Reported,
    events: u64,
    /// Whether a line goes on in the next frame.
    in_line: bool,
    /// What is written under each of the keys.
    texts: [Text; KEYS.len()],
    bytes: u64,
}

/// Counts the bytes of the strings under a key.
#[derive(Debug, Default)]
struct Text {
    bytes: u64,
    /// Whether one goes on in the next frame.
    open: bool,
    escaped: bool,
}

impl Meter {
    /// Takes more of it. Whether its text is counted, too.
    pub(crate) fn data(&mut self, frame: &[u8], counts: bool) {
        if counts {
            self.bytes += frame.len() as u64;
            self.events(frame);
        }
        self.told.data(frame);
    }

    /// The last that the engine has said, if it has said anything.
    pub(crate) fn told(&self) -> Option<Usage> {
        self.told.usage()
    }

    /// Counts the lines that are events, and their text. The lines of JSON begin otherwise.
    fn events(&mut self, frame: &[u8]) {
        static DATA: Needle = Needle::new(b"data:");
        let begins = |at: &usize| match at.checked_sub(1) {
            Some(before) => is_end(frame[before]),
            None => !self.in_line,
        };
        self.events += DATA.find_iter(frame).filter(begins).count() as u64;
        self.in_line = frame.last().map_or(self.in_line, |last| !is_end(*last));
        if self.events > 0 {
            for (text, key) in self.texts.iter_mut().zip(&KEYS) {
                text.add(key, frame);
            }
        }
    }

    /// All that was used, as far as can be told: an event of a stream is about a token, or more if
    /// there is more text in it. The prompt is taken for so many, and whether there is to be text at all is known.
    pub(crate) fn total(&self, prompt: u64, is_text: bool) -> u64 {
        let counted = match self.events {
            0 if !is_text => 0,
            0 => self.bytes.div_ceil(BYTES_A_TOKEN as u64),
            events => {
                let text = self.texts.iter().map(|text| text.bytes).sum::<u64>();
                events.max(text.div_ceil(BYTES_A_TOKEN as u64))
            }
        };
        // An engine that does not count says nothing, or zeros, where the caller's SDK wants a usage.
        let told = self.told.usage().map(Usage::total).filter(|total| *total > 0);
        told.unwrap_or(prompt.saturating_add(counted))
    }
}

fn is_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

impl Text {
    fn add(&mut self, key: &Needle, mut frame: &[u8]) {
        loop {
            if self.open {
                let end = frame.iter().position(|byte| self.ends(*byte));
                self.bytes += end.unwrap_or(frame.len()) as u64;
                let Some(end) = end else { return };
                self.open = false;
                frame = &frame[end + 1..];
            }
            let Some(at) = key.find(frame) else { return };
            frame = frame[at + key.length()..].trim_ascii_start();
            self.open = frame.first() == Some(&b'"');
            frame = &frame[usize::from(self.open)..];
        }
    }

    fn ends(&mut self, byte: u8) -> bool {
        let escaped = std::mem::replace(&mut self.escaped, false);
        self.escaped = !escaped && byte == b'\\';
        !escaped && byte == b'"'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_says_counts_wherever_it_is_cut() {
        let bodies = [
            r#"{"usage":{"prompt_tokens":3,"completion_tokens":4},"x":1}"#,
            r#"{"choices":[{"message":{"content":"\"usage\":{\"total_tokens\":99}"}}], "usage" : {"total_tokens":7}}"#,
            "data: {\"usage\":null}\n\ndata: {\"usage\":{\"total_tokens\":7}}\n\ndata: [DONE]\n\n",
        ];
        for body in bodies {
            for cut in 0..=body.len() {
                let mut meter = Meter::default();
                meter.data(&body.as_bytes()[..cut], true);
                meter.data(&body.as_bytes()[cut..], true);
                assert_eq!(meter.total(10, true), 7, "{body} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_nobody_counted_is_counted_by_events_or_bytes() {
        let mut stream = Meter::default();
        stream.data(b"data: {\"choices\":[]}\n\ndata: {}\n\n", true);
        assert_eq!(stream.total(10, true), 12);
        let mut json = Meter::default();
        json.data(&[b'x'; 40], true);
        assert_eq!(json.total(10, true), 20);
        assert_eq!(Meter::default().total(10, false), 10);
    }

    #[test]
    fn text_counts_however_few_events_it_comes_in_and_wherever_they_are_cut() {
        let words = r#"say \"so\" "#.repeat(100);
        for key in ["delta\":{\"content\":\"", "reasoning\":\"", "arguments\": \"", "text\":\""] {
            let stream = format!("data: {{\"{key}{words}\"}}\n\ndata: {{\"id\":\"{words}\"}}\n\n");
            let text = stream.find("say").unwrap()..stream.rfind("\"id").unwrap();
            for cut in text.step_by(7) {
                let mut meter = Meter::default();
                meter.data(&stream.as_bytes()[..cut], true);
                meter.data(&stream.as_bytes()[cut..], true);
                let expected = 10 + words.len().div_ceil(4) as u64;
                assert_eq!(meter.total(10, true), expected, "{key} cut at {cut}");
            }
        }
    }

    #[test]
    fn counters_that_go_on_are_not_summed_and_a_prompt_told_once_counts() {
        let mut meter = Meter::default();
        for event in [
            r#"{"type":"message_start","message":{"usage":{"input_tokens":25,"cache_read_input_tokens":100,"output_tokens":1}}}"#,
            r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":15}}"#,
            r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":18}}"#,
        ] {
            meter.data(format!("event: x\ndata: {event}\n\n").as_bytes(), true);
        }
        assert_eq!(meter.total(10, true), 125 + 18);
        let mut zeros = Meter::default();
        zeros.data(b"data: {\"choices\":[{\"text\":\"a b c d\"}]}\n\n", true);
        zeros.data(b"data: {\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}}\n\n", true);
        assert_eq!(zeros.total(10, true), 12, "two events");
        let mut meter = Meter::default();
        for count in 1..4 {
            let usage = format!(r#"{{"prompt_tokens":7,"completion_tokens":{count}}}"#);
            meter.data(format!("data: {{\"usage\":{usage}}}\n\n").as_bytes(), true);
        }
        assert_eq!(meter.total(10, true), 10);
    }

    #[test]
    fn only_a_line_that_begins_so_is_an_event() {
        let answer = format!(r#"{{"content":"data: {}"}}"#, "x".repeat(4000));
        for cut in [0, 12, 13, 500] {
            let mut json = Meter::default();
            json.data(&answer.as_bytes()[..cut], true);
            json.data(&answer.as_bytes()[cut..], true);
            assert_eq!(json.total(10, true), 10 + answer.len().div_ceil(4) as u64, "{cut}");
        }
        let mut stream = Meter::default();
        for frame in [": hello\r\n", "data: {}\r\n\r\n", "", "data: data: {}\r\rdata: {}"] {
            stream.data(frame.as_bytes(), true);
        }
        assert_eq!(stream.total(10, true), 13);
    }
}
