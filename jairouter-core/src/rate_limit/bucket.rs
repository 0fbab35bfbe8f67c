use std::time::Duration;

use super::algorithm::Algorithm;
use super::rate::Rate;

/// A bucket that holds `capacity` tokens, begins full, and gains `rate` tokens a second: bursts up
/// to the capacity, and in any time `t` no more than `capacity + rate · t`.
///
/// Use it when in doubt. It is the generic cell rate algorithm (ITU-T I.371, annex A).
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket(Bucket);

/// A bucket that `rate` requests a second leak out of, and that overflows at `capacity`.
///
/// As a meter it decides like a [`TokenBucket`] of the same numbers, as I.371 shows: water in the
/// one is tokens missing in the other. A capacity of 1 spaces requests evenly.
#[derive(Debug, Clone, Copy)]
pub struct LeakyBucket(Bucket);

/// A [`TokenBucket`] that begins with a third of its rate and its capacity and reaches all of both
/// steadily, within the warm-up period: for engines that have to load a model or fill a cache first.
///
/// It warms up once, from when it was made.
#[derive(Debug, Clone, Copy)]
pub struct WarmUp(Bucket);

impl TokenBucket {
    /// `rate` tokens a second (a billionth to a billion, fractions included), `capacity` at most.
    pub fn new(rate: f64, capacity: u64) -> Self {
        Self(Bucket::new(Rate::constant(rate), capacity))
    }
}

impl LeakyBucket {
    /// Leaks `rate` requests a second (a billionth to a billion), holds at most `capacity`.
    pub fn new(rate: f64, capacity: u64) -> Self {
        Self(Bucket::new(Rate::constant(rate), capacity))
    }
}

impl WarmUp {
    /// `rate` tokens a second and `capacity` at most, once `period` is over.
    pub fn new(rate: f64, capacity: u64, period: Duration) -> Self {
        Self(Bucket::new(Rate::warming(rate, period), capacity))
    }
}

/// The word is how much has come once everything taken is there again, in parts of a token: what
/// has come by now, or less, is a full bucket.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    rate: Rate,
    capacity: u64,
}

impl Bucket {
    fn new(rate: Rate, capacity: u64) -> Self {
        // A debt of a whole lifetime still fits above it.
        let most = (u64::MAX / 4) / rate.one();
        Self { rate, capacity: capacity.clamp(1, most) }
    }

    /// The most there can be, in parts, and what has come.
    fn full(&self, at: Duration) -> (u64, u64) {
        let one = self.rate.one();
        let warm = (self.capacity * one) as f64 * self.rate.warmth(at);
        let full = if self.rate.warmth(at) < 1.0 { warm as u64 } else { self.capacity * one };
        (full.max(one), self.rate.come(at))
    }
}

impl Algorithm for Bucket {
    fn take(&self, word: u64, amount: u64, at: Duration) -> Result<u64, Duration> {
        let (one, (full, come)) = (self.rate.one(), self.full(at));
        let taken = word.max(come);
        let needed = amount.saturating_mul(one).min(full);
        let over = (taken + needed).saturating_sub(come + full);
        if over > 0 {
            return Err(self.rate.wait(over, at));
        }
        Ok(self.owe(taken, amount, at))
    }

    fn owe(&self, word: u64, amount: u64, at: Duration) -> u64 {
        let owed = amount.saturating_mul(self.rate.one());
        word.max(self.rate.come(at)).saturating_add(owed).min(u64::MAX / 2)
    }

    fn give_back(&self, word: u64, amount: u64, _: Duration) -> u64 {
        word.saturating_sub(amount.saturating_mul(self.rate.one()))
    }

    fn remaining(&self, word: u64, at: Duration) -> u64 {
        let (full, come) = self.full(at);
        (come + full).saturating_sub(word.max(come)) / self.rate.one()
    }

    fn limit(&self) -> u64 {
        self.capacity
    }

    fn reset(&self, word: u64, at: Duration) -> Duration {
        self.rate.wait(word.saturating_sub(self.rate.come(at)), at)
    }
}

macro_rules! as_bucket {
    ($($name:ident)*) => {$(
        impl Algorithm for $name {
            fn take(&self, word: u64, amount: u64, at: Duration) -> Result<u64, Duration> {
                self.0.take(word, amount, at)
            }
            fn owe(&self, word: u64, amount: u64, at: Duration) -> u64 {
                self.0.owe(word, amount, at)
            }
            fn give_back(&self, word: u64, amount: u64, at: Duration) -> u64 {
                self.0.give_back(word, amount, at)
            }
            fn remaining(&self, word: u64, at: Duration) -> u64 {
                self.0.remaining(word, at)
            }
            fn limit(&self) -> u64 {
                self.0.limit()
            }
            fn reset(&self, word: u64, at: Duration) -> Duration {
                self.0.reset(word, at)
            }
        }
    )*};
}

as_bucket!(TokenBucket LeakyBucket WarmUp);
