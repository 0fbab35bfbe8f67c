//! How much memory the bodies of all requests take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// A body this small is not counted: its connection's own buffer is of that order.
const FREE: usize = 16 * 1024;

#[derive(Debug, Clone)]
pub(super) struct Memory {
    limit: usize,
    used: Arc<AtomicUsize>,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: Arc::default() }
    }

    /// A share that grows with its body.
    pub(super) fn share(&self) -> Share {
        Share { memory: self.clone(), bytes: 0 }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// One body's share, given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Memory,
    bytes: usize,
}

impl Share {
    /// Makes room for a body of this length. False if there is none.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        if bytes <= FREE || bytes <= self.bytes {
            return true;
        }
        let more = bytes - self.bytes;
        let fits = |used: usize| used.checked_add(more).filter(|used| *used <= self.memory.limit);
        let taken = self.memory.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if taken.is_ok() {
            self.bytes = bytes;
        }
        taken.is_ok()
    }

    /// Ties the share to the body: it is given back with the last reference to its bytes.
    pub(super) fn keep_with(self, body: Bytes) -> Bytes {
        if self.bytes == 0 { body } else { Bytes::from_owner(Owner { body, _share: self }) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

struct Owner {
    body: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
