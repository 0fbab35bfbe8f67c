//! An instance that fails every other request, minute after minute.

use super::*;

fn flapping() -> Settings {
    Settings::default()
        .with_failure_rate(0.4)
        .with_window(10 * SECOND)
        .with_open_for(SECOND)
        .with_max_open_for(60 * SECOND)
}

/// One request, every tenth of a second. For how long it has opened the breaker.
async fn asked(breaker: &Arc<Breaker>, fails: bool) -> Option<Duration> {
    advance(SECOND / 10).await;
    let trips = breaker.trips();
    let permit = breaker.admit(now()).ok()?;
    if fails {
        permit.failure(now());
    } else {
        permit.success(now());
    }
    (breaker.trips() > trips).then(|| breaker.would_refuse(now()).unwrap())
}

// fault: R5
#[tokio::test(start_paused = true)]
async fn every_other_failure_opens_a_windowed_breaker_and_never_one_that_counts_rows() {
    let (windowed, rows) = (breaker(flapping()), breaker(Settings::default()));
    for nth in 0..3000 {
        asked(&windowed, nth % 2 == 0).await;
        asked(&rows, nth % 2 == 0).await;
    }
    assert!(windowed.trips() > 0);
    assert_eq!(rows.trips(), 0);
}

// fault: R5
#[tokio::test(start_paused = true)]
async fn the_open_time_grows_while_an_instance_flaps_and_is_forgotten_when_it_is_well() {
    let breaker = breaker(flapping().with_failure_threshold(1000).with_jitter(0.0));
    let mut random = fastrand::Rng::with_seed(7);
    let mut times = Vec::new();
    for _ in 0..3000 {
        times.extend(asked(&breaker, random.bool()).await);
    }
    assert!(times.len() < 20, "it does not swing each second of five minutes: {times:?}");
    assert!(times.is_sorted(), "no wait is shorter than the one before: {times:?}");
    assert!(times[0] == SECOND && times.last() >= Some(&(16 * SECOND)), "{times:?}");
    for _ in 0..3000 {
        assert_eq!(asked(&breaker, false).await, None, "it is well for five minutes");
    }
    let mut first = None;
    while first.is_none() {
        first = asked(&breaker, true).await;
    }
    assert_eq!(first, Some(SECOND), "and nothing is remembered");
}

#[tokio::test(start_paused = true)]
async fn failures_before_an_opening_do_not_count_after_it() {
    let breaker = due(flapping().with_open_for(SECOND / 100).with_failure_threshold(1000)).await;
    recover(&breaker);
    for _ in 0..9 {
        admit(&breaker).failure(now());
    }
    assert_eq!(breaker.state(now()), State::Closed, "below the minimum of ten again");
    admit(&breaker).failure(now());
    assert_eq!(breaker.state(now()), State::Open);
}
