use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use tower::Service;

use super::future::ResponseFuture;
use super::layer::Policies;
use crate::body::Body;
use crate::error::Error;
use crate::request::InferenceRequest;

/// Lets something else answer when the service inside cannot. See the [module](super).
///
/// Always ready. The service inside is cloned and driven to readiness in the call, once for each
/// model that is asked, so no clone of this service holds readiness that another request counts on.
///
/// # Errors
///
/// That of the model which was asked for, unchanged, if nothing else answers either.
#[derive(Clone)]
pub struct Fallback<S> {
    inner: S,
    policies: Arc<Policies>,
}

impl<S> Fallback<S> {
    pub(super) fn new(inner: S, policies: Arc<Policies>) -> Self {
        Self { inner, policies }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The same fallbacks of another service, such as one whose connections belong to another core.
    #[must_use]
    pub fn map<T>(&self, service: impl FnOnce(&S) -> T) -> Fallback<T> {
        Fallback { inner: service(&self.inner), policies: Arc::clone(&self.policies) }
    }
}

impl<S, B> Service<InferenceRequest> for Fallback<S>
where
    S: Service<InferenceRequest, Response = Response<B>, Error = Error> + Clone,
    B: HttpBody<Data = Bytes, Error = Error> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        ResponseFuture::new(self.inner.clone(), Arc::clone(&self.policies), request)
    }
}

impl<S> fmt::Debug for Fallback<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").field("policies", &self.policies).finish_non_exhaustive()
    }
}
