//! An instance and its prober, through what happens to instances.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_down_at_once_and_looked_at_within_milliseconds() {
    let probed = Probed::up().await;
    probed.engine.replies(Reply::Refuse);
    probed.health.refused(Instant::now());
    assert_eq!(probed.health.status(), Status::Down);
    let asked = probed.engine.asked().len();
    sleep(5 * MILLISECOND).await;
    assert_eq!(probed.engine.asked().len(), asked + 1);
    assert_eq!(probed.told(), [(Status::Up, Status::Down)]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_mistake_costs_milliseconds() {
    let probed = Probed::up().await;
    probed.health.refused(Instant::now());
    assert!(probed.until(Status::Up).await <= 5 * MILLISECOND);
    assert_eq!(probed.told(), [(Status::Up, Status::Down), (Status::Down, Status::Up)]);
}

#[tokio::test(start_paused = true)]
async fn refusals_without_end_wake_it_ten_times_a_second() {
    let probed = Probed::up().await;
    let before = probed.engine.asked().len();
    for _ in 0..3000 {
        probed.health.refused(Instant::now());
        sleep(MILLISECOND).await;
    }
    let pauses = probed.engine.pauses().split_off(before);
    assert!(pauses.iter().all(|pause| *pause >= 100 * MILLISECOND), "{pauses:?}");
    assert!((25..=30).contains(&pauses.len()), "{}", pauses.len());
    assert_eq!(probed.engine.most_in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_while_a_probe_is_out_is_looked_into_after_it() {
    let probed = Probed::up().await;
    probed.engine.replies(Reply::Slow(SECOND));
    let asked = probed.engine.asked().len();
    probed.until_asked(asked + 1).await;
    probed.engine.replies(Reply::Refuse);
    probed.health.refused(Instant::now());
    sleep(SECOND).await;
    assert_eq!(probed.health.status(), Status::Down, "the old probe's good news are old");
    assert_eq!(probed.engine.asked().len(), asked + 1, "one at a time");
    sleep(110 * MILLISECOND).await;
    assert_eq!(probed.engine.asked().len(), asked + 2, "and the next without delay");
    assert_eq!(probed.engine.most_in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_comes_back_is_up_within_1200_ms_without_a_request() {
    for gone in [Reply::Refuse, Reply::Status(500), Reply::Text(503, "Loading model")] {
        for _ in 0..50 {
            let probed = Probed::up().await;
            probed.engine.replies(gone);
            probed.until(Status::Down).await;
            sleep(60 * SECOND).await;
            assert_eq!(probed.health.status(), Status::Down, "{gone:?}");
            probed.engine.replies(Reply::Status(200));
            let time = probed.until(Status::Up).await;
            assert!(time <= 1202 * MILLISECOND, "{gone:?}: {time:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_stalled_is_up_within_5_s_of_its_return() {
    for _ in 0..50 {
        let probed = Probed::up().await;
        probed.engine.replies(Reply::Stall);
        probed.until(Status::Down).await;
        // It has just missed the next probe, too.
        let asked = probed.engine.asked().len();
        probed.until_asked(asked + 1).await;
        sleep(2 * SECOND).await;
        assert_eq!(probed.engine.in_flight(), 0);
        probed.engine.replies(Reply::Status(200));
        assert!(probed.until(Status::Up).await < 5 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_instance_is_down_after_the_second_failure_and_a_second_look_comes_soon() {
    let probed = Probed::up().await;
    probed.engine.replies(Reply::Status(500));
    let time = probed.until(Status::Down).await;
    assert!(time <= 7200 * MILLISECOND + 2 * MILLISECOND, "an interval and a look: {time:?}");
    let pause = *probed.engine.pauses().last().unwrap();
    assert!(pause <= 1201 * MILLISECOND, "the second look comes soon: {pause:?}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_fails_every_other_probe_stays_up() {
    let probed = Probed::up().await;
    for turn in 0..100 {
        probed.engine.replies(Reply::Status(if turn % 2 == 0 { 500 } else { 200 }));
        probed.until_asked(probed.engine.asked().len() + 1).await;
    }
    assert_eq!(probed.told(), []);
}

#[tokio::test(start_paused = true)]
async fn every_change_is_told_whoever_made_it() {
    let probed = Probed::up().await;
    let step = async || sleep(MILLISECOND).await;
    probed.health.unauthorized(Instant::now());
    step().await;
    probed.health.answered(Instant::now());
    step().await;
    probed.health.set_draining(true);
    step().await;
    probed.health.refused(Instant::now());
    probed.engine.replies(Reply::Later(""));
    sleep(10 * SECOND).await;
    probed.health.set_draining(false);
    step().await;
    let expected = [
        (Status::Up, Status::Misconfigured),
        (Status::Misconfigured, Status::Up),
        (Status::Up, Status::Draining),
        (Status::Draining, Status::Busy),
    ];
    assert_eq!(probed.told(), expected);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_in_mid_probe_closes_the_probe_and_leaves_nothing() {
    for reply in [Reply::Stall, Reply::StallBody] {
        let probed = Probed::new(reply, Settings::default());
        probed.until_asked(1).await;
        assert_eq!((probed.engine.in_flight(), probed.health.is_probed()), (1, true));
        probed.task.abort();
        sleep(10 * SECOND).await;
        assert_eq!((probed.engine.in_flight(), probed.health.is_probed()), (0, false));
        assert_eq!(probed.engine.asked().len(), 1, "{reply:?}");
        assert_eq!(probed.told(), []);
        assert_eq!(Arc::strong_count(&probed.health), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_last_prober_knew_is_looked_at_within_a_second_by_the_next() {
    let probed = Probed::up().await;
    probed.health.refused(Instant::now());
    probed.task.abort();
    sleep(10 * MILLISECOND).await;
    let health = Arc::clone(&probed.health);
    let next = Probed::with(Engine::new(Reply::Status(200)), health, Settings::default());
    assert_eq!(next.until(Status::Down).await, MILLISECOND, "the knowledge is kept");
    assert!(next.until(Status::Up).await <= SECOND + MILLISECOND);
    assert_eq!(next.told(), [(Status::Down, Status::Up)]);
}

/// A client that may move between threads, and be used by one at a time.
struct NotSync(Engine, #[allow(dead_code)] std::cell::Cell<u8>);

impl Service<Request<Payload>> for NotSync {
    type Response = Response<Body>;
    type Error = Error;
    type Future = <Engine as Service<Request<Payload>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }
    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        self.0.call(request)
    }
}

#[test]
fn it_can_be_spawned_with_any_client_that_can() {
    fn spawnable(_: impl Future + Send + 'static) {}
    let client = NotSync(Engine::new(Reply::Stall), std::cell::Cell::new(0));
    let health = Arc::new(Health::new());
    let prober = Prober::new(&Normal, &target(), client, health, Settings::default()).unwrap();
    spawnable(prober.run(drop));
}
