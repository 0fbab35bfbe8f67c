use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Extensions;
use tokio::time::Instant;

use crate::body::{BodyGuard, End};
use crate::request::InferenceRequest;

/// Decides whether a request may go on.
///
/// Several are one, too: a tuple, a `Vec` and an `Option` are limiters. All of them are looked at
/// first, and only if none refuses is anything taken, so that a refusal spends nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Limiter`",
    label = "limits no requests",
    note = "an algorithm becomes one by `Limit::new(algorithm)`, `PerClient::new(algorithm)` or `PerModel::new(…)`; several are a tuple or a `Vec` of them"
)]
pub trait Limiter: Send + Sync {
    /// Looks, and takes nothing.
    ///
    /// # Errors
    ///
    /// Why the request may not go on now.
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal>;

    /// Takes what the request needs. Somebody else may have been faster since the look.
    ///
    /// # Errors
    ///
    /// Why the request may not go on now. Nothing is taken.
    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal>;

    /// Gives back what was acquired for a request that goes no further. What a grant holds is given
    /// back by [`Grant::refused`]; this is for what it does not hold.
    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        let _ = (request, now);
    }

    /// How much is left for all callers together, for those who operate it; nothing where each caller,
    /// or each model, has a limit of its own.
    fn left(&self, now: Instant) -> Option<Quota> {
        let _ = now;
        None
    }
}

/// Why a request may not go on now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// What was exceeded, for people: "the service's rate limit".
    pub what: Cow<'static, str>,
    /// When asking again may help.
    pub retry_after: Duration,
    /// The limit, if it has a size.
    pub quota: Option<Quota>,
    /// Whether it is a limit of this client alone: others may pass.
    pub of_client: bool,
}

impl Refusal {
    /// A refusal by the limit that people call this.
    pub fn new(what: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self { what: what.into(), retry_after, quota: None, of_client: false }
    }

    /// The same, of a limit that each client has of its own.
    #[must_use]
    pub fn of_client(mut self, of_client: bool) -> Self {
        self.of_client = of_client;
        self
    }

    /// The same, of a limit of this size.
    #[must_use]
    pub fn with_quota(mut self, quota: Quota) -> Self {
        self.quota = Some(quota);
        self
    }
}

/// How much of a limit there is, for the `x-ratelimit-*` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// What is counted.
    pub unit: Unit,
    /// The most there can be.
    pub limit: u64,
    /// How much is left.
    pub remaining: u64,
    /// How long until all of it is there again.
    pub reset: Duration,
}

impl Quota {
    /// So much of so much.
    pub const fn new(unit: Unit, limit: u64, remaining: u64, reset: Duration) -> Self {
        Self { unit, limit, remaining, reset }
    }
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Requests.
    Requests,
    /// Tokens of prompts and answers.
    Tokens,
}

/// Something that is held, or counted, until the answer's body ends.
///
/// Dropping it says that the caller left.
pub trait Hold: Send {
    /// There is an answer, with these extensions; its frames follow.
    fn answered(&mut self, extensions: &mut Extensions) {
        let _ = extensions;
    }

    /// A frame of the body passed.
    fn data(&mut self, data: &Bytes) {
        let _ = data;
    }

    /// The body ended, in this way.
    fn end(self: Box<Self>, end: End) {
        let _ = end;
    }

    /// The request went no further: it cost nothing.
    fn refused(self: Box<Self>) {}
}

/// What a request was granted: held until its body ends.
#[derive(Default)]
#[must_use = "dropping this gives back what it holds"]
pub struct Grant {
    held: Held,
    /// Most have none, and every request in flight carries this.
    quotas: Option<Box<Quotas>>,
}

/// One for each unit.
type Quotas = [Option<Quota>; 2];

#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    One(Box<dyn Hold>),
    Many(Vec<Box<dyn Hold>>),
}

// === impl Grant ===

impl Grant {
    /// Something to hold until the end.
    pub fn holding(hold: impl Hold + 'static) -> Self {
        Self { held: Held::One(Box::new(hold)), quotas: None }
    }

    /// The same, and the caller may know of this quota, since nobody else's use shows in it.
    pub fn with_quota(mut self, quota: Quota) -> Self {
        let slot = &mut self.quotas.get_or_insert_default()[quota.unit as usize];
        // The tighter one counts.
        if slot.is_none_or(|other| quota.remaining < other.remaining) {
            *slot = Some(quota);
        }
        self
    }

