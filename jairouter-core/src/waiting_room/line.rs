//! Who waits, in order, and who has been called. What a [`Room`](super::Room) has behind its lock.

use std::collections::BTreeMap;
use std::mem;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::pace::Pace;
use super::place::Place;
use super::queue::Queue;
use super::settings::Settings;

/// The longest the first in line goes without asking: not all that makes room is a release, such as
/// an instance that comes back.
const SELDOM: Duration = Duration::from_secs(1);

/// The shortest, and what a timer can tell apart.
const OFTEN: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Line {
    queue: Queue,
    /// Those who may ask. A release is for one of them or for the first in line, never for both.
    called: BTreeMap<Place, Call>,
    arrivals: u64,
    /// When the first in line asks without being called.
    again: Instant,
    pace: Pace,
    after: After,
}

/// Leave to ask, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// More may be free than one place: who is served calls the next.
    more: bool,
    /// Something has become free since it began to ask: a refusal is out of date.
    freed: bool,
}

impl Call {
    /// For the one place that a release has made free.
    const RELEASE: Self = Self { more: false, freed: false };
    /// To find out.
    const TRIAL: Self = Self { more: true, freed: false };
}

/// Wakers to wake or to drop when the lock is released, for either may run anything.
#[derive(Debug, Default)]
pub(super) struct After {
    wake: Vec<Waker>,
    spent: Vec<Waker>,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It may ask.
    Called,
    /// It waits, and if it is the first in line, looks again at this instant.
    Waiting(Option<Instant>),
    /// Somebody else took its place.
    TurnedAway,
}

// === impl Line ===

