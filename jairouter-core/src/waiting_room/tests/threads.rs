//! Requests on several runtimes, each on a thread of its own, as the program has them.

use tokio_test::task;

use super::*;

#[test]
fn threads_that_come_and_go_are_all_served_and_leave_an_empty_room() {
    const EACH: usize = 500;
    let room = Arc::new(Room::new(Settings::default().with_places(100)));
    let engine = Engine::new(2, &room);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (room, engine) = (Arc::clone(&room), engine.clone());
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                runtime.unwrap().block_on(async {
                    for nth in 0..EACH {
                        let mut service = WaitingRoom::new(engine.clone(), Arc::clone(&room));
                        let mut waiter = task::spawn(service.call(request()));
                        if nth % 7 == 0 {
                            drop(waiter.poll());
                            continue;
                        }
                        let held = service.call(request()).await;
                        tokio::task::yield_now().await;
                        drop(held.unwrap());
                    }
                });
            });
        }
    });
    assert_eq!(room.waiting(), 0);
    assert_eq!(engine.0.free.load(Ordering::Relaxed), 2);
}
