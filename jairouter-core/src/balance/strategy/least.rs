use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Candidates, InstanceState, Strategy, draw};
use crate::request::InferenceRequest;

/// The one with the fewest requests in flight for its weight; equals take turns.
#[derive(Debug, Default)]
pub struct LeastConnections {
    turn: AtomicUsize,
    /// The greatest weight: who has that, and nothing to do, is not outdone.
    heaviest: u16,
}

impl LeastConnections {
    /// Begins with the first instance.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A clone takes turns of its own.
impl Clone for LeastConnections {
    fn clone(&self) -> Self {
        Self { turn: AtomicUsize::new(0), heaviest: self.heaviest }
    }
}

impl Strategy for LeastConnections {
    fn bind(&mut self, instances: &[Arc<InstanceState>]) {
        self.heaviest = instances.iter().map(|state| state.weight()).max().unwrap_or(0);
    }

    fn select(&self, _: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        let states = candidates.all();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(states.len())?;
        let mut least: Option<(usize, Load)> = None;
        // Among equals, the first one from this turn on.
        'all: for places in [turn..states.len(), 0..turn] {
            for (index, state) in places.clone().zip(&states[places]) {
                let load = Load::of(state);
                // Whether it may be asked takes longer to find out than how busy it is, and there are
                // thousands: so it is asked of those only that would be chosen.
                let is_less = least.as_ref().is_none_or(|(_, least)| load.is_less_than(least));
                if is_less && candidates.contains(index) {
                    let is_idle = load.is_idle() && load.weight == u64::from(self.heaviest);
                    least = Some((index, load));
                    if is_idle {
                        break 'all;
                    }
                }
            }
        }
        let (index, _) = least?;
        // The next turn is the next one's. Were it that of the next one in the order, whether it can be
        // asked or not, who follows on a row of those that are down would have the turns of all of them.
        let skipped = (index + states.len() - turn) % states.len();
        if skipped > 0 {
            self.turn.fetch_add(skipped, Ordering::Relaxed);
        }
        Some(index)
    }
}

/// The less busy of two drawn at random, by weight: nearly as good as the least of all, and it keeps
/// gateways that do not know of each other from running after the same instance.
#[derive(Debug, Clone, Copy, Default)]
pub struct PowerOfTwoChoices;

impl PowerOfTwoChoices {
    /// Draws from a generator of the thread's own.
    pub fn new() -> Self {
        Self
    }
}

impl Strategy for PowerOfTwoChoices {
    fn select(&self, _: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
        let [a, b] = draw::two(candidates, &mut random)?;
        Some(if Load::of(b.1).is_less_than(&Load::of(a.1)) { b.0 } else { a.0 })
    }
}

/// How busy one would be with one more request.
#[derive(Debug, Clone, Copy)]
struct Load {
    requests: u64,
    weight: u64,
}

impl Load {
    fn of(state: &InstanceState) -> Self {
        Self { requests: u64::from(state.in_flight()) + 1, weight: state.weight().into() }
    }

    /// a/wa < b/wb without dividing.
    fn is_less_than(&self, other: &Self) -> bool {
        self.requests * other.weight < other.requests * self.weight
    }

    fn is_idle(&self) -> bool {
        self.requests == 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{choose, pool};
    use super::*;

    /// Sends requests that never end.
    fn fill(strategy: &impl Strategy, pool: &[Arc<InstanceState>], requests: usize) -> Vec<u32> {
        let held: Vec<_> = (0..requests)
            .map(|_| pool[choose(strategy, pool).unwrap()].acquire().unwrap())
            .collect();
        let counts = pool.iter().map(|state| state.in_flight()).collect();
        drop(held);
        counts
    }

    #[test]
    fn the_least_busy_for_its_weight_is_chosen() {
        assert_eq!(fill(&LeastConnections::new(), &pool(&[1, 1, 1]), 30), [10, 10, 10]);
        assert_eq!(fill(&LeastConnections::new(), &pool(&[2, 1]), 30), [20, 10]);
    }

    #[test]
    fn idle_instances_take_turns() {
        let pool = pool(&[1, 1, 1]);
        let strategy = LeastConnections::new();
        let order: Vec<_> = (0..6).map(|_| choose(&strategy, &pool).unwrap()).collect();
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn the_turns_of_those_that_are_down_are_shared_by_all_others() {
        let pool = pool(&[1; 10]);
        for state in &pool[2..7] {
            state.set_up(false);
        }
        let strategy = LeastConnections::new();
        let mut counts = [0; 10];
        for _ in 0..500 {
            counts[choose(&strategy, &pool).unwrap()] += 1;
        }
        assert_eq!(counts, [100, 100, 0, 0, 0, 0, 0, 100, 100, 100]);
    }

    #[test]
    fn an_idle_one_is_not_chosen_before_one_that_is_less_busy_for_its_weight() {
        let pool = pool(&[1, 8]);
        let mut strategy = LeastConnections::new();
        strategy.bind(&pool);
        let held = [pool[1].acquire(), pool[1].acquire()];
        for _ in 0..4 {
            assert_eq!(choose(&strategy, &pool), Some(1), "three for eight are less than one");
        }
        drop(held);
    }

    #[test]
    fn two_choices_keep_every_instance_about_as_busy() {
        fastrand::seed(7);
        let counts = fill(&PowerOfTwoChoices::new(), &pool(&[1; 10]), 1000);
        assert!(counts.iter().all(|count| count.abs_diff(100) <= 10), "{counts:?}");
    }
}
