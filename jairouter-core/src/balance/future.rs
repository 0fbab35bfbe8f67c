use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderName, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;
use tower::util::Oneshot;

use super::budget::Permit;
use super::service::Pool;
use super::state::{InFlight, InstanceState};
use super::tried::Tried;
use crate::body::GuardedBody;
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;

/// Tells which instance answered.
const INSTANCE: HeaderName = HeaderName::from_static("x-jairouter-instance");

/// How long an instance rests that refused a connection or broke one off.
const AFTER_A_BREAK: Duration = Duration::from_secs(1);

/// How long an instance rests that refuses our key: no request of ours will change its mind.
const AFTER_A_REFUSAL: Duration = Duration::from_secs(10);

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
        in_flight: Option<InFlight>,
        retry: Option<Permit>,
        // When the attempt that runs was sent.
        sent: Instant,
        // What the caller is told rather than that the others are gone.
        busy: Option<Error>,
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
            in_flight: None,
            retry: None,
            sent: Instant::now(),
            busy: None,
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
                        return Poll::Ready(Err(this.pool.none_left()));
                    };
                    *this.in_flight = Some(in_flight);
                    let response = Oneshot::new(service, request.clone());
                    this.attempt.set(Attempt::Running { response });
                    continue;
                }
            };
            let instance = this.in_flight.as_ref().map(|in_flight| &**in_flight.instance());
            let next = match (failure(&outcome), instance) {
                (Some(failure), Some(instance)) if failure.kind.may_fail_over() => {
                    let is_free = failure.eject(instance, *this.sent);
                    next(this.pool, request, this.tried, is_free, this.retry.take())
                }
                _ => None,
            };
            if let Some(Next { service, in_flight, retry }) = next {
                if let Err(error) = outcome
                    && error.kind() == Kind::Busy
                {
                    *this.busy = Some(error);
                }
                *this.sent = Instant::now();
                *this.in_flight = Some(in_flight);
                *this.retry = retry;
                let response = Oneshot::new(service, request.clone());
                this.attempt.set(Attempt::Running { response });
                continue;
            }
            this.request.take();
            this.retry.take();
            this.attempt.set(Attempt::None);
            let guard = this.in_flight.take().expect("an attempt is counted");
            let busy = this.busy.take();
            let outcome = outcome.map_err(|error| match busy {
                // It will serve when it is free, and has said when; the others may never.
                Some(busy) if error.kind().may_fail_over() => busy,
                _ => error,
            });
            return Poll::Ready(outcome.map(|mut response| {
                if let Some(name) = guard.instance().header() {
                    response.headers_mut().insert(INSTANCE, name.clone());
                }
                response.map(|body| GuardedBody::new(body, guard))
            }));
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
/// else would add load for as long as the failure lasts, and is budgeted; a retry that has just
/// failed hands its share on.
fn next<S: Clone>(
    pool: &Pool<S>,
    request: &InferenceRequest,
    tried: &mut Tried,
    is_free: bool,
    failed: Option<Permit>,
) -> Option<Next<S>> {
    let now = Instant::now();
    let in_time = request.deadline.is_none_or(|deadline| now < deadline);
    if tried.count() >= pool.shared.settings.max_attempts || !in_time {
        return None;
    }
    let retry = if is_free {
        None
    } else {
        let acquire = || pool.shared.retries.acquire(pool.shared.settings.budget, pool.in_flight());
        Some(failed.or_else(acquire)?)
    };
    let (service, in_flight) = pool.pick(request, tried, now)?;
    Some(Next { service, in_flight, retry })
}

struct Failure {
    kind: Kind,
    retry_after: Option<Duration>,
}

impl Failure {
    /// Prefers other instances for a while, if this failure says that one is needed. Whether asking
    /// one of them instead is free.
    fn eject(&self, instance: &InstanceState, sent: Instant) -> bool {
        let pause = match self.kind {
            // Another framework may have a word for it.
            Kind::Unsupported => return true,
            Kind::Unreachable | Kind::Broken => AFTER_A_BREAK,
            Kind::UpstreamAuth => AFTER_A_REFUSAL,
            Kind::Busy => match self.retry_after {
                Some(after) => after,
                None => return false,
            },
            _ => return false,
        };
        instance.rest(sent, Instant::now(), pause)
    }
}

/// The failure in this outcome. A service that is not ours may say so with a status alone.
fn failure<B>(outcome: &Result<Response<B>, Error>) -> Option<Failure> {
    match outcome {
        Ok(response) => Kind::of_status(response.status()).map(|kind| Failure {
            kind,
            retry_after: crate::refusal::retry_after(response.headers()),
        }),
        Err(error) => Some(Failure { kind: error.kind(), retry_after: error.retry_after() }),
    }
}
