//! Another configuration for a program that serves: when to read it.

use std::fmt;
use std::io;
use std::path::Path;

use jairouter_config::{Config, LoadError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// The files of a configuration, and what asks for it to be read again.
#[derive(Debug)]
pub struct Source {
    file: jairouter_config::Source,
    hangup: Signal,
}

/// A configuration that was read, or why not.
pub(crate) struct Next {
    pub(crate) cause: Cause,
    /// When somebody began to read it.
    pub(crate) began: Instant,
    pub(crate) config: Result<Config, LoadError>,
}

/// What asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Signal,
    File,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal => "SIGHUP",
            Self::File => "file changed",
        })
    }
}

impl Source {
    /// This file. From here on SIGHUP does not end the process.
    ///
    /// # Errors
    ///
    /// If the signal cannot be waited for.
    pub fn new(path: &Path) -> io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self { file: jairouter_config::Source::new(path), hangup })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The configuration that is there now.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub(crate) fn read(&mut self) -> Result<Config, LoadError> {
        self.file.load()
    }

    /// The next configuration: when the process is sent SIGHUP, or when a file of this one has changed and is
    /// left alone.
    pub(crate) async fn next(&mut self) -> Next {
        let cause = tokio::select! {
            Some(()) = self.hangup.recv() => Cause::Signal,
            () = self.file.changed() => Cause::File,
        };
        let began = Instant::now();
        let config = self.file.read().await;
        Next { cause, began, config }
    }
}
