//! How many requests have come to be allowed by now, as a number that only grows.

use std::time::Duration;

/// How long a limiter can count, in seconds: a hundred years.
const LIFE: f64 = 100.0 * 365.0 * 24.0 * 3600.0;

/// The finest division of a token.
const FINEST: f64 = (1_u64 << 20) as f64;

/// The fastest rate, in tokens a second.
pub(super) const FASTEST: f64 = 1e9;

/// The slowest rate, in tokens a second: three a century, for who means "never again".
pub(super) const SLOWEST: f64 = 1e-9;

/// What a rate that warms up begins with, as a share of its full rate.
const COLD: f64 = 1.0 / 3.0;

/// How fast tokens come, now and later.
///
/// All arithmetic is on whole parts of a token, so that fractions of it are neither lost nor
/// rounded up however often somebody looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// Parts a second, once warm.
    parts: f64,
    /// Parts of one token.
    one: u64,
    /// In seconds; 0 if it is warm from the first.
    warm_up: f64,
}

impl Rate {
    /// Tokens a second, from the first second on.
    pub(super) fn constant(per_second: f64) -> Self {
        Self::warming(per_second, Duration::ZERO)
    }

    /// Tokens a second once this period is over, and a third of it at the beginning.
    pub(super) fn warming(per_second: f64, period: Duration) -> Self {
        let per_second = if per_second.is_nan() { SLOWEST } else { per_second };
        let per_second = per_second.clamp(SLOWEST, FASTEST);
        // What comes in a lifetime has to fit into a word, twice: debts are above it.
        let one = (9e18 / (per_second * LIFE)).clamp(1.0, FINEST).floor();
        Self { parts: per_second * one, one: one as u64, warm_up: period.as_secs_f64() }
    }

    /// Parts of one token.
    pub(super) fn one(&self) -> u64 {
        self.one
    }

    /// Parts that have come after this long.
    pub(super) fn come(&self, after: Duration) -> u64 {
        let seconds = after.as_secs_f64();
        let warmed = seconds.min(self.warm_up);
        let cold = match self.warm_up > 0.0 {
            // The integral of a rate that grows steadily.
            true => warmed * (COLD + (1.0 - COLD) * warmed / (2.0 * self.warm_up)),
            false => 0.0,
        };
        ((cold + seconds - warmed) * self.parts) as u64
    }

    /// The share of its full rate that it has reached after this long.
    pub(super) fn warmth(&self, after: Duration) -> f64 {
        match self.warm_up > 0.0 {
            true => COLD + (1.0 - COLD) * (after.as_secs_f64() / self.warm_up).min(1.0),
            false => 1.0,
        }
    }

    /// How long it takes for these parts to come, from then on. A cold rate is taken as it is.
    pub(super) fn wait(&self, parts: u64, after: Duration) -> Duration {
        let seconds = parts as f64 / (self.parts * self.warmth(after));
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}