impl Line {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            queue: Queue::default(),
            called: BTreeMap::new(),
            arrivals: 0,
            again: now,
            pace: Pace::new(now),
            after: After::default(),
        }
    }

    /// How many wait, those who are called but have not been served included.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.called.len()
    }

    pub(super) fn arrival(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    /// Whether it has been let in.
    ///
    /// Where nobody waits it is called at once, for a place that became free before it was in line
    /// was announced to nobody. Behind others that is theirs to find, as whoever is served on trial
    /// calls the next; but what those who are choosy do not find may be there all the same.
    pub(super) fn enter(
        &mut self,
        place: Place,
        waker: Waker,
        settings: &Settings,
        now: Instant,
    ) -> bool {
        let is_first = self.called.keys().all(Place::is_choosy) && self.queue.first().is_none();
        if !self.wait(place, waker, settings, now) {
            return false;
        }
        if is_first || place.is_choosy() {
            self.take(place);
            self.called.insert(place, Call::TRIAL);
        }
        true
    }

    /// The same, without being called.
    fn wait(&mut self, place: Place, waker: Waker, settings: &Settings, now: Instant) -> bool {
        if self.len() == 0 {
            self.begin(now);
        }
        // One that is called may be this very request, which has been asked elsewhere in vain.
        let standing = if place.is_choosy() { self.queue.len() } else { self.len() };
        if standing >= settings.places as usize {
            let Some(displaced) = self.queue.displace(place) else {
                self.after.spent.push(waker);
                return false;
            };
            self.after.wake.push(displaced);
        }
        self.queue.insert(place, waker, now + SELDOM);
        true
    }

    fn begin(&mut self, now: Instant) {
        self.again = now + SELDOM;
        self.pace.resume(now);
    }

    /// Where it stands. One that is called has asked with this.
    pub(super) fn look(&mut self, place: Place, waker: Waker, now: Instant) -> Standing {
        let is_first = self.queue.first() == Some(place);
        let again = if is_first { Some(self.again) } else { self.queue.again(place) };
        if again.is_some_and(|again| again <= now) {
            if is_first {
                self.again = now + SELDOM;
            }
            self.take(place);
            self.called.insert(place, Call::TRIAL);
        }
        let (standing, spent) = if let Some(call) = self.called.get_mut(&place) {
            *call = Call { more: call.more | call.freed, freed: false };
            (Standing::Called, waker)
        } else {
            match self.queue.exchange(place, waker) {
                Ok(before) => (Standing::Waiting(again), before),
                Err(waker) => (Standing::TurnedAway, waker),
            }
        };
        self.after.spent.push(spent);
        standing
    }

    /// It asked and was refused. Back to where it stood, unless the refusal is out of date. Whether
    /// it has been let in, if it had left.
    pub(super) fn refused(
        &mut self,
        place: Place,
        retry_after: Option<Duration>,
        waker: Waker,
        settings: &Settings,
        now: Instant,
    ) -> bool {
        let stays = match self.called.get(&place) {
            Some(call) if call.freed => {
                self.after.spent.push(waker);
                return true;
            }
            Some(call) => {
                let call = *call;
                self.called.remove(&place);
                self.queue.insert(place, waker, now + SELDOM);
                if place.is_choosy() && !call.more {
                    self.pass_on();
                }
                true
            }
            None => self.wait(place, waker, settings, now),
        };
        if !place.is_choosy() {
            let pause = retry_after.unwrap_or(SELDOM).clamp(OFTEN, SELDOM);
            self.again = now + pause;
        }
        stays
    }

    /// It was served: one place less is free.
    pub(super) fn served(&mut self, place: Place) {
        if let Some(call) = self.called.remove(&place)
            && (call.more || call.freed)
        {
            self.try_next();
        }
    }

    /// It is gone. What it was called for, another may have.
    pub(super) fn leave(&mut self, place: Place) {
        match self.called.remove(&place) {
            Some(Call { more: false, freed: false }) => self.call_next(None),
            Some(_) => self.try_next(),
            None => self.take(place),
        }
    }

    /// A place has become free, at this instance if that is known.
    pub(super) fn released(&mut self, instance: Option<u64>, now: Instant) {
        self.pace.released(now);
        self.call_next(instance);
    }

    /// Calls the first in line whom a place is for, which is nobody else's.
    fn call_next(&mut self, instance: Option<u64>) {
        if let Some(first) = self.queue.first_for(instance) {
            self.call(first, Call::RELEASE);
        } else {
            tell(self.called.values_mut());
        }
    }

    /// What was of no use to one that is choosy may be for the first that is not.
    fn pass_on(&mut self) {
        match self.queue.first() {
            Some(first) => self.call(first, Call::RELEASE),
            None => {
                tell(self.called.values_mut());
            }
        }
    }

    /// Lets somebody find out whether there is more. One at a time, and not past those who are
    /// called for a place that is certain.
    pub(super) fn try_next(&mut self) {
        let called = self.called.iter_mut().filter(|(place, _)| !place.is_choosy());
        if !tell(called.map(|(_, call)| call))
            && let Some(first) = self.queue.first()
        {
            self.call(first, Call::TRIAL);
        }
    }

    fn call(&mut self, place: Place, call: Call) {
        self.called.insert(place, call);
        if let Some(waker) = self.queue.remove(place) {
            self.after.wake.push(waker);
        }
    }

    /// Removes one that waits.
    fn take(&mut self, place: Place) {
        let waker = self.queue.remove(place);
        self.after.spent.extend(waker);
    }

    /// Who looks whether there is room without being called, and when.
    pub(super) fn watch(&self) -> Option<(Place, Instant)> {
        self.queue.first().map(|first| (first, self.again))
    }

    /// Has the one on watch look, and set its clock.
    pub(super) fn rouse(&mut self, place: Place) {
        let waker = self.queue.waker(place);
        self.after.wake.extend(waker);
    }

    pub(super) fn after(&mut self) -> After {
        mem::take(&mut self.after)
    }

    /// How long one with this place will have waited when it is served, if that can be told.
    pub(super) fn expected_wait(&self, place: Place, now: Instant) -> Option<Duration> {
        let mean = self.pace.mean(now)?;
        let ahead = self.called.len() + self.queue.ahead(place);
        Some(mean.saturating_mul(number(ahead + 1)))
    }

    /// How long it takes until those who wait are served. Where no pace is known, as if a full room
    /// were empty when the last of it gives up.
    pub(super) fn clears_in(&self, settings: &Settings, now: Instant) -> Duration {
        let mean = self.pace.mean(now);
        let mean = mean.unwrap_or_else(|| settings.timeout / settings.places.max(1));
        mean.saturating_mul(number(self.len()))
    }
}

/// Tells the first of those who are called that there may be more. Whether there is one.
fn tell<'a>(mut called: impl Iterator<Item = &'a mut Call>) -> bool {
    called.next().map(|call| call.freed = true).is_some()
}

fn number(count: usize) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

// === impl After ===

impl After {
    /// Wakes those who are to be woken.
    pub(super) fn run(self) {
        self.wake.into_iter().for_each(Waker::wake);
        drop(self.spent);
    }
}
