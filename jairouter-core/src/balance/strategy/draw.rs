//! Drawing lots among candidates, of which nobody keeps a list.

use std::sync::Arc;

use fastrand::Rng;

use super::{Candidates, InstanceState};

/// How often a lot is drawn among so many instances. Where that finds no candidate, few are left, and they
/// are looked for: after one in a hundred choices of two, where nine in ten cannot be asked.
pub(super) fn draws(instances: usize) -> usize {
    instances.saturating_mul(2).min(64)
}

/// Running sums of the weights.
pub(super) fn shares(instances: &[Arc<InstanceState>]) -> Box<[u64]> {
    let running = instances.iter().scan(0, |sum, state| {
        *sum += u64::from(state.weight());
        Some(*sum)
    });
    running.collect()
}

/// Whose a ticket is, of as many as all weigh.
pub(super) fn holder(shares: &[u64], ticket: u64) -> usize {
    shares.partition_point(|share| *share <= ticket)
}

/// A candidate, each as likely as its weight says: one look at each instance, and no list of them.
pub(super) fn by_weight(candidates: &Candidates<'_>, random: &mut Rng) -> Option<usize> {
    let mut total = 0;
    candidates.iter().fold(None, |chosen, (index, state)| {
        let weight = u64::from(state.weight());
        total += weight;
        // It is in the place of all before it as often as it outweighs them.
        if random.u64(..total.max(1)) < weight { Some(index) } else { chosen }
    })
}

/// Two candidates, any two as likely as any others; the same one twice if it is the only one.
pub(super) fn two<'a>(
    candidates: &Candidates<'a>,
    random: &mut Rng,
) -> Option<[(usize, &'a InstanceState); 2]> {
    let all = candidates.all();
    let mut first = None;
    for _ in 0..draws(all.len()) {
        let index = random.usize(..all.len());
        if first.is_some_and(|(first, _)| first == index) || !candidates.contains(index) {
            continue;
        }
        let drawn = (index, &*all[index]);
        match first {
            Some(first) => return Some([first, drawn]),
            None => first = Some(drawn),
        }
    }
    let mut two: Option<[(usize, &InstanceState); 2]> = None;
    for (nth, candidate) in candidates.iter().enumerate() {
        match &mut two {
            None => two = Some([candidate; 2]),
            Some([_, second]) if nth == 1 => *second = candidate,
            // It is among the two as often as either of those before.
            Some(two) => {
                if let Some(place) = two.get_mut(random.usize(..=nth)) {
                    *place = candidate;
                }
            }
        }
    }
    two
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::tests::pool;
    use super::super::{Busiest, Tried, Which};
    use super::*;

    fn shares(alive: &[usize], draw: impl Fn(&Candidates<'_>) -> Vec<usize>) -> Vec<f64> {
        let pool = pool(&[1; 1000]);
        for (index, state) in pool.iter().enumerate() {
            state.set_up(alive.contains(&index));
        }
        let (tried, busiest) = (Tried::default(), Busiest::unknown());
        let (now, which) = (Instant::now(), Which::Well(Duration::ZERO));
        let candidates = Candidates::new(&pool, &tried, now, which, &busiest);
        let mut counts = vec![0_u32; pool.len()];
        for drawn in (0..4000).flat_map(|_| draw(&candidates)) {
            counts[drawn] += 1;
        }
        let total: u32 = counts.iter().sum();
        alive.iter().map(|index| f64::from(counts[*index]) / f64::from(total)).collect()
    }

    #[test]
    fn those_that_are_left_are_drawn_alike_wherever_they_are() {
        fastrand::seed(7);
        let random = || Rng::with_seed(fastrand::u64(..));
        // Hardly ever found by drawing among all.
        let alive = [500, 501, 502, 999];
        let shares = [
            shares(&alive, |it| by_weight(it, &mut random()).into_iter().collect()),
            shares(&alive, |it| two(it, &mut random()).unwrap().map(|(index, _)| index).into()),
        ];
        for share in shares.concat() {
            assert!((share - 0.25).abs() < 0.03, "{shares:?}");
        }
    }

    #[test]
    fn two_are_two_unless_there_is_one() {
        let random = &mut Rng::with_seed(7);
        let pool = pool(&[1; 3]);
        let (tried, busiest) = (Tried::default(), Busiest::unknown());
        let candidates = Candidates::new(&pool, &tried, Instant::now(), Which::All, &busiest);
        for _ in 0..1000 {
            let [a, b] = two(&candidates, random).unwrap();
            assert_ne!(a.0, b.0);
        }
        pool[0].set_up(false);
        pool[2].set_up(false);
        assert_eq!(two(&candidates, random).unwrap().map(|(index, _)| index), [1, 1]);
    }
}
