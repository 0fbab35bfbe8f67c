//! What requests, probes and operators say, without a clock or a prober.

use super::*;

fn settings() -> Settings {
    Settings::default()
}

fn now() -> Instant {
    Instant::now()
}

fn probe(health: &Health, outcome: Outcome) -> Option<Change> {
    health.probed(health.look(), outcome, &settings(), now())
}

/// One that is probed.
fn probed() -> (Arc<Health>, Probing) {
    let health = Arc::new(Health::new());
    let probing = health.probing();
    (health, probing)
}

#[test]
fn a_refused_connection_is_down_at_once_if_somebody_probes() {
    let (health, _probing) = probed();
    health.refused(now());
    assert_eq!(health.status(), Status::Down);
}

#[test]
fn evidence_on_an_instance_that_nobody_probes_changes_nothing() {
    let health = Health::new();
    health.refused(now());
    health.unauthorized(now());
    assert_eq!(probe(&health, Outcome::Refused), None);
    assert_eq!((health.status(), health.is_probed()), (Status::Up, false));
    let health = Arc::new(health);
    let _probing = health.probing();
    assert_eq!(health.status(), Status::Up, "nor does it come to light later");
}

#[test]
fn what_is_no_longer_probed_is_up_and_the_next_prober_knows_better() {
    let (health, probing) = probed();
    health.refused(now());
    drop(probing);
    assert_eq!((health.status(), health.is_probed()), (Status::Up, false));
    let first = health.probing();
    assert_eq!(health.status(), Status::Down);
    let second = health.probing();
    drop(first);
    assert_eq!(health.status(), Status::Down, "a reload may start before it ends");
    drop(second);
    assert_eq!(health.status(), Status::Up);
}

#[test]
fn an_answer_to_a_request_ends_a_row_of_failures_but_brings_nothing_back() {
    let (health, _probing) = probed();
    probe(&health, Outcome::TimedOut);
    health.answered(now());
    assert_eq!(probe(&health, Outcome::TimedOut), None, "the first in a row");
    let change = probe(&health, Outcome::Failed).unwrap();
    assert_eq!((change.from, change.to), (Status::Up, Status::Down));
    health.answered(now());
    assert_eq!(health.status(), Status::Down);
}

#[tokio::test(start_paused = true)]
async fn a_key_refused_to_a_request_outlives_good_probes_for_30_s() {
    let (health, _probing) = probed();
    health.unauthorized(now());
    assert_eq!(health.status(), Status::Misconfigured);
    sleep(29_999 * MILLISECOND).await;
    assert_eq!(probe(&health, Outcome::Good), None, "the path may be open to everybody");
    assert_eq!(probe(&health, Outcome::Busy), None);
    sleep(2 * MILLISECOND).await;
    let change = probe(&health, Outcome::Good).unwrap();
    assert_eq!((change.from, change.to), (Status::Misconfigured, Status::Up));
}

#[test]
fn an_answer_to_a_request_shows_that_the_key_is_good_again() {
    let (health, _probing) = probed();
    health.unauthorized(now());
    health.answered(now());
    assert_eq!(health.status(), Status::Up);
}

#[test]
fn a_key_refused_to_a_probe_is_good_again_when_a_probe_says_so() {
    let (health, _probing) = probed();
    probe(&health, Outcome::Unauthorized);
    health.unauthorized(now());
    health.answered(now());
    assert_eq!(health.status(), Status::Misconfigured, "only an ingress may guard the path");
    assert!(probe(&health, Outcome::Good).is_some());
    health.unauthorized(now());
    probe(&health, Outcome::Unauthorized);
    let change = probe(&health, Outcome::Good).expect("probes are refused as requests are");
    assert_eq!((change.from, change.to), (Status::Misconfigured, Status::Up));
}

#[test]
fn a_draining_instance_is_draining_whatever_else_it_is() {
    let (health, probing) = probed();
    health.set_draining(true);
    for outcome in [Outcome::Refused, Outcome::Good, Outcome::Busy, Outcome::Unauthorized] {
        assert_eq!(probe(&health, outcome), None, "{outcome:?}");
        assert_eq!(health.status(), Status::Draining, "{outcome:?}");
    }
    health.refused(now());
    health.set_draining(false);
    assert_eq!(health.status(), Status::Down, "evidence was collected all the while");
    health.set_draining(true);
    drop(probing);
    assert_eq!(health.status(), Status::Draining, "probed or not");
}

#[test]
fn the_verdict_of_a_probe_from_before_a_refusal_is_not_heard() {
    let (health, _probing) = probed();
    let look = health.look();
    health.refused(now());
    assert_eq!(health.probed(look, Outcome::Good, &settings(), now()), None);
    assert_eq!(health.status(), Status::Down);
    assert!(probe(&health, Outcome::Good).is_some(), "that of the next one is");
}

#[test]
fn a_flapping_instance_needs_as_many_in_a_row_as_are_asked_for() {
    let (health, _probing) = probed();
    let settings = Settings::default().with_failure_threshold(3).with_success_threshold(2);
    let play = |outcomes: &[Outcome]| {
        for outcome in outcomes {
            health.probed(health.look(), *outcome, &settings, now());
        }
        health.status()
    };
    let (good, bad) = (Outcome::Good, Outcome::Failed);
    assert_eq!(play(&[bad, bad, good, bad, Outcome::TimedOut, Outcome::Busy, bad]), Status::Busy);
    assert_eq!(play(&[bad, bad]), Status::Down);
    assert_eq!(play(&[good, bad, good, Outcome::Refused, good]), Status::Down);
    assert_eq!(play(&[Outcome::Unauthorized]), Status::Misconfigured, "it answers");
}

#[tokio::test(start_paused = true)]
async fn since_is_when_the_status_last_changed() {
    let (health, _probing) = probed();
    sleep(SECOND).await;
    health.refused(now());
    sleep(3 * SECOND).await;
    health.refused(now());
    assert_eq!(health.since(now()), 3 * SECOND, "it was down before");
    assert_eq!(health.since(now() - 10 * SECOND), Duration::ZERO);
    probe(&health, Outcome::Good);
    assert_eq!(health.since(now()), Duration::ZERO);
}

#[test]
fn only_up_and_busy_may_be_asked_and_a_wrong_key_is_the_last_resort() {
    let asked = Status::ALL.map(|status| (status.may_be_asked(), status.is_last_resort()));
    let (yes, no, last) = ((true, false), (false, false), (false, true));
    assert_eq!(asked, [yes, no, yes, last, no]);
    let names = Status::ALL.map(|status| format!("{status:>5}"));
    assert_eq!(names, ["   up", " down", " busy", "misconfigured", "draining"]);
}
