//! Connections that lie unused: the last one back is the first one out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::Live;
use crate::clock;

/// Unused connections of one origin.
///
/// The mutex is only ever tried. Under contention a caller opens a connection of its own, or closes
/// the one it brings back, which costs less than waiting and keeps every request independent. A
/// program with a runtime per core gives each core its own pool and never contends.
pub(in crate::client) struct Pool {
    idle: Mutex<Vec<Idle>>,
    idle_timeout: Duration,
    max_idle: usize,
    /// Whether a sweeper lives: it does while connections lie here.
    swept: AtomicBool,
}

struct Idle {
    live: Box<Live>,
    since: Instant,
}

impl Pool {
    pub(in crate::client) fn new(idle_timeout: Duration, max_idle: usize) -> Self {
        Self { idle: Mutex::default(), idle_timeout, max_idle, swept: AtomicBool::new(false) }
    }

    /// An empty pool with the same settings.
    pub(in crate::client) fn sibling(&self) -> Self {
        Self::new(self.idle_timeout, self.max_idle)
    }

    /// The connection used last that is still good.
    pub(in crate::client) fn take(&self) -> Option<Box<Live>> {
        let now = clock::now();
        loop {
            let mut idle = self.try_idle()?.pop()?;
            if now.duration_since(idle.since) < self.idle_timeout && idle.live.is_usable() {
                return Some(idle.live.reused());
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(in crate::client) fn put(self: Arc<Self>, live: Box<Live>) {
        let Some(mut idle) = self.try_idle() else {
            return;
        };
        if idle.len() < self.max_idle {
            idle.push(Idle { live, since: clock::now() });
        }
        drop(idle);
        self.ensure_swept();
    }

    /// Closes them all.
    pub(in crate::client) fn clear(&self) {
        let idle = self.try_idle().map(|mut idle| std::mem::take(&mut *idle));
        drop(idle);
    }

    pub(in crate::client) fn len(&self) -> usize {
        self.idle.lock().map_or(0, |idle| idle.len())
    }

    fn try_idle(&self) -> Option<MutexGuard<'_, Vec<Idle>>> {
        self.idle.try_lock().ok()
    }

    /// An idle socket has no waker: nobody would notice that its server closed it, or that it has
    /// been here too long. One task a pool looks after them, and ends with the last one.
    fn ensure_swept(self: &Arc<Self>) {
        if !self.swept.swap(true, Ordering::AcqRel) {
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(sweep(Arc::downgrade(self), self.idle_timeout))),
                Err(_) => self.swept.store(false, Ordering::Release),
            }
        }
    }

    /// Drops what is old or closed. Whether anything is left.
    fn sweep(&self) -> bool {
        let Some(mut idle) = self.try_idle() else {
            return true;
        };
        let now = Instant::now();
        idle.retain_mut(|idle| {
            now.duration_since(idle.since) < self.idle_timeout && idle.live.is_usable()
        });
        if idle.is_empty() {
            // Still under the lock, so that no connection can come in unseen.
            self.swept.store(false, Ordering::Release);
        }
        !idle.is_empty()
    }
}

async fn sweep(pool: Weak<Pool>, idle_timeout: Duration) {
    let every = (idle_timeout / 3).max(Duration::from_millis(50));
    loop {
        sleep(every).await;
        match pool.upgrade() {
            Some(pool) if pool.sweep() => {}
            _ => return,
        }
    }
}
