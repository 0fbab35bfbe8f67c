use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::probe::Outcome;
use super::settings::Settings;
use super::status::{Change, Status};
use super::word::{Found, LATEST, MOST_COUNTED, Word};
use crate::sync::{self, AtomicU64, Ordering};

/// What is known of how an instance is. See the [module](super).
///
/// Shared by every stack around the instance, and kept across reloads. Every change is one
/// compare-and-swap of one word, so no two threads ever see, or make, half a change.
///
/// ```
/// use std::sync::Arc;
///
/// use jairouter_core::health::{Health, Status};
/// use tokio::time::Instant;
///
/// let health = Arc::new(Health::new());
/// health.refused(Instant::now());
/// assert_eq!(health.status(), Status::Up, "nobody would see it come back");
///
/// let probing = health.probing(); // as a `Prober` does
/// health.refused(Instant::now());
/// assert_eq!(health.status(), Status::Down);
/// ```
pub struct Health {
    /// A [`Word`]. Relaxed throughout: it says everything itself and publishes nothing else.
    word: AtomicU64,
    /// Told of every change that requests and operators make.
    changed: Notify,
    epoch: Instant,
}

/// Somebody probes an instance, until this is dropped.
///
/// A [`Prober`](super::Prober) holds one while it runs. Take one yourself to find out in another way
/// how an instance is, and tell it with [`Health::probed`].
#[must_use = "dropping this says that nobody probes the instance"]
pub struct Probing {
    health: Arc<Health>,
}

/// The moment at which a probe is sent: what its verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a look is for the verdict of the probe that is sent with it"]
pub struct Look {
    generation: u8,
}

// === impl Health ===

impl Health {
    /// An instance that is up and that nobody probes.
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(Word::NEW.into()),
            changed: Notify::new(),
            epoch: Instant::now(),
        }
    }

    /// How it is, as far as anybody knows.
    pub fn status(&self) -> Status {
        self.load().status()
    }

    /// How long it has been so, to the millisecond.
    pub fn since(&self, now: Instant) -> Duration {
        Duration::from_millis(self.millis(now).saturating_sub(self.load().since))
    }

    /// Whether somebody would find out that it is back.
    pub fn is_probed(&self) -> bool {
        self.load().probers > 0
    }

    /// A request's connection was refused: nobody listens there.
    ///
    /// If the instance is probed it is down at once, and its prober looks whether that is so. If not
    /// nothing changes, for nothing would bring it back.
    pub fn refused(&self, now: Instant) {
        self.learn(now, Word::refused);
    }

    /// A request was answered: the instance works, and takes its key.
    ///
    /// It ends a row of failures, and what [`unauthorized`](Self::unauthorized) has said. What a probe
    /// has found, that it is down or that the probe's own key is refused, only a probe undoes.
    pub fn answered(&self, now: Instant) {
        self.learn(now, Word::answered);
    }

    /// A request was refused for the key that the gateway has for the instance, with 401 or 403.
    ///
    /// If the instance is probed it is misconfigured, until a request is answered or a probe finds it
    /// well more than 30 s later. If not nothing changes.
    pub fn unauthorized(&self, now: Instant) {
        self.learn(now, Word::unauthorized);
    }

    /// Takes it out of service, or back. It is an operator's word, and none of the evidence, which is
    /// collected all the while, weighs against it.
    pub fn set_draining(&self, draining: bool) {
        self.learn(Instant::now(), |word| Word { draining, ..word });
    }

    /// Says that somebody probes it, until the answer is dropped.
    ///
    /// # Panics
    ///
    /// If 63 do already: they were never dropped.
    pub fn probing(self: &Arc<Self>) -> Probing {
        self.change(Instant::now(), |word| {
            assert!(word.probers < MOST_COUNTED, "an instance has no more than 63 probers");
            Word { probers: word.probers + 1, ..word }
        });
        Probing { health: Arc::clone(self) }
    }

    /// To be taken before a probe is sent.
    pub fn look(&self) -> Look {
        self.load().into()
    }

    /// What a probe has found that was sent at this look, and what that changes.
    ///
    /// Nothing, if nobody [is probing](Self::probing) it, or if something else was found since the
    /// look: the probe's news is older.
    pub fn probed(
        &self,
        look: Look,
        outcome: Outcome,
        settings: &Settings,
        now: Instant,
    ) -> Option<Change> {
        let (before, after) = self.judge(look, outcome, settings, now);
        Change::between(before.status(), after.status())
    }

    pub(super) fn judge(
        &self,
        look: Look,
        outcome: Outcome,
        settings: &Settings,
        now: Instant,
    ) -> (Word, Word) {
        let at = self.millis(now);
        self.change(now, |word| match look == word.into() {
            true => word.probed(outcome, at, settings),
            false => word,
        })
    }

    /// Resolves when a request or an operator has changed something since it last did. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether somebody else has found it down since.
    pub(super) fn is_down_since(&self, look: Look) -> bool {
        let word = self.load();
        word.found == Found::Down && look != word.into()
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.load().is_doubtful()
    }

    /// Changes the word by what is no probe's verdict, and tells the prober.
    fn learn(&self, now: Instant, step: impl Fn(Word) -> Word) {
        let (before, after) = self.change(now, step);
        if before.generation != after.generation || before.status() != after.status() {
            self.changed.notify_one();
        }
    }

    /// Changes the word, and says from what to what.
    fn change(&self, now: Instant, step: impl Fn(Word) -> Word) -> (Word, Word) {
        let at = self.millis(now);
        sync::change(&self.word, |word: Word| word.followed_by(step(word), at))
    }

    fn load(&self) -> Word {
        self.word.load(Ordering::Relaxed).into()
    }

    fn millis(&self, at: Instant) -> u64 {
        (at.saturating_duration_since(self.epoch).as_millis() as u64).min(LATEST)
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("word", &self.load()).finish_non_exhaustive()
    }
}

// === impl Probing ===

impl Drop for Probing {
    fn drop(&mut self) {
        self.health.change(Instant::now(), |word| Word { probers: word.probers - 1, ..word });
    }
}

impl fmt::Debug for Probing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probing").field(&self.health).finish()
    }
}

// === impl Look ===

impl From<Word> for Look {
    fn from(word: Word) -> Self {
        Self { generation: word.generation }
    }
}
