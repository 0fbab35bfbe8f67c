//! What the engine says, and how it falls into tokens.

/// Said over and over, until an answer is long enough.
const PASSAGE: &str = "This is the simulated engine of JAiRouter. It is no model: it streams these \
    words, one at a time, to show that the gateway in front of it works. Start an inference engine \
    and name it in the configuration to talk to a model instead. ";

/// How many letters of JSON are one token.
const LETTERS: usize = 8;

/// A text that is known before its first token.
#[derive(Debug)]
pub(crate) struct Said {
    text: String,
    cut: Cut,
    tokens: usize,
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    /// A token is a word and the space behind it.
    Words,
    Letters,
}

impl Said {
    /// So many words of the passage.
    pub(crate) fn passage(tokens: usize) -> Self {
        let mut text: String = PASSAGE.split_inclusive(' ').cycle().take(tokens).collect();
        text.truncate(text.trim_end().len());
        Self { text, cut: Cut::Words, tokens }
    }

    /// A JSON value, at most so many tokens of it. Whether it had to be cut.
    pub(crate) fn json(text: String, limit: usize) -> (Self, bool) {
        let mut said = Self { text, cut: Cut::Letters, tokens: 0 };
        let end = said.pieces().take(limit).map(str::len).sum();
        let is_cut = end < said.text.len();
        said.text.truncate(end);
        said.tokens = said.pieces().count();
        (said, is_cut)
    }

    /// Cuts it in front of the first of these strings. Whether one was met.
    pub(crate) fn stop_at(&mut self, stops: &[String]) -> bool {
        let stops = stops.iter().filter(|stop| !stop.is_empty());
        let Some(end) = stops.filter_map(|stop| self.text.find(&**stop)).min() else {
            return false;
        };
        self.text.truncate(end);
        self.tokens = self.pieces().count();
        true
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// The token that begins at this byte; nothing at the end.
    pub(crate) fn piece(&self, from: usize) -> &str {
        let rest = &self.text[from..];
        let end = match self.cut {
            Cut::Words => rest.find(' ').map(|space| space + 1),
            Cut::Letters => rest.char_indices().nth(LETTERS).map(|(end, _)| end),
        };
        &rest[..end.unwrap_or(rest.len())]
    }

    fn pieces(&self) -> impl Iterator<Item = &str> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let piece = self.piece(from);
            from += piece.len();
            (!piece.is_empty()).then_some(piece)
        })
    }
}

/// How many simulated tokens a text of the caller's has: its words.
pub(crate) fn count(text: &str) -> usize {
    text.split_whitespace().count()
}
