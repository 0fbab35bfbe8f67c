use std::time::Duration;

use super::word::{MOST_COUNTED, MOST_STRIKES};

/// When a [`Breaker`](super::Breaker) opens, for how long, and what closes it.
///
/// ```
/// use std::time::Duration;
///
/// use jairouter_core::circuit_breaker::Settings;
///
/// let settings = Settings::default()
///     .with_failure_threshold(10)
///     .with_failure_rate(0.5)
///     .with_window(Duration::from_secs(10))
///     .with_open_for(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    pub(super) failure_threshold: u32,
    pub(super) failure_rate: Option<f64>,
    pub(super) minimum_requests: u32,
    pub(super) window: Duration,
    pub(super) success_threshold: u32,
    open_for: Duration,
    max_open_for: Option<Duration>,
    jitter: f64,
}

impl Default for Settings {
    /// 5 failures in a row, no failure rate, open for 60 s ± 20 %, 2 probes.
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            failure_rate: None,
            minimum_requests: 10,
            window: Duration::from_secs(30),
            success_threshold: 2,
            open_for: Duration::from_secs(60),
            max_open_for: None,
            jitter: 0.2,
        }
    }
}

impl Settings {
    /// How many failures in a row open it, 1 to 1023. Default 5.
    #[must_use]
    pub fn with_failure_threshold(mut self, failures: u32) -> Self {
        self.failure_threshold = failures.clamp(1, MOST_COUNTED);
        self
    }

    /// Opens it also when this share of the requests of a window has failed, 0 to 1. Default: not.
    ///
    /// It is for an instance that fails every other request, which failures in a row never catch.
    #[must_use]
    pub fn with_failure_rate(mut self, rate: f64) -> Self {
        self.failure_rate = Some(rate.clamp(0.0, 1.0));
        self
    }

    /// How many requests of a window say enough for a rate, 1 to 8191. Default 10.
    #[must_use]
    pub fn with_minimum_requests(mut self, requests: u32) -> Self {
        self.minimum_requests = requests.clamp(1, super::window::MOST_REQUIRED);
        self
    }

    /// How far back the rate looks, in steps of a tenth. Default 30 s.
    #[must_use]
    pub fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How long it stays open the first time, to the millisecond. Default 60 s.
    #[must_use]
    pub fn with_open_for(mut self, open_for: Duration) -> Self {
        self.open_for = open_for;
        self
    }

    /// What the open time grows to, before jitter. Default ten times the first one, and at least
    /// 10 min. Anything shorter than the first one stands for that.
    #[must_use]
    pub fn with_max_open_for(mut self, max: Duration) -> Self {
        self.max_open_for = Some(max);
        self
    }

