//! Every order in which two threads can meet at the word.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use tokio::time::Instant;

use super::{Breaker, Permit, Settings, State};

const OPEN_FOR: Duration = Duration::from_secs(10);

/// Opens at the second failure in a row; closes with one probe.
fn settings() -> Settings {
    Settings::default()
        .with_failure_threshold(2)
        .with_success_threshold(1)
        .with_open_for(OPEN_FOR)
        .with_jitter(0.0)
}

/// A breaker at the instant at which it is due for a probe.
fn due() -> (Arc<Breaker>, Instant) {
    let breaker = Arc::new(Breaker::new(settings()));
    let now = Instant::now();
    for _ in 0..2 {
        breaker.admit(now).unwrap().failure(now);
    }
    (breaker, now + OPEN_FOR)
}

/// Runs both at once, one of them here, until both are over.
fn race<T: 'static, U>(there: impl FnOnce() -> T + 'static, here: impl FnOnce() -> U) -> (T, U) {
    let other = thread::spawn(there);
    let here = here();
    (other.join().unwrap(), here)
}

#[test]
fn of_two_threads_that_come_for_the_only_probe_one_gets_it() {
    loom::model(|| {
        let (breaker, now) = due();
        let other = Arc::clone(&breaker);
        let (first, second) = race(move || other.admit(now), || breaker.admit(now));
        assert!(first.is_ok() != second.is_ok(), "one of them");
        let probe = first.or(second).unwrap();
        assert!(probe.is_probe());
        probe.success(now);
        assert_eq!(breaker.state(now), State::Closed);
    });
}

#[test]
fn of_two_threads_that_come_for_the_last_of_two_probes_one_gets_it() {
    loom::model(|| {
        let breaker = Arc::new(Breaker::new(settings().with_success_threshold(2)));
        let now = Instant::now();
        for _ in 0..2 {
            breaker.admit(now).unwrap().failure(now);
        }
        let now = now + OPEN_FOR;
        let mut passed = breaker.admit(now).unwrap();
        let other = Arc::clone(&breaker);
        // One of them comes while the first probe passes, which hands it to nobody.
        let (first, second) = race(
            move || other.admit(now),
            || {
                passed.answered(now);
                breaker.admit(now)
            },
        );
        assert!(first.is_ok() != second.is_ok(), "one of them");
        first.or(second).unwrap().success(now);
        assert_eq!(breaker.state(now), State::Closed);
    });
}

#[test]
fn a_success_that_races_with_a_trip_either_prevents_it_or_comes_too_late() {
    loom::model(|| {
        let breaker = Arc::new(Breaker::new(settings()));
        let now = Instant::now();
        breaker.admit(now).unwrap().failure(now);
        let (good, bad) = (breaker.admit(now).unwrap(), breaker.admit(now).unwrap());
        race(move || good.success(now), || bad.failure(now));
        match breaker.state(now) {
            State::Open => assert_eq!(breaker.trips(), 1),
            State::Closed => {
                assert_eq!(breaker.trips(), 0);
                // The success came first, so the failure is one in a row; this is the second.
                breaker.admit(now).unwrap().failure(now);
                assert_eq!(breaker.state(now), State::Open);
            }
            State::HalfOpen => panic!("nothing makes it half-open"),
        }
    });
}

#[test]
fn failures_that_meet_are_both_counted_and_trip_it_once() {
    loom::model(|| {
        let breaker = Arc::new(Breaker::new(settings()));
        let now = Instant::now();
        let permits = [(); 3].map(|()| breaker.admit(now).unwrap());
        let [first, second, third] = permits;
        race(move || first.failure(now), || second.failure(now));
        assert_eq!((breaker.state(now), breaker.trips()), (State::Open, 1));
        third.failure(now);
        assert_eq!(breaker.trips(), 1, "of an older generation");
    });
}

#[test]
fn failures_that_meet_in_a_window_are_both_counted() {
    loom::model(|| {
        let windowed = settings().with_failure_threshold(1000).with_failure_rate(1.0);
        let breaker = Arc::new(Breaker::new(windowed.with_minimum_requests(2)));
        let now = Instant::now();
        let (first, second) = (breaker.admit(now).unwrap(), breaker.admit(now).unwrap());
        race(move || first.failure(now), || second.failure(now));
        assert_eq!((breaker.state(now), breaker.trips()), (State::Open, 1));
    });
}

#[test]
fn a_probe_that_is_dropped_while_another_request_comes_is_not_lost() {
    loom::model(|| {
        let (breaker, now) = due();
        let probe = breaker.admit(now).unwrap();
        let other = Arc::clone(&breaker);
        let ((), second) = race(move || drop(probe), || other.admit(now));
        let probe = second.or_else(|_| breaker.admit(now));
        probe.expect("it came back").success(now);
        assert_eq!(breaker.state(now), State::Closed);
    });
}

#[test]
fn a_straggler_that_meets_the_first_probe_changes_nothing() {
    loom::model(|| {
        let breaker = Arc::new(Breaker::new(settings()));
        let now = Instant::now();
        let old: [Permit; 2] = [(); 2].map(|()| breaker.admit(now).unwrap());
        for _ in 0..2 {
            breaker.admit(now).unwrap().failure(now);
        }
        let now = now + OPEN_FOR;
        let [good, bad] = old;
        let probe = race(
            move || {
                good.success(now);
                bad.failure(now);
            },
            || breaker.admit(now),
        );
        assert_eq!((breaker.state(now), breaker.trips()), (State::HalfOpen, 1));
        drop(probe);
        assert_eq!(breaker.would_refuse(now), None);
    });
}

#[test]
fn a_health_check_and_a_request_make_one_half_open_time() {
    loom::model(|| {
        let (breaker, due) = due();
        let early = due - OPEN_FOR / 2;
        let other = Arc::clone(&breaker);
        let ((), probe) = race(move || other.probe_soon(early), || breaker.admit(early));
        assert_eq!(breaker.state(early), State::HalfOpen);
        assert_eq!(breaker.would_refuse(early).is_some(), probe.is_ok(), "the only probe is out");
    });
}
