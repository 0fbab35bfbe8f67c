//! Everything that was told, and what must be in none of it.

use jairouter_tests::client::Answer;

/// What stands in prompts and in engines' answers: in no word of the program's own.
pub(crate) const PROMPT: &str = "canary7f3a";

/// What keys and headers of ours begin with: in nothing that anybody is told.
pub(crate) const SECRET: &str = "secret5b1c";

/// What was told, and where.
#[derive(Default)]
pub(crate) struct Corpus(Vec<(String, String)>);

impl Corpus {
    /// In the program's own words.
    pub(crate) fn add(&mut self, place: &str, text: String) {
        assert!(!text.is_empty(), "nothing was told in {place}");
        self.0.push((place.to_owned(), text));
    }

    /// To a caller, who may have an engine's own words, and none of our keys.
    pub(crate) fn add_answer(&mut self, answer: &Answer) {
        let text = format!("{}{}", answer.head, answer.text());
        self.add("answer", text.replace(PROMPT, "the engine's own"));
    }

    /// Looks for each in all of it.
    pub(crate) fn assert_clean(&self) {
        assert!(self.0.len() > 3);
        for (place, text) in &self.0 {
            for canary in [PROMPT, SECRET] {
                if let Some(at) = text.find(canary) {
                    let around = text[..at].chars().rev().take(300).collect::<Vec<_>>();
                    let around: String = around.into_iter().rev().collect();
                    panic!("{place} holds {canary}, behind: {around}");
                }
            }
        }
    }
}
