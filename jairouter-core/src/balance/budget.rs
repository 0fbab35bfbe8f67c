//! A bound on how much failing over may add to the load of a pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// At most so many retries at a time: a share of what is in flight, and never fewer than a floor.
///
/// Counted by what runs at once and not by rate: at the rates of inference a budget of so many a
/// second is no bound at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    percent: u32,
    floor: u32,
}

impl Default for RetryBudget {
    /// 20 % of what is in flight, and 2 in any case.
    fn default() -> Self {
        Self { percent: 20, floor: 2 }
    }
}

impl RetryBudget {
    /// This share of what is in flight, in percent, and this many in any case.
    pub const fn new(percent: u32, floor: u32) -> Self {
        Self { percent, floor }
    }

    fn limit(self, in_flight: u32) -> u32 {
        let share = u64::from(in_flight) * u64::from(self.percent) / 100;
        self.floor.max(share as u32)
    }
}

/// The retries that run now.
#[derive(Debug, Default)]
pub(super) struct Retries(Arc<AtomicU32>);

/// One retry, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<AtomicU32>);

impl Retries {
    pub(super) fn acquire(&self, budget: RetryBudget, in_flight: u32) -> Option<Permit> {
        let limit = budget.limit(in_flight);
        let free = |running: u32| (running < limit).then_some(running + 1);
        let counted = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        counted.is_ok().then(|| Permit(Arc::clone(&self.0)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // fault: R9
    #[test]
    fn a_budget_is_a_share_of_the_load_and_never_below_its_floor() {
        let retries = Retries::default();
        let budget = RetryBudget::default();
        let at_rest: Vec<_> = (0..5).map_while(|_| retries.acquire(budget, 1)).collect();
        assert_eq!(at_rest.len(), 2);
        let loaded: Vec<_> = (0..50).map_while(|_| retries.acquire(budget, 100)).collect();
        assert_eq!(loaded.len(), 18, "20 with the two that run");
        drop((at_rest, loaded));
        assert!(retries.acquire(RetryBudget::new(0, 0), 100).is_none());
        assert_eq!(retries.0.load(Ordering::Relaxed), 0);
    }
}
