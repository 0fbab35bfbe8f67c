//! The word a breaker decides by, and how it changes. Nothing here is atomic, or knows a clock.

use super::settings::Settings;

/// What a breaker is, all of it, in 64 bits:
///
/// ```text
/// generation 16 | phase 2 | strikes 5 | payload 41
///                                       Closed     since (s) 31 | failures 10
///                                       Open       until (ms) 41
///                                       HalfOpen   since (s) 21 | out 10 | passed 10
/// ```
///
/// Times are counted from the breaker's epoch; 41 bits of milliseconds are 69 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// One more at each change of phase. A verdict of another one is not heard.
    pub(super) generation: u16,
    /// The trips in a row, as far as they are remembered: what the open time doubles by.
    pub(super) strikes: u32,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Closed {
        /// In seconds, rounded up, so that no strike is forgotten too early.
        since: u64,
        failures: u32,
    },
    Open {
        until: u64,
    },
    HalfOpen {
        /// In seconds, of which the lower bits are kept: 24 days.
        since: u32,
        /// Probes that have no verdict yet.
        out: u32,
        passed: u32,
    },
}

/// How long whoever comes to a half-open breaker without a probe left is told to wait: nobody knows
/// when those that are out will be judged.
const WHILE_PROBING: u64 = 1000;

/// After how many seconds the probes of a half-open breaker may be lost.
const LOST: u32 = 5;

/// The seconds that are kept of when a breaker was half-open first.
const SECONDS: u32 = (1 << 21) - 1;

fn seconds(at: u64) -> u32 {
    (at / 1000) as u32 & SECONDS
}

const COUNTER: u32 = 10;
const PAYLOAD: u32 = 41;

/// The most failures in a row, or probes, that are told apart.
pub(super) const MOST_COUNTED: u32 = (1 << COUNTER) - 1;

/// The most trips in a row that are told apart.
pub(super) const MOST_STRIKES: u32 = 31;

/// The last instant that is told from later ones.
pub(super) const LATEST: u64 = (1 << PAYLOAD) - 1;

impl Word {
    /// The first one.
    pub(super) const CLOSED: Self =
        Self { generation: 0, strikes: 0, phase: Phase::Closed { since: 0, failures: 0 } };

    /// How long a request that comes now is told to wait, unless it is admitted.
    pub(super) fn refusal(self, at: u64, settings: &Settings) -> Option<u64> {
        match self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { until } => (at < until).then(|| until - at),
            Phase::HalfOpen { out, passed, .. } => {
                (out + passed >= settings.success_threshold).then_some(WHILE_PROBING)
            }
        }
    }

    /// A request comes; it is a probe if the breaker is half-open then.
    pub(super) fn admit(self, at: u64, settings: &Settings) -> Self {
        match self.phase {
            _ if self.refusal(at, settings).is_some() => self,
            Phase::Closed { .. } => self,
            Phase::Open { .. } => {
                let since = seconds(at);
                self.next(self.strikes, Phase::HalfOpen { since, out: 1, passed: 0 })
            }
            Phase::HalfOpen { since, out, passed } => {
                self.with(Phase::HalfOpen { since, out: out + 1, passed })
            }
        }
    }

    /// A request has succeeded.
    pub(super) fn succeed(self, at: u64, settings: &Settings) -> Self {
        match self.phase {
            Phase::Closed { since, .. } => self.with(Phase::Closed { since, failures: 0 }),
            Phase::Open { .. } => self,
            Phase::HalfOpen { since, out, passed } if passed + 1 < settings.success_threshold => {
                let (out, passed) = (out.saturating_sub(1), passed + 1);
                self.with(Phase::HalfOpen { since, out, passed })
            }
            Phase::HalfOpen { .. } => {
                let since = at.div_ceil(1000).min(LATEST >> COUNTER);
                self.next(self.strikes, Phase::Closed { since, failures: 0 })
            }
        }
    }

    /// A request has failed; `over` says that too large a share of the window has.
    pub(super) fn fail(self, at: u64, over: bool, settings: &Settings) -> Self {
        match self.phase {
            Phase::Closed { since, failures } => {
                let failures = failures + 1;
                if failures < settings.failure_threshold && !over {
                    return self.with(Phase::Closed { since, failures });
                }
                let closed_for = at.saturating_sub(since * 1000);
                self.trip(at, settings.remembered(self.strikes, closed_for), settings)
            }
            Phase::Open { .. } => self,
            Phase::HalfOpen { .. } => self.trip(at, self.strikes, settings),
        }
    }

    /// A probe is over and has shown nothing.
    pub(super) fn give_back(self) -> Self {
        match self.phase {
            Phase::HalfOpen { since, out, passed } => {
                self.with(Phase::HalfOpen { since, out: out.saturating_sub(1), passed })
            }
            Phase::Closed { .. } | Phase::Open { .. } => self,
        }
    }

    /// There is reason to believe that the instance is back.
    pub(super) fn probe_soon(self, at: u64) -> Self {
        match self.phase {
            Phase::Open { until } => self.with(Phase::Open { until: until.min(at) }),
            // Its probes may never be heard of again.
            Phase::HalfOpen { since, out, .. }
                if out > 0 && seconds(at).wrapping_sub(since) & SECONDS >= LOST =>
            {
                self.next(self.strikes, Phase::HalfOpen { since: seconds(at), out: 0, passed: 0 })
            }
            Phase::Closed { .. } | Phase::HalfOpen { .. } => self,
        }
    }

    /// Somebody knows better.
    pub(super) fn reset(self) -> Self {
        self.next(0, Self::CLOSED.phase)
    }

    fn trip(self, at: u64, strikes: u32, settings: &Settings) -> Self {
        let strikes = settings.strike(strikes);
        let until = at.saturating_add(settings.jittered_open_time(strikes)).min(LATEST);
        self.next(strikes, Phase::Open { until })
    }

    fn with(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    fn next(self, strikes: u32, phase: Phase) -> Self {
        Self { generation: self.generation.wrapping_add(1), strikes, phase }
    }
}

