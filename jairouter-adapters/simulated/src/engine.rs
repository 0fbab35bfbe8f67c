//! The engine's handle: its settings, its counts, and its place as a client.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use jairouter_core::Payload;
use jairouter_core::{Body, Error};
use tower_service::Service;

use crate::failure::Failure;
use crate::serve::serve;
use crate::settings::{Builder, Settings};

/// An engine in this process. Clones are the same engine.
///
/// As a client it fails only if it was told to: [`Kind::Unreachable`] for [`Failure::Refuse`],
/// [`Kind::Broken`] for [`Failure::Break`]. Its answers break with [`Kind::Broken`].
///
/// [`Kind::Unreachable`]: jairouter_core::Kind::Unreachable
/// [`Kind::Broken`]: jairouter_core::Kind::Broken
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    settings: Settings,
    requests: AtomicU64,
    failed: AtomicU64,
    running: AtomicU32,
}

/// One request that is being answered, until this is dropped.
pub(crate) struct Running(Engine);

impl Engine {
    /// Settings to change first.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner {
            settings,
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            running: AtomicU32::new(0),
        }))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// How many requests for a chat, a completion or embeddings it has been sent, whatever came of
    /// them. Health probes and model lists are not counted.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// How many of these it was told to fail.
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }

    /// How many it is answering now. A stream that is dropped is not answered any more.
    pub fn running(&self) -> u32 {
        self.0.running.load(Ordering::Relaxed)
    }

    /// The number of the next request, and how it fails, if it does.
    pub(crate) fn next(&self) -> (u64, Option<Failure>) {
        let Inner { settings, requests, failed, .. } = &*self.0;
        let number = requests.fetch_add(1, Ordering::Relaxed);
        let seed = settings.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
        if fastrand::Rng::with_seed(seed).f64() >= settings.failure_rate {
            return (number, None);
        }
        failed.fetch_add(1, Ordering::Relaxed);
        (number, Some(settings.failure))
    }

    /// A place among those that run, if there is one left.
    pub(crate) fn admit(&self) -> Option<Running> {
        let limit = self.0.settings.concurrency;
        let free = |running: u32| (running < limit).then_some(running + 1);
        let counted = self.0.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        counted.is_ok().then(|| Running(self.clone()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service<Request<Payload>> for Engine {
    type Response = Response<Body>;
    type Error = Error;
    // Boxed: an answer is written as straight-line code, which has no name.
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        Box::pin(serve(self.clone(), request))
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
