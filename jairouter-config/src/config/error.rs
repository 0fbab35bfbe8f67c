//! What is wrong with a configuration.

use std::error::Error;
use std::fmt;
use std::io;

/// What is wrong in a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// The keys that lead there, as in `model.services.chat.instances[0].base-url`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Why a configuration cannot be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// It is wrong, in each of these places, in the order of its lines.
    Wrong(Vec<Diagnostic>),
}

impl LoadError {
    /// Everything that is wrong with it; nothing of a file that cannot be read.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Unreadable(_) => &[],
            Self::Wrong(all) => all,
        }
    }
}

/// A line for each place.
impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "the file cannot be read: {error}"),
            Self::Wrong(all) => all.iter().enumerate().try_for_each(|(nth, one)| {
                f.write_str(if nth == 0 { "" } else { "\n" })?;
                one.fmt(f)
            }),
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::Wrong(_) => None,
        }
    }
}
