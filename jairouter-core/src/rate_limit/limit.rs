use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::algorithm::{Algorithm, Word};
use super::limiter::{Grant, Limiter, Quota, Refusal, Unit};
use crate::request::InferenceRequest;

/// One limit for all requests.
///
/// What is left of it is not told to callers whose requests pass, since it shows how much the others
/// ask.
pub struct Limit<A> {
    algorithm: A,
    word: Word,
    epoch: Instant,
    what: Cow<'static, str>,
}

impl<A: Algorithm> Limit<A> {
    /// A limit that nobody has used, by this algorithm.
    pub fn new(algorithm: A) -> Self {
        let what = Cow::Borrowed("a rate limit");
        Self { algorithm, word: Word::fresh(), epoch: Instant::now(), what }
    }

    /// What people call it, as in "the rate limit of the service 'chat'".
    #[must_use]
    pub fn named(mut self, what: impl Into<Cow<'static, str>>) -> Self {
        self.what = what.into();
        self
    }

    /// How much is left now.
    pub fn quota(&self, now: Instant) -> Quota {
        quota(&self.algorithm, self.word.get(), self.at(now))
    }

    fn at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }
}

impl<A: Algorithm> Limiter for Limit<A> {
    fn check(&self, _: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        let (at, word) = (self.at(now), self.word.get());
        let taken = self.algorithm.take(word, 1, at);
        taken.map(drop).map_err(|wait| refusal(&self.algorithm, self.what.clone(), wait, word, at))
    }

    fn acquire(&self, _: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        let at = self.at(now);
        match self.word.take(&self.algorithm, 1, at) {
            Ok(_) => Ok(Grant::default()),
            Err(wait) => {
                Err(refusal(&self.algorithm, self.what.clone(), wait, self.word.get(), at))
            }
        }
    }

    fn give_back(&self, _: &InferenceRequest, now: Instant) {
        let at = self.at(now);
        self.word.update(|word| self.algorithm.give_back(word, 1, at));
    }

    fn left(&self, now: Instant) -> Option<Quota> {
        Some(self.quota(now))
    }
}

impl<A: fmt::Debug> fmt::Debug for Limit<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("what", &self.what)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// A limit of its own for each of these models. Others have none.
#[derive(Debug)]
pub struct PerModel<L> {
    models: HashMap<Box<str>, L>,
}

impl<L> PerModel<L> {
    /// These models and their limits; of two of one name the last counts.
    pub fn new(models: impl IntoIterator<Item = (Box<str>, L)>) -> Self {
        Self { models: models.into_iter().collect() }
    }

    fn of(&self, request: &InferenceRequest) -> Option<&L> {
        self.models.get(&*request.model)
    }
}

impl<L: Limiter> Limiter for PerModel<L> {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        self.of(request).map_or(Ok(()), |limiter| limiter.check(request, now))
    }

    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        self.of(request).map_or(Ok(Grant::default()), |limiter| limiter.acquire(request, now))
    }

    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        if let Some(limiter) = self.of(request) {
            limiter.give_back(request, now);
        }
    }
}

pub(super) fn quota<A>(algorithm: &A, word: u64, at: Duration) -> Quota
where
    A: Algorithm + ?Sized,
{
    let (limit, remaining) = (algorithm.limit(), algorithm.remaining(word, at));
    Quota::new(Unit::Requests, limit, remaining, algorithm.reset(word, at))
}

pub(super) fn refusal<A>(
    algorithm: &A,
    what: Cow<'static, str>,
    wait: Duration,
    word: u64,
    at: Duration,
) -> Refusal
where
    A: Algorithm + ?Sized,
{
    Refusal::new(what, wait).with_quota(quota(algorithm, word, at))
}
