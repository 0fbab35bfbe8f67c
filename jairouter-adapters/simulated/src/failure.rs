use std::str::FromStr;

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// With this status, 400 to 599. A 429 asks to come back after a second.
    Status(u16),
    /// As if nobody listened: nothing was sent.
    Refuse,
    /// The connection breaks before the answer.
    Break,
    /// The answer breaks off in its middle.
    BreakMidway,
    /// The answer stops in its middle, and nothing more comes.
    Stall,
    /// Nothing ever comes.
    Silent,
    /// A stream reports an error in its middle, and ends. Any other answer is a 500.
    ErrorEvent,
}

impl FromStr for Failure {
    type Err = String;

    /// A status, or `refuse`, `break`, `break-midway`, `stall`, `silent`, `error-event`.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "refuse" => Self::Refuse,
            "break" => Self::Break,
            "break-midway" => Self::BreakMidway,
            "stall" => Self::Stall,
            "silent" => Self::Silent,
            "error-event" => Self::ErrorEvent,
            status => match status.parse() {
                Ok(status @ 400..=599) => Self::Status(status),
                _ => {
                    return Err(format!(
                        "'{text}' is neither a status from 400 to 599 nor one of refuse, break, \
                         break-midway, stall, silent, error-event"
                    ));
                }
            },
        })
    }
}
