//! Every order in which two threads can meet at the word.

use std::sync::Arc;

use futures::FutureExt;
use loom::thread;
use tokio::time::Instant;

use super::{Health, Outcome, Settings, Status};

/// Runs both at once, one of them here, until both are over.
fn race<T: 'static, U>(there: impl FnOnce() -> T + 'static, here: impl FnOnce() -> U) -> (T, U) {
    let other = thread::spawn(there);
    let here = here();
    (other.join().unwrap(), here)
}

fn pair() -> (Arc<Health>, Arc<Health>, Instant) {
    let health = Arc::new(Health::new());
    (Arc::clone(&health), health, Instant::now())
}

#[test]
fn loom_a_refusal_is_never_lost_to_a_probe_that_was_sent_before() {
    loom::model(|| {
        let (other, health, now) = pair();
        let _probing = health.probing();
        let look = health.look();
        race(
            move || other.refused(now),
            || health.probed(look, Outcome::Busy, &Settings::default(), now),
        );
        assert_eq!(health.status(), Status::Down);
        assert!(health.is_down_since(look), "the prober looks again");
        assert!(health.changed().now_or_never().is_some(), "and at once");
    });
}

#[test]
fn loom_refusals_that_meet_wake_the_prober_once() {
    loom::model(|| {
        let (other, health, now) = pair();
        let _probing = health.probing();
        race(move || other.refused(now), || health.refused(now));
        assert!(health.changed().now_or_never().is_some());
        assert!(health.changed().now_or_never().is_none());
    });
}

#[test]
fn loom_one_of_two_probes_that_meet_makes_the_change() {
    loom::model(|| {
        let (other, health, now) = pair();
        let _probing = health.probing();
        let look = health.look();
        let settings = Settings::default();
        let (there, here) = race(
            move || other.probed(look, Outcome::Failed, &Settings::default(), now),
            || health.probed(look, Outcome::Failed, &settings, now),
        );
        assert!(there.is_some() != here.is_some(), "both count, and the second one says so");
        assert_eq!(health.status(), Status::Down);
    });
}

#[test]
fn loom_an_operator_s_word_survives_any_evidence() {
    loom::model(|| {
        let (other, health, now) = pair();
        let _probing = health.probing();
        race(move || other.set_draining(true), || health.refused(now));
        assert_eq!(health.status(), Status::Draining);
        health.set_draining(false);
        assert_eq!(health.status(), Status::Down, "and the evidence survives the operator's");
    });
}

#[test]
fn loom_a_prober_that_goes_while_another_comes_loses_no_knowledge() {
    loom::model(|| {
        let (other, health, now) = pair();
        let old = health.probing();
        health.refused(now);
        let ((), new) = race(move || drop(old), move || other.probing());
        assert_eq!((health.status(), health.is_probed()), (Status::Down, true));
        drop(new);
        assert_eq!((health.status(), health.is_probed()), (Status::Up, false));
    });
}

#[test]
fn loom_a_refusal_that_meets_the_last_prober_s_end_leaves_it_up() {
    loom::model(|| {
        let (other, health, now) = pair();
        let probing = health.probing();
        race(move || other.refused(now), move || drop(probing));
        assert_eq!(health.status(), Status::Up);
    });
}

#[test]
fn loom_an_answer_and_a_refused_key_leave_one_of_their_verdicts() {
    loom::model(|| {
        let (other, health, now) = pair();
        let _probing = health.probing();
        race(move || other.unauthorized(now), || health.answered(now));
        assert!(matches!(health.status(), Status::Up | Status::Misconfigured));
        health.answered(now);
        assert_eq!(health.status(), Status::Up);
    });
}
