//! A bounded table of words by key, without a lock.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::OnceLock;

use super::algorithm::Word;
use crate::sync::{AtomicU64, Ordering};

/// How many places a key may be found in.
const WAYS: usize = 8;

/// The most places that are made together, once one of them is needed: 1 KiB.
const BLOCK: usize = 64;

/// A key that is none.
const EMPTY: u64 = 0;

/// Words by key. The table never grows: a new key takes the place of one whose word is as good as
/// new, so that nobody gains or loses by it. When there is none, it has no place.
///
/// A key and its word are two atomics that need not agree: whoever takes a place over finds a word
/// that is good for anybody. The one request that may slip between the look and the take-over is
/// charged to the new owner.
pub(super) struct Table {
    blocks: Box<[OnceLock<Box<[Slot]>>]>,
    /// How many places each of them has.
    block: usize,
    /// Secret, so that nobody can choose addresses that meet in one place.
    hasher: RandomState,
}

#[derive(Debug)]
pub(super) struct Slot {
    key: AtomicU64,
    pub(super) word: Word,
}

impl Table {
    /// A table of at least this many places, 16 bytes each. What nobody has needed yet takes a quarter of a byte.
    pub(super) fn new(places: usize) -> Self {
        let places = places.clamp(WAYS, 1 << 26).next_power_of_two();
        let block = places.min(BLOCK);
        let blocks = std::iter::repeat_with(OnceLock::new).take(places / block).collect();
        Self { blocks, block, hasher: RandomState::new() }
    }

    fn places(&self) -> usize {
        self.blocks.len() * self.block
    }

    /// The key of a client, by its address: an IPv6 network of 64 bits is one client (RFC 6177 gives
    /// a home at least that).
    pub(super) fn key(&self, client: Option<IpAddr>) -> u64 {
        let hash = match client.map(|address| address.to_canonical()) {
            None => self.hasher.hash_one(()),
            Some(IpAddr::V4(address)) => self.hasher.hash_one(address),
            Some(IpAddr::V6(address)) => self.hasher.hash_one(&address.segments()[..4]),
        };
        hash.max(EMPTY + 1)
    }

    /// Where the key is, or else whether it could have a place.
    pub(super) fn find(&self, key: u64, is_new: impl Fn(u64) -> bool) -> Result<&Slot, bool> {
        let places = self.set(key);
        if self.blocks[places.start / self.block].get().is_none() {
            return Err(true);
        }
        let mut set = places.map(|place| self.at(place));
        match set.clone().find(|slot| slot.is(key)) {
            Some(slot) => Ok(slot),
            None => Err(set.any(|slot| slot.is(EMPTY) || is_new(slot.word.get()))),
        }
    }

    /// The place of the key, which may be a new one.
    pub(super) fn place(&self, key: u64, is_new: impl Fn(u64) -> bool) -> Option<usize> {
        let take_over = |slot: &Slot| {
            let owner = slot.key.load(Ordering::Relaxed);
            let free = owner == EMPTY || is_new(slot.word.get());
            free && match slot.key.compare_exchange(
                owner,
                key,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => true,
                Err(faster) => faster == key,
            }
        };
        let mut set = self.set(key);
        let known = set.clone().find(|place| self.at(*place).is(key));
        known.or_else(|| set.find(|place| take_over(self.at(*place))))
    }

    /// What is at a place.
    pub(super) fn at(&self, place: usize) -> &Slot {
        let slot = || Slot { key: AtomicU64::new(EMPTY), word: Word::fresh() };
        let block = || std::iter::repeat_with(slot).take(self.block).collect();
        &self.blocks[place / self.block].get_or_init(block)[place % self.block]
    }

    fn set(&self, key: u64) -> std::ops::Range<usize> {
        let start = (key as usize) & (self.places() - 1) & !(WAYS - 1);
        start..start + WAYS
    }

    /// In bytes, once there have been clients enough.
    pub(super) fn size(&self) -> usize {
        self.places() * size_of::<Slot>()
    }
}

impl Slot {
    pub(super) fn is(&self, key: u64) -> bool {
        self.key.load(Ordering::Relaxed) == key
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("places", &self.places()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(jairouter_loom))]
mod tests {
    use super::*;

    #[test]
    fn who_has_never_come_could_have_a_place_which_is_made_when_it_is_taken() {
        let table = Table::new(1 << 17);
        let made = || table.blocks.iter().filter(|block| block.get().is_some()).count();
        let key = table.key(Some(IpAddr::from([192, 0, 2, 1])));
        assert!(matches!(table.find(key, |_| false), Err(true)), "nobody is in its way");
        assert_eq!(made(), 0, "a look makes nothing");
        let place = table.place(key, |_| false).unwrap();
        assert!(table.at(place).is(key) && table.find(key, |_| false).is_ok());
        assert_eq!((made(), table.places()), (1, 1 << 17));
    }
}
