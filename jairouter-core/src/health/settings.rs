use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::HeaderMap;

use super::word::MOST_COUNTED;

/// What an instance is asked, how often, and how often it must fail or answer to count.
///
/// ```
/// use std::time::Duration;
///
/// use jairouter_core::health::Settings;
///
/// let settings = Settings::default()
///     .with_path("/v1/models")
///     .with_interval(Duration::from_secs(10))
///     .with_timeout(Duration::from_secs(3));
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    pub(super) path: Option<Cow<'static, str>>,
    interval: Duration,
    timeout: Duration,
    pub(super) headers: HeaderMap,
    pub(super) failure_threshold: u32,
    pub(super) success_threshold: u32,
}

/// By which share of it a pause varies, either way.
const JITTER: f64 = 0.2;

const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// What the next pause depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// The instance is what it is.
    Settled,
    /// It is down, or may be.
    Doubtful,
    /// The same, and the last probe took its time.
    Stalled,
}

/// The longest interval of an instance that is down, or may be.
pub(super) const DOUBTFUL: Duration = Duration::from_secs(1);

/// The same, where the last probe took its time.
const STALLED: Duration = Duration::from_secs(5);

// === impl Settings ===

impl Default for Settings {
    /// The backend's own path every 5 s, with 2 s to answer; 2 failures are down, 1 answer is up.
    fn default() -> Self {
        Self {
            path: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            headers: HeaderMap::new(),
            failure_threshold: 2,
            success_threshold: 1,
        }
    }
}

impl Settings {
    /// Where the instance is asked, below its base URL but beside a `/v1` at the end of it. Default:
    /// where its [backend](crate::Backend::health) says. It must not run inference.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The time from one probe to the next, 100 ms to a day, before jitter. Default 5 s.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        self
    }

    /// The longest that a probe may take, with connecting and with its body, 1 ms or more. Default
    /// 2 s. It ends before the shortest interval does: three quarters of one stand for more.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Headers that every probe carries, such as the instance's key. Default: none.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// How many failures in a row are down, 1 to 63; a refused connection is at once. Default 2.
    #[must_use]
    pub fn with_failure_threshold(mut self, failures: u32) -> Self {
        self.failure_threshold = failures.clamp(1, MOST_COUNTED);
        self
    }

    /// How many answers in a row bring an instance back that is down, 1 to 63. Default 1.
    #[must_use]
    pub fn with_success_threshold(mut self, successes: u32) -> Self {
        self.success_threshold = successes.clamp(1, MOST_COUNTED);
        self
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout.min(self.interval * 3 / 4)
    }

    /// The time from one probe to the next.
    pub(super) fn pause(&self, pace: Pace) -> Duration {
        self.pace(pace).mul_f64(1.0 + JITTER * (2.0 * fastrand::f64() - 1.0))
    }

    /// The time to the first probe.
    pub(super) fn first_pause(&self, pace: Pace) -> Duration {
        self.pace(pace).mul_f64(fastrand::f64())
    }

    fn pace(&self, pace: Pace) -> Duration {
        match pace {
            Pace::Settled => self.interval,
            Pace::Doubtful => self.interval.min(DOUBTFUL),
            Pace::Stalled => self.interval.min(STALLED),
        }
    }
}

/// Never prints headers: they hold the instance's key.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("path", &self.path)
            .field("interval", &self.interval)
            .field("timeout", &self.timeout())
            .field("failure_threshold", &self.failure_threshold)
            .field("success_threshold", &self.success_threshold)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pause_varies_by_a_fifth_either_way() {
        let settings = Settings::default();
        for (pace, seconds) in [(Pace::Settled, 5), (Pace::Doubtful, 1), (Pace::Stalled, 5)] {
            let pauses: Vec<_> = (0..1000).map(|_| settings.pause(pace)).collect();
            let share = |percent: u32| SECOND * seconds * percent / 100;
            let within = |pause: &Duration| (share(80)..=share(120)).contains(pause);
            assert!(pauses.iter().all(within), "{pace:?} is within 20 %");
            assert!(pauses.iter().min() < Some(&share(85)), "{pace:?} is shortened");
            assert!(pauses.iter().max() > Some(&share(115)), "{pace:?} is stretched");
        }
    }

    #[test]
    fn the_first_pause_is_anything_within_an_interval() {
        let settings = Settings::default();
        let pauses: Vec<_> = (0..1000).map(|_| settings.first_pause(Pace::Settled)).collect();
        assert!(pauses.iter().all(|pause| *pause <= 5 * SECOND));
        assert!(pauses.iter().min() < Some(&(SECOND / 4)));
        assert!(pauses.iter().max() > Some(&(SECOND * 19 / 4)));
    }

    #[test]
    fn a_probe_ends_before_the_shortest_interval_does() {
        for millis in [0, 100, 1000, 2500, u64::MAX] {
            let interval = Duration::from_millis(millis);
            let settings = Settings::default().with_interval(interval).with_timeout(Duration::MAX);
            let shortest = settings.interval.mul_f64(1.0 - JITTER);
            assert!(settings.timeout() < shortest, "{interval:?}");
        }
        assert_eq!(Settings::default().timeout(), 2 * SECOND, "as it is if it fits");
    }

    #[test]
    fn no_setting_is_absurd() {
        let settings = Settings::default()
            .with_failure_threshold(0)
            .with_success_threshold(u32::MAX)
            .with_interval(Duration::ZERO)
            .with_timeout(Duration::ZERO);
        assert_eq!((settings.failure_threshold, settings.success_threshold), (1, MOST_COUNTED));
        assert_eq!(settings.interval, SHORTEST_INTERVAL);
        assert_eq!(settings.timeout(), Duration::from_millis(1));
        assert_eq!(settings.with_interval(Duration::MAX).interval, LONGEST_INTERVAL);
    }

    #[test]
    fn debug_prints_no_key() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", http::HeaderValue::from_static("Bearer secret"));
        let printed = format!("{:?}", Settings::default().with_headers(headers));
        assert!(!printed.contains("secret") && printed.contains("interval: 5s"), "{printed}");
    }
}
