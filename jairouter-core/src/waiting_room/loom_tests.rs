//! Every order in which those who free places and those who come to wait can meet.

use std::sync::Arc;
use std::task::Waker;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::room::{Room, Seat, Turn};
use super::settings::Settings;
use crate::balance::tests_support::request;

/// An instance whose places are counted as the balancer counts them: in no order with anything else.
#[derive(Clone)]
struct House {
    room: Arc<Room>,
    free: Arc<AtomicU64>,
}

impl House {
    fn new() -> Self {
        let room = Arc::new(Room::new(Settings::default().with_places(10)));
        Self { room, free: Arc::new(AtomicU64::new(0)) }
    }

    fn take(&self) -> bool {
        let less = |free: u64| free.checked_sub(1);
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn release(&self) {
        self.free.fetch_add(1, Ordering::Relaxed);
        self.room.released();
    }

    /// A request, as far as it comes: served, or with a seat.
    fn come(&self) -> Option<Seat> {
        if self.room.waiting() == 0 && self.take() {
            return None;
        }
        self.go_on(self.room.enter(&request(), 0, Waker::noop().clone()).unwrap())
    }

    /// One that none of the places is for.
    fn come_choosy(&self) -> Seat {
        let seat = self.room.enter(&request(), 1, Waker::noop().clone()).unwrap();
        Self::decline(seat)
    }

    fn decline(mut seat: Seat) -> Seat {
        while let Turn::Ask = seat.look(Waker::noop().clone()) {
            seat.refused(None, Waker::noop().clone()).unwrap();
        }
        seat
    }

    /// A request that is woken, likewise.
    fn go_on(&self, mut seat: Seat) -> Option<Seat> {
        while let Turn::Ask = seat.look(Waker::noop().clone()) {
            if self.take() {
                seat.served();
                return None;
            }
            seat.refused(None, Waker::noop().clone()).unwrap();
        }
        Some(seat)
    }

    /// Has those go on who wait, until none of them can.
    fn settle(&self, seats: impl IntoIterator<Item = Option<Seat>>) -> Vec<Seat> {
        let mut seats: Vec<_> = seats.into_iter().flatten().collect();
        loop {
            let before = seats.len();
            seats = seats.into_iter().filter_map(|seat| self.go_on(seat)).collect();
            if seats.len() == before {
                return seats;
            }
        }
    }

    /// Nobody waits beside a free place.
    fn check(&self, seats: &[Seat]) {
        assert_eq!(self.room.waiting(), seats.len());
        let free = self.free.load(Ordering::Relaxed);
        assert!(seats.is_empty() || free == 0, "{} wait, {free} are free", seats.len());
    }
}

#[test]
fn loom_a_release_that_meets_a_request_on_its_way_into_the_line_is_not_missed() {
    loom::model(|| {
        let house = House::new();
        let other = house.clone();
        let releases = thread::spawn(move || other.release());
        let seat = house.come();
        releases.join().unwrap();
        let seats = house.settle([seat]);
        house.check(&seats);
        assert!(seats.is_empty(), "served");
    });
}

#[test]
fn loom_two_releases_that_meet_two_requests_are_both_used() {
    let mut some = loom::model::Builder::new();
    // Every order is more than can be tried here.
    some.preemption_bound = Some(3);
    some.check(|| {
        let house = House::new();
        let other = house.clone();
        let releases = thread::spawn(move || {
            other.release();
            other.release();
        });
        let seats = [house.come(), house.come()];
        releases.join().unwrap();
        let seats = house.settle(seats);
        house.check(&seats);
        assert!(seats.is_empty(), "served");
    });
}

#[test]
fn loom_two_requests_that_meet_a_release_are_served_one_after_the_other() {
    loom::model(|| {
        let house = House::new();
        let other = house.clone();
        let second = thread::spawn(move || other.come());
        house.release();
        let first = house.come();
        let seats = house.settle([first, second.join().unwrap()]);
        house.check(&seats);
        assert_eq!(seats.len(), 1);
        house.release();
        house.check(&house.settle(seats.into_iter().map(Some)));
    });
}

#[test]
fn loom_a_release_for_one_who_leaves_is_for_the_next() {
    loom::model(|| {
        let house = House::new();
        let (first, second) = (house.come(), house.come());
        assert!(first.is_some() && second.is_some());
        let other = house.clone();
        let releases = thread::spawn(move || other.release());
        drop(first);
        let second = house.settle([second]);
        releases.join().unwrap();
        let seats = house.settle(second.into_iter().map(Some));
        house.check(&seats);
        assert!(seats.is_empty(), "served");
    });
}

#[test]
fn loom_a_release_that_meets_a_question_is_worth_another() {
    loom::model(|| {
        let house = House::new();
        let seat = house.come().unwrap();
        house.free.fetch_add(1, Ordering::Relaxed);
        house.room.released();
        assert!(house.take(), "somebody takes the place from outside");
        let other = house.clone();
        let releases = thread::spawn(move || other.release());
        let seat = house.go_on(seat);
        releases.join().unwrap();
        let seats = house.settle([seat]);
        house.check(&seats);
        assert!(seats.is_empty(), "served");
    });
}

#[test]
fn loom_what_is_of_no_use_to_one_is_for_the_next_whoever_comes_when() {
    loom::model(|| {
        let house = House::new();
        let choosy = house.come_choosy();
        let other = house.clone();
        let releases = thread::spawn(move || other.release());
        let seat = house.come();
        let choosy = House::decline(choosy);
        releases.join().unwrap();
        let choosy = House::decline(choosy);
        let seats = house.settle([seat]);
        assert!(seats.is_empty(), "served");
        assert_eq!(house.room.waiting(), 1);
        drop(choosy);
        assert_eq!(house.room.waiting(), 0);
    });
}
