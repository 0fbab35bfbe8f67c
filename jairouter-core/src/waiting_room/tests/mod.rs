mod choosy;
mod model;
mod order;
mod overload;
mod refusals;
mod threads;
mod trials;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::{Ready, ready};
use http::{Extensions, HeaderMap, HeaderValue};
use tokio::time::advance;
use tokio_test::task::Spawn;
use tower::Service;

use super::*;
use crate::balance::tests_support::request;
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;

const SECOND: Duration = Duration::from_secs(1);

/// An engine with so many places, each taken until its answer is dropped.
#[derive(Debug, Clone)]
struct Engine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    free: AtomicUsize,
    asked: AtomicUsize,
    room: Arc<Room>,
    retry_after: Option<Duration>,
}

/// An answer, until it is dropped.
#[derive(Debug)]
struct Held(Arc<Shared>);

impl Engine {
    fn new(places: usize, room: &Arc<Room>) -> Self {
        let (free, asked) = (places.into(), AtomicUsize::new(0));
        Self(Arc::new(Shared { free, asked, room: Arc::clone(room), retry_after: None }))
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// One more place than before.
    fn grow(&self) {
        self.0.free.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there was a place, which is taken away again.
    fn shrink(&self) -> bool {
        let less = |free: usize| free.checked_sub(1);
        self.0.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Ordering::Relaxed);
        self.0.room.released();
    }
}

impl Service<InferenceRequest> for Engine {
    type Response = Held;
    type Error = Error;
    type Future = Ready<Result<Held, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: InferenceRequest) -> Self::Future {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        if self.shrink() {
            return ready(Ok(Held(Arc::clone(&self.0))));
        }
        let busy = Error::new(Kind::Busy, "full").unsent();
        ready(Err(match self.0.retry_after {
            Some(after) => busy.with_retry_after(after),
            None => busy,
        }))
    }
}

/// A room before an engine.
struct House {
    room: Arc<Room>,
    engine: Engine,
}

type Waiter = Spawn<ResponseFuture<Engine>>;

impl House {
    /// With so many places in the room, and so many at the engine.
    fn new(waiting: u32, working: usize) -> Self {
        Self::with(Settings::default().with_places(waiting), working)
    }

    fn with(settings: Settings, working: usize) -> Self {
        let room = Arc::new(Room::new(settings));
        Self { engine: Engine::new(working, &room), room }
    }

    fn call(&self, request: InferenceRequest) -> Waiter {
        let mut service = WaitingRoom::new(self.engine.clone(), Arc::clone(&self.room));
        tokio_test::task::spawn(service.call(request))
    }

    /// A request that finds a place at once.
    fn served(&self) -> Held {
        served(&mut self.call(request()))
    }

    /// A request that has to wait.
    fn waiting(&self, request: InferenceRequest) -> Waiter {
        let mut waiter = self.call(request);
        tokio_test::assert_pending!(waiter.poll(), "there is room to wait");
        waiter
    }
}

/// The answer that is there.
#[track_caller]
fn served(waiter: &mut Waiter) -> Held {
    match waiter.poll() {
        Poll::Ready(Ok(held)) => held,
        other => panic!("not served: {other:?}"),
    }
}

/// The refusal that is there.
#[track_caller]
fn refused(waiter: &mut Waiter) -> Error {
    match waiter.poll() {
        Poll::Ready(Err(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

fn of_priority(priority: u8) -> InferenceRequest {
    let mut extensions = Extensions::new();
    extensions.insert(Priority(priority));
    request().with_extensions(extensions)
}

/// An SDK's second attempt.
fn retried() -> InferenceRequest {
    let mut headers = HeaderMap::new();
    headers.insert("x-stainless-retry-count", HeaderValue::from_static("1"));
    InferenceRequest::new(request().endpoint, headers, request().payload.clone()).unwrap()
}
