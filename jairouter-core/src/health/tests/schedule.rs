//! When it looks.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Asserts that it was asked at this pace, ± 20 %, for ten minutes.
async fn keeps_pace(reply: Reply, settings: Settings, pace: Duration) {
    let probed = Probed::new(reply, settings);
    // Until it is what it is.
    sleep(MINUTE).await;
    let before = probed.engine.asked().len();
    sleep(10 * MINUTE).await;
    let pauses = probed.engine.pauses().split_off(before);
    let (shortest, longest) = (pace * 8 / 10, pace * 12 / 10 + 2 * MILLISECOND);
    let within = |pause: &Duration| (shortest..=longest).contains(pause);
    assert!(pauses.iter().all(within), "{reply:?}: {pauses:?}");
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*most > *least + pace / 10, "{reply:?} is jittered: {least:?} to {most:?}");
    assert_eq!(probed.engine.most_in_flight(), 1, "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_asked_once_an_interval_unless_it_is_down() {
    for reply in [Reply::Status(200), Reply::Status(429), Reply::Status(401)] {
        keeps_pace(reply, Settings::default(), 5 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_down_is_asked_every_second_or_every_interval_if_that_is_shorter() {
    for reply in [Reply::Refuse, Reply::Status(500), Reply::Text(503, "Loading model")] {
        for (interval, pace) in [(5 * SECOND, SECOND), (SECOND / 2, SECOND / 2)] {
            keeps_pace(reply, Settings::default().with_interval(interval), pace).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalling_health_endpoint_gets_one_probe_an_interval_and_one_at_a_time() {
    for reply in [Reply::Stall, Reply::StallBody, Reply::SlowlyUnwell(3 * SECOND / 2)] {
        keeps_pace(reply, Settings::default(), 5 * SECOND).await;
    }
    let quick = Settings::default().with_interval(SECOND);
    keeps_pace(Reply::Stall, quick, SECOND).await;
    let seldom = Settings::default().with_interval(MINUTE);
    keeps_pace(Reply::Stall, seldom, 5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_probers_do_not_probe_in_one_moment() {
    let engine = Engine::new(Reply::Status(200));
    let start = Instant::now();
    let probers: Vec<_> = (0..1000)
        .map(|_| Probed::with(engine.clone(), Arc::new(Health::new()), Settings::default()))
        .collect();
    sleep(20 * SECOND).await;
    // By tenths of a second: 20 are expected in each.
    let mut tenths = [0; 200];
    for asked in engine.asked() {
        let tenth = (asked - start).as_millis() as usize / 100;
        tenths[tenth.min(199)] += 1;
    }
    assert!(tenths.iter().all(|probes| *probes <= 60), "{tenths:?}");
    assert!(tenths[..50].iter().sum::<usize>() >= 1000, "all within the first interval");
    drop(probers);
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_comes_at_once_if_a_request_is_refused() {
    let probed = Probed::new(Reply::Refuse, Settings::default().with_interval(1000 * SECOND));
    sleep(MILLISECOND).await;
    assert!(probed.engine.asked().is_empty());
    probed.health.refused(Instant::now());
    sleep(2 * MILLISECOND).await;
    assert_eq!(probed.engine.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_probe_has_found_itself_hastens_nothing() {
    for reply in [Reply::Refuse, Reply::Status(500)] {
        let probed = Probed::up().await;
        probed.engine.replies(reply);
        probed.until(Status::Down).await;
        let found = probed.engine.asked().len();
        probed.until_asked(found + 1).await;
        let pause = *probed.engine.pauses().last().unwrap();
        assert!(pause >= 800 * MILLISECOND, "{reply:?}: {pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn changes_that_are_not_refusals_hasten_nothing() {
    let probed = Probed::up().await;
    let asked = probed.engine.asked().len();
    for _ in 0..100 {
        probed.health.unauthorized(Instant::now());
        sleep(MILLISECOND).await;
        probed.health.answered(Instant::now());
        sleep(MILLISECOND).await;
    }
    assert_eq!(probed.engine.asked().len(), asked);
    assert_eq!(probed.told().len(), 200);
}
