use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use tokio::time::Instant;

use super::*;

/// How many of so many requests a second pass in so many seconds, from this time on.
fn admitted(limiter: &impl Limiter, start: Instant, offered: f64, lasting: f64) -> usize {
    let ask = request();
    let count = (offered * lasting) as u32;
    let times = (0..count).map(|nth| start + seconds(f64::from(nth) / offered));
    times.filter(|now| limiter.acquire(&ask, *now).is_ok()).count()
}

fn check(algorithm: impl Algorithm, rate: f64, settled: f64) {
    let limit = Limit::new(algorithm);
    let start = Instant::now() + seconds(settled);
    // Spends the burst first, and lets it slide out of every window: what is measured is the rate.
    let burst = admitted(&limit, start, 1e6, 0.1);
    assert!(burst > 0);
    let settling = 3.0 * limit.quota(start).limit as f64 / rate;
    let _ = admitted(&limit, start + seconds(0.1), rate * 1.01, settling);
    let start = start + seconds(0.1 + settling);
    let expected = rate * 60.0;
    let passed = admitted(&limit, start, rate * 1.01, 60.0) as f64;
    // And one more: the last request of a minute may come just before its turn.
    let slack = expected * 0.005 + 1.0;
    assert!((passed - expected).abs() <= slack, "{passed} of {expected} at {rate}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_offered_a_little_more_admits_exactly_itself() {
    for rate in [5.05, 10.0, 33.3, 100.0, 2500.0] {
        // A capacity of 1 is even spacing: it holds no fraction of a request that came early.
        for capacity in [2, 7, 100] {
            check(TokenBucket::new(rate, capacity), rate, 0.0);
            check(LeakyBucket::new(rate, capacity), rate, 0.0);
            check(WarmUp::new(rate, capacity, seconds(600.0)), rate, 600.0);
            check(SlidingWindow::new(rate, capacity), rate, 0.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fractions_of_a_token_are_not_lost_however_often_somebody_looks() {
    // The original admitted 5.05 of 10 here.
    let limit = Limit::new(TokenBucket::new(10.0, 2));
    let passed = admitted(&limit, Instant::now(), 10.1, 1000.0);
    assert!((9950..=10_002).contains(&passed), "{passed}");
    let busy = Limit::new(TokenBucket::new(10.0, 1));
    assert_eq!(admitted(&busy, Instant::now(), 50_000.0, 10.0), 100);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_as_large_as_the_capacity_and_comes_back_with_time() {
    for algorithm in [
        Box::new(TokenBucket::new(10.0, 20)) as Box<dyn Algorithm>,
        Box::new(LeakyBucket::new(10.0, 20)),
        Box::new(SlidingWindow::new(10.0, 20)),
    ] {
        let limit = Limit::new(algorithm);
        let start = Instant::now();
        assert_eq!(admitted(&limit, start, 1e9, 1e-6), 20);
        assert_eq!(limit.quota(start).remaining, 0);
        let later = start + limit.quota(start).reset;
        assert_eq!(limit.quota(later).remaining, 20, "all is there again after its reset");
        assert_eq!(admitted(&limit, later, 1e9, 1e-6), 20);
    }
}

// fault: L6
#[tokio::test(start_paused = true)]
async fn no_stretch_of_time_sees_more_than_a_burst_and_its_share() {
    for algorithm in [
        Box::new(TokenBucket::new(10.0, 20)) as Box<dyn Algorithm>,
        Box::new(SlidingWindow::new(10.0, 20)),
        Box::new(WarmUp::new(10.0, 20, seconds(3.0))),
    ] {
        let limit = Limit::new(algorithm);
        let (start, ask) = (Instant::now(), request());
        let times = (0..20_000).map(|nth| f64::from(nth) * 0.001);
        let passed: Vec<f64> =
            times.filter(|at| limit.acquire(&ask, start + seconds(*at)).is_ok()).collect();
        for (nth, first) in passed.iter().enumerate() {
            for (count, last) in passed[nth..].iter().enumerate() {
                let most = 20.0 + 10.0 * (last - first) + 1e-6;
                assert!((count + 1) as f64 <= most + 1.0, "{count} between {first} and {last}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn asking_again_after_the_time_that_was_named_succeeds_and_before_it_does_not() {
    for algorithm in [
        Box::new(TokenBucket::new(3.7, 5)) as Box<dyn Algorithm>,
        Box::new(SlidingWindow::new(3.7, 5)),
        Box::new(WarmUp::new(3.7, 5, seconds(60.0))),
    ] {
        let (limit, ask) = (Limit::new(algorithm), request());
        let mut now = Instant::now() + seconds(90.0);
        for _ in 0..200 {
            match limit.check(&ask, now) {
                Ok(()) => drop(limit.acquire(&ask, now).unwrap()),
                Err(refusal) => {
                    let wait = refusal.retry_after;
                    let early = now + wait.saturating_sub(Duration::from_micros(10));
                    assert!(limit.check(&ask, early).is_err() || wait < Duration::from_micros(20));
                    now += wait + Duration::from_micros(1);
                    assert!(limit.check(&ask, now).is_ok(), "after {wait:?}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_warms_up_begins_with_a_third_and_reaches_all_of_it() {
    let (start, ask) = (Instant::now(), request());
    let limit = Limit::new(WarmUp::new(90.0, 9, seconds(10.0)));
    let burst = std::iter::repeat_with(|| limit.acquire(&ask, start)).take_while(Result::is_ok);
    assert_eq!(burst.count(), 3);
    let limit = Limit::new(WarmUp::new(90.0, 1, seconds(10.0)));
    let passed =
        |from: f64, to: f64| admitted(&limit, start + seconds(from), 1e5, to - from) as f64;
    let (first, last, warm) = (passed(0.0, 1.0), passed(9.0, 10.0), passed(10.0, 11.0));
    assert!((30.0..=35.0).contains(&first), "a third, and a tenth of the rest: {first}");
    assert!((85.0..=90.0).contains(&last), "{last}");
    assert!((89.0..=91.0).contains(&warm), "{warm}");
}

// fault: L7
#[test]
fn of_many_threads_on_the_last_token_one_gets_it() {
    const THREADS: usize = 64;
    for _ in 0..50 {
        let limits =
            (Limit::new(TokenBucket::new(1e-6, 1)), Limit::new(SlidingWindow::new(1e-6, 1)));
        let (passed, barrier) = ([AtomicUsize::new(0), AtomicUsize::new(0)], Barrier::new(THREADS));
        let (ask, now) = (request(), Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    let won =
                        [limits.0.acquire(&ask, now).is_ok(), limits.1.acquire(&ask, now).is_ok()];
                    for (passed, won) in passed.iter().zip(won) {
                        passed.fetch_add(usize::from(won), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.map(AtomicUsize::into_inner), [1, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_nobody_should_configure_still_make_a_limit() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300] {
        for capacity in [0, 1, u64::MAX] {
            let start = Instant::now();
            let all: [Box<dyn Algorithm>; 3] = [
                Box::new(TokenBucket::new(rate, capacity)),
                Box::new(SlidingWindow::new(rate, capacity)),
                Box::new(WarmUp::new(rate, capacity, Duration::MAX)),
            ];
            for algorithm in all {
                let limit = Arc::new(Limit::new(algorithm));
                assert!(limit.acquire(&request(), start).is_ok(), "one passes at least");
                for years in [1.0, 50.0] {
                    let later = start + seconds(years * 365.0 * 86400.0);
                    let _ = limit.acquire(&request(), later);
                    assert!(limit.quota(later).remaining <= limit.quota(later).limit);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_read_a_moment_earlier_does_not_empty_a_window() {
    let limit = Limit::new(SlidingWindow::new(10.0, 10));
    let (start, ask) = (Instant::now(), request());
    let boundary = start + seconds(1.0);
    for _ in 0..10 {
        drop(limit.acquire(&ask, boundary).unwrap());
    }
    assert!(limit.acquire(&ask, boundary - seconds(0.001)).is_err(), "it came in late");
    assert!(limit.acquire(&ask, boundary).is_err(), "and has changed nothing");
}
