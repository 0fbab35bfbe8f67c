use std::time::Duration;

use super::algorithm::Algorithm;
use super::rate::{FASTEST, SLOWEST};

/// The most one window can count.
const MOST: u64 = (1 << 20) - 1;

/// The longest window: a century.
const LONGEST: f64 = 100.0 * 365.0 * 24.0 * 3600.0;

/// At most `capacity` requests in a window of `capacity / rate` seconds that slides.
///
/// Two neighbouring windows are counted, and what of the older one still counts is taken as spread
/// evenly over it. In any time `t` it admits less than `capacity + rate · t + 1`, about as much as a
/// [`TokenBucket`](super::TokenBucket); after a burst it gives way more slowly at first and then
/// faster, as the burst slides out of the window.
#[derive(Debug, Clone, Copy)]
pub struct SlidingWindow {
    capacity: u64,
    /// In nanoseconds.
    window: u64,
}

impl SlidingWindow {
    /// `capacity` (1 to 1,048,575) requests in `capacity / rate` seconds.
    pub fn new(rate: f64, capacity: u64) -> Self {
        let capacity = capacity.clamp(1, MOST);
        let rate = if rate.is_nan() { SLOWEST } else { rate.clamp(SLOWEST, FASTEST) };
        let seconds = (capacity as f64 / rate).min(LONGEST);
        Self { capacity, window: ((seconds * 1e9).round() as u64).max(1) }
    }

    /// What counts at this time, and how much of the window is over, in nanoseconds.
    fn seen(&self, word: u64, at: Duration) -> (Counts, u64) {
        let nanos = at.as_nanos();
        let window = u128::from(self.window);
        let (id, over) = ((nanos / window) as u64 & Counts::IDS, (nanos % window) as u64);
        let counts = Counts::unpack(word);
        match id.wrapping_sub(counts.id) & Counts::IDS {
            0 => (counts, over),
            1 => (Counts { id, before: counts.now, now: 0 }, over),
            // Somebody whose clock was read a moment later was here first.
            behind if behind > Counts::IDS - Counts::SKEW => (counts, 0),
            _ => (Counts { id, before: 0, now: 0 }, over),
        }
    }

    /// What is used, in requests times the window's nanoseconds.
    fn used(&self, counts: Counts, over: u64) -> u128 {
        u128::from(counts.before) * u128::from(self.window - over)
            + u128::from(counts.now) * u128::from(self.window)
    }

    /// When a window in which `before` were counted and `now` were added has room for `more`.
    fn room(&self, before: u64, now: u64, more: u64) -> Option<u64> {
        let left = self.capacity.checked_sub(now + more - 1).filter(|left| *left > 0)?;
        if before < left {
            return Some(0);
        }
        // before · (1 - x) < left.
        let x = u128::from(before - left) * u128::from(self.window) / u128::from(before);
        Some(x as u64 + 1)
    }
}

impl Algorithm for SlidingWindow {
    fn take(&self, word: u64, amount: u64, at: Duration) -> Result<u64, Duration> {
        let (counts, over) = self.seen(word, at);
        let needed = amount.clamp(1, self.capacity);
        // The last one needs room for a part of it only: without that a steady stream a little over
        // the rate would lose one in every window.
        let used = self.used(counts, over) + u128::from(needed - 1) * u128::from(self.window);
        if used < u128::from(self.capacity) * u128::from(self.window) {
            return Ok(counts.with(amount).pack());
        }
        let wait = match self.room(counts.before, counts.now, needed) {
            Some(room) => room.saturating_sub(over),
            None => {
                let next = self.room(counts.now, 0, needed).unwrap_or(self.window);
                (self.window - over).saturating_add(next)
            }
        };
        Err(Duration::from_nanos(wait.max(1)))
    }

    fn owe(&self, word: u64, amount: u64, at: Duration) -> u64 {
        self.seen(word, at).0.with(amount).pack()
    }

    fn give_back(&self, word: u64, amount: u64, at: Duration) -> u64 {
        let (mut counts, _) = self.seen(word, at);
        // What was taken just before a window ended is counted in the one before.
        let rest = amount.saturating_sub(counts.now);
        counts.now = counts.now.saturating_sub(amount);
        counts.before = counts.before.saturating_sub(rest);
        counts.pack()
    }

    fn remaining(&self, word: u64, at: Duration) -> u64 {
        let (counts, over) = self.seen(word, at);
        let all = u128::from(self.capacity) * u128::from(self.window);
        all.saturating_sub(self.used(counts, over)).div_ceil(self.window.into()) as u64
    }

    fn limit(&self) -> u64 {
        self.capacity
    }

    fn reset(&self, word: u64, at: Duration) -> Duration {
        let (counts, over) = self.seen(word, at);
        let windows = match (counts.before, counts.now) {
            (0, 0) => return Duration::ZERO,
            (_, 0) => 0,
            _ => self.window,
        };
        Duration::from_nanos((self.window - over).saturating_add(windows))
    }
}

/// The word: which window, and what was counted in it and in the one before.
#[derive(Debug, Clone, Copy)]
struct Counts {
    id: u64,
    before: u64,
    now: u64,
}

impl Counts {
    /// Windows are told apart by 24 bits. One that was not looked at for exactly so many windows may
    /// be taken for a recent one, and refuse what it should not, for two windows at most.
    const IDS: u64 = (1 << 24) - 1;

    /// By how many windows two readings of the clock may differ.
    const SKEW: u64 = 8;

    fn unpack(word: u64) -> Self {
        Self { id: word >> 40, before: word >> 20 & MOST, now: word & MOST }
    }

    fn pack(self) -> u64 {
        self.id << 40 | self.before << 20 | self.now
    }

    fn with(self, amount: u64) -> Self {
        Self { now: self.now.saturating_add(amount).min(MOST), ..self }
    }
}
