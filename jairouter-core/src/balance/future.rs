use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;
use tower::util::Oneshot;

use super::budget::Permit;
use super::failure::{Failure, Failures};
use super::headers;
use super::service::{Pool, Shared};
use super::state::InFlight;
use super::tried::Tried;
use crate::body::GuardedBody;
use crate::error::Error;
use crate::request::InferenceRequest;

pin_project! {
    /// Future of [`LoadBalance`](super::LoadBalance).
    ///
    /// Dropping it drops the attempt that runs, its in-flight count and its share of the budget.
    pub struct ResponseFuture<S>
    where
        S: Service<InferenceRequest>,
    {
        pool: Arc<Pool<S>>,
        // Let go at the commit point: nobody will be asked again.
        request: Option<InferenceRequest>,
        tried: Tried,
        failures: Failures,
        in_flight: Option<InFlight>,
        retry: Option<Permit>,
        // When the attempt that runs was sent.
        sent: Instant,
        #[pin]
        attempt: Attempt<S>,
    }
}

pin_project! {
    #[project = AttemptProj]
    enum Attempt<S>
    where
        S: Service<InferenceRequest>,
    {
        None,
        Running { #[pin] response: Oneshot<S, InferenceRequest> },
    }
}

impl<S: Service<InferenceRequest>> ResponseFuture<S> {
    pub(super) fn new(pool: Arc<Pool<S>>, request: InferenceRequest) -> Self {
        Self {
            pool,
            request: Some(request),
            tried: Tried::default(),
            failures: Failures::default(),
            in_flight: None,
            retry: None,
            sent: Instant::now(),
            attempt: Attempt::None,
        }
    }
}

impl<S, B> Future for ResponseFuture<S>
where
    S: Service<InferenceRequest, Response = Response<B>> + Clone,
    S::Error: Into<Error>,
    B: HttpBody<Data = bytes::Bytes, Error = Error>,
{
    type Output = Result<Response<GuardedBody<B, InFlight>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let request = this.request.as_ref().expect("polled after completion");
        loop {
            let outcome = match this.attempt.as_mut().project() {
                AttemptProj::Running { response } => ready!(response.poll(cx)).map_err(Into::into),
                AttemptProj::None => {
                    *this.sent = Instant::now();
                    let Some((service, in_flight)) =
                        this.pool.pick(request, this.tried, *this.sent)
                    else {
                        this.request.take();
                        return Poll::Ready(Err(this.pool.none_left(*this.sent)));
                    };
                    *this.in_flight = Some(in_flight);
                    let response = Oneshot::new(service, request.clone());
                    this.attempt.set(Attempt::Running { response });
                    continue;
                }
            };
            let guard = this.in_flight.take().expect("an attempt is counted");
            let failure = Failure::of(&outcome);
            if let Some(failure) = &failure
                && failure.may_fail_over()
            {
                let is_free = failure.eject(guard.instance(), *this.sent);
                this.failures.note(failure, guard.instance(), *this.sent);
                let (attempts, failed) = (this.failures.sent(), this.retry.take());
                if failure.is_retried(this.pool.shared.settings.retry_on)
                    && let Some(next) =
                        next(this.pool, request, this.tried, attempts, is_free, failed)
                {
                    // The one before is let go of before the next is asked.
                    drop(guard);
                    this.failures.keep(outcome.err());
                    *this.sent = Instant::now();
                    *this.in_flight = Some(next.in_flight);
                    *this.retry = next.retry;
                    let response = Oneshot::new(next.service, request.clone());
                    this.attempt.set(Attempt::Running { response });
                    continue;
                }
            }
            let settings = &this.pool.shared.settings;
            let outcome = match outcome {
                Ok(mut response) => {
                    if let (Some(health), None) = (guard.instance().health(), &failure) {
                        health.answered(*this.sent);
                    }
                    if settings.headers {
                        let attempts = this.failures.sent() + 1;
                        headers::write(response.headers_mut(), guard.instance(), request, attempts);
                    }
                    Ok(response.map(|body| GuardedBody::new(body, guard)))
                }
                Err(error) => {
                    Err(std::mem::take(this.failures).told(error, settings.tell_attempts))
                }
            };
            if let (Some(retry), None) = (this.retry.take(), failure) {
                retry.succeed();
            }
            this.request.take();
            this.attempt.set(Attempt::None);
            return Poll::Ready(outcome);
        }
    }
}

struct Next<S> {
    service: S,
    in_flight: InFlight,
    retry: Option<Permit>,
}

/// The instance to ask instead, if the request may still be sent to one.
///
/// Failing over is free from an instance that was taken out while the request was on it: those that
/// were are as many as they are, and none follows. It is free, too, where nothing was sent. Anything
/// else would add load for as long as the failure lasts, and is budgeted.
fn next<S: Clone>(
    pool: &Pool<S>,
    request: &InferenceRequest,
    tried: &mut Tried,
    attempts: usize,
    is_free: bool,
    failed: Option<Permit>,
) -> Option<Next<S>> {
    let now = Instant::now();
    let in_time = request.deadline.is_none_or(|deadline| now < deadline);
    if attempts >= pool.shared.settings.max_attempts || !in_time {
        return None;
    }
    let retry = if is_free {
        None
    } else {
        let Shared { settings, retries, .. } = &*pool.shared;
        Some(match failed {
            Some(failed) => failed.again()?,
            None => retries.acquire(settings.budget, pool.in_flight())?,
        })
    };
    let (service, in_flight) = pool.pick(request, tried, now)?;
    Some(Next { service, in_flight, retry })
}
