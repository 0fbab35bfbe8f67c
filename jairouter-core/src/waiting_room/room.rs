use std::cmp::Reverse;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::line::{Line, Standing};
use super::place::{Place, Priority};
use super::settings::Settings;
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;
use crate::sync::{AtomicU64, Mutex, Ordering, fence};

const FULL: &str = "no more requests can wait for an instance of the model";
const LATE: &str = "no instance of the model became free in time";
const HOPELESS: &str = "no instance of the model will be free before the deadline";

/// Those who wait for an instance of a model, in order. See the [module](super).
///
/// A handle: it outlives any stack built around it, and every stack over the same instances shares
/// it. Whoever frees a place at one of them says so with [`released`](Self::released).
pub struct Room {
    settings: Settings,
    /// How many are in the line, for those who need no more than that. Written under the lock.
    waiting: AtomicU64,
    line: Mutex<Line>,
    last_call: bool,
    epoch: Instant,
}

/// A request's place in the line. Dropping it leaves the line, and hands on what it was called for.
#[derive(Debug)]
pub(super) struct Seat {
    room: Arc<Room>,
    place: Place,
    gives_up: Instant,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    InLine,
    /// An instance seems to have it, and its answer is awaited.
    Asked,
    /// Served, or turned away.
    Over,
}

/// What a request in the line is to do.
#[derive(Debug)]
pub(super) enum Turn {
    Ask,
    /// Look again when woken, or at this instant.
    Wait(Instant),
    Refused(Error),
}

// === impl Room ===

impl Room {
    /// An empty room.
    pub fn new(settings: Settings) -> Self {
        let epoch = Instant::now();
        let line = Mutex::new(Line::new(epoch));
        Self { settings, waiting: AtomicU64::new(0), line, last_call: false, epoch }
    }

    /// The same before a balancer, which is asked once more before anybody is turned away: see
    /// [`LastCall`](super::LastCall).
    pub(crate) fn before_balancer(self) -> Self {
        Self { last_call: true, ..self }
    }

