//! How a request fails when it has to.

use jairouter_core::{Error, Kind};

/// What every deliberate failure says.
pub(crate) const AS_TOLD: &str = "the simulated engine fails as it was told to";

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// At once with this status, 400 to 599. A 429 asks to come back after a second.
    Status(u16),
    /// At once, as if nobody listened: nothing was sent.
    Refuse,
    /// The connection breaks before the first token: of a stream behind its head and the role, of
    /// any other answer before the head.
    Break,
    /// The answer breaks off in its middle, a stream between two tokens.
    BreakMidway,
    /// The answer stops in its middle, and nothing more comes.
    Stall,
    /// Nothing ever comes.
    Silent,
    /// A stream reports an error in its middle, and ends. Any other answer is a 500.
    ErrorEvent,
}

impl Failure {
    /// A status, or `refuse`, `break`, `break-midway`, `stall`, `silent`, `error-event`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "refuse" => Self::Refuse,
            "break" => Self::Break,
            "break-midway" => Self::BreakMidway,
            "stall" => Self::Stall,
            "silent" => Self::Silent,
            "error-event" => Self::ErrorEvent,
            status => {
                Self::Status(status.parse().ok().filter(|status| (400..600).contains(status))?)
            }
        })
    }
}

/// The connection broke.
pub(crate) fn broken() -> Error {
    Error::new(Kind::Broken, AS_TOLD)
}
