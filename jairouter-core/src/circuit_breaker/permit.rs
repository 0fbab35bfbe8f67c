use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::breaker::Breaker;
use crate::body::{BodyGuard, End};
use crate::clock;
use crate::error::Kind;

/// Leave to send one request, and the duty to say how it went.
///
/// A response future owns it first and the body of the answer afterwards. It counts once, by the
/// first of its verdicts, and dropping it is the neutral one: nothing is counted, and a probe is
/// given back. A verdict on a state the breaker has left is ignored.
///
/// ```
/// use std::sync::Arc;
///
/// use jairouter_core::circuit_breaker::{Breaker, Open, Settings};
/// use tokio::time::Instant;
///
/// let breaker = Arc::new(Breaker::new(Settings::default()));
/// let permit = breaker.admit(Instant::now())?;
/// // … ask …
/// permit.success(Instant::now());
/// # Ok::<(), Open>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping a permit says that nothing was learnt of the instance"]
pub struct Permit {
    breaker: Arc<Breaker>,
    ticket: Ticket,
    stage: Stage,
}

/// What a verdict is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) generation: u16,
    pub(super) probe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// The answer has begun: a probe has passed, any other request waits for its end.
    Answered,
    /// Its last word is said.
    Settled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Success,
    Failure,
    Neutral,
}

impl Permit {
    pub(super) fn new(breaker: Arc<Breaker>, ticket: Ticket) -> Self {
        Self { breaker, ticket, stage: Stage::Waiting }
    }

    /// Whether this is a half-open breaker's probe.
    pub fn is_probe(&self) -> bool {
        self.ticket.probe
    }

    /// The answer has begun: a probe passes. A [`failure`](Self::failure) may still follow, and
    /// without one the request was a success, however it ends.
    pub fn answered(&mut self, now: Instant) {
        if self.stage == Stage::Waiting {
            self.stage = Stage::Answered;
            if self.ticket.probe {
                self.breaker.succeed(self.ticket, now);
            }
        }
    }

    /// The instance works.
    pub fn success(mut self, now: Instant) {
        self.settle(Verdict::Success, now);
    }

    /// The instance does not work.
    pub fn failure(mut self, now: Instant) {
        self.settle(Verdict::Failure, now);
    }

    /// What a failure of this kind says of the instance: that it does not work, or nothing.
    pub fn judge(mut self, kind: Kind, now: Instant) {
        self.settle_by(kind, now);
    }

    /// The same, for a permit that is handed on all the same.
    pub(super) fn settle_by(&mut self, kind: Kind, now: Instant) {
        self.settle(Verdict::of(kind), now);
    }

    fn settle(&mut self, verdict: Verdict, now: Instant) {
        match (mem::replace(&mut self.stage, Stage::Settled), verdict) {
            (Stage::Settled, _) => {}
            (_, Verdict::Failure) => self.breaker.fail(self.ticket, now),
            // It has passed before.
            (Stage::Answered, _) if self.ticket.probe => {}
            (Stage::Answered, _) | (Stage::Waiting, Verdict::Success) => {
                self.breaker.succeed(self.ticket, now);
            }
            (Stage::Waiting, Verdict::Neutral) => self.breaker.give_back(self.ticket),
        }
    }
}

impl Verdict {
    fn of(kind: Kind) -> Self {
        match kind {
            kind if kind.blames_instance() => Self::Failure,
            _ => Self::Neutral,
        }
    }
}

impl BodyGuard for Permit {
    fn data(&mut self, data: &Bytes) {
        if !data.is_empty() && self.stage == Stage::Waiting {
            self.answered(clock::now());
        }
    }

    fn end(mut self, end: End) {
        let verdict = match end {
            End::Complete => Verdict::Success,
            End::Broken(kind) if kind.blames_instance() => Verdict::Failure,
            End::Broken(_) | End::Abandoned => Verdict::Neutral,
        };
        if self.stage != Stage::Settled {
            self.settle(verdict, clock::now());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.stage != Stage::Settled {
            self.settle(Verdict::Neutral, clock::now());
        }
    }
}
