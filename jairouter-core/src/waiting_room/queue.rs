use std::collections::BTreeMap;
use std::mem;
use std::task::Waker;

use tokio::time::Instant;

use super::place::Place;

/// Those who wait and have not been called, in order.
///
/// Two trees rather than one: the last of those that were retried is looked for whenever the room is
/// full, and need not be the last of all. And one for each set of instances that somebody has been to,
/// for a place at one of those is passed by in one step however many of them wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    fresh: BTreeMap<Place, Waker>,
    retried: BTreeMap<Place, Waker>,
    choosy: BTreeMap<u64, BTreeMap<Place, Choosy>>,
    choosy_len: usize,
}

#[derive(Debug)]
struct Choosy {
    waker: Waker,
    /// When it looks without being called.
    again: Instant,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.retried.len() + self.choosy_len
    }

    /// `again` is when it looks by itself, if it is choosy.
    pub(super) fn insert(&mut self, place: Place, waker: Waker, again: Instant) {
        if place.is_choosy() {
            let class = self.choosy.entry(place.avoids).or_default();
            let before = class.insert(place, Choosy { waker, again });
            self.choosy_len += usize::from(before.is_none());
        } else {
            self.of(place).insert(place, waker);
        }
    }

    /// Puts this waker in the place of the one that waits there, and returns that one.
    pub(super) fn exchange(&mut self, place: Place, waker: Waker) -> Result<Waker, Waker> {
        let waiting = match place.is_choosy() {
            true => self.choosy(place).map(|choosy| &mut choosy.waker),
            false => self.of(place).get_mut(&place),
        };
        match waiting {
            Some(waiting) => Ok(mem::replace(waiting, waker)),
            None => Err(waker),
        }
    }

    pub(super) fn waker(&mut self, place: Place) -> Option<Waker> {
        self.of(place).get(&place).cloned()
    }

    /// When a choosy one that waits looks without being called.
    pub(super) fn again(&mut self, place: Place) -> Option<Instant> {
        self.choosy(place).map(|choosy| choosy.again)
    }

    pub(super) fn remove(&mut self, place: Place) -> Option<Waker> {
        if !place.is_choosy() {
            return self.of(place).remove(&place);
        }
        let class = self.choosy.get_mut(&place.avoids)?;
        let choosy = class.remove(&place)?;
        if class.is_empty() {
            self.choosy.remove(&place.avoids);
        }
        self.choosy_len -= 1;
        Some(choosy.waker)
    }

    /// The first that takes whatever is free.
    pub(super) fn first(&self) -> Option<Place> {
        let firsts = [&self.fresh, &self.retried].map(|part| part.keys().next().copied());
        firsts.into_iter().flatten().min()
    }

    /// The first that a place at this instance is for.
    pub(super) fn first_for(&self, instance: Option<u64>) -> Option<Place> {
        let wants = |avoids: u64| instance.is_none_or(|instance| avoids & instance == 0);
        let classes = self.choosy.iter().filter(|(avoids, _)| wants(**avoids));
        let choosy = classes.filter_map(|(_, class)| class.keys().next().copied());
        choosy.chain(self.first()).min()
    }

    /// How many are served before this one.
    pub(super) fn ahead(&self, place: Place) -> usize {
        let choosy = self.choosy.values().map(|class| class.range(..place).count());
        let others = self.fresh.range(..place).count() + self.retried.range(..place).count();
        choosy.sum::<usize>() + others
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

    fn choosy(&mut self, place: Place) -> Option<&mut Choosy> {
        self.choosy.get_mut(&place.avoids)?.get_mut(&place)
    }
}
