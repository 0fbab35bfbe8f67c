use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};

/// How a limit counts: pure functions from a word and a time to the next word.
///
/// The word is all the state there is, so a decision is one compare-and-swap, many buckets share one
/// algorithm, and a plain model can check every step. Times are counted from when the limiter was
/// made.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a rate limit's `Algorithm`",
    label = "says not how much may pass",
    note = "`TokenBucket::new(rate, burst)` is the one when in doubt"
)]
pub trait Algorithm: Send + Sync {
    /// The word after taking this much, or how long until that will be possible.
    ///
    /// More than the whole [limit](Algorithm::limit) can be taken from a full one: it is then in
    /// debt, and nothing more is given until that is paid.
    ///
    /// # Errors
    ///
    /// The time until as much can be taken, if nobody else takes any.
    fn take(&self, word: u64, amount: u64, at: Duration) -> Result<u64, Duration>;

    /// The word after taking this much, whether it is there or not.
    fn owe(&self, word: u64, amount: u64, at: Duration) -> u64;

    /// The word after giving this much back.
    fn give_back(&self, word: u64, amount: u64, at: Duration) -> u64;

    /// How much could be taken now.
    fn remaining(&self, word: u64, at: Duration) -> u64;

    /// The most that can be there.
    fn limit(&self) -> u64;

    /// How long until it is as good as new, if nobody takes any more. Zero if it is.
    fn reset(&self, word: u64, at: Duration) -> Duration;
}

/// The word of a bucket that nobody has used.
pub(super) const FRESH: u64 = 0;

/// One word of an algorithm's, shared.
#[derive(Debug)]
pub(super) struct Word(AtomicU64);

impl Word {
    pub(super) fn fresh() -> Self {
        Self(AtomicU64::new(FRESH))
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes from it, and returns the word that is left.
    pub(super) fn take<A>(&self, algorithm: &A, amount: u64, at: Duration) -> Result<u64, Duration>
    where
        A: Algorithm + ?Sized,
    {
        let mut word = self.get();
        loop {
            let next = algorithm.take(word, amount, at)?;
            match self.0.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(next),
                Err(changed) => word = changed,
            }
        }
    }

    /// Replaces the word by what `next` makes of it.
    pub(super) fn update(&self, next: impl Fn(u64) -> u64) {
        let mut word = self.get();
        while let Err(changed) =
            self.0.compare_exchange_weak(word, next(word), Ordering::Relaxed, Ordering::Relaxed)
        {
            word = changed;
        }
    }
}

impl Algorithm for Box<dyn Algorithm> {
    fn take(&self, word: u64, amount: u64, at: Duration) -> Result<u64, Duration> {
        (**self).take(word, amount, at)
    }
    fn owe(&self, word: u64, amount: u64, at: Duration) -> u64 {
        (**self).owe(word, amount, at)
    }
    fn give_back(&self, word: u64, amount: u64, at: Duration) -> u64 {
        (**self).give_back(word, amount, at)
    }
    fn remaining(&self, word: u64, at: Duration) -> u64 {
        (**self).remaining(word, at)
    }
    fn limit(&self) -> u64 {
        (**self).limit()
    }
    fn reset(&self, word: u64, at: Duration) -> Duration {
        (**self).reset(word, at)
    }
}
