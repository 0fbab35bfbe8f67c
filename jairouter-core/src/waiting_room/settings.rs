use std::time::Duration;

/// The longest wait there can be.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many requests may wait in a [`Room`](super::Room), and for how long.
///
/// ```
/// use std::time::Duration;
///
/// use jairouter_core::waiting_room::Settings;
///
/// let settings = Settings::default().with_places(100).with_timeout(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    pub(super) places: u32,
    pub(super) timeout: Duration,
}

impl Default for Settings {
    /// No places, which is no waiting; 10 s.
    fn default() -> Self {
        Self { places: 0, timeout: Duration::from_secs(10) }
    }
}

impl Settings {
    /// How many requests may wait at a time. Default 0: none does, and the inner service's own
    /// refusals are passed on as they are.
    #[must_use]
    pub const fn with_places(mut self, places: u32) -> Self {
        self.places = places;
        self
    }

    pub(crate) const fn has_places(self) -> bool {
        self.places > 0
    }

    /// The longest a request may wait, at most a day. Default 10 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(DAY);
        self
    }
}
