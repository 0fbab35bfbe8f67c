//! Who is turned away, when, and with what.

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready};

use super::*;

/// In seconds, as it is sent.
fn retry_after(error: &Error) -> u64 {
    let after = error.retry_after().expect("it says when to come back");
    after.as_secs_f64().ceil() as u64
}

#[tokio::test(start_paused = true)]
async fn a_full_room_is_503_at_once() {
    let house = House::new(2, 1);
    let _held = house.served();
    let _waiters = [(); 2].map(|()| house.waiting(request()));
    let error = refused(&mut house.call(request()));
    assert_eq!((error.kind(), error.status().as_u16()), (Kind::Overloaded, 503));
    assert_eq!(error.code(), "overloaded");
    assert_eq!(house.room.waiting(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_who_was_called_has_a_place_until_it_is_served() {
    let house = House::new(1, 1);
    let held = house.served();
    let mut waiter = house.waiting(request());
    drop(held);
    assert_eq!(refused(&mut house.call(request())).kind(), Kind::Overloaded);
    let _held = served(&mut waiter);
    drop(house.waiting(request()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_time_and_not_before() {
    let house = House::with(Settings::default().with_places(5).with_timeout(3 * SECOND), 1);
    let _held = house.served();
    let mut first = house.waiting(request());
    advance(2 * SECOND).await;
    let mut second = house.waiting(request());
    assert_pending!(first.poll());
    advance(Duration::from_millis(999)).await;
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    advance(Duration::from_millis(2)).await;
    assert!(first.is_woken());
    let error = refused(&mut first);
    assert_eq!((error.kind(), error.code()), (Kind::Overloaded, "overloaded"));
    assert_eq!(error.message(), "no instance of the model became free in time");
    assert_pending!(second.poll());
    assert_eq!(house.room.waiting(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_wait_that_the_room_would_allow() {
    let house = House::new(5, 1);
    let _held = house.served();
    let deadline = Some(Instant::now() + 2 * SECOND);
    let mut waiter = house.waiting(request().with_deadline(deadline));
    advance(2 * SECOND + Duration::from_millis(1)).await;
    assert!(waiter.is_woken());
    assert_eq!(refused(&mut waiter).kind(), Kind::Overloaded);
}

/// A house at which one of so many that wait has been served, each `pace` apart.
async fn at_pace(pace: Duration, waiting: usize) -> (House, Vec<Waiter>, Held) {
    let house = House::new(100, 1);
    let mut held = house.served();
    let mut waiters: Vec<_> = (0..waiting + 10).map(|_| house.waiting(request())).collect();
    for _ in 0..10 {
        advance(pace).await;
        drop(held);
        held = served(&mut waiters.remove(0));
    }
    (house, waiters, held)
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_nearer_than_the_turn_is_refused_at_once() {
    let (house, _waiters, _held) = at_pace(SECOND / 2, 9).await;
    let within = |millis| {
        let deadline = Instant::now() + Duration::from_millis(millis);
        request().with_deadline(Some(deadline))
    };
    let error = refused(&mut house.call(within(4_900)));
    assert_eq!((error.kind(), retry_after(&error)), (Kind::Overloaded, 5));
    drop(house.waiting(within(5_100)));
    let mut extensions = Extensions::new();
    extensions.insert(Priority(1));
    drop(house.waiting(within(600).with_extensions(extensions)));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_the_number_that_wait_at_the_pace_of_late() {
    for (pace, waiting, expected) in [(500, 40, 20), (10, 20, 1), (3_000, 90, 60)] {
        let settings = Settings::default().with_places(waiting).with_timeout(1000 * SECOND);
        let house = House::with(settings, 1);
        let mut held = house.served();
        let mut waiters: Vec<_> = (0..waiting).map(|_| house.waiting(request())).collect();
        for _ in 0..10 {
            advance(Duration::from_millis(pace)).await;
            drop(held);
            held = served(&mut waiters.remove(0));
            waiters.push(house.waiting(request()));
        }
        let error = refused(&mut house.call(request()));
        assert_eq!(retry_after(&error), expected, "{waiting} at one in {pace} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_grows_while_nothing_becomes_free() {
    let (_house, mut waiters, _held) = at_pace(SECOND / 10, 30).await;
    advance(9 * SECOND).await;
    let error = refused(&mut waiters[0]);
    let after = error.retry_after().unwrap();
    assert!(
        after > 30 * SECOND,
        "29 at 0.1 s would be 3 s, and nothing has moved for 9: {after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_no_pace_is_known_a_full_room_takes_its_longest_wait() {
    let house = House::new(4, 1);
    let _held = house.served();
    let _waiters = [(); 4].map(|()| house.waiting(request()));
    assert_eq!(retry_after(&refused(&mut house.call(request()))), 10);
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_takes_the_place_of_the_last_that_was_retried() {
    let house = House::new(3, 1);
    let held = house.served();
    let mut fresh = house.waiting(request());
    let (mut early, mut late) = (house.waiting(retried()), house.waiting(retried()));
    let mut newcomer = house.waiting(request());
    assert!(late.is_woken() && !early.is_woken());
    let error = refused(&mut late);
    assert_eq!((error.kind(), error.code()), (Kind::Overloaded, "overloaded"));
    assert!(error.retry_after().is_some());
    assert_eq!(house.room.waiting(), 3);
    let error = refused(&mut house.call(retried()));
    assert_eq!(error.kind(), Kind::Overloaded, "one retry does not displace another");
    drop(held);
    drop(served(&mut fresh));
    drop(served(&mut newcomer));
    drop(served(&mut early));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_more_urgent_or_has_been_called_keeps_its_place() {
    let house = House::new(1, 1);
    let held = house.served();
    let mut urgent = retried();
    urgent = urgent.with_extensions(of_priority(1).extensions.clone());
    let mut waiter = house.waiting(urgent);
    refused(&mut house.call(request()));
    let as_urgent = house.waiting(of_priority(1));
    refused(&mut waiter);
    drop(as_urgent);
    let mut waiter = house.waiting(retried());
    drop(held);
    refused(&mut house.call(request()));
    drop(served(&mut waiter));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_for_now_is_passed_on() {
    let others = [
        Error::new(Kind::Busy, "the instance says so"),
        Error::new(Kind::RateLimited, "the caller's").unsent(),
        Error::new(Kind::NoInstance, "none"),
    ];
    for error in others {
        let (kind, room) = (error.kind(), Arc::new(Room::new(Settings::default().with_places(9))));
        let error = std::sync::Mutex::new(Some(error));
        let service = tower::service_fn(|_: InferenceRequest| {
            ready(Err::<(), _>(error.lock().unwrap().take().unwrap()))
        });
        let mut service = WaitingRoom::new(service, Arc::clone(&room));
        let mut call = tokio_test::task::spawn(service.call(request()));
        assert_eq!(assert_ready!(call.poll()).unwrap_err().kind(), kind);
        assert_eq!(room.waiting(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_the_first_finds_is_news_to_all_who_wait() {
    let room = Arc::new(Room::new(Settings::default().with_places(9)));
    let down = std::sync::atomic::AtomicBool::new(false);
    let mut service = WaitingRoom::new(
        tower::service_fn(|_: InferenceRequest| {
            let kind = if down.load(Ordering::Relaxed) { Kind::NoInstance } else { Kind::Busy };
            ready(Err::<(), _>(Error::new(kind, "no").unsent()))
        }),
        Arc::clone(&room),
    );
    let mut waiters = [(); 3].map(|()| tokio_test::task::spawn(service.call(request())));
    assert!(waiters.iter_mut().all(|waiter| waiter.poll().is_pending()));
    down.store(true, Ordering::Relaxed);
    room.released();
    for waiter in &mut waiters {
        assert!(waiter.is_woken());
        assert_eq!(assert_ready!(waiter.poll()).unwrap_err().kind(), Kind::NoInstance);
    }
    assert_eq!(room.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_room_without_places_is_not_there() {
    let house = House::new(0, 1);
    let _held = house.served();
    let error = refused(&mut house.call(request()));
    assert_eq!((error.kind(), error.message()), (Kind::Busy, "full"));
    assert_eq!(house.engine.asked(), 2);
}
