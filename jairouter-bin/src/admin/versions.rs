//! The configurations that have been served since the program started, oldest first.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

/// How many are kept, and how many bytes of text together.
const MOST: usize = 100;
const MOST_BYTES: usize = 16 << 20;

/// One that was served.
#[derive(Clone)]
pub(crate) struct Version {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Since when.
    pub(crate) at: Timestamp,
    /// Why it was taken.
    pub(crate) cause: String,
    /// There may be secrets in it.
    pub(crate) text: Arc<str>,
}

#[derive(Default)]
pub(crate) struct Versions {
    kept: VecDeque<Version>,
    current: u64,
    given: u64,
}

impl Versions {
    /// This one is served from now on. One that says the same as the one before is no other.
    pub(crate) fn serve(&mut self, text: &Arc<str>, cause: String) {
        if self.get(self.current).is_some_and(|version| version.text == *text) {
            return;
        }
        self.given += 1;
        self.current = self.given;
        let (number, at) = (self.given, Timestamp::now());
        self.kept.push_back(Version { number, at, cause, text: Arc::clone(text) });
        let bytes = |kept: &VecDeque<Version>| kept.iter().map(|one| one.text.len()).sum::<usize>();
        // The last one is served, and stays.
        while self.kept.len() > MOST || (self.kept.len() > 1 && bytes(&self.kept) > MOST_BYTES) {
            self.kept.pop_front();
        }
    }

    /// The one that is served; 0 if nobody wrote it.
    pub(crate) const fn current(&self) -> u64 {
        self.current
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Version> {
        self.kept.iter().find(|version| version.number == number)
    }

    /// All that are kept, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Version> {
        self.kept.iter()
    }

    /// Forgets one, unless it is served. Whether it was there.
    pub(crate) fn forget(&mut self, number: u64) -> bool {
        let before = self.kept.len();
        self.kept.retain(|version| version.number != number || number == self.current);
        self.kept.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(versions: &Versions) -> Vec<u64> {
        versions.iter().map(|version| version.number).collect()
    }

    #[test]
    fn what_says_the_same_is_no_other_and_what_is_served_stays() {
        let mut versions = Versions::default();
        for text in ["a", "a", "b", "a"] {
            versions.serve(&text.into(), String::new());
        }
        assert_eq!((numbers(&versions), versions.current()), (vec![1, 2, 3], 3));
        assert!(versions.forget(1) && !versions.forget(1) && !versions.forget(3));
        assert_eq!(numbers(&versions), [2, 3]);
    }

    #[test]
    fn they_are_bounded_by_number_and_by_size() {
        let mut versions = Versions::default();
        for number in 0..=MOST {
            versions.serve(&number.to_string().into(), String::new());
        }
        assert_eq!((versions.iter().count(), versions.current()), (MOST, MOST as u64 + 1));
        versions.serve(&"x".repeat(MOST_BYTES + 1).into(), String::new());
        assert_eq!(numbers(&versions), [MOST as u64 + 2]);
    }
}
