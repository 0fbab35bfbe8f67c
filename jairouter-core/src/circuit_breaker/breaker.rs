use std::fmt;
use std::sync::Arc;
// Nothing is decided by these: models need not look into them.
use std::sync::atomic::AtomicU64 as Count;
use std::time::Duration;

use tokio::time::Instant;

use super::permit::{Permit, Ticket};
use super::settings::{Settings, millis};
use super::window::Window;
use super::word::{LATEST, Phase, Word};
use crate::error::{Error, Kind};
use crate::sync::{self, AtomicU64, Ordering};

/// What is known of whether an instance works. See the [module](super).
///
/// Shared by every stack around the instance, and kept across reloads. Every decision is one
/// compare-and-swap of one word, so no two threads ever see, or make, half a change.
pub struct Breaker {
    /// A [`Word`]. Relaxed throughout: it says everything itself and publishes nothing else.
    word: AtomicU64,
    window: Option<Window>,
    trips: AtomicU64,
    half_opened: Count,
    closed: Count,
    refused: Count,
    /// How many of them have been told.
    told: AtomicU64,
    settings: Settings,
    epoch: Instant,
}

/// What has happened to a breaker since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// How often it has opened.
    pub opened: u64,
    /// How often the first probe was let through.
    pub half_opened: u64,
    /// How often it has closed again, by its probes or by an operator's word.
    pub closed: u64,
    /// How many requests it has refused. A balancer that looks before it calls has few.
    pub refused: u64,
}

/// What a breaker does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It lets them pass.
    Closed,
    /// It refuses them.
    Open,
    /// It lets a few pass, to see how they fare.
    HalfOpen,
}

/// A breaker's refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct Open {
    retry_after: Duration,
}

