use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Response;
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;
use tower::util::Oneshot;

use super::budget::Permit;
use super::failure::{Failure, Failures};
use super::headers;
use super::service::{Picked, Pool, Shared};
use super::state::InFlight;
use super::told::FailedAttempt;
use super::tried::Tried;
use crate::body::GuardedBody;
use crate::clock;
use crate::error::Error;
use crate::request::InferenceRequest;
use crate::waiting_room::{Find, LastCall, Stay};

pin_project! {
    /// Future of [`LoadBalance`](super::LoadBalance).
    ///
    /// Dropping it drops the attempt that runs, its in-flight count and its share of the budget.
    #[project = Proj]
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
        // Until one is free that the request has not been to.
        Waiting { stay: Pin<Box<Stay>> },
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
            sent: clock::now(),
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
        let outcome = loop {
            let request = this.request.as_ref().expect("polled after completion");
            match this.attempt.as_mut().project() {
                AttemptProj::None => {
                    let now = clock::now();
                    let Some(picked) = this.pool.pick(request, this.tried, now, true) else {
                        break Err(this.pool.none_left(now));
                    };
                    this.tried.push(picked.index);
                    this.ask(Next { picked, retry: None });
                }
                AttemptProj::Waiting { stay } => {
                    let (pool, sent) = (&**this.pool, this.failures.sent());
                    let mut next =
                        |mood| next(pool, request, this.tried, sent, Retry::Failed(None), mood);
                    let found = ready!(stay.as_mut().poll_turn(cx, || match next(Mood::Waiting) {
                        Ok(next) => Find::One(next),
                        Err(true) => Find::NotNow,
                        Err(false) => Find::Never,
                    }));
                    // Whoever is left, if none became free in time.
                    match found.or_else(|late| next(Mood::Last).map_err(|_| late)) {
                        Ok(next) => this.ask(next),
                        Err(late) => {
                            let late = late.unwrap_or_else(|| pool.none_left(clock::now()));
                            break Err(this.told(late));
                        }
                    }
                }
                AttemptProj::Running { response } => {
                    let outcome = ready!(response.poll(cx)).map_err(Into::into);
                    if let Some(outcome) = this.judge(outcome, cx) {
                        break outcome;
                    }
                }
            }
        };
        this.request.take();
        this.attempt.set(Attempt::None);
        Poll::Ready(outcome)
    }
}

impl<S, B> Proj<'_, S>
where
    S: Service<InferenceRequest, Response = Response<B>> + Clone,
    S::Error: Into<Error>,
    B: HttpBody<Data = bytes::Bytes, Error = Error>,
{
    fn ask(&mut self, next: Next<S>) {
        let request = self.request.as_ref().expect("it is over").clone();
        *self.sent = clock::now();
        *self.in_flight = Some(next.picked.in_flight);
        *self.retry = next.retry;
        let response = Oneshot::new(next.picked.service, request);
        self.attempt.set(Attempt::Running { response });
    }

    fn told(&mut self, last: Error) -> Error {
        std::mem::take(self.failures).told(last, self.pool.shared.settings.tell_attempts)
    }

    /// The outcome of an attempt, unless another is made or waited for.
    fn judge(
        &mut self,
        outcome: Result<Response<B>, Error>,
        cx: &Context<'_>,
    ) -> Option<Result<Response<GuardedBody<B, InFlight>>, Error>> {
        let guard = self.in_flight.take().expect("an attempt is counted");
        let failure = Failure::of(&outcome);
        if let Some(failure) = &failure
            && failure.may_fail_over()
        {
            failure.eject(guard.instance());
            self.failures.note(failure, guard.instance(), *self.sent);
            if !failure.unsent {
                self.pool.shared.settings.told.tell(&FailedAttempt {
                    request: self.request.as_ref().expect("it is over"),
                    instance: guard.instance(),
                    kind: failure.kind,
                    took: clock::now().saturating_duration_since(*self.sent),
                });
            }
            if failure.is_retried(self.pool.shared.settings.retry_on)
                && let Some(then) = self.then(failure, cx)
            {
                // The one before is let go of before the next is asked.
                guard.over(failure.unsent);
                self.failures.keep(outcome.err());
                match then {
                    Then::Ask(next) => self.ask(next),
                    Then::Wait(stay) => self.attempt.set(Attempt::Waiting { stay }),
                }
                return None;
            }
        }
        let settings = &self.pool.shared.settings;
        if failure.is_none() {
            guard.instance().answered(*self.sent);
        }
        if !failure.as_ref().is_some_and(Failure::shows_no_life)
            && let Some(health) = guard.instance().health()
        {
            health.answered(*self.sent);
        }
        if let (Some(retry), None) = (self.retry.take(), &failure) {
            retry.succeed();
        }
        Some(match outcome {
            Ok(mut response) => {
                if settings.headers {
                    let request = self.request.as_ref().expect("it is over");
                    let attempts = self.failures.sent() + 1;
                    headers::write(response.headers_mut(), guard.instance(), request, attempts);
                }
                Ok(response.map(|body| GuardedBody::new(body, guard)))
            }
            Err(error) => {
                guard.over(error.is_unsent());
                let others_may_wait = failure.is_some_and(|failure| !failure.is_its_own());
                let error = self.told(error);
                // While a place may become free, that is what there is to wait for.
                let full = match error.is_unsent() && others_may_wait {
                    true => self.pool.full(*self.sent).map(|full| {
                        // Or for whoever has refused it for now.
                        let soonest = [full.retry_after(), error.retry_after()];
                        match soonest.into_iter().flatten().min() {
                            Some(soonest) => full.with_retry_after(soonest),
                            None => full,
                        }
                    }),
                    false => None,
                };
                Err(full.unwrap_or(error))
            }
        })
    }

    /// What else there is to do for a request that this attempt has failed.
    fn then(&mut self, failure: &Failure, cx: &Context<'_>) -> Option<Then<S>> {
        let request = self.request.as_ref().expect("it is over");
        let (pool, sent) = (&**self.pool, self.failures.sent());
        // What was not sent has spent nothing.
        let retry = match (failure.unsent, self.retry.take()) {
            (true, retry) => Retry::Kept(retry),
            (false, retry) => Retry::Failed(retry),
        };
        if let Ok(next) = next(pool, request, self.tried, sent, retry, Mood::Failed) {
            return Some(Then::Ask(next));
        }
        let is_out = sent >= pool.shared.settings.max_attempts;
        let has_waited = request.extensions.get::<LastCall>().is_some();
        // One that every instance may yet take waits outside, and asks them all again.
        if is_out || has_waited || sent == 0 && !failure.is_its_own() {
            return None;
        }
        let room = pool.room_for(self.tried, clock::now())?;
        match Stay::new(room, request, self.tried.bits(), cx) {
            Ok(stay) => Some(Then::Wait(Box::pin(stay))),
            // Nobody has been found because one is to be waited for: whoever is left.
            Err(_) => {
                let last = next(pool, request, self.tried, sent, Retry::Failed(None), Mood::Last);
                last.ok().map(Then::Ask)
            }
        }
    }
}