    pub(super) fn has_last_call(&self) -> bool {
        self.last_call
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed) as usize
    }

    /// A place at an instance has become free: calls the first who waits for one.
    ///
    /// To be said *after* it is free, once for each, by whatever means it was made so: a relaxed
    /// decrement will do. As long as nobody waits it is one load of one word, which only those who
    /// wait write. The fence before it keeps the load behind the decrement. Without it, of this thread
    /// and one that begins to wait each could miss what the other has written, and a request would
    /// wait beside a free place.
    pub fn released(&self) {
        self.released_at(None);
    }

    /// The same, at this instance, a bit of those that a [`Stay`](super::Stay) avoids.
    pub(crate) fn released_at(&self, instance: Option<u64>) {
        if self.somebody_waits() {
            let now = Instant::now();
            self.with(None, |line| line.released(instance, now));
        }
    }

    /// The same in each of these rooms, where whoever stands in front is told first that has waited for the
    /// longest: one of several models of an instance is not to starve another.
    pub(crate) fn released_at_each(rooms: &[(Arc<Self>, Option<u64>)]) {
        if let [(room, instance)] = rooms {
            return room.released_at(*instance);
        }
        let waits = rooms.iter().filter(|(room, _)| room.somebody_waits());
        let mut waits: Vec<_> = waits.map(|one| (one.0.front(), one)).collect();
        // Those who are called already before those who are not.
        waits.sort_by_key(|(front, _)| *front);
        for (_, (room, instance)) in waits {
            room.released_at(*instance);
        }
    }

    /// Where whoever is first in line stands, by what can be compared with another room's.
    fn front(&self) -> Option<(Reverse<Priority>, bool, Instant)> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, _) = line.watch()?;
        let received = self.epoch + Duration::from_nanos(first.received);
        Some((first.priority, first.retried, received))
    }

    /// Pairs with the fence in [`Room::enter`].
    fn somebody_waits(&self) -> bool {
        fence(Ordering::SeqCst);
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether requests wait in it as these settings say.
    pub(crate) fn is_of(&self, settings: Settings) -> bool {
        self.settings == settings
    }

    /// Whether nobody may wait.
    pub(super) fn is_closed(&self) -> bool {
        self.settings.places == 0
    }

    /// The end of the line, or of its part that is as urgent.
    pub(super) fn enter(
        self: &Arc<Self>,
        request: &InferenceRequest,
        avoids: u64,
        waker: Waker,
    ) -> Result<Seat, Error> {
        let now = Instant::now();
        let latest = now + self.settings.timeout;
        let seat = self.with(None, |line| {
            let place = Place::of(request, self.epoch, line.arrival()).avoiding(avoids);
            let patience = request.deadline.map(|at| at.saturating_duration_since(now));
            if patience.is_some() && line.expected_wait(place, now) > patience {
                return Err(self.refusal(HOPELESS, line, now));
            }
            if !line.enter(place, waker, &self.settings, now) {
                return Err(self.refusal(FULL, line, now));
            }
            let gives_up = request.deadline.map_or(latest, |deadline| deadline.min(latest));
            Ok(Seat { room: Arc::clone(self), place, gives_up, stage: Stage::InLine })
        });
        // Whoever frees a place from here on sees that somebody waits; whatever was freed before is
        // seen by the one who waits, when it asks.
        fence(Ordering::SeqCst);
        seat
    }

    /// Works on the line and wakes whom that concerns, for its `actor` needs no waking.
    fn with<T>(&self, actor: Option<Place>, work: impl FnOnce(&mut Line) -> T) -> T {
        // The line is as good as it was before a panic: none leaves it half changed.
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let before = line.watch();
        let result = work(&mut line);
        if let Some((first, again)) = line.watch()
            && actor != Some(first)
            && before.is_none_or(|(before, earlier)| first != before || again < earlier)
        {
            line.rouse(first);
        }
        self.waiting.store(line.len() as u64, Ordering::Relaxed);
        let after = line.after();
        drop(line);
        after.run();
        result
    }

    fn refusal(&self, message: &'static str, line: &Line, now: Instant) -> Error {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(60));
        let after = line.clears_in(&self.settings, now).clamp(least, most);
        Error::new(Kind::Overloaded, message).with_retry_after(after).unsent()
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("settings", &self.settings)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

// === impl Seat ===

impl Seat {
    /// What to do now.
    pub(super) fn look(&mut self, waker: Waker) -> Turn {
        let (room, now) = (&*self.room, Instant::now());
        let turn = room.with(Some(self.place), |line| match line.look(self.place, waker, now) {
            Standing::Called => Turn::Ask,
            Standing::TurnedAway => Turn::Refused(room.refusal(FULL, line, now)),
            Standing::Waiting(_) if self.gives_up <= now => {
                line.leave(self.place);
                Turn::Refused(room.refusal(LATE, line, now))
            }
            Standing::Waiting(again) => {
                Turn::Wait(again.map_or(self.gives_up, |again| again.min(self.gives_up)))
            }
        });
        if matches!(turn, Turn::Refused(_)) {
            self.stage = Stage::Over;
        }
        turn
    }

    /// It was not refused at once: whoever is next may have its place in the line.
    pub(super) fn asked(&mut self) {
        if self.stage == Stage::InLine {
            self.stage = Stage::Asked;
            self.room.with(None, |line| line.served(self.place));
        }
    }

    /// Has its place in the line again, as no instance had one for it.
    pub(super) fn refused(
        &mut self,
        retry_after: Option<Duration>,
        waker: Waker,
    ) -> Result<(), Error> {
        let (room, now) = (&*self.room, Instant::now());
        let outcome = room.with(Some(self.place), |line| {
            let settings = &room.settings;
            if line.refused(self.place, retry_after, waker, settings, now) {
                Ok(())
            } else {
                Err(room.refusal(FULL, line, now))
            }
        });
        self.stage = if outcome.is_ok() { Stage::InLine } else { Stage::Over };
        outcome
    }

    /// It has its answer.
    pub(super) fn served(mut self) {
        self.asked();
        self.stage = Stage::Over;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        match self.stage {
            Stage::InLine => self.room.with(None, |line| line.leave(self.place)),
            // It may have been called for a place that it has not come to take.
            Stage::Asked if self.room.somebody_waits() => self.room.with(None, Line::try_next),
            Stage::Asked | Stage::Over => {}
        }
    }
}