// === impl Breaker ===

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: Settings) -> Self {
        Self {
            word: AtomicU64::new(Word::CLOSED.into()),
            window: Window::new(&settings),
            trips: AtomicU64::new(0),
            half_opened: Count::new(0),
            closed: Count::new(0),
            refused: Count::new(0),
            told: AtomicU64::new(0),
            settings,
            epoch: Instant::now(),
        }
    }

    /// A permit for one request, which is a probe if the breaker is half-open.
    ///
    /// # Errors
    ///
    /// [`Open`] while it is open, and while it is half-open and every probe is out.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Result<Permit, Open> {
        let at = self.millis(now);
        let (before, after) = sync::change(&self.word, |word: Word| word.admit(at, &self.settings));
        match before.refusal(at, &self.settings) {
            Some(wait) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Open { retry_after: Duration::from_millis(wait) })
            }
            None => {
                let probe = matches!(after.phase, Phase::HalfOpen { .. });
                if before.generation != after.generation {
                    self.half_opened.fetch_add(1, Ordering::Relaxed);
                }
                let ticket = Ticket { generation: after.generation, probe };
                Ok(Permit::new(Arc::clone(self), ticket))
            }
        }
    }

    /// How long [`admit`](Self::admit) would tell a request to wait; `None` if it would admit it.
    ///
    /// A look that changes nothing, for a balancer that passes over instances that would refuse.
    /// Another request may take the last probe between the look and the call.
    pub fn would_refuse(&self, now: Instant) -> Option<Duration> {
        let word = self.load();
        // Asked of every instance for every request: what o'clock it is matters to few.
        if matches!(word.phase, Phase::Closed { .. }) {
            return None;
        }
        word.refusal(self.millis(now), &self.settings).map(Duration::from_millis)
    }

    /// What it does with requests. An open breaker is half-open as soon as its time is over, whether
    /// or not a request has come.
    pub fn state(&self, now: Instant) -> State {
        match self.load().phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { until } if self.millis(now) < until => State::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Ends the time of an open breaker, for an active health check that has seen the instance come
    /// back. It is half-open then. One that has been half-open for 5 s, with probes that are still out,
    /// is given new ones, and what becomes of the old ones counts no longer: an engine that was silent
    /// may keep them for minutes. Otherwise nothing changes.
    ///
    /// To be called when the instance *becomes* healthy. An engine can answer health checks while
    /// every inference fails: called at each good answer, this would undo the growing open time.
    pub fn probe_soon(&self, now: Instant) {
        let at = self.millis(now);
        sync::change(&self.word, |word: Word| word.probe_soon(at));
    }

    /// Closes it and forgets everything; what is under way counts no longer.
    pub fn reset(&self) {
        let (before, _) = sync::change(&self.word, Word::reset);
        if !matches!(before.phase, Phase::Closed { .. }) {
            self.closed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How long it has been closed since it last opened, to the second; `None` if it is not, or never
    /// opened.
    pub fn recovered_for(&self, now: Instant) -> Option<Duration> {
        match self.load().phase {
            Phase::Closed { since, .. } if since > 0 => {
                Some(Duration::from_millis(self.millis(now).saturating_sub(since * 1000)))
            }
            _ => None,
        }
    }

    /// How often it has opened.
    pub fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// What has happened to it.
    pub fn counts(&self) -> Counts {
        let get = |count: &Count| count.load(Ordering::Relaxed);
        Counts {
            opened: self.trips(),
            half_opened: get(&self.half_opened),
            closed: get(&self.closed),
            refused: get(&self.refused),
        }
    }

    /// Whether it has opened since this was last asked, for those who say so: whoever asks first after
    /// it has, hears of it, and nobody else.
    pub fn is_newly_open(&self) -> bool {
        let trips = self.trips();
        trips > self.told.load(Ordering::Relaxed)
            && trips > self.told.fetch_max(trips, Ordering::Relaxed)
    }

    /// What it decides by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn succeed(&self, ticket: Ticket, now: Instant) {
        let at = self.millis(now);
        if !ticket.probe && self.is_current(ticket) {
            self.record(ticket, at, false);
        }
        let (before, after) = self.judge(ticket, |word| word.succeed(at, &self.settings));
        if before.generation != after.generation {
            self.closed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn fail(&self, ticket: Ticket, now: Instant) {
        let at = self.millis(now);
        let over = !ticket.probe && self.is_current(ticket) && self.record(ticket, at, true);
        let (before, after) = self.judge(ticket, |word| word.fail(at, over, &self.settings));
        if before.generation != after.generation {
            self.trips.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn give_back(&self, ticket: Ticket) {
        if ticket.probe {
            self.judge(ticket, Word::give_back);
        }
    }

    /// Counts in the window, if there is one. Whether it is over its rate with this failure.
    fn record(&self, ticket: Ticket, at: u64, failed: bool) -> bool {
        let Some(window) = &self.window else { return false };
        window.record(ticket.generation, at, failed);
        failed && window.is_over(ticket.generation, at)
    }

    fn is_current(&self, ticket: Ticket) -> bool {
        self.load().generation == ticket.generation
    }

    /// Changes the word by a verdict, unless it is one of an older generation.
    fn judge(&self, ticket: Ticket, verdict: impl Fn(Word) -> Word) -> (Word, Word) {
        sync::change(&self.word, |word: Word| {
            if word.generation == ticket.generation { verdict(word) } else { word }
        })
    }

    fn load(&self) -> Word {
        self.word.load(Ordering::Relaxed).into()
    }

    fn millis(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.epoch)).min(LATEST)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("word", &self.load())
            .field("trips", &self.trips())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

// === impl Open ===

impl Open {
    /// The time to the next probe; a second if all are out and have no verdict yet.
    pub fn retry_after(self) -> Duration {
        self.retry_after
    }
}

impl From<Open> for Error {
    fn from(open: Open) -> Self {
        Self::new(Kind::BreakerOpen, "the circuit breaker is open")
            .with_retry_after(open.retry_after)
            .unsent()
    }
}
