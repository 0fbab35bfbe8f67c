//! What succeeded and failed of late, in a table of atomic words.

use std::array;

use super::settings::{Settings, millis};
use crate::sync::{AtomicU64, Ordering};

/// The slots of a window; the oldest is given up as a whole.
const SLOTS: usize = 10;

/// The bits of a count.
const COUNT: u32 = 14;

/// The most of either outcome that a slot tells apart.
const MOST: u64 = (1 << COUNT) - 1;

/// The most requests a rate may require: what is left of a full slot after [`Slot::count`] halves
/// it, so that no volume is too large to be seen.
pub(super) const MOST_REQUIRED: u32 = (MOST / 2) as u32;

/// The outcomes of a closed breaker's last requests.
///
/// Each slot is one word, so that no lock and no reset is needed:
///
/// ```text
/// generation 8 | tick 28 | failures 14 | successes 14
/// ```
///
/// The first two say whose and when its counts are; a slot of another generation, or of a tick that
/// has passed out of the window, counts nothing and is begun anew by whoever writes next. (A thread
/// that stands still between reading the clock and writing may so begin a slot anew for a time that
/// has passed. What is lost then is that slot's counts, and no decision hangs on one of them.)
#[derive(Debug)]
pub(super) struct Window {
    slots: [AtomicU64; SLOTS],
    /// The milliseconds of a slot.
    tick: u64,
    rate: f64,
    minimum: u64,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Generation and tick.
    tag: u64,
    failures: u64,
    successes: u64,
}

impl Window {
    /// A window, if these settings ask for one.
    pub(super) fn new(settings: &Settings) -> Option<Self> {
        let rate = settings.failure_rate?;
        Some(Self {
            slots: array::from_fn(|_| AtomicU64::new(0)),
            tick: (millis(settings.window) / SLOTS as u64).max(1),
            rate,
            minimum: settings.minimum_requests.into(),
        })
    }

    /// Counts an outcome of this generation.
    pub(super) fn record(&self, generation: u16, at: u64, failed: bool) {
        let tick = at / self.tick;
        let tag = tag(generation, tick);
        let count = |bits| Some(Slot::from(bits).of(tag).count(failed).into());
        // Never refused, so there is no outcome to look at.
        let _ = self.slot(tick).fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
    }

    /// Whether enough requests of this generation are in the window, and too many of them failed.
    pub(super) fn is_over(&self, generation: u16, at: u64) -> bool {
        let now = at / self.tick;
        let (mut failures, mut all) = (0, 0);
        for tick in now.saturating_sub(SLOTS as u64 - 1)..=now {
            let slot = Slot::from(self.slot(tick).load(Ordering::Relaxed));
            let slot = slot.of(tag(generation, tick));
            failures += slot.failures;
            all += slot.failures + slot.successes;
        }
        all >= self.minimum && failures as f64 >= self.rate * all as f64
    }

    fn slot(&self, tick: u64) -> &AtomicU64 {
        &self.slots[(tick % SLOTS as u64) as usize]
    }
}

fn tag(generation: u16, tick: u64) -> u64 {
    u64::from(generation & 0xff) << 28 | tick & 0x0fff_ffff
}

impl Slot {
    /// What it says of this generation and tick.
    fn of(self, tag: u64) -> Self {
        if self.tag == tag { self } else { Self { tag, failures: 0, successes: 0 } }
    }

    /// The same and one outcome more. A full slot is halved first, which keeps its rate.
    fn count(mut self, failed: bool) -> Self {
        if self.failures.max(self.successes) == MOST {
            (self.failures, self.successes) = (self.failures / 2, self.successes / 2);
        }
        let count = if failed { &mut self.failures } else { &mut self.successes };
        *count += 1;
        self
    }
}

impl From<Slot> for u64 {
    fn from(slot: Slot) -> Self {
        slot.tag << (2 * COUNT) | slot.failures << COUNT | slot.successes
    }
}

impl From<u64> for Slot {
    fn from(bits: u64) -> Self {
        Self { tag: bits >> (2 * COUNT), failures: bits >> COUNT & MOST, successes: bits & MOST }
    }
}

#[cfg(test)]
#[cfg(not(jairouter_loom))]
mod tests {
    use std::time::Duration;

    use super::*;

    fn half_of(minimum: u32) -> Window {
        let settings = Settings::default().with_failure_rate(0.5).with_minimum_requests(minimum);
        Window::new(&settings.with_window(Duration::from_secs(10))).unwrap()
    }

    #[test]
    fn too_few_requests_say_nothing() {
        let window = half_of(4);
        for _ in 0..3 {
            window.record(0, 0, true);
            assert!(!window.is_over(0, 0));
        }
        window.record(0, 0, true);
        assert!(window.is_over(0, 0));
    }

    #[test]
    fn the_rate_itself_is_too_much_and_anything_below_it_is_not() {
        let window = half_of(1);
        for failed in [true, false, false, true] {
            window.record(0, 0, failed);
        }
        assert!(window.is_over(0, 0));
        window.record(0, 0, false);
        assert!(!window.is_over(0, 0));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_tick_by_tick() {
        let window = half_of(1);
        window.record(0, 500, true);
        assert!(window.is_over(0, 9_999));
        assert!(!window.is_over(0, 10_000), "its tenth is over");
        window.record(0, 10_500, false);
        assert!(!window.is_over(0, 10_500), "the slot is begun anew");
    }

    #[test]
    fn a_generation_knows_nothing_of_the_one_before() {
        let window = half_of(1);
        window.record(0, 0, true);
        assert!(!window.is_over(1, 0));
        window.record(1, 0, false);
        assert!(!window.is_over(1, 0));
    }

    #[test]
    fn a_flood_keeps_its_rate_and_its_volume() {
        let window = half_of(MOST_REQUIRED);
        for nth in 0..200_000 {
            window.record(0, 0, nth % 2 == 0);
        }
        window.record(0, 0, true);
        assert!(window.is_over(0, 0), "half of them failed");
        for _ in 0..400_000 {
            window.record(0, 0, false);
        }
        assert!(!window.is_over(0, 0), "a sixth of them failed");
    }
}
