use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Candidates, InstanceState, Strategy};
use crate::request::InferenceRequest;

/// How often instances are drawn before the candidates among them are counted.
const DRAWS: usize = 16;

/// The one with the fewest requests in flight for its weight; equals take turns.
#[derive(Debug, Default)]
pub struct LeastConnections {
    turn: AtomicUsize,
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
        Self::new()
    }
}

impl Strategy for LeastConnections {
    fn select(&self, _: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        let count = candidates.all().len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
        // Among equals, the first one from this turn on.
        let from_turn = candidates.within(turn..count).chain(candidates.within(0..turn));
        let least = from_turn.min_by(|(_, a), (_, b)| load(a, b).cmp(&load(b, a)));
        least.map(|(index, _)| index)
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
        if let Some(chosen) = drawn(candidates) {
            return Some(chosen);
        }
        // So few are candidates that they have to be looked for.
        let count = candidates.iter().count();
        if count < 2 {
            return candidates.iter().next().map(|(index, _)| index);
        }
        let first = fastrand::usize(..count);
        let second = (first + fastrand::usize(1..count)) % count;
        // Either may have dropped out since the count.
        let mut drawn =
            candidates.iter().enumerate().filter(|(nth, _)| [first, second].contains(nth));
        match (drawn.next(), drawn.next()) {
            (Some((_, a)), Some((_, b))) => Some(less_busy(a, b)),
            _ => candidates.iter().next().map(|(index, _)| index),
        }
    }
}

/// The less busy of two that are drawn from all instances until they are candidates, and two different
/// ones: as likely any two as if the candidates had been counted, which looks at every instance. Nothing if
/// that takes too many draws.
fn drawn(candidates: &Candidates<'_>) -> Option<usize> {
    let all = candidates.all();
    if all.len() < 2 {
        return None;
    }
    let mut draws = (0..DRAWS).map(|_| fastrand::usize(..all.len()));
    let first = draws.find(|index| candidates.contains(*index))?;
    let second = draws.find(|index| *index != first && candidates.contains(*index))?;
    // In their order, as whoever counts has them: of equals it is the former.
    let (a, b) = (first.min(second), first.max(second));
    Some(less_busy((a, &all[a]), (b, &all[b])))
}

fn less_busy(a: (usize, &InstanceState), b: (usize, &InstanceState)) -> usize {
    if load(b.1, a.1) < load(a.1, b.1) { b.0 } else { a.0 }
}

/// How busy `of` would be with one more request, on a scale on which `against` is comparable:
/// a/wa < b/wb without dividing.
fn load(of: &InstanceState, against: &InstanceState) -> u64 {
    (u64::from(of.in_flight()) + 1) * u64::from(against.weight())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
    fn two_choices_keep_every_instance_about_as_busy() {
        fastrand::seed(7);
        let counts = fill(&PowerOfTwoChoices::new(), &pool(&[1; 10]), 1000);
        assert!(counts.iter().all(|count| count.abs_diff(100) <= 10), "{counts:?}");
    }
}
