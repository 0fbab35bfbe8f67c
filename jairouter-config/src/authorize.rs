//! What the holder of a key may ask, and how much.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures::future::Either;
use jairouter_core::rate_limit::{Grant, Limit, Limiter, Quota, Refusal, TokenBucket};
use jairouter_core::{Error, InferenceRequest};
use tokio::time::Instant;
use tower::Service;

use crate::keys::{Held, Key};

/// A service that the holder of a key asks only what the key is for.
///
/// # Errors
///
/// [`Kind::Forbidden`](jairouter_core::Kind::Forbidden), or the inner service's.
#[derive(Debug, Clone)]
pub struct Authorize<S>(S);

impl<S> Authorize<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self(inner)
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.0
    }
}

impl<S> Service<InferenceRequest> for Authorize<S>
where
    S: Service<InferenceRequest, Error = Error>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<S::Response, Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        match key(&request).map_or(Ok(()), |key| key.permit(&request)) {
            Ok(()) => Either::Left(self.0.call(request)),
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}

/// The limits of the key that a request came with.
#[derive(Debug, Clone, Copy)]
pub struct KeyLimits;

impl Limiter for KeyLimits {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        key(request).map_or(Ok(()), |key| key.limits.check(request, now))
    }

    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        key(request).map_or(Ok(Grant::default()), |key| key.limits.acquire(request, now))
    }

    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        if let Some(key) = key(request) {
            key.limits.give_back(request, now);
        }
    }
}

/// A limit of one key's requests: nobody else's use shows in what is left of it.
pub(crate) struct OwnLimit(pub(crate) Limit<TokenBucket>);

impl Limiter for OwnLimit {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        self.0.check(request, now)
    }

    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        let grant = self.0.acquire(request, now)?;
        Ok(grant.with_quota(self.0.quota(now)))
    }

    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        self.0.give_back(request, now);
    }

    fn left(&self, now: Instant) -> Option<Quota> {
        self.0.left(now)
    }
}

fn key(request: &InferenceRequest) -> Option<&Key> {
    request.extensions.get().map(|Held(key)| &**key)
}
