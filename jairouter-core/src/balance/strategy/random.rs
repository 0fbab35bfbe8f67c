use std::sync::Arc;

use super::{Candidates, InstanceState, Strategy, draw};
use crate::request::InferenceRequest;

/// At random, each as likely as its weight says.
///
/// A lot is drawn among all instances, and again if the one it falls on cannot be asked: a choice costs
/// the same however many there are, while most of them can be.
#[derive(Debug, Clone, Default)]
pub struct Random {
    /// Running sums of the weights.
    shares: Box<[u64]>,
}

impl Random {
    /// Draws from a generator of the thread's own.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Strategy for Random {
    fn bind(&mut self, instances: &[Arc<InstanceState>]) {
        self.shares = draw::shares(instances);
    }

    fn select(&self, _: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        let total = self.shares.last().copied().unwrap_or(0);
        let draws = draw::draws(self.shares.len());
        let mut drawn = (0..draws).map(|_| draw::holder(&self.shares, fastrand::u64(..total)));
        let drawn = drawn.find(|index| candidates.contains(*index));
        drawn.or_else(|| {
            draw::by_weight(candidates, &mut fastrand::Rng::with_seed(fastrand::u64(..)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{choose, pool};
    use super::*;

    #[test]
    fn the_share_of_each_is_its_weight() {
        fastrand::seed(7);
        let pool = pool(&[5, 1, 4]);
        let unbound = Random::new();
        let mut bound = Random::new();
        bound.bind(&pool);
        for strategy in [unbound, bound] {
            let mut counts = [0_u32; 3];
            for _ in 0..10_000 {
                counts[choose(&strategy, &pool).unwrap()] += 1;
            }
            for (count, expected) in counts.into_iter().zip([5000_u32, 1000, 4000]) {
                assert!(count.abs_diff(expected) < 200, "{counts:?}");
            }
        }
    }
}
