use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use super::future::ResponseFuture;
use super::room::Room;
use crate::error::Error;
use crate::request::InferenceRequest;

/// A service whose requests wait while it is busy. See the [module](super).
///
/// Always ready: a request that has to wait does so in its own future, which clones the inner
/// service and drives the clone to readiness each time it asks.
///
/// # Errors
///
/// [`Kind::Overloaded`](crate::Kind::Overloaded), with when to come back, if the room is full or the
/// wait is over; otherwise the inner service's.
#[derive(Debug, Clone)]
pub struct WaitingRoom<S> {
    inner: S,
    room: Arc<Room>,
}

impl<S> WaitingRoom<S> {
    /// `inner`, with this room before it.
    pub const fn new(inner: S, room: Arc<Room>) -> Self {
        Self { inner, room }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The room its requests wait in.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The same room before another service.
    #[must_use]
    pub fn map<T>(&self, service: impl FnOnce(&S) -> T) -> WaitingRoom<T> {
        WaitingRoom::new(service(&self.inner), Arc::clone(&self.room))
    }
}

impl<S> Service<InferenceRequest> for WaitingRoom<S>
where
    S: Service<InferenceRequest> + Clone,
    S::Error: Into<Error>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        ResponseFuture::new(self.inner.clone(), Arc::clone(&self.room), request)
    }
}
