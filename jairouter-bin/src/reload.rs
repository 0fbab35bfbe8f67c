//! Another configuration for a program that serves: when to read it, and whether it can be taken.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::config::{self, Config, Diagnostic, ReadFile};

/// How often the file is looked at, and for how long it has to be left alone to be read: whoever writes
/// it may not be done.
const LOOK: Duration = Duration::from_secs(1);
const SETTLED: Duration = Duration::from_millis(200);

/// For how long it is waited for a file to be left alone.
const MOST_SETTLING: usize = 25;

/// The files of a configuration, and what asks for it to be read again.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    /// What was read: itself, and certificates and keys beside it.
    files: Vec<ReadFile>,
    hangup: Signal,
}

/// A configuration that was read, or why not.
pub(crate) struct Next {
    pub(crate) cause: Cause,
    /// When somebody began to read it.
    pub(crate) began: Instant,
    pub(crate) config: Result<Config, Refused>,
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

/// Why a configuration cannot be had.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// It is wrong, in each of these places.
    Wrong(Vec<Diagnostic>),
}

impl Source {
    /// This file. From here on SIGHUP does not end the process.
    ///
    /// # Errors
    ///
    /// If the signal cannot be waited for.
    pub fn new(path: &Path) -> io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self { path: path.to_owned(), files: Vec::new(), hangup })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration that is there now.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub(crate) fn read(&mut self) -> Result<Config, Refused> {
        let (config, files) = read(&self.path);
        self.files = files;
        config
    }

    /// The next configuration, once there is one: at a SIGHUP, or when a file of this one has changed and is
    /// left alone.
    pub(crate) async fn next(&mut self) -> Next {
        let cause = self.changed().await;
        let began = Instant::now();
        let path = self.path.clone();
        // A file system may be slow, or far; and what is no file may never end.
        let read = spawn_blocking(move || match std::fs::metadata(&path) {
            Ok(file) if !file.is_file() => {
                let error = io::Error::other("it is no regular file");
                (Err(Refused::Unreadable(error)), vec![ReadFile::new(&path)])
            }
            _ => read(&path),
        });
        let (config, files) = read.await.unwrap_or_else(|error| {
            (Err(Refused::Unreadable(io::Error::other(error))), self.files.clone())
        });
        self.files = files;
        Next { cause, began, config }
    }

    async fn changed(&mut self) -> Cause {
        loop {
            tokio::select! {
                Some(()) = self.hangup.recv() => return Cause::Signal,
                () = sleep(LOOK) => {}
            }
            let mut now = self.look().await;
            if now == self.files {
                continue;
            }
            for _ in 0..MOST_SETTLING {
                tokio::select! {
                    Some(()) = self.hangup.recv() => return Cause::Signal,
                    () = sleep(SETTLED) => {}
                }
                let before = std::mem::replace(&mut now, self.look().await);
                if before == now {
                    break;
                }
            }
            return Cause::File;
        }
    }

    /// The same files as they are now.
    async fn look(&self) -> Vec<ReadFile> {
        let paths: Vec<_> = self.files.iter().map(|file| file.path.clone()).collect();
        let look = move || paths.iter().map(|path| ReadFile::new(path)).collect();
        spawn_blocking(look).await.unwrap_or_else(|_| self.files.clone())
    }
}

/// The configuration in this file.
///
/// # Errors
///
/// Why it cannot be had.
pub(crate) fn load(path: &Path) -> Result<Config, Refused> {
    read(path).0
}

/// The same, and what was read for it, as it was before.
fn read(path: &Path) -> (Result<Config, Refused>, Vec<ReadFile>) {
    let mut files = vec![ReadFile::new(path)];
    let config = config::read(path).map_err(Refused::Unreadable).and_then(|text| {
        let env = |name: &str| std::env::var(name).ok();
        config::load_noting(&text, &env, &mut files).map_err(Refused::Wrong)
    });
    (config, files)
}

/// What of another configuration acts only when the program starts again.
pub(crate) fn needs_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    // The token acts at once.
    let listener = |of: &Config| (of.management.enabled, of.management.address, of.management.port);
    let operators = ("management.server", listener(before) != listener(after));
    let spans = ("tracing.otlp", before.tracing.otlp != after.tracing.otlp);
    let (before, after) = (&before.server, &after.server);
    let differs = [
        ("server.address", before.address != after.address),
        ("server.port", before.port != after.port),
        ("server.workers", before.workers != after.workers),
        ("server.log", before.log != after.log),
        operators,
        spans,
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_written_replaced_or_led_elsewhere_has_changed_once_it_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("jairouter-reload-{}", std::process::id()));
        fs::create_dir_all(folder.join("a")).unwrap();
        fs::create_dir_all(folder.join("b")).unwrap();
        let at = |name: &str| folder.join(name);
        fs::write(at("a/c.yaml"), "1").unwrap();
        fs::write(at("b/c.yaml"), "1").unwrap();
        // As Kubernetes mounts a ConfigMap.
        std::os::unix::fs::symlink("a", at("now")).unwrap();
        std::os::unix::fs::symlink("now/c.yaml", at("c.yaml")).unwrap();
        let mut source = Source::new(&at("c.yaml")).unwrap();
        // It is none, which does not matter here.
        assert!(source.read().is_err());
        let none = async |source: &mut Source| {
            tokio::time::timeout(LOOK * 2, source.changed()).await.is_err()
        };
        assert!(none(&mut source).await);

        fs::write(at("a/c.yaml"), "2").unwrap();
        assert_eq!(source.next().await.cause, Cause::File);
        fs::write(at("new"), "2").unwrap();
        fs::rename(at("new"), at("a/c.yaml")).unwrap();
        assert_eq!(source.next().await.cause, Cause::File);
        std::os::unix::fs::symlink("b", at("next")).unwrap();
        fs::rename(at("next"), at("now")).unwrap();
        assert_eq!(source.next().await.cause, Cause::File);
        assert!(none(&mut source).await);
        fs::remove_dir_all(folder).unwrap();
    }
}
