//! HTTP/1.1 as a client speaks it: a request out, an answer in, on a connection that its request drives.
//!
//! What comes is read into a buffer that all connections of a thread share, and what is data of it is copied out: a
//! connection that waits holds no buffer, and pieces that have come together go on together. [`head`] and [`framing`]
//! know nothing of sockets; a test gives them whatever bytes, cut wherever, and compares them with hyper.

mod body;
mod framing;
mod head;
mod live;
mod outgoing;
mod pool;
mod scratch;
#[cfg(test)]
#[cfg(not(jairouter_loom))]
mod tests;

pub(super) use body::Driven;
pub(super) use live::Live;
pub(super) use pool::Pool;

use crate::error::{Error, Kind};

/// What is wrong with bytes that ought to be an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is not HTTP.
    Invalid,
    /// Its head is larger than any that is taken.
    TooLarge,
    /// It is in a coding of which the end cannot be told.
    UnknownCoding,
    /// It is over before its end.
    Cut,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let message = match fault {
            Fault::Invalid => "the instance's answer is not valid HTTP",
            Fault::TooLarge => "the head of the instance's answer is too large",
            Fault::UnknownCoding => "the instance's answer has a coding we do not know",
            Fault::Cut => "the instance broke off",
        };
        Self::new(Kind::Broken, message)
    }
}

/// What became of a connection that failed.
fn broken(error: std::io::Error) -> Error {
    Error::from(Fault::Cut).with_source(error)
}