enum Then<S> {
    Ask(Next<S>),
    Wait(Pin<Box<Stay>>),
}

struct Next<S> {
    picked: Picked<S>,
    retry: Option<Permit>,
}

/// How much it matters that one is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// It has just failed, and may wait for a good one.
    Failed,
    /// It waits.
    Waiting,
    /// It cannot wait.
    Last,
}

/// What the attempt before had of the budget.
enum Retry {
    /// Nothing was sent: it has it still.
    Kept(Option<Permit>),
    /// It failed, and has spent it.
    Failed(Option<Permit>),
}

/// How often one of those that wait is asked of an instance that may have failed the last, when the
/// budget has nothing left: else they might all wait beside one that works again.
const NOW_AND_THEN: Duration = Duration::from_secs(1);

/// The instance to ask instead, if the request may still be sent to one.
///
/// That is free where nothing has been sent. Each that is sent takes from the budget what is there,
/// and needs it only where it goes to an instance of which a failure is the last that was heard:
/// however many have to leave an instance that fails, one that does not takes them all, and where
/// all fail, asking again would add load for as long as that lasts.
///
/// # Errors
///
/// Whether it is worth waiting for one.
fn next<S: Clone>(
    pool: &Pool<S>,
    request: &InferenceRequest,
    tried: &mut Tried,
    attempts: usize,
    before: Retry,
    mood: Mood,
) -> Result<Next<S>, bool> {
    let now = clock::now();
    let in_time = request.deadline.is_none_or(|deadline| now < deadline);
    if attempts >= pool.shared.settings.max_attempts || !in_time {
        return Err(false);
    }
    let Some(picked) = pool.pick(request, tried, now, mood != Mood::Last) else {
        return Err(pool.may_recover(tried, now));
    };
    let Shared { settings, retries, .. } = &*pool.shared;
    let retry = match before {
        _ if attempts == 0 => None,
        Retry::Kept(Some(permit)) => Some(permit),
        Retry::Failed(Some(permit)) => permit.again(),
        Retry::Kept(None) | Retry::Failed(None) => {
            retries.acquire(settings.budget, pool.in_flight())
        }
    };
    let instance = picked.in_flight.instance();
    let is_free = attempts == 0 || retry.is_some() || !instance.is_suspect(now);
    let may_try = || mood == Mood::Waiting && instance.ask_anyway(now, NOW_AND_THEN);
    if !(is_free || may_try()) {
        picked.in_flight.over(true);
        return Err(pool.may_recover(tried, now));
    }
    tried.push(picked.index);
    Ok(Next { picked, retry })
}
