//! Those that not every instance will do for.

use tokio_test::{assert_pending, assert_ready};

use super::*;
use crate::waiting_room::{Find, Stay};

/// The instance that it has been to.
const BEEN_TO: u64 = 1;

/// One that takes what there is if `fits`.
struct Choosy {
    stay: Spawn<Pin<Box<Stay>>>,
    asked: usize,
}

impl Choosy {
    fn enter(house: &House) -> Result<Self, Error> {
        let cx = Context::from_waker(Waker::noop());
        let stay = Box::pin(Stay::new(&house.room, &request(), BEEN_TO, &cx)?);
        Ok(Self { stay: tokio_test::task::spawn(stay), asked: 0 })
    }

    fn poll(&mut self, fits: bool) -> Poll<Result<(), Option<Error>>> {
        let asked = &mut self.asked;
        self.stay.enter(|cx, stay| {
            stay.get_mut().as_mut().poll_turn(cx, || {
                *asked += 1;
                if fits { Find::One(()) } else { Find::NotNow }
            })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_of_no_use_to_it_is_for_those_behind() {
    let house = House::new(10, 1);
    let held = house.served();
    let mut first = Choosy::enter(&house).unwrap();
    assert_pending!(first.poll(false), "asks when it enters, and waits");
    let mut second = Choosy::enter(&house).unwrap();
    assert_pending!(second.poll(false));
    let mut last = house.waiting(request());
    let asked = (first.asked, second.asked);
    house.engine.grow();
    house.room.released_at(Some(BEEN_TO));
    assert!(!first.stay.is_woken() && !second.stay.is_woken(), "it is not for them");
    let held_too = served(&mut last);
    let mut last = house.waiting(request());
    drop(held);
    assert!(first.stay.is_woken() && !second.stay.is_woken(), "where it is free is not known");
    assert_pending!(first.poll(false));
    assert_eq!((first.asked, second.asked), (asked.0 + 1, asked.1));
    let _held = (served(&mut last), held_too);
    assert_eq!(house.room.waiting(), 2);
    house.room.released_at(Some(BEEN_TO << 1));
    assert!(first.stay.is_woken() && !second.stay.is_woken());
    assert_ready!(first.poll(true)).unwrap();
    drop((first, second));
    assert_eq!(house.room.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_nothing_to_wait_for_is_gone_at_once() {
    let house = House::new(10, 1);
    let _held = house.served();
    let mut choosy = Choosy::enter(&house).unwrap();
    let gone =
        choosy.stay.enter(|cx, stay| stay.get_mut().as_mut().poll_turn(cx, || Find::<()>::Never));
    assert!(matches!(gone, Poll::Ready(Err(None))));
    assert_eq!(house.room.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_comes_need_not_stand_behind_it() {
    let house = House::new(10, 2);
    let _held = house.served();
    let mut choosy = Choosy::enter(&house).unwrap();
    assert_pending!(choosy.poll(false));
    let _next = house.served();
    assert_eq!(house.room.waiting(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_served_where_it_would_have_stood() {
    let house = House::new(10, 1);
    let held = house.served();
    let earlier = request();
    let mut early = house.call(earlier);
    advance(SECOND).await;
    let mut choosy = Choosy::enter(&house).unwrap();
    advance(SECOND).await;
    let mut late = house.waiting(request());
    assert_pending!(early.poll(), "received first, and last in line");
    drop(held);
    drop(served(&mut early));
    assert_ready!(choosy.poll(true)).unwrap();
    house.room.released();
    let _held = served(&mut late);
}

#[tokio::test(start_paused = true)]
async fn the_room_is_as_large_and_the_wait_as_long_as_for_others() {
    let house = House::with(Settings::default().with_places(1).with_timeout(3 * SECOND), 1);
    let _held = house.served();
    let mut choosy = Choosy::enter(&house).unwrap();
    assert_pending!(choosy.poll(false));
    assert_eq!(Choosy::enter(&house).err().map(|error| error.kind()), Some(Kind::Overloaded));
    for _ in 0..3 {
        assert_pending!(choosy.poll(false), "it looks now and then");
        advance(SECOND).await;
    }
    let late = assert_ready!(choosy.poll(false)).unwrap_err();
    assert_eq!(late.map(|late| late.kind()), Some(Kind::Overloaded));
    assert!((3..=5).contains(&choosy.asked), "{}", choosy.asked);
    assert_eq!(house.room.waiting(), 0);
}
