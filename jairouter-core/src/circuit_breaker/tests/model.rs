//! A breaker, written down plainly.

use super::*;

/// All that a breaker is, without a bit of it packed, in a word for each thing.
pub(super) struct Model {
    settings: Settings,
    pub(super) now: Duration,
    mode: Mode,
    /// How often the mode has changed.
    pub(super) changes: usize,
    pub(super) trips: u64,
    strikes: u32,
    closed_at: Duration,
    /// Each outcome since it closed: when, and whether it was a failure.
    outcomes: Vec<(Duration, bool)>,
}

#[derive(Clone, Copy)]
enum Mode {
    Closed { in_a_row: u32 },
    Open { until: Duration },
    HalfOpen { since: u64, out: u32, passed: u32 },
}

const FIRST: u64 = 2;
const MOST: u64 = 16;
const WINDOW: Duration = Duration::from_secs(5);

impl Model {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            now: Duration::ZERO,
            mode: Mode::Closed { in_a_row: 0 },
            changes: 0,
            trips: 0,
            strikes: 0,
            closed_at: Duration::ZERO,
            outcomes: Vec::new(),
        }
    }

    pub(super) fn wait(&self) -> Option<Duration> {
        match self.mode {
            Mode::Open { until } => until.checked_sub(self.now).filter(|left| !left.is_zero()),
            Mode::HalfOpen { out, passed, .. }
                if out + passed == self.settings.success_threshold =>
            {
                Some(SECOND)
            }
            _ => None,
        }
    }

    pub(super) fn state(&self) -> State {
        match self.mode {
            Mode::Closed { .. } => State::Closed,
            Mode::Open { until } if self.now < until => State::Open,
            Mode::Open { .. } | Mode::HalfOpen { .. } => State::HalfOpen,
        }
    }

    fn enter(&mut self, mode: Mode) {
        self.mode = mode;
        self.changes += 1;
        self.outcomes.clear();
    }

    /// In seconds: 2, 4, 8, 16 and no more.
    fn open_time(&self) -> u64 {
        (FIRST << (self.strikes - 1)).min(MOST)
    }

    fn trip(&mut self) {
        if self.strikes == 0 || self.open_time() < MOST {
            self.strikes += 1;
        }
        self.trips += 1;
        let until = self.now + Duration::from_secs(self.open_time());
        self.enter(Mode::Open { until });
    }

    /// Forgets a trip for each open time that has passed since it closed.
    fn forget(&mut self) {
        let mut closed_for = self.now.saturating_sub(self.closed_at);
        while self.strikes > 0 {
            let time = Duration::from_secs(self.open_time());
            if closed_for < time {
                break;
            }
            closed_for -= time;
            self.strikes -= 1;
        }
    }

    /// Whether the outcomes of the last ten tenths of the window, this one included, are too bad.
    fn is_over(&self) -> bool {
        let tenth = |at: Duration| at.as_millis() / (WINDOW.as_millis() / 10);
        let recent = self.outcomes.iter().filter(|(at, _)| tenth(*at) + 10 > tenth(self.now));
        let (all, failed) = recent
            .fold((0, 0), |(all, failed), (_, failure)| (all + 1, failed + u32::from(*failure)));
        self.settings.failure_rate.is_some() && all >= 4 && failed * 2 >= all
    }

    pub(super) fn admit(&mut self) -> bool {
        match self.mode {
            _ if self.wait().is_some() => return false,
            Mode::Closed { .. } => {}
            Mode::Open { .. } => self.half_open(1),
            Mode::HalfOpen { since, out, passed } => {
                self.mode = Mode::HalfOpen { since, out: out + 1, passed };
            }
        }
        true
    }

    pub(super) fn succeed(&mut self) {
        match self.mode {
            Mode::Closed { .. } => {
                self.outcomes.push((self.now, false));
                self.mode = Mode::Closed { in_a_row: 0 };
            }
            Mode::Open { .. } => unreachable!("an open breaker admits nobody"),
            Mode::HalfOpen { since, out, passed } => {
                self.mode = Mode::HalfOpen { since, out: out - 1, passed: passed + 1 };
                if passed + 1 == self.settings.success_threshold {
                    self.enter(Mode::Closed { in_a_row: 0 });
                    // As the breaker does: to the second, and never too early.
                    self.closed_at =
                        Duration::from_secs(self.now.as_millis().div_ceil(1000) as u64);
                }
            }
        }
    }

    pub(super) fn fail(&mut self) {
        if let Mode::Closed { in_a_row } = self.mode {
            self.outcomes.push((self.now, true));
            self.mode = Mode::Closed { in_a_row: in_a_row + 1 };
            if in_a_row + 1 < self.settings.failure_threshold && !self.is_over() {
                return;
            }
            self.forget();
        }
        self.trip();
    }

    pub(super) fn give_back(&mut self) {
        if let Mode::HalfOpen { since, out, passed } = self.mode {
            self.mode = Mode::HalfOpen { since, out: out - 1, passed };
        }
    }

    pub(super) fn probe_soon(&mut self) {
        match self.mode {
            Mode::Open { until } => self.mode = Mode::Open { until: until.min(self.now) },
            Mode::HalfOpen { since, out: 1.., .. } if self.now.as_secs() - since >= 5 => {
                self.half_open(0);
            }
            _ => {}
        }
    }

    fn half_open(&mut self, out: u32) {
        self.enter(Mode::HalfOpen { since: self.now.as_secs(), out, passed: 0 });
    }

    pub(super) fn reset(&mut self) {
        (self.strikes, self.closed_at) = (0, Duration::ZERO);
        self.enter(Mode::Closed { in_a_row: 0 });
    }
}

/// The settings it goes by.
pub(super) fn modelled() -> Settings {
    Settings::default()
        .with_failure_threshold(3)
        .with_open_for(Duration::from_secs(FIRST))
        .with_max_open_for(Duration::from_secs(MOST))
        .with_minimum_requests(4)
        .with_window(WINDOW)
        .with_jitter(0.0)
}
