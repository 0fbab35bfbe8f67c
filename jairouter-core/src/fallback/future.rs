use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;
use tower::util::Oneshot;

use super::chain::{Link, ModelChain};
use super::layer::Policies;
use super::{FALLBACK, MODEL};
use crate::body::Body;
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;

pin_project! {
    /// Future of [`Fallback`](super::Fallback).
    ///
    /// Dropping it drops the attempt that runs, and nobody else is asked.
    pub struct ResponseFuture<S>
    where
        S: Service<InferenceRequest>,
    {
        service: S,
        policies: Arc<Policies>,
        // Let go with the answer: nobody will be asked again.
        request: Option<InferenceRequest>,
        // Set once the model that was asked for has failed.
        standing_in: Option<StandingIn>,
        #[pin]
        attempt: Oneshot<S, InferenceRequest>,
    }
}

/// A model of the chain is being asked.
struct StandingIn {
    original: Original,
    /// Its place in the chain.
    at: usize,
}

/// What the caller gets if nothing else does better.
enum Original {
    Error(Error),
    /// The failure of a service that is not ours, boxed since it is large and rare.
    Answer(Box<Response<Body>>),
}

impl<S> ResponseFuture<S>
where
    S: Service<InferenceRequest, Error = Error> + Clone,
{
    pub(super) fn new(service: S, policies: Arc<Policies>, request: InferenceRequest) -> Self {
        let attempt = Oneshot::new(service.clone(), request.clone());
        Self { service, policies, request: Some(request), standing_in: None, attempt }
    }
}

impl<S, B> Future for ResponseFuture<S>
where
    S: Service<InferenceRequest, Response = Response<B>, Error = Error> + Clone,
    B: HttpBody<Data = Bytes, Error = Error> + Send + 'static,
{
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let request = this.request.as_ref().expect("polled after completion");
            let outcome = ready!(this.attempt.as_mut().poll(cx));
            let chain = this.policies.chain(&request.model);
            let (original, from) = match (failure(&outcome), this.standing_in.take()) {
                (None, None) => {
                    let answer = outcome.map(|answer| match &this.policies.cache {
                        Some(cache) => cache.remember(request, answer),
                        None => answer.map(Body::new),
                    });
                    this.request.take();
                    return Poll::Ready(answer);
                }
                (None, Some(StandingIn { at, .. })) => {
                    let answer = outcome.map(|answer| signed(answer.map(Body::new), chain, at));
                    this.request.take();
                    return Poll::Ready(answer);
                }
                (Some(kind), None) => {
                    let cured = chain.cures(kind, outcome.as_ref().err());
                    let original = Original::new(outcome);
                    if !cured {
                        this.request.take();
                        return Poll::Ready(original.give());
                    }
                    (original, 0)
                }
                // What stands in fails in its own way, and that is nobody's business.
                (Some(_), Some(StandingIn { original, at })) => (original, at + 1),
            };
            if let Some((at, link)) = next(chain, from, request) {
                let attempt = Oneshot::new(this.service.clone(), request.with_model(&link.name));
                this.attempt.set(attempt);
                *this.standing_in = Some(StandingIn { original, at });
                continue;
            }
            let answer = match original.kind() {
                Some(kind) if kind.may_fall_back() => from_memory(this.policies, request),
                _ => None,
            };
            this.request.take();
            return Poll::Ready(answer.map_or_else(|| original.give(), Ok));
        }
    }
}

/// The next model to ask, if there is time left.
fn next<'a>(
    chain: &'a ModelChain,
    from: usize,
    request: &InferenceRequest,
) -> Option<(usize, &'a Link)> {
    let in_time = request.deadline.is_none_or(|deadline| Instant::now() < deadline);
    if in_time { chain.next(from, &request.model) } else { None }
}

/// The answer of the model at this place of the chain, saying so.
fn signed(mut answer: Response<Body>, chain: &ModelChain, at: usize) -> Response<Body> {
    let headers = answer.headers_mut();
    headers.insert(FALLBACK, HeaderValue::from_static("model"));
    match chain.get(at).and_then(|link| link.header.clone()) {
        Some(name) => headers.insert(MODEL, name),
        None => headers.remove(MODEL),
    };
    answer
}

/// An answer that asks nobody.
fn from_memory(policies: &Policies, request: &InferenceRequest) -> Option<Response<Body>> {
    let cached = policies.cache.as_ref().and_then(|cache| cache.recall(request));
    cached.or_else(|| policies.canned.as_ref()?.answer(request))
}

/// The failure in this outcome. A service that is not ours may say so with a status alone.
fn failure<B>(outcome: &Result<Response<B>, Error>) -> Option<Kind> {
    match outcome {
        Ok(answer) => Kind::of_status(answer.status()),
        Err(error) => Some(error.kind()),
    }
}

// === impl Original ===

impl Original {
    fn new<B>(outcome: Result<Response<B>, Error>) -> Self
    where
        B: HttpBody<Data = Bytes, Error = Error> + Send + 'static,
    {
        match outcome {
            Ok(answer) => Self::Answer(Box::new(answer.map(Body::new))),
            Err(error) => Self::Error(error),
        }
    }

    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Error(error) => Some(error.kind()),
            Self::Answer(answer) => Kind::of_status(answer.status()),
        }
    }

    fn give(self) -> Result<Response<Body>, Error> {
        match self {
            Self::Error(error) => Err(error),
            Self::Answer(answer) => Ok(*answer),
        }
    }
}

impl<S: Service<InferenceRequest>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
