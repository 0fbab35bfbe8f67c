//! What failed on the way to an answer, and what the caller is told of it.

use std::time::Duration;

use http::Response;
use tokio::time::Instant;

use super::retry_on::RetryOn;
use super::state::InstanceState;
use crate::clock;
use crate::error::{Attempt, Error, Kind};
use crate::refusal;

/// How long an instance rests that broke off, failed twice in a row, or is busy and does not say for
/// how long.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// How long one rests at least that says so: it may say 0, to every request.
const SHORTEST: Duration = Duration::from_millis(100);

/// How long an instance rests that refuses our key: no request of ours will change its mind.
const AFTER_A_REFUSAL: Duration = Duration::from_secs(10);

/// An attempt that failed.
pub(super) struct Failure {
    pub(super) kind: Kind,
    retry_after: Option<Duration>,
    /// Whether it was refused before anything was sent.
    pub(super) unsent: bool,
    /// Whether a limit of this caller's own refused it.
    limited: bool,
}

impl Failure {
    /// The failure in this outcome. A service that is not ours may say so with a status alone.
    pub(super) fn of<B>(outcome: &Result<Response<B>, Error>) -> Option<Self> {
        match outcome {
            Ok(response) => Kind::of_status(response.status()).map(|kind| {
                let retry_after = refusal::retry_after(response.headers());
                Self { kind, retry_after, unsent: false, limited: false }
            }),
            Err(error) => {
                let (kind, retry_after) = (error.kind(), error.retry_after());
                let limited = error.limited_to() == Some(true);
                Some(Self { kind, retry_after, unsent: error.is_unsent(), limited })
            }
        }
    }

    /// Whether it leaves open that the instance answers requests, and takes its key.
    pub(super) fn shows_no_life(&self) -> bool {
        self.unsent || self.may_fail_over() || self.kind == Kind::Deadline
    }

    /// Whether the instance might take any other request.
    pub(super) fn is_its_own(&self) -> bool {
        self.limited || !self.unsent || !self.may_fail_over() || self.kind == Kind::Unsupported
    }

    /// Whether another instance might do better.
    pub(super) fn may_fail_over(&self) -> bool {
        self.kind.may_fail_over()
    }

    /// Whether one is to be asked.
    pub(super) fn is_retried(&self, on: RetryOn) -> bool {
        self.unsent || on.contains(self.kind)
    }

    /// Prefers other instances for a while, if it was this one's doing.
    pub(super) fn eject(&self, instance: &InstanceState) {
        if self.unsent {
            return;
        }
        let now = clock::now();
        let again = instance.failed(now);
        let pause = match self.kind {
            Kind::Unreachable | Kind::Broken => Some(AFTER_A_FAILURE),
            Kind::UpstreamAuth => Some(AFTER_A_REFUSAL),
            Kind::Busy => Some(self.retry_after.unwrap_or(AFTER_A_FAILURE).max(SHORTEST)),
            // Once may have been the request's doing, and one that fails at once has time for them all.
            Kind::Failed | Kind::Timeout => again.then_some(AFTER_A_FAILURE),
            _ => None,
        };
        if let Some(pause) = pause {
            instance.rest(now, pause);
        }
        if let Some(health) = instance.health() {
            match self.kind {
                Kind::Unreachable => health.refused(now),
                Kind::UpstreamAuth => health.unauthorized(now),
                Kind::Failed | Kind::ModelAbsent => health.answered(now),
                _ => {}
            }
        }
    }
}

/// All that failed of one request. Most have nothing here, and take no room for it.
#[derive(Debug, Default)]
pub(super) struct Failures(Option<Box<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    attempts: Vec<Attempt>,
    /// What to tell the caller unless there is something better.
    told: Option<Error>,
}

impl Failures {
    /// How many instances have seen the request.
    pub(super) fn sent(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.attempts.len())
    }

    pub(super) fn note(&mut self, failure: &Failure, instance: &InstanceState, sent: Instant) {
        if !failure.unsent {
            let attempt = Attempt::new(
                instance.id(),
                failure.kind,
                clock::now().saturating_duration_since(sent),
            );
            self.0.get_or_insert_default().attempts.push(attempt);
        }
    }

    /// Keeps an error for the case that nobody answers.
    pub(super) fn keep(&mut self, error: Option<Error>) {
        if let Some(error) = error {
            let told = &mut self.0.get_or_insert_default().told;
            *told = Some(match told.take() {
                Some(before) if is_better(&before, &error) => before,
                _ => error,
            });
        }
    }

    /// What the caller is told when this was the last attempt.
    pub(super) fn told(self, last: Error, tell_attempts: bool) -> Error {
        let Inner { attempts, told } = self.0.map_or_else(Inner::default, |inner| *inner);
        let error = match told {
            Some(before) if may_be_bettered(&last) && is_better(&before, &last) => before,
            _ => last,
        };
        // What one instance has seen is not to be sent again for nothing because another refused it.
        let error = if attempts.is_empty() { error } else { error.sent() };
        error.with_attempts(attempts, tell_attempts)
    }
}

/// Whether what an instance said before may be worth more than this.
fn may_be_bettered(last: &Error) -> bool {
    // Where one was waited for: in a room that was full, or for one that is not up any more.
    last.kind().may_fail_over() || matches!(last.kind(), Kind::Overloaded | Kind::NoInstance)
}

/// Whether the caller should be told of the earlier one.
///
/// A busy instance will serve when it is free, and the soonest counts; what an instance said is worth
/// more than that one was not asked; and otherwise the last word counts.
fn is_better(before: &Error, after: &Error) -> bool {
    let rank = |error: &Error| match (error.kind(), error.is_unsent()) {
        (Kind::Busy, _) => 2,
        (_, false) => 1,
        (_, true) => 0,
    };
    match (rank(before), rank(after)) {
        (2, 2) => before.retry_after() <= after.retry_after(),
        (before, after) => before > after,
    }
}
