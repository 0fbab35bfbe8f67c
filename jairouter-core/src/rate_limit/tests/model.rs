//! The words against plain models that are obviously right.

use proptest::prelude::*;

use super::super::algorithm::FRESH;
use super::*;

/// Tokens as a number and a time, and nothing else.
struct PlainBucket {
    tokens: f64,
    seen: f64,
}

impl PlainBucket {
    fn take(&mut self, rate: f64, capacity: f64, amount: f64, now: f64) -> bool {
        self.tokens = (self.tokens + (now - self.seen) * rate).min(capacity);
        self.seen = now;
        let there = self.tokens + 1e-6 >= amount.min(capacity);
        if there {
            self.tokens -= amount;
        }
        there
    }
}

/// Whether the two differ only because they are within a rounding of the edge.
fn is_close(tokens: f64, amount: f64, capacity: f64) -> bool {
    (tokens - amount.min(capacity)).abs() < 1e-4
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_bucket_is_a_number_that_grows_with_time(
        rate in 0.01_f64..1000.0, capacity in 1_u64..200,
        steps in prop::collection::vec((0_u32..5000, 1_u64..5), 1..200),
    ) {
        let bucket = TokenBucket::new(rate, capacity);
        let mut plain = PlainBucket { tokens: capacity as f64, seen: 0.0 };
        let (mut word, mut now) = (FRESH, 0.0);
        for (millis, amount) in steps {
            now += f64::from(millis) / 1000.0 / rate;
            let (before, seen) = (plain.tokens, plain.seen);
            let filled = (before + (now - seen) * rate).min(capacity as f64);
            let taken = bucket.take(word, amount, seconds(now));
            let expected = plain.take(rate, capacity as f64, amount as f64, now);
            if taken.is_ok() != expected {
                prop_assert!(is_close(filled, amount as f64, capacity as f64), "{filled} {amount}");
                return Ok(());
            }
            if let Ok(next) = taken {
                word = next;
            }
            let left = bucket.remaining(word, seconds(now)) as f64;
            prop_assert!((left - plain.tokens.max(0.0).floor()).abs() <= 1.0);
        }
    }

    /// What was given back might as well never have been taken.
    #[test]
    fn giving_back_undoes_taking(
        rate in 0.1_f64..100.0, capacity in 2_u64..50, before in 0_u64..50, millis in 0_u64..10_000,
    ) {
        let all: [Box<dyn Algorithm>; 3] = [
            Box::new(TokenBucket::new(rate, capacity)),
            Box::new(WarmUp::new(rate, capacity, seconds(5.0))),
            Box::new(SlidingWindow::new(rate, capacity)),
        ];
        let at = Duration::from_millis(millis);
        for algorithm in all {
            let mut word = FRESH;
            for _ in 0..before {
                word = algorithm.take(word, 1, at).unwrap_or(word);
            }
            let left = algorithm.remaining(word, at);
            if let Ok(taken) = algorithm.take(word, 1, at) {
                prop_assert_eq!(algorithm.remaining(taken, at), left - 1);
                let back = algorithm.give_back(taken, 1, at);
                prop_assert_eq!(algorithm.remaining(back, at), left);
            } else {
                prop_assert_eq!(left, 0);
            }
        }
    }

    /// The two windows, counted with fractions.
    #[test]
    fn a_window_is_two_counts(
        capacity in 1_u64..50, steps in prop::collection::vec(0_u32..3000, 1..300),
    ) {
        // Windows of a second.
        let window = SlidingWindow::new(capacity as f64, capacity);
        let (mut word, mut millis) = (FRESH, 0_u64);
        let mut passed: Vec<u64> = Vec::new();
        for step in steps {
            millis += u64::from(step) / capacity;
            let (id, over) = (millis / 1000, (millis % 1000) as f64 / 1000.0);
            let count = |id: u64| passed.iter().filter(|at| **at / 1000 == id).count() as f64;
            let before = if id == 0 { 0.0 } else { count(id - 1) };
            let used = before * (1.0 - over) + count(id);
            match window.take(word, 1, Duration::from_millis(millis)) {
                Ok(next) => {
                    word = next;
                    prop_assert!(used < capacity as f64 + 1e-9, "{used}");
                    passed.push(millis);
                }
                Err(_) => prop_assert!(used > capacity as f64 - 1e-9, "{used}"),
            }
        }
    }
}
