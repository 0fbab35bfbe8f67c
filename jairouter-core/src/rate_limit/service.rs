use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use tower::Service;

use super::future::ResponseFuture;
use super::limiter::{Grant, Limiter, Refusal, Unit};
use crate::body::GuardedBody;
use crate::clock;
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;

/// A service that takes only the requests its limiter admits. See the [module](super).
///
/// # Errors
///
/// [`Kind::RateLimited`], or [`Kind::Busy`] around an instance, with when to come back.
#[derive(Debug, Clone)]
pub struct RateLimit<L, S> {
    inner: S,
    limiter: L,
    of_instance: bool,
}

impl<L, S> RateLimit<L, S> {
    pub(super) fn new(inner: S, limiter: L, of_instance: bool) -> Self {
        Self { inner, limiter, of_instance }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The same limit around another service.
    #[must_use]
    pub fn map<T>(&self, service: impl FnOnce(&S) -> T) -> RateLimit<L, T>
    where
        L: Clone,
    {
        RateLimit::new(service(&self.inner), self.limiter.clone(), self.of_instance)
    }

    fn refuse(&self, refusal: Refusal) -> Error {
        let kind = if self.of_instance { Kind::Busy } else { Kind::RateLimited };
        let Refusal { what, retry_after, quota, of_client } = refusal;
        let error =
            Error::new(kind, format!("{what} is exceeded")).with_retry_after(retry_after).unsent();
        let error = if self.of_instance { error.limited(of_client) } else { error };
        match quota {
            // What an instance may still be asked is not the caller's concern.
            Some(quota) if !self.of_instance => error.with_quota(quota),
            _ => error,
        }
    }
}

impl<L, S, B> Service<InferenceRequest> for RateLimit<L, S>
where
    L: Limiter + Clone,
    S: Service<InferenceRequest, Response = Response<B>>,
    S::Error: Into<Error>,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Response = Response<GuardedBody<B, Grant>>;
    type Error = Error;
    type Future = ResponseFuture<L, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        let now = clock::now();
        let admitted = self.limiter.check(&request, now);
        match admitted.and_then(|()| self.limiter.acquire(&request, now)) {
            Ok(grant) => {
                let inner = self.inner.call(request.clone());
                ResponseFuture::admitted(inner, grant, self.limiter.clone(), request)
            }
            Err(refusal) => ResponseFuture::refused(self.refuse(refusal)),
        }
    }
}

/// The `error.type` of a refusal: the name of what ran out.
pub(crate) fn error_type(unit: Unit) -> &'static str {
    match unit {
        Unit::Requests => "requests",
        Unit::Tokens => "tokens",
    }
}
