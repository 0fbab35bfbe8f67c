//! The prompt at the beginning of an answer, which callers are not told.

use crate::settings::Echo;

/// A prompt shorter than this may be how an answer begins by chance, in bytes.
const SHORTEST: usize = 16;

/// Holds back what may be the prompt, and drops it.
pub(crate) struct Head {
    prompt: String,
    held: String,
    is_over: bool,
}

impl Head {
    pub(crate) fn new(echo: Echo, prompt: &str) -> Self {
        let looks = match echo {
            Echo::Auto => prompt.len() >= SHORTEST,
            Echo::Always => !prompt.is_empty(),
            Echo::Never => false,
        };
        let prompt = if looks { prompt.to_owned() } else { String::new() };
        Self { prompt, held: String::new(), is_over: !looks }
    }

    /// Takes the next text, and returns what is no part of the prompt.
    pub(crate) fn push(&mut self, text: String) -> String {
        if self.is_over {
            return text;
        }
        self.held.push_str(&text);
        if self.held.len() < self.prompt.len() && self.prompt.starts_with(&self.held) {
            return String::new();
        }
        self.is_over = true;
        let mut held = std::mem::take(&mut self.held);
        if held.starts_with(&self.prompt) { held.split_off(self.prompt.len()) } else { held }
    }

    /// What is left: no whole prompt came.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "Once upon a time there was";

    fn told(echo: Echo, prompt: &str, pieces: &[&str]) -> String {
        let mut head = Head::new(echo, prompt);
        let mut text: String = pieces.iter().map(|piece| head.push((*piece).to_owned())).collect();
        text.push_str(&head.finish());
        text
    }

    #[test]
    fn a_prompt_is_dropped_if_it_is_whole_and_in_front() {
        for (pieces, text) in [
            (&["Once upon a time there was a king"][..], " a king"),
            (&["Once upon", " a time there was", " a king"], " a king"),
            (&["Once upon", " a mattress"], "Once upon a mattress"),
            (&["Once"], "Once"),
            (&[" Once upon a time there was"], " Once upon a time there was"),
            (&[PROMPT, PROMPT], PROMPT),
            (&[], ""),
        ] {
            assert_eq!(told(Echo::Auto, PROMPT, pieces), text, "{pieces:?}");
        }
    }

    #[test]
    fn a_short_prompt_may_be_how_the_answer_begins() {
        assert_eq!(told(Echo::Auto, "1", &["1, 2, 3"]), "1, 2, 3");
        assert_eq!(told(Echo::Always, "1", &["1, 2, 3"]), ", 2, 3");
        assert_eq!(told(Echo::Never, PROMPT, &[PROMPT]), PROMPT);
        assert_eq!(told(Echo::Always, "", &["x"]), "x");
    }
}
