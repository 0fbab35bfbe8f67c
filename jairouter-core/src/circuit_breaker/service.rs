use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use tower::Service;

use super::breaker::Breaker;
use super::future::ResponseFuture;
use super::permit::Permit;
use crate::body::GuardedBody;
use crate::clock;
use crate::error::Error;
use crate::request::InferenceRequest;

/// A service that is not asked while it fails. See the [module](super).
///
/// Ready when the inner service is; it decides in `call`, so a clone holds no permit, and readiness
/// that a refused request did not use stays for the next one.
///
/// # Errors
///
/// [`Kind::BreakerOpen`](crate::Kind::BreakerOpen), with the time to the next probe; otherwise the
/// inner service's.
#[derive(Debug, Clone)]
pub struct CircuitBreaker<S> {
    inner: S,
    breaker: Option<Arc<Breaker>>,
}

impl<S> CircuitBreaker<S> {
    /// `inner`, as long as `breaker` admits requests.
    pub const fn new(inner: S, breaker: Arc<Breaker>) -> Self {
        Self { inner, breaker: Some(breaker) }
    }

    /// The same, or `inner` as it is.
    pub const fn optional(inner: S, breaker: Option<Arc<Breaker>>) -> Self {
        Self { inner, breaker }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The breaker that decides, if there is one.
    pub fn breaker(&self) -> Option<&Arc<Breaker>> {
        self.breaker.as_ref()
    }

    /// The same breaker around another service of the same instance.
    #[must_use]
    pub fn map<T>(&self, service: impl FnOnce(&S) -> T) -> CircuitBreaker<T> {
        CircuitBreaker { inner: service(&self.inner), breaker: self.breaker.clone() }
    }
}

impl<S, B> Service<InferenceRequest> for CircuitBreaker<S>
where
    S: Service<InferenceRequest, Response = Response<B>>,
    S::Error: Into<Error>,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Response = Response<GuardedBody<B, Option<Permit>>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        let admitted = self.breaker.as_ref().map(|breaker| breaker.admit(clock::now()));
        match admitted.transpose() {
            Ok(permit) => ResponseFuture::admitted(self.inner.call(request), permit),
            Err(open) => ResponseFuture::refused(open),
        }
    }
}
