//! The parts of the gateway that have cases.

use std::fmt;

use crate::{Case, govern, peek, program, select, splice, stack, streams, translate};

/// A part of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All layers of the library, one around the other.
    Stack,
    /// The same as the program builds them from a file.
    Program,
    /// Reading which model is asked.
    Peek,
    /// Changing a little of a body.
    Splice,
    /// Choosing an instance.
    Select,
    /// Limits, breakers and keys.
    Govern,
    /// What passes a stream on, layer by layer.
    Streams,
    /// Speaking to an engine in its own words.
    Translate,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Stack,
        Self::Program,
        Self::Peek,
        Self::Splice,
        Self::Select,
        Self::Govern,
        Self::Streams,
        Self::Translate,
    ];

    /// Its cases.
    #[must_use]
    pub fn cases(self) -> Vec<Case> {
        match self {
            Self::Stack => stack::cases(),
            Self::Program => program::cases(),
            Self::Peek => peek::cases(),
            Self::Splice => splice::cases(),
            Self::Select => select::cases(),
            Self::Govern => govern::cases(),
            Self::Streams => streams::cases(),
            Self::Translate => translate::cases(),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stack => "stack",
            Self::Program => "program",
            Self::Peek => "peek",
            Self::Splice => "splice",
            Self::Select => "select",
            Self::Govern => "govern",
            Self::Streams => "streams",
            Self::Translate => "translate",
        })
    }
}
