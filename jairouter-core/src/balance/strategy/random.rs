use super::{Candidates, Strategy};
use crate::request::InferenceRequest;

/// At random, each as likely as its weight says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Random {
    /// Draws from a generator of the thread's own.
    pub fn new() -> Self {
        Self
    }
}

impl Strategy for Random {
    fn select(&self, _: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        let total: u32 = candidates.iter().map(|(_, state)| u32::from(state.weight())).sum();
        if total == 0 {
            return None;
        }
        let mut ticket = fastrand::u32(..total);
        let drawn = candidates.iter().find(|(_, state)| {
            let weight = u32::from(state.weight());
            let won = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            won
        });
        // A candidate may have dropped out between the count and the draw.
        drawn.or_else(|| candidates.iter().next()).map(|(index, _)| index)
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
        let mut counts = [0_u32; 3];
        for _ in 0..10_000 {
            counts[choose(&Random::new(), &pool).unwrap()] += 1;
        }
        for (count, expected) in counts.into_iter().zip([5000_u32, 1000, 4000]) {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
    }
}
