use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use tokio::time::Instant;
use tower::Service;

use super::breaker::Breaker;
use super::future::ResponseFuture;
use super::permit::Permit;
use crate::body::GuardedBody;
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
    breaker: Arc<Breaker>,
}

impl<S> CircuitBreaker<S> {
    /// `inner`, as long as `breaker` admits requests.
    pub const fn new(inner: S, breaker: Arc<Breaker>) -> Self {
        Self { inner, breaker }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The breaker that decides.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }
}

impl<S, B> Service<InferenceRequest> for CircuitBreaker<S>
where
    S: Service<InferenceRequest, Response = Response<B>>,
    S::Error: Into<Error>,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Response = Response<GuardedBody<B, Permit>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        match self.breaker.admit(Instant::now()) {
            Ok(permit) => ResponseFuture::admitted(self.inner.call(request), permit),
            Err(open) => ResponseFuture::refused(open),
        }
    }
}
