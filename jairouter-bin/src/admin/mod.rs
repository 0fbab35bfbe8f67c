//! What operators see of a running program, and change in it.
//!
//! The configuration's file stays the one truth: whatever is changed here is written there first, in the
//! places that differ, and read from there like any other change.

pub(crate) mod api;
mod change;
mod failures;
mod page;
mod pulse;
mod status;
mod versions;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jairouter_config::config::{Config, Instance, Service, Text};
use jairouter_config::served::Served;
use jairouter_core::observe::Exchange;
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use failures::Failures;
use pulse::Pulses;
use versions::Versions;

pub(crate) use pulse::LOOK;

/// How many watch at a time.
const MOST_WATCHERS: usize = 16;

/// What operators are shown, and what they order.
pub(crate) struct Admin {
    served: ArcSwap<Served>,
    versions: Mutex<Versions>,
    failures: Failures,
    pulses: Pulses,
    /// Where the configuration is, if somebody wrote one.
    path: Option<PathBuf>,
    orders: mpsc::Sender<Order>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    watchers: Arc<Semaphore>,
    /// What those who watch were shown last, and when.
    shown: Mutex<Option<(Instant, Arc<str>)>>,
    started: Timestamp,
}

/// Another configuration, which is to be served.
pub(crate) struct Order {
    pub(crate) config: Box<Config>,
    pub(crate) cause: String,
    /// What of it acts only when the program starts again; or why nothing has changed.
    pub(crate) done: oneshot::Sender<Result<Vec<&'static str>, String>>,
}

impl Admin {
    /// Serves nothing yet. Whoever serves takes orders.
    pub(crate) fn new(path: Option<PathBuf>, orders: mpsc::Sender<Order>) -> Self {
        Self {
            served: ArcSwap::default(),
            versions: Mutex::default(),
            failures: Failures::default(),
            pulses: Pulses::default(),
            path,
            orders,
            changing: tokio::sync::Mutex::default(),
            watchers: Arc::new(Semaphore::new(MOST_WATCHERS)),
            shown: Mutex::default(),
            started: Timestamp::now(),
        }
    }

    /// This is served from now on.
    pub(crate) fn serve(&self, served: &Arc<Served>) {
        self.pulses.serve(served.instances.keys().map(String::as_str));
        self.served.store(Arc::clone(served));
    }

    /// Another configuration is served, which was written like this, for this reason.
    pub(crate) fn taken(&self, text: Option<&Text>, cause: String) {
        if let Some(text) = text {
            self.versions().serve(&text.0, cause);
        }
    }

    /// A request is over.
    pub(crate) fn tell(&self, exchange: &Exchange) {
        self.failures.tell(exchange);
        self.pulses.tell(exchange);
    }

    /// Counts what has happened since the last time. To be called every [`LOOK`].
    pub(crate) fn look(&self) {
        self.pulses.look();
    }

    /// What operators have to show, as it is configured now.
    pub(crate) fn token(&self) -> Option<[u8; 32]> {
        self.served.load().config.management.token
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is served now.
    pub(crate) fn served(&self) -> Arc<Served> {
        self.served.load_full()
    }
}

/// An instance of a service, by its id.
fn instance<'a>(service: &'a Service, id: &str) -> Option<(usize, &'a Instance)> {
    service.instances.iter().enumerate().find(|(_, instance)| instance.id == id)
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("path", &self.path).finish_non_exhaustive()
    }
}