    /// There is an answer, with these extensions: to be said before a frame of it passes.
    pub fn answered(&mut self, extensions: &mut Extensions) {
        match &mut self.held {
            Held::Nothing => {}
            Held::One(one) => one.answered(extensions),
            Held::Many(many) => many.iter_mut().for_each(|one| one.answered(extensions)),
        }
    }

    /// Gives back all of it: the request went no further.
    pub fn refused(self) {
        match self.held {
            Held::Nothing => {}
            Held::One(one) => one.refused(),
            Held::Many(many) => many.into_iter().for_each(Hold::refused),
        }
    }

    /// What the caller may know.
    pub fn quotas(&self) -> impl Iterator<Item = Quota> {
        self.quotas.iter().flat_map(|quotas| quotas.iter().flatten()).copied()
    }

    /// Both.
    pub fn and(mut self, other: Self) -> Self {
        self.held = match (self.held, other.held) {
            (held, Held::Nothing) | (Held::Nothing, held) => held,
            (Held::One(a), Held::One(b)) => {
                // Where there are two, there are more as a rule.
                let mut many = Vec::with_capacity(4);
                many.extend([a, b]);
                Held::Many(many)
            }
            (Held::One(one), Held::Many(mut many)) | (Held::Many(mut many), Held::One(one)) => {
                many.push(one);
                Held::Many(many)
            }
            (Held::Many(mut a), Held::Many(b)) => {
                a.extend(b);
                Held::Many(a)
            }
        };
        match (self.quotas.is_some(), other.quotas) {
            (_, None) => self,
            (false, quotas) => Self { quotas, ..self },
            (true, Some(quotas)) => quotas.into_iter().flatten().fold(self, Self::with_quota),
        }
    }
}

impl BodyGuard for Grant {
    fn data(&mut self, data: &Bytes) {
        match &mut self.held {
            Held::Nothing => {}
            Held::One(one) => one.data(data),
            Held::Many(many) => many.iter_mut().for_each(|one| one.data(data)),
        }
    }

    fn end(self, end: End) {
        match self.held {
            Held::Nothing => {}
            Held::One(one) => one.end(end),
            Held::Many(many) => many.into_iter().for_each(|one| one.end(end)),
        }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("quotas", &self.quotas).finish_non_exhaustive()
    }
}

// === impl Limiter ===

impl<L: Limiter + ?Sized> Limiter for Arc<L> {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        (**self).check(request, now)
    }
    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        (**self).acquire(request, now)
    }
    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        (**self).give_back(request, now);
    }
    fn left(&self, now: Instant) -> Option<Quota> {
        (**self).left(now)
    }
}

/// No limit, or this one.
impl<L: Limiter> Limiter for Option<L> {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        self.as_ref().map_or(Ok(()), |limiter| limiter.check(request, now))
    }
    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        self.as_ref().map_or(Ok(Grant::default()), |limiter| limiter.acquire(request, now))
    }
    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        if let Some(limiter) = self {
            limiter.give_back(request, now);
        }
    }
}

/// Both.
impl<A: Limiter, B: Limiter> Limiter for (A, B) {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        longest([self.0.check(request, now), self.1.check(request, now)])
    }

    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        let first = self.0.acquire(request, now)?;
        match self.1.acquire(request, now) {
            Ok(second) => Ok(first.and(second)),
            Err(refusal) => {
                first.refused();
                self.0.give_back(request, now);
                Err(refusal)
            }
        }
    }

    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        self.0.give_back(request, now);
        self.1.give_back(request, now);
    }
}

/// All of them.
impl<L: Limiter> Limiter for Vec<L> {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        longest(self.iter().map(|limiter| limiter.check(request, now)))
    }

    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        let mut granted = Grant::default();
        for (nth, limiter) in self.iter().enumerate() {
            match limiter.acquire(request, now) {
                Ok(grant) => granted = granted.and(grant),
                Err(refusal) => {
                    granted.refused();
                    for limiter in &self[..nth] {
                        limiter.give_back(request, now);
                    }
                    return Err(refusal);
                }
            }
        }
        Ok(granted)
    }

    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        for limiter in self {
            limiter.give_back(request, now);
        }
    }
}

/// Of several refusals the one that lasts: before it is over, none of the others help.
fn longest(checks: impl IntoIterator<Item = Result<(), Refusal>>) -> Result<(), Refusal> {
    let refusals = checks.into_iter().filter_map(Result::err);
    match refusals.max_by_key(|refusal| refusal.retry_after) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}
