//! A bound on how much failing over may add to the load of a pool.

use std::sync::Arc;

use crate::sync::{self, AtomicU64};

/// How many retries there may be: a share of the requests, and of those in flight at a time.
///
/// Each request earns its share of a retry, and each retry that fails, too, has spent one: in an outage
/// there are never more than that share and the floor, while an instance that fails beside healthy
/// ones costs no caller an answer. And no more run at a time than the same share of
/// what is in flight, or the floor, if that is more. A budget by time would be no bound at the rates of
/// inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    percent: u32,
    floor: u32,
}

impl Default for RetryBudget {
    /// 20 percent, and a floor of 2.
    fn default() -> Self {
        Self { percent: 20, floor: 2 }
    }
}

impl RetryBudget {
    /// This share in percent, up to 100. `floor` retries are there at the beginning, are the most that
    /// can be saved up, and may run at a time however little is in flight.
    pub const fn new(percent: u32, floor: u32) -> Self {
        Self { percent: if percent < 100 { percent } else { 100 }, floor }
    }

    fn most_at_a_time(self, in_flight: u32) -> u32 {
        let share = u64::from(in_flight) * u64::from(self.percent) / 100;
        self.floor.max(share as u32)
    }
}

/// The retries that run now and those that are saved up, in hundredths, in one word.
#[derive(Debug)]
pub(super) struct Retries(Arc<AtomicU64>);

/// One retry, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<AtomicU64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    running: u32,
    saved: u32,
}

impl From<u64> for Word {
    fn from(word: u64) -> Self {
        Self { running: (word >> 32) as u32, saved: word as u32 }
    }
}

impl From<Word> for u64 {
    fn from(word: Word) -> Self {
        Self::from(word.running) << 32 | Self::from(word.saved)
    }
}

impl Retries {
    pub(super) fn new(budget: RetryBudget) -> Self {
        let saved = budget.floor.saturating_mul(100);
        Self(Arc::new(AtomicU64::new(Word { running: 0, saved }.into())))
    }

    /// A request has come, and earns its share.
    pub(super) fn earn(&self, budget: RetryBudget) {
        let most = budget.floor.max(1).saturating_mul(100);
        change(&self.0, |word| {
            let saved = word.saved.saturating_add(budget.percent).min(most);
            (saved > word.saved).then_some(Word { saved, ..word })
        });
    }

    pub(super) fn acquire(&self, budget: RetryBudget, in_flight: u32) -> Option<Permit> {
        let most = budget.most_at_a_time(in_flight);
        let taken = change(&self.0, |word| {
            let saved = word.saved.checked_sub(100)?;
            (word.running < most).then_some(Word { running: word.running + 1, saved })
        });
        taken.then(|| Permit(Arc::clone(&self.0)))
    }
}

impl Permit {
    /// It has found an answer: what it spent is there again.
    pub(super) fn succeed(self) {
        change(&self.0, |word| Some(Word { saved: word.saved.saturating_add(100), ..word }));
    }

    /// One more in the place of this one, which has failed.
    pub(super) fn again(self) -> Option<Self> {
        let spend = |word: Word| Some(Word { saved: word.saved.checked_sub(100)?, ..word });
        change(&self.0, spend).then_some(self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        change(&self.0, |word| Some(Word { running: word.running.saturating_sub(1), ..word }));
    }
}

/// Whether `step` changed the word.
fn change(word: &AtomicU64, step: impl Fn(Word) -> Option<Word>) -> bool {
    let (before, after) = sync::change(word, |word: Word| step(word).unwrap_or(word));
    before != after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Ordering;

    // fault: R9
    #[test]
    fn as_many_run_at_a_time_as_the_share_of_what_is_in_flight_and_the_floor_in_any_case() {
        let budget = RetryBudget::new(20, 20);
        let retries = Retries::new(budget);
        let at_rest: Vec<_> = (0..50).map_while(|_| retries.acquire(budget, 1)).collect();
        assert_eq!(at_rest.len(), 20, "the floor, and what was saved");
        drop(at_rest);
        for _ in 0..1000 {
            retries.earn(budget);
        }
        let few = RetryBudget::new(20, 2);
        let loaded: Vec<_> = (0..50).map_while(|_| retries.acquire(few, 30)).collect();
        assert_eq!(loaded.len(), 6, "a fifth of thirty");
        drop(loaded);
        assert!(
            Retries::new(RetryBudget::new(0, 0)).acquire(RetryBudget::new(0, 0), 100).is_none()
        );
    }

    // fault: R8, R9
    #[test]
    fn in_an_outage_a_fifth_of_the_requests_are_retried_and_two_more() {
        let budget = RetryBudget::default();
        let retries = Retries::new(budget);
        let mut retried = 0;
        for _ in 0..1000 {
            retries.earn(budget);
            while let Some(permit) = retries.acquire(budget, 1) {
                retried += 1;
                drop(permit);
            }
        }
        assert_eq!(retried, 201, "what was there is all that could be saved");
        for _ in 0..1_000_000 {
            retries.earn(budget);
        }
        for _ in 0..100 {
            retries.acquire(budget, 1).unwrap().succeed();
        }
        let saved = std::iter::from_fn(|| retries.acquire(budget, 1)).count();
        assert_eq!(saved, 2, "quiet times do not pay for a storm");
        assert_eq!(Word::from(retries.0.load(Ordering::Relaxed)).running, 0);
    }
}

/// Every order two threads can come in.
#[cfg(all(test, jairouter_loom))]
mod orders {
    use ::loom::thread;

    use super::*;
    use crate::sync::Ordering;

    #[test]
    fn loom_the_last_retry_is_had_by_one_and_given_back_once() {
        ::loom::model(|| {
            let budget = RetryBudget::new(0, 1);
            let retries = ::loom::sync::Arc::new(Retries::new(budget));
            let threads = [0, 1].map(|_| {
                let retries = ::loom::sync::Arc::clone(&retries);
                thread::spawn(move || retries.acquire(budget, 1).map(Permit::succeed).is_some())
            });
            let won = threads.map(|thread| thread.join().unwrap());
            assert!(won.contains(&true));
            let word = Word::from(retries.0.load(Ordering::Relaxed));
            assert_eq!((word.running, word.saved), (0, 100), "as if nothing had been");
        });
    }

    #[test]
    fn loom_what_is_earned_while_another_spends_is_not_lost() {
        ::loom::model(|| {
            let budget = RetryBudget::new(50, 2);
            let retries = Retries::new(budget);
            assert!(retries.acquire(budget, 1).is_some(), "there is room for what is earned");
            let retries = ::loom::sync::Arc::new(retries);
            let earning = {
                let retries = ::loom::sync::Arc::clone(&retries);
                thread::spawn(move || retries.earn(budget))
            };
            let spent = retries.acquire(budget, 1).is_some();
            earning.join().unwrap();
            let saved = Word::from(retries.0.load(Ordering::Relaxed)).saved;
            assert_eq!((spent, saved), (true, 50));
        });
    }
}
