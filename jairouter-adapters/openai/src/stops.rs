//! [`Stops`]: engines that leave the text they stopped at in their answers.

/// Keeps back what may turn out to be a stop text, and takes it from the end of an answer.
///
/// ```
/// use jairouter_openai::stops::Stops;
///
/// let mut stops = Stops::new(vec!["END".into()]);
/// assert_eq!(stops.push("so it E"), "so it ");
/// assert_eq!(stops.push("lse E"), "Else ");
/// assert_eq!(stops.push("ND"), "");
/// assert_eq!(stops.finish(), "");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Stops {
    texts: Vec<String>,
    held: String,
}

impl Stops {
    /// These stop texts.
    pub fn new(mut texts: Vec<String>) -> Self {
        texts.retain(|text| !text.is_empty());
        Self { texts, held: String::new() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The same stop texts, of an answer of which nothing has come.
    pub fn fresh(&self) -> Self {
        Self { texts: self.texts.clone(), held: String::new() }
    }

    /// Takes a piece of the answer, and gives what cannot be the beginning of a stop text.
    pub fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        let at = self.held.char_indices().map(|(at, _)| at).find(|at| {
            let rest = &self.held[*at..];
            self.texts.iter().any(|text| text.starts_with(rest))
        });
        let rest = self.held.split_off(at.unwrap_or(self.held.len()));
        std::mem::replace(&mut self.held, rest)
    }

    /// The answer is at its end: gives the rest, without the stop text it ends with.
    pub fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        self.trimmed(&held).to_owned()
    }

    /// A whole answer without the stop text it ends with. Of several it is the longest.
    pub fn trimmed<'a>(&self, text: &'a str) -> &'a str {
        let ends = self.texts.iter().filter_map(|stop| text.strip_suffix(stop.as_str()));
        ends.min_by_key(|rest| rest.len()).unwrap_or(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_text_is_taken_from_the_end_wherever_the_pieces_are_cut() {
        for (stops, text, expected) in [
            (&["\n\n"][..], "a\nb\n\n", "a\nb"),
            (&["b", "abc"], "xxab", "xxa"),
            (&["ab", "xab"], "x-xab", "x-"),
            (&["é!"], "é! é?é!", "é! é?"),
            (&["stop"], "nothing of it", "nothing of it"),
            (&["", "x"], "xx", "x"),
            (&[], "all", "all"),
        ] {
            let stops = Stops::new(stops.iter().map(|&stop| stop.to_owned()).collect());
            assert_eq!(stops.trimmed(text), expected, "{text:?} whole");
            for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
                let mut pieces = stops.fresh();
                let (a, b) = text.split_at(cut);
                let said = [pieces.push(a), pieces.push(b), pieces.finish()].concat();
                assert_eq!(said, expected, "{text:?} cut at {cut}");
            }
        }
    }
}
