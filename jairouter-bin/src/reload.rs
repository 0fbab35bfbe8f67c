//! Another configuration for a program that serves: when to read it, and whether it can be taken.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::{self, Config, Diagnostic};

/// How often the file is looked at, and for how long it has to be left alone to be read: whoever writes
/// it may not be done.
const LOOK: Duration = Duration::from_secs(1);
const SETTLED: Duration = Duration::from_millis(200);

/// The files of a configuration, and what asks for it to be read again.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    /// What is read beside it: certificates and keys.
    files: Vec<PathBuf>,
    stamps: Vec<Stamp>,
    hangup: Signal,
}

/// Which file is there, and as of when; nothing if there is none. Whatever stands at the path counts, a link
/// that leads elsewhere now among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(Option<[i64; 6]>);

/// What asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Signal,
    File,
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
    /// This file, as it is before it is read first. From here on SIGHUP does not end the process.
    ///
    /// # Errors
    ///
    /// If the signal cannot be waited for.
    pub fn new(path: &Path) -> io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self { path: path.to_owned(), files: Vec::new(), stamps: vec![Stamp::of(path)], hangup })
    }

    /// The files that were read beside it.
    pub(crate) fn with(mut self, files: &[PathBuf]) -> Self {
        if self.files != files {
            self.files = files.to_vec();
            self.stamps.truncate(1);
            self.stamps.extend(files.iter().map(|path| Stamp::of(path)));
        }
        self
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Over when it should be read again: at a SIGHUP, or when the file has changed and is left alone.
    pub(crate) async fn changed(&mut self) -> Cause {
        loop {
            tokio::select! {
                Some(()) = self.hangup.recv() => {
                    self.stamps = self.look().await;
                    return Cause::Signal;
                }
                () = sleep(LOOK) => {}
            }
            let mut stamps = self.look().await;
            if stamps == self.stamps {
                continue;
            }
            loop {
                sleep(SETTLED).await;
                let before = std::mem::replace(&mut stamps, self.look().await);
                if before == stamps {
                    break;
                }
            }
            self.stamps = stamps;
            return Cause::File;
        }
    }

    async fn look(&self) -> Vec<Stamp> {
        let paths: Vec<_> = [&self.path].into_iter().chain(&self.files).cloned().collect();
        let look = move || paths.iter().map(|path| Stamp::of(path)).collect();
        // A file system may be slow, or far.
        spawn_blocking(look).await.unwrap_or_else(|_| self.stamps.clone())
    }
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let stamp = |file: Metadata| {
            let (device, number) = (file.dev().cast_signed(), file.ino().cast_signed());
            let length = file.size().cast_signed();
            // When its content changed, and when anything of it did.
            [device, number, length, file.mtime(), file.mtime_nsec(), file.ctime_nsec()]
        };
        Self(std::fs::metadata(path).ok().map(stamp))
    }
}

/// The configuration in this file.
///
/// # Errors
///
/// Why it cannot be had.
pub(crate) fn load(path: &Path) -> Result<Config, Refused> {
    let text = config::read(path).map_err(Refused::Unreadable)?;
    config::load(&text, &|name| std::env::var(name).ok()).map_err(Refused::Wrong)
}

/// What of another configuration acts only when the program starts again.
pub(crate) fn needs_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let operators = ("management.server", before.management != after.management);
    let (before, after) = (&before.server, &after.server);
    let differs = [
        ("server.address", before.address != after.address),
        ("server.port", before.port != after.port),
        ("server.workers", before.workers != after.workers),
        ("server.log", before.log != after.log),
        operators,
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
        let none = async |source: &mut Source| {
            tokio::time::timeout(LOOK * 2, source.changed()).await.is_err()
        };
        assert!(none(&mut source).await);

        fs::write(at("a/c.yaml"), "2").unwrap();
        assert_eq!(source.changed().await, Cause::File);
        fs::write(at("new"), "2").unwrap();
        fs::rename(at("new"), at("a/c.yaml")).unwrap();
        assert_eq!(source.changed().await, Cause::File);
        std::os::unix::fs::symlink("b", at("next")).unwrap();
        fs::rename(at("next"), at("now")).unwrap();
        assert_eq!(source.changed().await, Cause::File);
        assert!(none(&mut source).await);
        fs::remove_dir_all(folder).unwrap();
    }
}
