//! Asking without having been called.

use tokio::time::advance;
use tokio_test::{assert_pending, task};
use tower::ServiceExt;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_place_that_becomes_free_while_somebody_is_refused_is_not_missed() {
    let house = House::new(10, 0);
    let (room, engine) = (&house.room, &house.engine);
    let freeing = tower::service_fn(|request: InferenceRequest| {
        let refused = engine.clone().call(request);
        // Between the refusal and the line: of the first question nobody is in it yet.
        if engine.asked() == 1 {
            engine.grow();
            room.released();
        }
        refused
    });
    let service = WaitingRoom::new(freeing, Arc::clone(room));
    let mut waiter = task::spawn(service.oneshot(request()));
    assert!(waiter.poll().is_ready());
    assert_eq!((engine.asked(), room.waiting()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_release_during_a_second_question_is_worth_a_third() {
    let house = House::new(10, 0);
    let (room, engine) = (&house.room, &house.engine);
    let freeing = tower::service_fn(|request: InferenceRequest| {
        let refused = engine.clone().call(request);
        if engine.asked() == 2 {
            engine.grow();
            room.released();
        }
        refused
    });
    let service = WaitingRoom::new(freeing, Arc::clone(room));
    let mut waiter = task::spawn(service.oneshot(request()));
    assert!(waiter.poll().is_ready());
    assert_eq!(engine.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_first_asks_without_being_called_when_the_refusal_says_so_and_then_the_next() {
    let house = House::new(10, 0);
    let shared = Shared {
        retry_after: Some(Duration::from_millis(200)),
        free: AtomicUsize::new(0),
        asked: AtomicUsize::new(0),
        room: Arc::clone(&house.room),
    };
    let house = House { engine: Engine(Arc::new(shared)), ..house };
    let mut waiters: Vec<_> = (0..4).map(|_| house.waiting(request())).collect();
    // As a rate limit does: without a word.
    house.engine.grow();
    house.engine.grow();
    advance(Duration::from_millis(199)).await;
    assert!(!waiters.iter().any(Spawn::is_woken), "not before");
    advance(Duration::from_millis(2)).await;
    let _first = served(&mut waiters[0]);
    let _second = served(&mut waiters[1]);
    assert!(waiters[2].is_woken(), "whoever is served on trial has the next try");
    let before = house.engine.asked();
    assert_pending!(waiters[2].poll());
    assert_pending!(waiters[3].poll());
    assert_eq!(house.engine.asked() - before, 1, "and the first refusal ends that");
}

#[tokio::test(start_paused = true)]
async fn the_next_takes_over_the_watch_when_the_first_leaves() {
    let house = House::new(10, 0);
    let (first, mut second) = (house.waiting(request()), house.waiting(request()));
    drop(first);
    assert!(second.is_woken(), "to set its clock");
    assert_pending!(second.poll());
    house.engine.grow();
    advance(SECOND + Duration::from_millis(1)).await;
    assert!(second.is_woken(), "an instance that comes back says nothing");
    drop(served(&mut second));
}

#[tokio::test(start_paused = true)]
async fn a_called_request_that_nobody_polls_holds_up_no_other_for_long() {
    let house = House::new(10, 1);
    let held = house.served();
    let (_forgotten, mut second) = (house.waiting(request()), house.waiting(request()));
    drop(held);
    assert_pending!(second.poll());
    advance(SECOND + Duration::from_millis(1)).await;
    drop(served(&mut second));
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_is_slow_to_refuse_has_its_requests_wait_too() {
    let house = House::new(10, 0);
    let engine = house.engine.clone();
    let slow = tower::service_fn(move |request: InferenceRequest| {
        let mut engine = engine.clone();
        async move {
            tokio::task::yield_now().await;
            engine.call(request).await
        }
    });
    let mut service = WaitingRoom::new(slow, Arc::clone(&house.room));
    let mut waiters = [(); 2].map(|()| task::spawn(service.call(request())));
    for _ in 0..10 {
        assert!(waiters.iter_mut().all(|waiter| waiter.poll().is_pending()));
    }
    assert_eq!((house.room.waiting(), house.engine.asked()), (2, 4), "at rest");
    house.engine.grow();
    house.room.released();
    assert_pending!(waiters[0].poll());
    assert_eq!(house.room.waiting(), 1, "who is asked for no longer stands in line");
    assert!(waiters[0].poll().is_ready());
    drop(waiters);
    assert_eq!(house.room.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_before_a_slow_service_took_the_place_has_the_next_try() {
    let house = House::new(10, 0);
    let engine = house.engine.clone();
    let slow = tower::service_fn(move |request: InferenceRequest| {
        let mut engine = engine.clone();
        async move {
            let outcome = engine.call(request.clone()).await;
            if outcome.is_ok() && request.extensions.get::<Priority>().is_some() {
                drop(outcome.map(std::mem::forget));
                engine.grow();
                return std::future::pending().await;
            }
            outcome
        }
    });
    let mut service = WaitingRoom::new(slow, Arc::clone(&house.room));
    let mut first = task::spawn(service.call(of_priority(1)));
    let mut second = task::spawn(service.call(request()));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    house.engine.grow();
    house.room.released();
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(first);
    assert!(second.is_woken());
    assert!(second.poll().is_ready());
}
