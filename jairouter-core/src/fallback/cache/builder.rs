use std::time::Duration;

use super::Cache;

/// Builds a [`Cache`].
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct CacheBuilder(Limits);

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    pub(super) largest: usize,
    pub(super) ttl: Duration,
    pub(super) any: bool,
}

impl CacheBuilder {
    pub(super) fn new() -> Self {
        Self(Limits {
            entries: 100,
            bytes: 64 << 20,
            largest: 1 << 20,
            ttl: Duration::from_secs(300),
            any: false,
        })
    }

    /// How many answers are kept at most. Default 100. Beyond it the one that was least recently
    /// stored or found goes.
    pub fn entries(mut self, entries: usize) -> Self {
        self.0.entries = entries;
        self
    }

    /// How much memory the answers may take together, in bytes, with their headers and what keeping
    /// each takes. Default 64 MiB. Those that are still being recorded may take as much again.
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.0.bytes = bytes;
        self
    }

    /// The largest body that is kept, in bytes. Default 1 MiB.
    pub fn largest(mut self, bytes: usize) -> Self {
        self.0.largest = bytes;
        self
    }

    /// How long an answer is good for. Default 300 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.0.ttl = ttl;
        self
    }

    /// Whether to keep answers too that asking again would not give. Default no: see [`Cache`].
    pub fn any(mut self, any: bool) -> Self {
        self.0.any = any;
        self
    }

    /// The cache.
    pub fn build(self) -> Cache {
        Cache::new(self.0)
    }
}
