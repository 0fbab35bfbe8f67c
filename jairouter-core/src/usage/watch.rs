//! What is seen of an answer: it is looked at once, however many want to know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Extensions;

use super::meter::Meter;
use super::told::Usage;

/// In the extensions of an answer: whoever put it there looks at every frame before it comes to anybody further out.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    meter: Meter,
    /// Whether somebody wants its text counted, in case the engine does not say what it took.
    counts: bool,
}

/// Watches one answer. Of several the innermost does it for all.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Seen,
    is_first: bool,
}

impl Watch {
    /// Of the answer with these extensions, of which nothing has passed yet.
    pub(crate) fn new(extensions: &mut Extensions, counts: bool) -> Self {
        let (seen, is_first) = match extensions.get::<Seen>() {
            Some(seen) => (seen.clone(), false),
            None => {
                let seen = Seen::default();
                extensions.insert(seen.clone());
                (seen, true)
            }
        };
        seen.state().counts |= counts;
        Self { seen, is_first }
    }

    /// Of an answer of which nothing else is known, with its text.
    pub(crate) fn alone() -> Self {
        Self::new(&mut Extensions::new(), true)
    }

    /// More of the answer passes.
    pub(crate) fn data(&self, frame: &[u8]) {
        if self.is_first {
            let mut state = self.seen.state();
            let counts = state.counts;
            state.meter.data(frame, counts);
        }
    }

    /// What the engine has said that it took.
    pub(crate) fn told(&self) -> Option<Usage> {
        self.seen.state().meter.told()
    }

    /// What it took, as far as can be told, of a prompt that is taken for so many tokens.
    pub(crate) fn total(&self, prompt: u64, is_text: bool) -> u64 {
        self.seen.state().meter.total(prompt, is_text)
    }
}

impl Seen {
    /// Nobody waits for it: all who hold it are polled by one task, one after another.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_watch_an_answer_counts_once() {
        let mut extensions = Extensions::new();
        let inner = Watch::new(&mut extensions, false);
        let outer = Watch::new(&mut extensions, true);
        for frame in ["data: {\"choices\":[]}\n\n", "data: {}\n\n"] {
            inner.data(frame.as_bytes());
            outer.data(frame.as_bytes());
        }
        assert_eq!((inner.total(10, true), outer.total(10, true)), (12, 12));
        inner.data(b"data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n");
        assert_eq!(outer.told().map(Usage::total), Some(7));
        assert_eq!(outer.total(10, true), 7);
    }

    #[test]
    fn another_answer_to_the_same_request_is_watched_for_itself() {
        let first = Watch::new(&mut Extensions::new(), true);
        let second = Watch::new(&mut Extensions::new(), true);
        first.data(b"data: {}\n\n");
        assert_eq!((first.total(0, true), second.total(0, true)), (1, 0));
    }
}
