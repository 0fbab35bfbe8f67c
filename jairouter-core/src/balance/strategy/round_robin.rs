use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Candidates, InstanceState, Strategy};
use crate::request::InferenceRequest;

/// The longest order worked out in advance; greater weights are rounded to fit.
const LONGEST_ORDER: u32 = 8192;

/// One after the other, each as often as its weight says, as evenly interleaved as can be: with
/// weights 5, 1, 1 the order is a a b a c a a.
///
/// The order is worked out once; a choice is one atomic increment.
#[derive(Debug, Default)]
pub struct RoundRobin {
    order: Box<[u16]>,
    next: AtomicUsize,
}

impl RoundRobin {
    /// Begins with the first instance.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A clone begins at the first instance, too: it will be bound to a pool of its own.
impl Clone for RoundRobin {
    fn clone(&self) -> Self {
        Self { order: self.order.clone(), next: AtomicUsize::new(0) }
    }
}

impl Strategy for RoundRobin {
    fn bind(&mut self, instances: &[Arc<InstanceState>]) {
        let weights: Vec<u32> = instances.iter().map(|state| state.weight().into()).collect();
        self.order = smooth_order(&weights);
    }

    fn select(&self, _: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        // A turn of an instance that cannot take it is spent: were it given to the next in the
        // order instead, that one would carry the load of both.
        for _ in 0..self.order.len() {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.order.len();
            let index = usize::from(self.order[turn]);
            if candidates.contains(index) {
                return Some(index);
            }
        }
        // Other requests may have drawn every turn of the one that is left.
        candidates.iter().next().map(|(index, _)| index)
    }
}

/// Smooth weighted round robin, as nginx does it: in every turn each instance gains its weight, and
/// the richest pays the sum of all.
fn smooth_order(weights: &[u32]) -> Box<[u16]> {
    let divisor = weights.iter().copied().reduce(gcd).unwrap_or(1);
    let mut weights: Vec<u32> = weights.iter().map(|weight| weight / divisor).collect();
    let total: u32 = weights.iter().sum();
    if total > LONGEST_ORDER {
        for weight in &mut weights {
            let scaled = u64::from(*weight) * u64::from(LONGEST_ORDER) / u64::from(total);
            *weight = (scaled as u32).max(1);
        }
    }
    // Those of one weight are as rich as each other but for the turns they have had, so they take turns,
    // and only the next one of each weight is to be looked at: there may be thousands of instances, and
    // hardly ever so many weights.
    let mut classes: BTreeMap<u32, Class> = BTreeMap::new();
    for (index, weight) in weights.iter().enumerate() {
        classes.entry(*weight).or_default().members.push(index);
    }
    let total: i64 = weights.iter().copied().map(i64::from).sum();
    let turn = |nth: i64| {
        let wealth = |weight: u32, class: &Class| i64::from(weight) * nth - total * class.rounds;
        let richest = classes.iter_mut().max_by_key(|(weight, class)| {
            // The first of the richest.
            (wealth(**weight, class), Reverse(class.members[class.next]))
        });
        let index = richest?.1.take_turn();
        u16::try_from(index).ok()
    };
    (1..=total).map_while(turn).collect()
}

/// The instances of one weight.
#[derive(Debug, Default)]
struct Class {
    members: Vec<usize>,
    next: usize,
    /// How many turns the next one has had.
    rounds: i64,
}

impl Class {
    fn take_turn(&mut self) -> usize {
        let index = self.members[self.next];
        self.next += 1;
        if self.next == self.members.len() {
            (self.next, self.rounds) = (0, self.rounds + 1);
        }
        index
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{choose, pool};
    use super::*;

    fn counts(strategy: &RoundRobin, pool: &[Arc<InstanceState>], requests: usize) -> Vec<usize> {
        let mut counts = vec![0; pool.len()];
        for _ in 0..requests {
            counts[choose(strategy, pool).unwrap()] += 1;
        }
        counts
    }

    fn bound(pool: &[Arc<InstanceState>]) -> RoundRobin {
        let mut strategy = RoundRobin::new();
        strategy.bind(pool);
        strategy
    }

    /// The order as it is defined, one turn of all after the other.
    fn by_the_book(weights: &[u32]) -> Vec<u16> {
        let total: i64 = weights.iter().copied().map(i64::from).sum();
        let mut wealth = vec![0_i64; weights.len()];
        let turn = |_| {
            for (wealth, weight) in wealth.iter_mut().zip(weights) {
                *wealth += i64::from(*weight);
            }
            let richest = (0..wealth.len()).rev().max_by_key(|index| wealth[*index]).unwrap();
            wealth[richest] -= total;
            richest as u16
        };
        (0..total).map(turn).collect()
    }

    #[test]
    fn the_order_is_the_one_of_smooth_weighted_round_robin() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let count = random.usize(1..=20);
            let most = random.u32(1..=9);
            let weights: Vec<u32> = (0..count).map(|_| random.u32(1..=most)).collect();
            let divisor = weights.iter().copied().reduce(gcd).unwrap();
            let least: Vec<u32> = weights.iter().map(|weight| weight / divisor).collect();
            assert_eq!(*smooth_order(&weights), by_the_book(&least), "{weights:?}");
        }
    }

    #[test]
    fn equal_instances_take_turns_exactly() {
        let pool = pool(&[4, 4, 4]);
        assert_eq!(counts(&bound(&pool), &pool, 300), [100, 100, 100]);
    }

    #[test]
    fn weights_are_exact_and_evenly_interleaved() {
        let pool = pool(&[5, 1, 1]);
        let strategy = bound(&pool);
        let order: Vec<_> = (0..7).map(|_| choose(&strategy, &pool).unwrap()).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(counts(&strategy, &pool, 70), [50, 10, 10]);
    }

    #[test]
    fn the_turns_of_one_that_is_down_are_shared_by_all_others() {
        let pool = pool(&[1, 1, 1, 1]);
        let strategy = bound(&pool);
        pool[1].set_up(false);
        assert_eq!(counts(&strategy, &pool, 300), [100, 0, 100, 100]);
    }

    #[test]
    fn great_weights_keep_their_proportion_in_a_bounded_order() {
        let pool = pool(&[60_000, 30_001, 1]);
        let strategy = bound(&pool);
        assert!(strategy.order.len() <= LONGEST_ORDER as usize + 3);
        let counts = counts(&strategy, &pool, strategy.order.len());
        assert!((counts[0] as f64 / counts[1] as f64 - 2.0).abs() < 0.01, "{counts:?}");
        assert_eq!(counts[2], 1);
    }
}
