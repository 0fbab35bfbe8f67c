//! Files, and whether they are still the ones that were read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, as it was when it was read or looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadFile {
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

/// Which file is at a path, and as of when; nothing if there is none. Whatever stands at the path counts, a link
/// that leads elsewhere now among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(Option<[i64; 6]>);

impl ReadFile {
    /// What is at this path now.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), stamp: Stamp::of(path) }
    }
}

impl Stamp {
    /// That of what is at this path now.
    pub(crate) fn of(path: &Path) -> Self {
        let stamp = |file: Metadata| {
            let (device, number) = (file.dev().cast_signed(), file.ino().cast_signed());
            let length = file.size().cast_signed();
            // When its content changed, and when anything of it did.
            [device, number, length, file.mtime(), file.mtime_nsec(), file.ctime_nsec()]
        };
        Self(std::fs::metadata(path).ok().map(stamp))
    }
}
