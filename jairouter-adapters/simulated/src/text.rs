//! What the engine says.

/// Said over and over, until an answer is long enough.
const PASSAGE: &str = "This is the simulated engine of JAiRouter. It is no model: it streams these \
    words, one at a time, to show that the gateway in front of it works. Start an inference engine \
    and name it in the configuration to talk to a model instead. ";

/// So many tokens. A token is a word and the space behind it; the last one has none.
pub(crate) fn tokens(count: usize) -> Vec<String> {
    let mut tokens: Vec<String> =
        PASSAGE.split_inclusive(' ').cycle().take(count).map(str::to_owned).collect();
    if let Some(last) = tokens.last_mut() {
        last.truncate(last.trim_end().len());
    }
    tokens
}

/// Cuts the tokens in front of the first of these strings. Whether one was met.
pub(crate) fn cut_at(tokens: &mut Vec<String>, stops: &[String]) -> bool {
    let text = tokens.concat();
    let found = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(&**stop));
    let Some(mut left) = found.min() else { return false };
    tokens.retain_mut(|token| {
        let kept = token.len().min(left);
        left -= kept;
        token.truncate(kept);
        !token.is_empty()
    });
    true
}

/// How many simulated tokens a text has.
pub(crate) fn count(text: &str) -> usize {
    text.split_whitespace().count()
}