    /// By which share of it the open time varies either way, 0 to 1. Default 0.2.
    #[must_use]
    pub fn with_jitter(mut self, share: f64) -> Self {
        self.jitter = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    /// How many probes must succeed to close it, and how many there are, 1 to 1023. Default 2.
    #[must_use]
    pub fn with_success_threshold(mut self, successes: u32) -> Self {
        self.success_threshold = successes.clamp(1, MOST_COUNTED);
        self
    }

    /// How long it stays open after so many trips that are remembered, in milliseconds.
    pub(super) fn open_time(&self, strikes: u32) -> u64 {
        let first = millis(self.open_for);
        let most = match self.max_open_for {
            Some(max) => millis(max),
            None => first.saturating_mul(10).max(600_000),
        };
        let doublings = strikes.saturating_sub(1).min(MOST_STRIKES);
        first.saturating_mul(1 << doublings).min(most.max(first))
    }

    /// The same, varied.
    pub(super) fn jittered_open_time(&self, strikes: u32) -> u64 {
        let time = self.open_time(strikes);
        if self.jitter == 0.0 {
            return time;
        }
        let factor = 1.0 + self.jitter * (2.0 * fastrand::f64() - 1.0);
        let varied = Duration::from_millis(time).as_secs_f64() * factor;
        Duration::try_from_secs_f64(varied).map_or(time, millis)
    }

    /// What one more trip makes of those that are remembered. No more are than lengthen the open
    /// time: an instance that was down for a day is not held to account for days.
    pub(super) fn strike(&self, strikes: u32) -> u32 {
        let more = (strikes + 1).min(MOST_STRIKES);
        let longer = self.open_time(more) > self.open_time(strikes);
        if strikes == 0 || longer { more } else { strikes }
    }

    /// How many trips are still remembered after so many milliseconds of being closed.
    pub(super) fn remembered(&self, mut strikes: u32, mut closed_for: u64) -> u32 {
        while strikes > 0 {
            let Some(left) = closed_for.checked_sub(self.open_time(strikes)) else { break };
            (strikes, closed_for) = (strikes - 1, left);
        }
        strikes
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_open_time_doubles_up_to_its_bound() {
        let settings = Settings::default().with_open_for(SECOND).with_max_open_for(5 * SECOND);
        let times = [1, 2, 3, 4, 31].map(|strikes| settings.open_time(strikes));
        assert_eq!(times, [1000, 2000, 4000, 5000, 5000]);
    }

    #[test]
    fn the_bound_is_ten_minutes_or_ten_times_the_first_and_never_below_the_first() {
        let bound = |settings: Settings| settings.open_time(MOST_STRIKES) / 1000;
        assert_eq!(bound(Settings::default()), 600);
        assert_eq!(bound(Settings::default().with_open_for(SECOND)), 600);
        assert_eq!(bound(Settings::default().with_open_for(90 * SECOND)), 900);
        assert_eq!(bound(Settings::default().with_max_open_for(SECOND)), 60);
    }

    #[test]
    fn a_fleet_does_not_probe_at_once() {
        let settings = Settings::default().with_open_for(100 * SECOND);
        let times: Vec<_> = (0..1000).map(|_| settings.jittered_open_time(1)).collect();
        assert!(times.iter().all(|time| (80_000..=120_000).contains(time)), "within 20 %");
        assert!(times.iter().min() < Some(&85_000) && times.iter().max() > Some(&115_000));
    }

    #[test]
    fn it_forgets_a_doubling_after_being_closed_for_as_long_as_it_was_open() {
        let settings = Settings::default().with_open_for(SECOND);
        let after = [0, 3_999, 4_000, 5_999, 6_000, 6_999, 7_000, u64::MAX];
        let remembered = after.map(|closed| settings.remembered(3, closed));
        assert_eq!(remembered, [3, 3, 2, 2, 1, 1, 0, 0]);
    }

    #[test]
    fn trips_that_no_longer_lengthen_the_open_time_are_not_remembered() {
        let settings = Settings::default().with_open_for(SECOND).with_max_open_for(5 * SECOND);
        assert_eq!([0, 1, 2, 3, 4].map(|strikes| settings.strike(strikes)), [1, 2, 3, 4, 4]);
        let constant = settings.with_max_open_for(SECOND);
        assert_eq!([0, 1].map(|strikes| constant.strike(strikes)), [1, 1]);
        let endless = settings.with_max_open_for(Duration::MAX);
        assert_eq!(endless.strike(MOST_STRIKES), MOST_STRIKES);
    }

    #[test]
    fn no_setting_is_absurd() {
        let settings = Settings::default()
            .with_failure_threshold(0)
            .with_success_threshold(u32::MAX)
            .with_minimum_requests(0)
            .with_failure_rate(7.0)
            .with_open_for(Duration::MAX)
            .with_jitter(f64::NAN);
        assert_eq!((settings.failure_threshold, settings.success_threshold), (1, MOST_COUNTED));
        assert_eq!((settings.minimum_requests, settings.failure_rate), (1, Some(1.0)));
        assert_eq!(settings.jittered_open_time(MOST_STRIKES), u64::MAX);
    }
}
