//! The word that says how an instance is, and how it changes. Nothing here is atomic, or knows a clock.

use super::probe::Outcome;
use super::settings::Settings;
use super::status::Status;

/// What is known of an instance, all of it, in 64 bits:
///
/// ```text
/// generation 8 | probers 6 | draining 1 | found 3 | in a row 6 | since (ms) 40
/// ```
///
/// Times are counted from the epoch; 40 bits of milliseconds are 34 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// One more whenever something else is found. The verdict of a probe sent in another one is not
    /// heard. That it wraps after 256 changes within one probe harms nobody.
    pub(super) generation: u8,
    /// How many there are who would find out that it is back.
    pub(super) probers: u32,
    pub(super) draining: bool,
    pub(super) found: Found,
    /// Failures of probes; successes if it is down.
    pub(super) in_a_row: u32,
    /// When the status became what it is.
    pub(super) since: u64,
}

/// What evidence says, whoever looks and whatever an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Up,
    Busy,
    Down,
    /// A probe was refused for its key: another probe can tell when that is over.
    ProbeRefused,
    /// A request was: a probe's path may be open to everybody, so probes cannot tell.
    RequestRefused,
}

/// For how long a good probe says nothing of a key that a request was refused for, in milliseconds.
pub(super) const REFUSED_FOR: u64 = 30_000;

const COUNTER: u32 = 6;
const SINCE: u32 = 40;

/// The most probers, failures and successes that are told apart.
pub(super) const MOST_COUNTED: u32 = (1 << COUNTER) - 1;

/// The last instant that is told from later ones.
pub(super) const LATEST: u64 = (1 << SINCE) - 1;

impl Word {
    /// The first one.
    pub(super) const NEW: Self = Self {
        generation: 0,
        probers: 0,
        draining: false,
        found: Found::Up,
        in_a_row: 0,
        since: 0,
    };

    pub(super) fn status(self) -> Status {
        match self.found {
            _ if self.draining => Status::Draining,
            // Nothing would bring it back.
            _ if self.probers == 0 => Status::Up,
            Found::Up => Status::Up,
            Found::Busy => Status::Busy,
            Found::Down => Status::Down,
            Found::ProbeRefused | Found::RequestRefused => Status::Misconfigured,
        }
    }

    /// Whether the next probe decides if it may be asked.
    pub(super) fn is_doubtful(self) -> bool {
        self.found == Found::Down || self.in_a_row > 0
    }

    /// A request's connection was refused.
    pub(super) fn refused(self) -> Self {
        match self.probers {
            0 => self,
            _ => self.find(Found::Down),
        }
    }

    /// A request was answered.
    pub(super) fn answered(self) -> Self {
        match self.found {
            Found::Down => self,
            Found::RequestRefused => self.find(Found::Up),
            Found::Up | Found::Busy | Found::ProbeRefused => self.find(self.found),
        }
    }

    /// A request was refused for its key.
    pub(super) fn unauthorized(self) -> Self {
        match self.found {
            Found::Up | Found::Busy if self.probers > 0 => self.find(Found::RequestRefused),
            _ => self,
        }
    }

    /// A probe has come back.
    pub(super) fn probed(self, outcome: Outcome, at: u64, settings: &Settings) -> Self {
        match outcome {
            _ if self.probers == 0 => self,
            Outcome::Good => self.replied(Found::Up, at, settings),
            Outcome::Busy => self.replied(Found::Busy, at, settings),
            Outcome::Unauthorized => self.replied(Found::ProbeRefused, at, settings),
            Outcome::Refused => self.find(Found::Down),
            Outcome::Failed | Outcome::TimedOut => self.failed(settings),
        }
    }

    fn replied(self, found: Found, at: u64, settings: &Settings) -> Self {
        match self.found {
            Found::Down if self.in_a_row + 1 < settings.success_threshold => {
                Self { in_a_row: self.in_a_row + 1, ..self }
            }
            Found::RequestRefused
                if found != Found::ProbeRefused && at.saturating_sub(self.since) < REFUSED_FOR =>
            {
                self.find(self.found)
            }
            _ => self.find(found),
        }
    }

    fn failed(self, settings: &Settings) -> Self {
        match self.found {
            Found::Down => self.find(Found::Down),
            _ if self.in_a_row + 1 < settings.failure_threshold => {
                Self { in_a_row: self.in_a_row + 1, ..self }
            }
            _ => self.find(Found::Down),
        }
    }

    /// This was found, or found again: nothing is in a row.
    fn find(self, found: Found) -> Self {
        Self { found, in_a_row: 0, ..self }
    }

    /// What `after` is when it comes at this instant: what any change brings with it is noted here.
    pub(super) fn followed_by(self, after: Self, at: u64) -> Self {
        let news = self.found != after.found;
        let changed = self.status() != after.status();
        Self {
            generation: if news { self.generation.wrapping_add(1) } else { self.generation },
            since: if changed { self.since.max(at) } else { self.since },
            ..after
        }
    }
}

impl From<Word> for u64 {
    fn from(word: Word) -> Self {
        let found = match word.found {
            Found::Up => 0,
            Found::Busy => 1,
            Found::Down => 2,
            Found::ProbeRefused => 3,
            Found::RequestRefused => 4,
        };
        debug_assert!(
            word.since <= LATEST && word.in_a_row.max(word.probers) <= MOST_COUNTED,
            "{word:?} is wider than its word"
        );
        Self::from(word.generation) << 56
            | Self::from(word.probers) << 50
            | Self::from(word.draining) << 49
            | found << 46
            | Self::from(word.in_a_row) << SINCE
            | word.since
    }
}

impl From<u64> for Word {
    fn from(bits: u64) -> Self {
        let counter = |shift: u32| (bits >> shift) as u32 & MOST_COUNTED;
        let found = match bits >> 46 & 0b111 {
            0 => Found::Up,
            1 => Found::Busy,
            2 => Found::Down,
            3 => Found::ProbeRefused,
            _ => Found::RequestRefused,
        };
        Self {
            generation: (bits >> 56) as u8,
            probers: counter(50),
            draining: bits >> 49 & 1 == 1,
            found,
            in_a_row: counter(SINCE),
            since: bits & LATEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: [Found; 5] =
        [Found::Up, Found::Busy, Found::Down, Found::ProbeRefused, Found::RequestRefused];

    #[test]
    fn a_word_holds_the_extremes_of_all_its_parts() {
        for found in FOUND {
            for (most, draining) in [(false, true), (true, false), (true, true)] {
                let part = |extreme: u32| if most { extreme } else { 0 };
                let word = Word {
                    generation: part(255) as u8,
                    probers: part(MOST_COUNTED),
                    draining,
                    found,
                    in_a_row: MOST_COUNTED - part(MOST_COUNTED),
                    since: if most { LATEST } else { 1 },
                };
                assert_eq!(Word::from(u64::from(word)), word);
            }
        }
    }

    #[test]
    fn what_is_found_begins_a_generation_and_what_is_found_again_does_not() {
        let probed = Word { generation: 255, probers: 1, ..Word::NEW };
        let down = probed.followed_by(probed.refused(), 7);
        assert_eq!((down.generation, down.since), (0, 7), "even after the last one");
        let again = down.followed_by(down.refused(), 9);
        assert_eq!(again, down);
    }

    #[test]
    fn the_time_of_a_change_never_goes_back() {
        let probed = Word { probers: 1, since: 10, ..Word::NEW };
        assert_eq!(probed.followed_by(probed.refused(), 9).since, 10);
    }
}
