//! The stop word at the end of a text, which an ensemble leaves there.

/// Holds back what may be the beginning of a stop word, and drops one at the end.
///
/// Only at the end: the engine stops by tokens, so that the same letters inside of another word did
/// not stop it.
pub(crate) struct Tail {
    stops: Vec<String>,
    held: String,
}

impl Tail {
    pub(crate) fn new<S: AsRef<str>>(stops: &[S]) -> Self {
        let stops = stops.iter().map(|stop| stop.as_ref().to_owned());
        Self { stops: stops.filter(|stop| !stop.is_empty()).collect(), held: String::new() }
    }

    /// Takes the next text, and returns what is no part of a stop word for sure.
    pub(crate) fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let mut from = self.held.len().saturating_sub(longest);
        // To the next character, so that what is left is text.
        while !self.held.is_char_boundary(from) {
            from += 1;
        }
        let may_begin = |rest: &str| self.stops.iter().any(|stop| stop.starts_with(rest));
        let starts = self.held[from..].char_indices().map(|(at, _)| from + at);
        let kept = starts.into_iter().find(|at| may_begin(&self.held[*at..]));
        let rest = self.held.split_off(kept.unwrap_or(self.held.len()));
        std::mem::replace(&mut self.held, rest)
    }

    /// What is left, and whether a stop word was behind it.
    pub(crate) fn finish(&mut self) -> (String, bool) {
        let mut held = std::mem::take(&mut self.held);
        let found = self.stops.iter().filter(|stop| held.ends_with(stop.as_str()));
        // The longest began first.
        let found = found.map(String::len).max();
        held.truncate(held.len() - found.unwrap_or(0));
        (held, found.is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut tail = Tail::new(stops);
        let mut text: String = pieces.iter().map(|piece| tail.push(piece)).collect();
        let (rest, stopped) = tail.finish();
        text.push_str(&rest);
        (text, stopped)
    }

    #[test]
    fn a_stop_word_is_dropped_at_the_end_and_nowhere_else() {
        for (stops, pieces, text, stopped) in [
            (&["learn"][..], &["learning to ", "le", "arn"][..], "learning to ", true),
            (&["learn"], &["learning"], "learning", false),
            (&["learn", "to learn"], &["how to ", "learn"], "how ", true),
            (&["\n\n"], &["a\n", "\n"], "a", true),
            (&["\n\n"], &["a\n", "b\n"], "a\nb\n", false),
            (&["ünd"], &["Mü", "nd"], "M", true),
            (&["aab"], &["aaa", "ab"], "aa", true),
            (&[""], &["x"], "x", false),
            (&[], &["x", ""], "x", false),
        ] {
            assert_eq!(told(stops, pieces), (text.to_owned(), stopped), "{stops:?} {pieces:?}");
        }
    }

    #[test]
    fn nothing_is_held_back_that_cannot_be_a_stop_word() {
        let mut tail = Tail::new(&["END"]);
        assert_eq!(tail.push("the EN"), "the ");
        assert_eq!(tail.push("VY"), "ENVY");
        assert_eq!(tail.push("E"), "");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_text_is_cut(
            text in "[abü]{0,16}",
            stops in prop::collection::vec("[abü]{1,4}", 0..3),
            cut in 0usize..17,
        ) {
            let cut = text.floor_char_boundary(cut);
            let stops: Vec<_> = stops.iter().map(String::as_str).collect();
            let whole = told(&stops, &[&text]);
            prop_assert_eq!(&told(&stops, &[&text[..cut], &text[cut..]]), &whole);
            let longest = stops.iter().filter(|stop| text.ends_with(**stop)).map(|stop| stop.len());
            prop_assert_eq!(whole.0.len(), text.len() - longest.max().unwrap_or(0));
        }
    }
}
