//! [`Source`]: the file of a configuration, read again whenever it says something else.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::{Config, LoadError, ReadFile};

/// How often the file is looked at, and for how long it has to be left alone to be read: whoever writes
/// it may not be done.
const LOOK: Duration = Duration::from_secs(1);
const SETTLED: Duration = Duration::from_millis(200);

/// For how long it is waited for a file to be left alone.
const MOST_SETTLING: usize = 25;

/// The files of a configuration: itself, and the certificates and keys that it names.
///
/// They are looked at each second, by name: one that is replaced, or that a link leads away from, has changed. It needs
/// tokio's clock and its threads for what blocks.
///
/// ```no_run
/// use jairouter_config::{Live, Reload, Source};
///
/// # async fn started() -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = Source::new("jairouter.yaml");
/// let live = Live::start(source.load()?).await?;
/// let reload = live.reload();
/// tokio::spawn(live.run());
/// loop {
///     let taken = match source.next().await {
///         Ok(config) => reload.take(config).await.map_err(|error| error.to_string()),
///         Err(wrong) => Err(wrong.to_string()),
///     };
///     if let Err(why) = taken {
///         eprintln!("what was served is served on: {why}");
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    /// As they were when they were read.
    files: Vec<ReadFile>,
}

impl Source {
    /// This file, which is not read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), files: Vec::new() }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration that is there now. Blocks while it is read.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub fn load(&mut self) -> Result<Config, LoadError> {
        let (config, files) = read(&self.path);
        self.files = files;
        config
    }

    /// The same, without blocking: a file system may be slow, or far. What is no file, and may never end, is not read.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub async fn read(&mut self) -> Result<Config, LoadError> {
        let path = self.path.clone();
        let read = spawn_blocking(move || match std::fs::metadata(&path) {
            Ok(file) if !file.is_file() => {
                let error = io::Error::other("it is no regular file");
                (Err(LoadError::Unreadable(error)), vec![ReadFile::new(&path)])
            }
            _ => read(&path),
        });
        let (config, files) = read.await.unwrap_or_else(|error| {
            (Err(LoadError::Unreadable(io::Error::other(error))), self.files.clone())
        });
        self.files = files;
        config
    }

    /// The next configuration, once a file has changed and is left alone.
    ///
    /// Dropped before it is there, it has done nothing: whoever waits for several things may ask again.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub async fn next(&mut self) -> Result<Config, LoadError> {
        self.changed().await;
        self.read().await
    }

    /// Waits until a file has changed since it was read, and for 200 ms has changed no more; 5 s at most. One that was
    /// never read has changed. May be dropped and asked again.
    pub async fn changed(&self) {
        if self.files.is_empty() {
            return;
        }
        loop {
            sleep(LOOK).await;
            let mut now = self.look().await;
            if now == self.files {
                continue;
            }
            for _ in 0..MOST_SETTLING {
                sleep(SETTLED).await;
                let before = std::mem::replace(&mut now, self.look().await);
                if before == now {
                    break;
                }
            }
            return;
        }
    }

    /// The same files as they are now.
    async fn look(&self) -> Vec<ReadFile> {
        let paths: Vec<_> = self.files.iter().map(|file| file.path.clone()).collect();
        let look = move || paths.iter().map(|path| ReadFile::new(path)).collect();
        spawn_blocking(look).await.unwrap_or_else(|_| self.files.clone())
    }
}

/// The configuration in this file, and what was read for it, as it was before.
fn read(path: &Path) -> (Result<Config, LoadError>, Vec<ReadFile>) {
    let mut files = vec![ReadFile::new(path)];
    let config = Config::read_noting(path, &mut files);
    (config, files)
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
        let mut source = Source::new(at("c.yaml"));
        source.changed().await;
        // It is none, which does not matter here.
        assert!(source.load().is_err());
        let none = async |source: &mut Source| {
            tokio::time::timeout(LOOK * 2, source.changed()).await.is_err()
        };
        let changes = async |source: &mut Source| {
            let next = tokio::time::timeout(LOOK * 10, source.next()).await;
            matches!(next, Ok(Err(LoadError::Wrong(_))))
        };
        assert!(none(&mut source).await);

        fs::write(at("a/c.yaml"), "2").unwrap();
        assert!(changes(&mut source).await);
        fs::write(at("new"), "2").unwrap();
        fs::rename(at("new"), at("a/c.yaml")).unwrap();
        assert!(changes(&mut source).await);
        std::os::unix::fs::symlink("b", at("next")).unwrap();
        fs::rename(at("next"), at("now")).unwrap();
        assert!(changes(&mut source).await);
        assert!(none(&mut source).await);
        fs::remove_dir_all(folder).unwrap();
    }
}
