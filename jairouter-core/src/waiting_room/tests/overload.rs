//! Ten times as much as can be done.

use std::sync::Mutex;

use tokio::time::{Instant, sleep, timeout};

use super::*;

const CAPACITY: usize = 4;
const LIMIT: Duration = Duration::from_secs(3);
const LENGTH: u64 = 60;

/// What became of the requests.
#[derive(Debug, Default)]
struct Seen {
    done: u64,
    refused: u64,
    left: u64,
    longest: Duration,
    /// Between coming and a refusal because the room is full.
    shed: Duration,
}

/// Asks for an answer that takes a second, and waits for it no longer than its patience.
async fn caller(mut service: WaitingRoom<Engine>, patience: Duration, seen: Arc<Mutex<Seen>>) {
    let came = Instant::now();
    let answer = async {
        let held = service.call(request()).await?;
        let waited = came.elapsed();
        sleep(SECOND).await;
        drop(held);
        Ok::<_, Error>(waited)
    };
    let outcome = timeout(patience, answer).await;
    let mut seen = seen.lock().unwrap();
    match outcome {
        Ok(Ok(waited)) => {
            seen.done += 1;
            seen.longest = seen.longest.max(waited);
        }
        Ok(Err(error)) => {
            assert_eq!(error.status().as_u16(), 503);
            let after = error.retry_after().unwrap();
            assert!((SECOND..=5 * SECOND).contains(&after), "{after:?}");
            seen.refused += 1;
            if error.message().contains("no more requests") {
                seen.shed = seen.shed.max(came.elapsed());
            }
        }
        Err(_) => seen.left += 1,
    }
}

// fault: R16
#[tokio::test(start_paused = true)]
async fn at_ten_times_the_capacity_the_engines_work_at_full_pace_and_no_wait_is_over_the_limit() {
    let house = House::with(Settings::default().with_places(12).with_timeout(LIMIT), CAPACITY);
    let service = WaitingRoom::new(house.engine.clone(), Arc::clone(&house.room));
    let seen = Arc::new(Mutex::new(Seen::default()));
    let arrivals = 10 * CAPACITY as u64 * LENGTH;
    for nth in 0..arrivals {
        // One in five has no patience, and leaves in the queue or in the middle of its answer.
        let patience = if nth % 5 == 0 { SECOND / 2 } else { 60 * SECOND };
        tokio::spawn(caller(service.clone(), patience, Arc::clone(&seen)));
        sleep(SECOND / 10 / CAPACITY as u32).await;
    }
    let in_time = seen.lock().unwrap().done;
    sleep(10 * SECOND).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.done + seen.refused + seen.left, arrivals, "{seen:?}");
    assert!(in_time * 10 >= 9 * CAPACITY as u64 * LENGTH, "90 % of what can be done: {seen:?}");
    assert!(seen.longest <= LIMIT + Duration::from_millis(1), "{seen:?}");
    assert_eq!(seen.shed, Duration::ZERO, "a full room says so at once");
    assert_eq!(house.room.waiting(), 0);
}
