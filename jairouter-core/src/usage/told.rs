//! What an engine says it used.

use serde::Deserialize;

use crate::needle::Needle;

/// What the usage is written under.
pub(super) static USAGE: Needle = Needle::new(b"\"usage\"");

/// How much of a frame is kept, in case a usage is cut in two.
const TAIL: usize = 512;

/// How many tokens a request took, as the engine counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Those of the prompt, cached ones among them.
    pub input: u64,
    /// Those of the answer.
    pub output: u64,
    /// Both, and whatever else the engine counts.
    total: Option<u64>,
}

impl Usage {
    /// All of them.
    pub fn total(self) -> u64 {
        self.total.unwrap_or(self.input.saturating_add(self.output))
    }
}

/// Watches an answer for what the engine says it used so far: some say it with every event.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    tail: Vec<u8>,
    told: Option<Usage>,
}

/// As it is written.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Told {
    total_tokens: Option<u64>,
    // Some engines write both.
    prompt_tokens: Option<u64>,
    input_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    output_tokens: Option<u64>,
    /// Of Anthropic's prompts the part that `input_tokens` leaves out.
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

impl From<Told> for Usage {
    fn from(written: Told) -> Self {
        let cached = [written.cache_creation_input_tokens, written.cache_read_input_tokens];
        let input = written.prompt_tokens.or(written.input_tokens).unwrap_or_default();
        let input = cached.into_iter().flatten().fold(input, u64::saturating_add);
        let output = written.completion_tokens.or(written.output_tokens).unwrap_or_default();
        Self { input, output, total: written.total_tokens }
    }
}

impl Reported {
    /// The last that was said, if anything was.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.told
    }

    pub(crate) fn data(&mut self, frame: &[u8]) {
        if !self.tail.is_empty() {
            // Only what is near the cut has to be put together.
            let mut joined = std::mem::take(&mut self.tail);
            joined.extend_from_slice(&frame[..frame.len().min(TAIL)]);
            self.look(&joined);
            joined.clear();
            self.tail = joined;
        }
        self.look(frame);
        // A frame of whole events ends in one piece.
        if !frame.ends_with(b"\n") {
            self.tail.extend_from_slice(&frame[frame.len().saturating_sub(TAIL)..]);
        }
    }

    /// Takes the last usage in these bytes. In text that a model writes the quotes are escaped.
    fn look(&mut self, bytes: &[u8]) {
        let value = |at: usize| {
            let value = bytes[at + USAGE.length()..].trim_ascii_start().strip_prefix(b":")?;
            // Of most events it is null.
            matches!(value.trim_ascii_start(), [b'{' | b'[', ..]).then_some(value)
        };
        let mut end = bytes.len();
        let told = loop {
            let all = USAGE.find_iter(&bytes[..end]);
            let Some((at, value)) = all.filter_map(|at| Some((at, value(at)?))).last() else {
                break None;
            };
            end = at;
            let read = serde_json::Deserializer::from_slice(value).into_iter::<Told>().next();
            if let Some(Ok(told)) = read {
                break Some(told);
            }
        };
        if let Some(told) = told.map(Usage::from) {
            // The prompt may have been told before, and not again.
            let before = self.told.map_or(0, |before| before.input);
            self.told = Some(Usage { input: told.input.max(before), ..told });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_under_both_of_its_names_and_with_nothing_under_others_is_one() {
        let mut reported = Reported::default();
        reported.data(
            b"{\"usage\":{\"prompt_tokens\":3,\"input_tokens\":3,\"output_tokens\":4,\"completion_tokens\":4,\
              \"cache_read_input_tokens\":null}}\n",
        );
        let usage = reported.usage().unwrap();
        assert_eq!((usage.input, usage.output, usage.total()), (3, 4, 7));
    }
}
