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

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jairouter_core::observe::Exchange;
use jairouter_core::rate_limit::Limiter;
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::config::{Config, Instance, Service};
use crate::discover::Known;
use crate::kept::{Attended, LimitSpec};
use crate::metrics::Snapshot;

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

/// What is served now.
#[derive(Default)]
pub(crate) struct Served {
    pub(crate) config: Arc<Config>,
    pub(crate) known: Known,
    pub(crate) instances: HashMap<String, Arc<Attended>>,
    /// What the metrics are looked up in.
    pub(crate) snapshot: Arc<Snapshot>,
}

/// A limit that acts.
#[derive(Clone)]
pub(crate) struct ServedLimit {
    /// The service; `any` of a key's.
    pub(crate) service: &'static str,
    pub(crate) place: String,
    pub(crate) name: String,
    pub(crate) spec: LimitSpec,
    pub(crate) limit: Arc<dyn Limiter>,
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
    pub(crate) fn serve(&self, served: Served) {
        self.pulses.serve(served.instances.keys().map(String::as_str));
        self.served.store(Arc::new(served));
    }

    /// Another configuration is served, for this reason.
    pub(crate) fn taken(&self, config: &Config, cause: String) {
        if let Some(text) = &config.text {
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

    fn served(&self) -> Arc<Served> {
        self.served.load_full()
    }
}

impl Served {
    /// The service of this type, which is the first word of what people call it.
    fn service(&self, name: &str) -> Option<&Service> {
        self.config.services.iter().find(|service| service.service_type.as_str() == name)
    }
}

/// An instance of a service, by its id.
fn instance<'a>(service: &'a Service, id: &str) -> Option<(usize, &'a Instance)> {
    service.instances.iter().enumerate().find(|(_, instance)| instance.id == id)
}

impl fmt::Debug for ServedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedLimit").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("path", &self.path).finish_non_exhaustive()
    }
}