impl From<Word> for u64 {
    fn from(word: Word) -> Self {
        let (phase, payload) = match word.phase {
            Phase::Closed { since, failures } => (0, since << COUNTER | Self::from(failures)),
            Phase::Open { until } => (1, until),
            Phase::HalfOpen { since, out, passed } => {
                (2, Self::from(since) << (2 * COUNTER) | Self::from(out << COUNTER | passed))
            }
        };
        debug_assert!(payload <= LATEST, "{word:?} is wider than its word");
        Self::from(word.generation) << 48
            | phase << 46
            | Self::from(word.strikes) << PAYLOAD
            | payload & LATEST
    }
}

impl From<u64> for Word {
    fn from(bits: u64) -> Self {
        let payload = bits & LATEST;
        let low = payload as u32 & MOST_COUNTED;
        let phase = match bits >> 46 & 0b11 {
            0 => Phase::Closed { since: payload >> COUNTER, failures: low },
            1 => Phase::Open { until: payload },
            _ => Phase::HalfOpen {
                since: (payload >> (2 * COUNTER)) as u32 & SECONDS,
                out: (payload >> COUNTER) as u32 & MOST_COUNTED,
                passed: low,
            },
        };
        Self {
            generation: (bits >> 48) as u16,
            strikes: (bits >> PAYLOAD) as u32 & MOST_STRIKES,
            phase,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_the_extremes_of_all_its_parts() {
        let counter = [0, 1, MOST_COUNTED];
        let phases = counter
            .into_iter()
            .flat_map(|high| {
                counter.map(|low| Phase::HalfOpen { since: SECONDS, out: high, passed: low })
            })
            .chain([0, LATEST].map(|until| Phase::Open { until }))
            .chain(counter.map(|failures| Phase::Closed { since: 0, failures }))
            .chain(counter.map(|failures| Phase::Closed { since: LATEST >> COUNTER, failures }));
        for phase in phases {
            for (generation, strikes) in [(0, 0), (1, MOST_STRIKES), (u16::MAX, 1)] {
                let word = Word { generation, strikes, phase };
                assert_eq!(Word::from(u64::from(word)), word);
            }
        }
    }

    #[test]
    fn every_change_of_phase_begins_a_generation_even_the_last_one() {
        let settings = Settings::default().with_failure_threshold(1).with_success_threshold(1);
        let last = Word { generation: u16::MAX, ..Word::CLOSED };
        let open = last.fail(0, false, &settings);
        let half_open = open.probe_soon(0).admit(0, &settings);
        let closed = half_open.succeed(0, &settings);
        let generations = [open, half_open, closed, closed.reset()].map(|word| word.generation);
        assert_eq!(generations, [0, 1, 2, 3]);
    }

    #[test]
    fn the_longest_open_time_fits() {
        let forever = Settings::default().with_failure_threshold(1);
        let forever = forever.with_open_for(std::time::Duration::MAX);
        let open = Word::CLOSED.fail(LATEST, false, &forever);
        assert_eq!(open.phase, Phase::Open { until: LATEST });
        assert_eq!(Word::from(u64::from(open)), open);
    }
}
