use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;
use tower::util::Oneshot;

use super::layer::Policies;
use super::standing_in::{Asked, Failed, StandingIn, admitted};
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
        standing_in: Option<Box<StandingIn>>,
        #[pin]
        attempt: Oneshot<S, InferenceRequest>,
    }
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
            let (failed, from) = match (failure(&outcome), this.standing_in.take()) {
                (None, None) => {
                    let answer = outcome.map(|answer| match &this.policies.cache {
                        Some(cache) => cache.remember(request, answer),
                        None => answer.map(Body::new),
                    });
                    this.request.take();
                    return Poll::Ready(answer);
                }
                (None, Some(standing_in)) => {
                    let StandingIn { failed, asked } = *standing_in;
                    let sign =
                        |answer| asked.signed(this.policies, request, answer, failed.in_vain);
                    let answer = outcome.map(sign);
                    this.request.take();
                    return Poll::Ready(answer);
                }
                (Some(kind), None) => {
                    let cured = chain.cures(kind, outcome.as_ref().err());
                    let failed = Failed::new(outcome);
                    let is_first = cured && this.policies.cache_first && kind.may_fall_back();
                    let first = if is_first { recalled(this.policies, request) } else { None };
                    if !cured || first.is_some() {
                        this.request.take();
                        return Poll::Ready(failed.give(first));
                    }
                    (failed, 0)
                }
                // What stands in fails in its own way, and that is nobody's business.
                (Some(_), Some(standing_in)) => {
                    let StandingIn { mut failed, asked } = *standing_in;
                    failed.note(&outcome);
                    let at = asked.at;
                    asked.refused(this.policies, outcome.as_ref().err());
                    (failed, at + 1)
                }
            };
            if let Some(asked) = next(this.policies, from, request) {
                let attempt = Oneshot::new(this.service.clone(), asked.request.clone());
                this.attempt.set(attempt);
                *this.standing_in = Some(Box::new(StandingIn { failed, asked }));
                continue;
            }
            let answer = match failed.original.kind() {
                Some(kind) if kind.may_fall_back() => from_memory(this.policies, request),
                _ => None,
            };
            this.request.take();
            return Poll::Ready(failed.give(answer));
        }
    }
}

/// The next model to ask, if there is time left and one whose limits let it.
fn next(policies: &Policies, from: usize, request: &InferenceRequest) -> Option<Asked> {
    let in_time = request.deadline.is_none_or(|deadline| Instant::now() < deadline);
    let chain = policies.chain(&request.model);
    let mut from = if in_time { from } else { return None };
    while let Some((at, link)) = chain.next(from, &request.model) {
        let admitted = admitted(policies, request, at, link);
        if admitted.is_some() {
            return admitted;
        }
        from = at + 1;
    }
    None
}

/// An answer that asks nobody.
fn from_memory(policies: &Policies, request: &InferenceRequest) -> Option<Response<Body>> {
    // What was to come first has been looked for.
    let cached = if policies.cache_first { None } else { recalled(policies, request) };
    cached.or_else(|| policies.canned.as_ref()?.answer(request))
}

fn recalled(policies: &Policies, request: &InferenceRequest) -> Option<Response<Body>> {
    policies.cache.as_ref()?.recall(request)
}

/// The failure in this outcome. A service that is not ours may say so with a status alone.
fn failure<B>(outcome: &Result<Response<B>, Error>) -> Option<Kind> {
    match outcome {
        Ok(answer) => Kind::of_status(answer.status()),
        Err(error) => Some(error.kind()),
    }
}

impl<S: Service<InferenceRequest>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
