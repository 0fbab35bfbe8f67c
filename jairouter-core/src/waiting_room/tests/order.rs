//! Who is served next, and by what.

use tokio_test::assert_pending;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_request_that_need_not_wait_is_asked_for_once_and_at_once() {
    let house = House::new(10, 1);
    let _held = house.served();
    assert_eq!((house.engine.asked(), house.room.waiting()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served() {
    let house = House::new(10, 1);
    let mut held = house.served();
    let mut waiters: Vec<_> = (0..5).map(|_| house.waiting(request())).collect();
    for nth in 0..5 {
        drop(held);
        let woken: Vec<_> = waiters.iter().map(Spawn::is_woken).collect();
        assert!(woken[0], "the first of those left, {nth} served before");
        // The next one is on watch; no other hears of it.
        assert!(!woken.iter().skip(2).any(|woken| *woken), "{woken:?}");
        held = served(&mut waiters[0]);
        drop(waiters.remove(0));
        assert_eq!(house.room.waiting(), waiters.len());
    }
}

#[tokio::test(start_paused = true)]
async fn one_release_is_one_question() {
    let house = House::new(10, 2);
    let (first, _second) = (house.served(), house.served());
    let mut waiters: Vec<_> = (0..3).map(|_| house.waiting(request())).collect();
    let before = house.engine.asked();
    drop(first);
    let _held: Vec<_> = waiters.iter_mut().map(Spawn::poll).collect();
    assert_eq!(house.engine.asked() - before, 1);
    assert_eq!(house.room.waiting(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_more_urgent_first_and_retries_behind_others_of_their_priority() {
    let house = House::new(10, 1);
    let mut held = house.served();
    let requests = [retried(), request(), of_priority(1), of_priority(200), request()];
    let mut waiters: Vec<_> = requests.map(|request| Some(house.waiting(request))).into();
    let mut order = Vec::new();
    while order.len() < 5 {
        drop(held);
        let polled = waiters.iter_mut().enumerate().find_map(|(nth, slot)| {
            let waiter = slot.as_mut()?;
            if let Poll::Ready(Ok(held)) = waiter.poll() { Some((nth, held)) } else { None }
        });
        let (nth, next) = polled.expect("one is served");
        waiters[nth] = None;
        order.push(nth);
        held = next;
    }
    assert_eq!(order, [3, 2, 1, 4, 0]);
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_one_who_was_called() {
    let house = House::new(10, 1);
    let held = house.served();
    let mut first = house.waiting(request());
    drop(held);
    // There is a free place, and it is spoken for.
    let mut second = house.waiting(of_priority(9));
    let mut third = house.waiting(request());
    let held = served(&mut first);
    assert_pending!(second.poll());
    drop(held);
    let held = served(&mut second);
    drop(held);
    drop(served(&mut third));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_refused_again_keeps_the_head_of_the_line() {
    let house = House::new(10, 1);
    let held = house.served();
    let (mut first, mut second) = (house.waiting(request()), house.waiting(request()));
    drop(held);
    assert!(house.engine.shrink(), "somebody takes the place from outside");
    assert_pending!(first.poll());
    assert_eq!(house.room.waiting(), 2);
    house.engine.grow();
    house.room.released();
    assert!(first.is_woken());
    assert_pending!(second.poll());
    drop(served(&mut first));
    drop(served(&mut second));
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_is_out_of_the_line_at_once() {
    let house = House::new(2, 1);
    let held = house.served();
    let (first, mut second) = (house.waiting(request()), house.waiting(request()));
    drop(first);
    assert_eq!(house.room.waiting(), 1);
    let third = house.waiting(request());
    drop(third);
    drop(held);
    drop(served(&mut second));
    assert_eq!(house.room.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_called_and_leaves_before_asking_has_the_next_called() {
    let house = House::new(10, 1);
    let held = house.served();
    let (first, mut second) = (house.waiting(request()), house.waiting(request()));
    drop(held);
    assert!(first.is_woken());
    drop(first);
    assert!(second.is_woken());
    drop(served(&mut second));
}

#[tokio::test(start_paused = true)]
async fn as_many_are_called_as_places_become_free() {
    let house = House::new(10, 3);
    let held = [(); 3].map(|()| house.served());
    let mut waiters: Vec<_> = (0..5).map(|_| house.waiting(request())).collect();
    drop(held);
    // Those who are called ask in any order: there is a place for each.
    let _held = [2, 0, 1].map(|nth| served(&mut waiters[nth]));
    assert_pending!(waiters[3].poll());
    assert_eq!(house.room.waiting(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_only_those_who_were_called_hear_of_is_for_whoever_comes_next() {
    let house = House::new(10, 2);
    let held = (house.served(), house.served());
    let mut first = house.waiting(request());
    drop(held);
    let mut second = house.waiting(request());
    let _held = served(&mut first);
    assert!(second.is_woken(), "the other place is free");
    drop(served(&mut second));
}
