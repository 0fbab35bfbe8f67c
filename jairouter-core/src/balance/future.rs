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
                failure.eject(guard.instance());
                this.failures.note(failure, guard.instance(), *this.sent);
                // What was not sent has spent nothing.
                let (unsent, failed) = (failure.unsent, this.retry.take());
                let retry = if unsent { Retry::Kept(failed) } else { Retry::Failed(failed) };
                let attempts = this.failures.sent();
                if failure.is_retried(this.pool.shared.settings.retry_on)
                    && let Some(next) = next(this.pool, request, this.tried, attempts, retry)
                {
                    // The one before is let go of before the next is asked.
                    guard.over(unsent);
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
            if failure.is_none() {
                guard.instance().answered(*this.sent);
            }
            if !failure.as_ref().is_some_and(Failure::shows_no_life)
                && let Some(health) = guard.instance().health()
            {
                health.answered(*this.sent);
            }
            let outcome = match outcome {
                Ok(mut response) => {
                    if settings.headers {
                        let attempts = this.failures.sent() + 1;
                        headers::write(response.headers_mut(), guard.instance(), request, attempts);
                    }
                    Ok(response.map(|body| GuardedBody::new(body, guard)))
                }
                Err(error) => {
                    guard.over(error.is_unsent());
                    let error = std::mem::take(this.failures).told(error, settings.tell_attempts);
                    // While a place may become free, that is what there is to wait for.
                    let full = match error.limited_to() {
                        // One that is this caller's own would have it stand before the others.
                        Some(false) => this.pool.full(*this.sent),
                        Some(true) | None => None,
                    };
                    Err(full.unwrap_or(error))
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

/// What the attempt before had of the budget.
enum Retry {
    /// Nothing was sent: it has it still.
    Kept(Option<Permit>),
    /// It failed, and has spent it.
    Failed(Option<Permit>),
}

/// The instance to ask instead, if the request may still be sent to one.
///
/// That is free where nothing has been sent. Each that is sent takes from the budget what is there,
/// and needs it only where it goes to an instance of which a failure is the last that was heard:
/// however many have to leave an instance that fails, one that does not takes them all, and where
/// all fail, asking again would add load for as long as that lasts.
fn next<S: Clone>(
    pool: &Pool<S>,
    request: &InferenceRequest,
    tried: &mut Tried,
    attempts: usize,
    before: Retry,
) -> Option<Next<S>> {
    let now = Instant::now();
    let in_time = request.deadline.is_none_or(|deadline| now < deadline);
    if attempts >= pool.shared.settings.max_attempts || !in_time {
        return None;
    }
    let (service, in_flight) = pool.pick(request, tried, now)?;
    let Shared { settings, retries, .. } = &*pool.shared;
    let retry = match before {
        _ if attempts == 0 => None,
        Retry::Kept(Some(permit)) => Some(permit),
        Retry::Failed(Some(permit)) => permit.again(),
        Retry::Kept(None) | Retry::Failed(None) => {
            retries.acquire(settings.budget, pool.in_flight())
        }
    };
    if attempts > 0 && retry.is_none() && in_flight.instance().is_suspect(now) {
        in_flight.over(true);
        return None;
    }
    Some(Next { service, in_flight, retry })
}
