use std::time::Duration;

use tokio::time::Instant;

/// How much of the mean the latest interval is: a change of pace is half seen after five releases.
const WEIGHT: u32 = 8;

/// For how long without anybody waiting the pace is remembered.
const MEMORY: Duration = Duration::from_secs(60);

/// How fast places have become free lately, while somebody waited for them.
#[derive(Debug)]
pub(super) struct Pace {
    /// The exponentially weighted mean of the times between releases.
    mean: Option<Duration>,
    /// The last release, or when the first one began to wait for it.
    since: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { mean: None, since: now }
    }

    /// Somebody waits again. The time without is not one between releases, for none were counted.
    pub(super) fn resume(&mut self, now: Instant) {
        if now.saturating_duration_since(self.since) > MEMORY {
            self.mean = None;
        }
        self.since = now;
    }

    pub(super) fn released(&mut self, now: Instant) {
        let interval = now.saturating_duration_since(self.since);
        self.mean = Some(self.mean.map_or(interval, |mean| mixed(mean, interval)));
        self.since = now;
    }

    /// The mean time from one release to the next; `None` before the first. An interval that has
    /// become long counts before it is over, or an engine that hangs would be said to be fast.
    pub(super) fn mean(&self, now: Instant) -> Option<Duration> {
        let open = now.saturating_duration_since(self.since);
        self.mean.map(|mean| mixed(mean, open).max(mean))
    }
}

fn mixed(mean: Duration, interval: Duration) -> Duration {
    (mean * (WEIGHT - 1) + interval) / WEIGHT
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_pace_follows_the_releases() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.mean(now + SECOND), None, "nothing is known");
        for interval in [SECOND; 3] {
            now += interval;
            pace.released(now);
        }
        assert_eq!(pace.mean(now), Some(SECOND));
        for _ in 0..5 {
            now += 3 * SECOND;
            pace.released(now);
        }
        let mean = pace.mean(now).unwrap().as_secs_f64();
        assert!((1.9..2.1).contains(&mean), "half way from 1 to 3 after five: {mean}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_release_that_does_not_come_slows_the_pace() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.released(start + SECOND);
        assert_eq!(pace.mean(start + 2 * SECOND), Some(SECOND));
        assert_eq!(pace.mean(start + 18 * SECOND), Some(3 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waited_is_no_interval() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.released(start + SECOND);
        pace.resume(start + 61 * SECOND);
        pace.released(start + 62 * SECOND);
        assert_eq!(pace.mean(start + 62 * SECOND), Some(SECOND));
        pace.resume(start + 200 * SECOND);
        assert_eq!(pace.mean(start + 200 * SECOND), None, "long forgotten");
    }
}
