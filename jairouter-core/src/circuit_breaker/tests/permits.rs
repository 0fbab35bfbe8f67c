//! What a permit says, and what becomes of one that says nothing.

use super::*;
use crate::body::{BodyGuard, End};
use crate::error::Kind;

// fault: R3
#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_is_handed_out_again() {
    let breaker = due(settings()).await;
    for _ in 0..10 {
        let probes = [admit(&breaker), admit(&breaker)];
        assert!(breaker.admit(now()).is_err(), "both are out");
        drop(probes);
        assert_eq!(breaker.state(now()), State::HalfOpen, "nothing was learnt");
    }
    recover(&breaker);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_has_passed_is_not_handed_out_again() {
    let breaker = due(settings()).await;
    let mut passed = admit(&breaker);
    passed.answered(now());
    let last = admit(&breaker);
    assert!(breaker.admit(now()).is_err(), "one has passed and one is out");
    drop(passed);
    assert!(breaker.admit(now()).is_err(), "its end changes nothing");
    drop(last);
    admit(&breaker).success(now());
    assert_eq!(breaker.state(now()), State::Closed);
}

// fault: R6
#[tokio::test(start_paused = true)]
async fn stragglers_change_nothing() {
    let breaker = breaker(settings());
    let old = || [admit(&breaker), admit(&breaker), admit(&breaker)];
    let ([first, second, third], [fourth, fifth, sixth]) = (old(), old());
    trip(&breaker);
    first.success(now());
    fourth.failure(now());
    assert_eq!(breaker.state(now()), State::Open, "an old success does not close it");
    assert_eq!(breaker.would_refuse(now()), Some(10 * SECOND), "nor prolongs an old failure it");
    advance(10 * SECOND).await;
    let probes = [admit(&breaker), admit(&breaker)];
    second.success(now());
    fifth.failure(now());
    assert!(breaker.admit(now()).is_err(), "no probe is replaced");
    for probe in probes {
        probe.success(now());
    }
    third.failure(now());
    sixth.failure(now());
    assert_eq!((breaker.state(now()), breaker.trips()), (State::Closed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_an_earlier_half_open_time_gives_nothing_back() {
    let breaker = due(settings()).await;
    let old = admit(&breaker);
    admit(&breaker).failure(now());
    advance(20 * SECOND).await;
    let probes = [admit(&breaker), admit(&breaker)];
    drop(old);
    assert!(breaker.admit(now()).is_err());
    drop(probes);
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_once() {
    let breaker = breaker(settings());
    let mut permit = admit(&breaker);
    permit.settle_by(Kind::Broken, now());
    permit.answered(now());
    permit.data(&"x".into());
    permit.end(End::Broken(Kind::Broken));
    assert_eq!(breaker.state(now()), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn only_what_the_instance_has_shown_moves_a_breaker() {
    let failures = [Kind::Unreachable, Kind::Broken, Kind::Stalled, Kind::Timeout, Kind::Failed];
    let nothing = [
        Kind::Invalid,
        Kind::Unsupported,
        Kind::TooLarge,
        Kind::SlowRequest,
        Kind::NoModel,
        Kind::Unauthorized,
        Kind::Forbidden,
        Kind::RateLimited,
        Kind::Busy,
        Kind::BreakerOpen,
        Kind::NoInstance,
        Kind::Overloaded,
        Kind::UpstreamAuth,
        Kind::ModelAbsent,
        Kind::Rejected,
        Kind::Deadline,
        Kind::Internal,
    ];
    let after = |kind: Kind| {
        let breaker = breaker(settings());
        admit(&breaker).failure(now());
        admit(&breaker).judge(kind, now());
        let opened = breaker.state(now()) == State::Open;
        if let Ok(permit) = breaker.admit(now()) {
            permit.failure(now());
        }
        (opened, breaker.state(now()) == State::Open)
    };
    for kind in failures {
        assert_eq!(after(kind), (true, true), "{kind:?} is the second failure in a row");
    }
    for kind in nothing {
        assert_eq!(after(kind), (false, true), "{kind:?} is not there");
    }
}
