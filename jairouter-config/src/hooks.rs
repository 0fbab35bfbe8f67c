//! What a program is told of what is served. It need not want any of it: `()` is told nothing.
//!
//! Metrics, a log of requests and a picture for operators are made of these. All of them are called on the way of
//! a request or of a reload, so none may block, and none may panic: what panics in one of [`Hooks::serve`] or of a probe
//! ends [`Live::run`](crate::Live::run), and what panics in [`Hooks::exchange`] the task of the caller's connection.
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use jairouter_config::hooks::Hooks;
//! use jairouter_config::{Config, Known, Live};
//! use jairouter_core::observe::Exchange;
//!
//! #[derive(Default)]
//! struct Count(AtomicU64);
//!
//! impl Hooks for Count {
//!     fn exchange(&self, _: &Exchange) {
//!         self.0.fetch_add(1, Ordering::Relaxed);
//!     }
//! }
//!
//! // As long as the process.
//! static COUNT: Count = Count(AtomicU64::new(0));
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::parse("model: { services: { chat: { instances: [
//!     { name: demo, adapter: simulated, base-url: 'simulated://one' } ] } } }")?;
//! let live = Live::watched(config, Known::new(), &COUNT)?;
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;
use std::time::Duration;

use jairouter_core::balance::FailedAttempt;
use jairouter_core::observe::Exchange;
use jairouter_core::rate_limit::Limiter;
use jairouter_core::{Kind, ServiceType};

use crate::served::Served;

/// Who is told.
pub trait Hooks: Send + Sync {
    /// A request is over: its body has ended, has broken off, or its caller has left.
    fn exchange(&self, exchange: &Exchange) {
        let _ = exchange;
    }

    /// An instance was asked in vain, and perhaps another one is asked now.
    fn attempt(&self, failed: &FailedAttempt<'_>) {
        let _ = failed;
    }

    /// What counts the requests that a balancer sends to an instance from now on, if anything does. Asked with
    /// each stack that is built.
    fn requests(&self, to: &Selected<'_>) -> Option<Arc<dyn Calls>> {
        let _ = to;
        None
    }

    /// What counts the probes of an instance, if anything does. Asked once for each instance that is new.
    fn probes(&self, adapter: &str, instance: &str) -> Option<Arc<dyn Calls>> {
        let _ = (adapter, instance);
        None
    }

    /// What stands in the place of a limit that is new, as to count what it decides. Of a service, or of `any`; by the
    /// name of its algorithm in the file, or `concurrency`.
    fn limit(
        &self,
        limit: Arc<dyn Limiter>,
        service: &'static str,
        algorithm: &'static str,
    ) -> Arc<dyn Limiter> {
        let _ = (service, algorithm);
        limit
    }

    /// This is served from the next moment on: when it begins, after each reload, and when instances have said which
    /// models they have.
    fn serve(&self, served: &Arc<Served>) {
        let _ = served;
    }

    /// Whether what becomes of traced requests is recorded: then what goes to instances says that it is sampled, where
    /// it is.
    fn records_traces(&self) -> bool {
        false
    }
}

impl Hooks for () {}

/// An instance, as a balancer chooses it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Selected<'a> {
    /// Of which service.
    pub service: ServiceType,
    /// By which strategy, as the file calls it.
    pub strategy: &'static str,
    /// The adapter that speaks to it.
    pub adapter: &'a str,
    /// The instance's id.
    pub instance: &'a str,
}

/// What counts calls of one instance.
pub trait Calls: Send + Sync {
    /// One is sent.
    fn begun(&self);

    /// Its answer's head is there after so long, or there is none. Told once for each that has begun.
    fn over(&self, outcome: Outcome, took: Duration);
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// An answer of this status.
    Status(u16),
    /// None, for this reason.
    Failed(Kind),
    /// Nobody waited for it: its caller left, or its time was over.
    Abandoned,
}
