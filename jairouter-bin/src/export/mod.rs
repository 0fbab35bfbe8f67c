//! What becomes of traced requests, told to a collector; in a build without the feature `otlp`, to nobody.

#[cfg(not(feature = "otlp"))]
mod none;
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub(crate) use none::{Exporter, Spans};
#[cfg(feature = "otlp")]
pub(crate) use otlp::{Exporter, Spans};

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of spans since the process began.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Sent {
    /// Those that the collector took.
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Those that there was no room for, or that the collector did not take.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
