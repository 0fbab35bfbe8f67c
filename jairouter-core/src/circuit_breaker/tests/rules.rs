//! What opens a breaker, what closes it, and for how long it is open.

use std::sync::Barrier;
use std::thread;

use super::*;
use crate::error::{Error, Kind};

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
    let breaker = breaker(Settings::default());
    for _ in 0..4 {
        admit(&breaker).failure(now());
    }
    admit(&breaker).success(now());
    for _ in 0..4 {
        admit(&breaker).failure(now());
    }
    assert_eq!(breaker.state(now()), State::Closed, "never five in a row");
    admit(&breaker).failure(now());
    assert_eq!((breaker.state(now()), breaker.trips()), (State::Open, 1));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_until_its_time_is_over_and_says_when_that_is() {
    let breaker = breaker(settings());
    trip(&breaker);
    for left in [10, 7, 4, 1].map(|seconds| seconds * SECOND) {
        let open = breaker.admit(now()).unwrap_err();
        assert_eq!(open.retry_after(), left);
        assert_eq!(breaker.would_refuse(now()), Some(left));
        advance(3 * SECOND.min(left)).await;
    }
    assert_eq!(breaker.state(now()), State::HalfOpen);
    assert!(admit(&breaker).is_probe());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_error_with_its_time() {
    let breaker = breaker(settings());
    trip(&breaker);
    let error = Error::from(breaker.admit(now()).unwrap_err());
    assert_eq!((error.kind(), error.retry_after()), (Kind::BreakerOpen, Some(10 * SECOND)));
}

// fault: R2
#[tokio::test(start_paused = true)]
async fn threads_that_come_to_a_half_open_breaker_at_once_share_exactly_its_probes() {
    for _ in 0..50 {
        let breaker = due(settings()).await;
        let (at, start) = (now(), Barrier::new(8));
        let probes: Vec<_> = thread::scope(|scope| {
            let run = || {
                start.wait();
                (0..125).filter_map(|_| breaker.admit(at).ok()).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(probes.len(), 2, "of a thousand");
        assert!(probes.iter().all(Permit::is_probe));
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_takes_no_probe() {
    let breaker = due(settings()).await;
    for _ in 0..10 {
        assert_eq!(breaker.would_refuse(now()), None);
    }
    let probes = [admit(&breaker), admit(&breaker)];
    assert_eq!(breaker.would_refuse(now()), Some(SECOND), "every probe is out");
    assert_eq!(breaker.admit(now()).unwrap_err().retry_after(), SECOND);
    drop(probes);
    assert_eq!(breaker.would_refuse(now()), None);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_opens_it_for_twice_as_long_up_to_the_bound() {
    let breaker = due(settings().with_max_open_for(50 * SECOND)).await;
    for expected in [20, 40, 50, 50] {
        let other = admit(&breaker);
        admit(&breaker).failure(now());
        assert_eq!(breaker.would_refuse(now()), Some(expected * SECOND));
        other.failure(now());
        assert_eq!(breaker.would_refuse(now()), Some(expected * SECOND), "opened once");
        advance(expected * SECOND).await;
    }
    assert_eq!(breaker.trips(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_trip_soon_after_recovery_doubles_the_time_and_a_late_one_does_not() {
    let breaker = due(settings()).await;
    recover(&breaker);
    advance(5 * SECOND).await;
    trip(&breaker);
    assert_eq!(breaker.would_refuse(now()), Some(20 * SECOND), "soon");
    advance(20 * SECOND).await;
    recover(&breaker);
    advance(25 * SECOND).await;
    trip(&breaker);
    assert_eq!(breaker.would_refuse(now()), Some(20 * SECOND), "one doubling is forgotten");
    advance(20 * SECOND).await;
    recover(&breaker);
    advance(31 * SECOND).await;
    trip(&breaker);
    assert_eq!(breaker.would_refuse(now()), Some(10 * SECOND), "all are");
}

#[tokio::test(start_paused = true)]
async fn a_health_check_that_succeeds_ends_the_time_of_an_open_breaker_and_nothing_else() {
    let breaker = breaker(settings());
    breaker.probe_soon(now());
    assert_eq!(breaker.state(now()), State::Closed);
    trip(&breaker);
    breaker.probe_soon(now());
    assert_eq!(breaker.state(now()), State::HalfOpen);
    let probes = [admit(&breaker), admit(&breaker)];
    breaker.probe_soon(now());
    assert!(breaker.would_refuse(now()).is_some(), "no probe more");
    for probe in probes {
        probe.success(now());
    }
    assert_eq!(breaker.state(now()), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_everything() {
    let breaker = due(settings().with_failure_rate(0.5).with_minimum_requests(4)).await;
    let probe = admit(&breaker);
    breaker.reset();
    assert_eq!(breaker.state(now()), State::Closed);
    probe.failure(now());
    admit(&breaker).failure(now());
    assert_eq!(breaker.state(now()), State::Closed, "the probe's failure is forgotten");
    trip(&breaker);
    assert_eq!(breaker.would_refuse(now()), Some(10 * SECOND), "and so are earlier trips");
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_it_is_counted() {
    let breaker = due(settings()).await;
    let counts = |breaker: &Breaker| {
        let counts = breaker.counts();
        [counts.opened, counts.half_opened, counts.closed, counts.refused]
    };
    assert_eq!(counts(&breaker), [1, 0, 0, 0]);
    recover(&breaker);
    assert_eq!(counts(&breaker), [1, 1, 1, 0]);
    trip(&breaker);
    assert!(breaker.admit(now()).is_err());
    breaker.reset();
    breaker.reset();
    assert_eq!(counts(&breaker), [2, 1, 2, 1]);
}
