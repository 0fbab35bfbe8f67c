//! The clocks of an exchange.

use std::time::Duration;

use tokio::time::Instant;

/// How long an instance may take, in each phase of an exchange. Connecting has a clock of the
/// client's own (`client::Builder::connect_timeout`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From the request to the first content of the answer: a stream's first token, or the first
    /// bytes of any other body. Default 300 s.
    pub first_token: Duration,
    /// The longest silence between two frames after that. A caller that reads slowly does not count
    /// against the instance. Default 120 s.
    pub idle: Duration,
    /// From the request to the end of the answer. Default 3600 s.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_token: Duration::from_secs(300),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(3600),
        }
    }
}

impl Timeouts {
    /// The same clocks with another first token.
    #[must_use]
    pub const fn with_first_token(mut self, timeout: Duration) -> Self {
        self.first_token = timeout;
        self
    }

    /// The same clocks with another idle time.
    #[must_use]
    pub const fn with_idle(mut self, timeout: Duration) -> Self {
        self.idle = timeout;
        self
    }

    /// The same clocks with another total.
    #[must_use]
    pub const fn with_total(mut self, timeout: Duration) -> Self {
        self.total = timeout;
        self
    }

    /// When the whole exchange must be over.
    pub(super) fn end(&self, received: Instant, deadline: Option<Instant>) -> Instant {
        let end = after(received, self.total);
        deadline.map_or(end, |deadline| end.min(deadline))
    }

    /// When the first content must be there.
    pub(super) fn first(&self, start: Instant, end: Instant) -> Instant {
        after(start, self.first_token).min(end)
    }
}

/// A duration no clock can hold is a clock that never rings.
pub(super) fn after(start: Instant, duration: Duration) -> Instant {
    const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    start + duration.min(A_YEAR)
}
