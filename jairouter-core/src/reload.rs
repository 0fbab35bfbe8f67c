//! [`Reloadable`]: a service that another one can take the place of, while it serves.
//!
//! ```
//! use jairouter_core::reload::Reloadable;
//! use tower::{ServiceExt, service_fn};
//!
//! # futures::executor::block_on(async {
//! let answer = |text| service_fn(move |_: ()| std::future::ready(Ok::<_, ()>(text)));
//! let service = Reloadable::new(answer("old"));
//! let server = service.clone();
//!
//! assert_eq!(server.clone().oneshot(()).await, Ok("old"));
//! service.swap(answer("new"));
//! assert!(service.is_shared());
//! assert_eq!(server.oneshot(()).await, Ok("new"));
//! assert!(!service.is_shared());
//! # });
//! ```

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use tower::Service;
use tower::util::Oneshot;

/// A service that can be replaced. Clones are one: what is swapped in is what all of them call.
///
/// A request is served to its end by what was there when it came, and sees nothing of the other: to
/// swap is one store, and to call costs one load and a clone of the service. What is replaced is
/// dropped with its last request, on the thread that ends it.
///
/// Always ready: the clone is driven to readiness inside the call.
///
/// # Errors
///
/// The inner service's.
pub struct Reloadable<S>(Arc<ArcSwap<S>>);

impl<S> Reloadable<S> {
    /// A service that is this one until it is swapped.
    pub fn new(service: S) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(service)))
    }

    /// Serves what comes from now on with this one. Returns the one before, which may have requests.
    pub fn swap(&self, service: S) -> Arc<S> {
        self.0.swap(Arc::new(service))
    }

    /// Whether there is another clone of it.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// The one that serves now.
    pub fn current(&self) -> Arc<S> {
        self.0.load_full()
    }
}

impl<S, R> Service<R> for Reloadable<S>
where
    S: Service<R> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Oneshot<S, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        Oneshot::new(S::clone(&self.0.load()), request)
    }
}

impl<S> Clone for Reloadable<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: fmt::Debug> fmt::Debug for Reloadable<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reloadable").field(&self.0.load()).finish()
    }
}
