use std::collections::BTreeMap;
use std::ops::Bound;
use std::task::Waker;

use super::place::Place;

/// Those who wait and have not been called, in order.
///
/// Two trees rather than one: the last of those that were retried is looked for whenever the room is
/// full, and need not be the last of all.
#[derive(Debug, Default)]
pub(super) struct Queue {
    fresh: BTreeMap<Place, Waker>,
    retried: BTreeMap<Place, Waker>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.retried.len()
    }

    pub(super) fn insert(&mut self, place: Place, waker: Waker) {
        self.of(place).insert(place, waker);
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Waker> {
        self.of(place).get_mut(&place)
    }

    pub(super) fn remove(&mut self, place: Place) -> Option<Waker> {
        self.of(place).remove(&place)
    }

    pub(super) fn first(&self) -> Option<Place> {
        let firsts = [&self.fresh, &self.retried].map(|part| part.keys().next().copied());
        firsts.into_iter().flatten().min()
    }

    /// The first that takes whatever is free.
    pub(super) fn first_unchoosy(&self) -> Option<Place> {
        let first =
            |part: &BTreeMap<Place, Waker>| part.keys().find(|place| !place.choosy).copied();
        [&self.fresh, &self.retried].into_iter().filter_map(first).min()
    }

    /// The next behind this one.
    pub(super) fn after(&self, place: Place) -> Option<Place> {
        let behind = (Bound::Excluded(place), Bound::Unbounded);
        let next = |part: &BTreeMap<Place, Waker>| part.range(behind).next().map(|(next, _)| *next);
        [&self.fresh, &self.retried].into_iter().filter_map(next).min()
    }

    /// How many are served before this one.
    pub(super) fn ahead(&self, place: Place) -> usize {
        self.fresh.range(..place).count() + self.retried.range(..place).count()
    }

    /// Removes the last of those that were retried, in favour of one that was not. Not if it is the
    /// more urgent of the two.
    pub(super) fn displace(&mut self, newcomer: Place) -> Option<Waker> {
        let last = self.retried.last_entry()?;
        let yields = !newcomer.retried && newcomer.priority <= last.key().priority;
        yields.then(|| last.remove())
    }

    fn of(&mut self, place: Place) -> &mut BTreeMap<Place, Waker> {
        if place.retried { &mut self.retried } else { &mut self.fresh }
    }
}
