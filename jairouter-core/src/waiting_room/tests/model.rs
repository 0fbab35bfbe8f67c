//! The room against a plain model that is obviously right.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tokio::time::advance;

use super::*;

const PLACES: usize = 5;
const CAPACITY: usize = 3;

/// Never at the same time as a step, which is of whole tens of milliseconds.
const TIMEOUT: Duration = Duration::from_millis(1_505);

#[derive(Debug, Clone)]
enum Step {
    Arrive {
        priority: u8,
        retried: bool,
    },
    /// One of those that are served is over.
    Finish(usize),
    /// One of those that wait leaves.
    Leave(usize),
    /// One of those that wait is polled, woken or not.
    Poll(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8, any::<bool>()).prop_map(|(priority, retried)| Step::Arrive { priority, retried }),
        4 => (0..100_usize).prop_map(Step::Finish),
        2 => (0..100_usize).prop_map(Step::Leave),
        4 => (0..100_usize).prop_map(Step::Poll),
        2 => (1..50_u64).prop_map(Step::Pass),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Served,
    Refused,
}

/// A line is a list, and the next is the least of it.
#[derive(Default)]
struct Model {
    now: Duration,
    waiting: Vec<Entry>,
    running: usize,
    fates: Vec<(usize, Fate)>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: usize,
    priority: u8,
    retried: bool,
    until: Duration,
}

impl Model {
    fn arrive(&mut self, id: usize, priority: u8, retried: bool) {
        if self.running < CAPACITY {
            assert!(self.waiting.is_empty());
            self.running += 1;
            return self.fates.push((id, Fate::Served));
        }
        if self.waiting.len() == PLACES {
            let weak = |entry: &Entry| !retried && entry.retried && entry.priority <= priority;
            let mut weaker: Vec<_> = self.waiting.iter().copied().filter(weak).collect();
            weaker.sort_by_key(|entry| (entry.priority, std::cmp::Reverse(entry.id)));
            let Some(victim) = weaker.first() else {
                return self.fates.push((id, Fate::Refused));
            };
            self.fates.push((victim.id, Fate::Refused));
            self.leave(victim.id);
        }
        self.waiting.push(Entry { id, priority, retried, until: self.now + TIMEOUT });
    }

    fn finish(&mut self) {
        self.running -= 1;
        let order = |entry: &&Entry| (u8::MAX - entry.priority, entry.retried, entry.id);
        if let Some(id) = self.waiting.iter().min_by_key(order).map(|entry| entry.id) {
            self.leave(id);
            self.running += 1;
            self.fates.push((id, Fate::Served));
        }
    }

    fn leave(&mut self, id: usize) {
        self.waiting.retain(|entry| entry.id != id);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let late = self.waiting.iter().filter(|entry| entry.until <= self.now);
        self.fates.extend(late.map(|entry| (entry.id, Fate::Refused)));
        self.waiting.retain(|entry| entry.until > self.now);
    }
}

/// The room, its requests and what has become of them.
struct Real {
    house: House,
    waiting: Vec<(usize, Waiter)>,
    running: Vec<Held>,
    fates: Vec<(usize, Fate)>,
    arrivals: usize,
}

impl Real {
    fn new() -> Self {
        let settings = Settings::default().with_places(PLACES as u32).with_timeout(TIMEOUT);
        let house = House::with(settings, CAPACITY);
        Self { house, waiting: vec![], running: vec![], fates: vec![], arrivals: 0 }
    }

    fn arrive(&mut self, priority: u8, is_retried: bool) -> usize {
        let extensions = of_priority(priority).extensions.clone();
        let request = if is_retried { retried() } else { request() };
        let waiter = self.house.call(request.with_extensions(extensions));
        self.waiting.push((self.arrivals, waiter));
        self.poll(self.waiting.len() - 1);
        self.arrivals += 1;
        self.arrivals - 1
    }

    /// Polls one of those that wait. Whether that was all it took.
    fn poll(&mut self, nth: usize) -> bool {
        let (id, waiter) = &mut self.waiting[nth];
        let fate = match waiter.poll() {
            Poll::Pending => return false,
            Poll::Ready(Ok(held)) => {
                self.running.push(held);
                Fate::Served
            }
            Poll::Ready(Err(error)) => {
                assert_eq!(error.kind(), Kind::Overloaded);
                Fate::Refused
            }
        };
        self.fates.push((*id, fate));
        drop(self.waiting.remove(nth));
        true
    }

    /// Polls whoever is woken, the latest first, until nobody is.
    fn settle(&mut self) {
        while let Some(nth) = self.waiting.iter().rposition(|(_, waiter)| waiter.is_woken()) {
            self.poll(nth);
        }
    }

    /// Nobody waits beside a free place, and none but those who wait are in the room.
    fn check(&self) -> Result<(), TestCaseError> {
        let free = CAPACITY - self.running.len();
        prop_assert!(
            free == 0 || self.waiting.is_empty(),
            "{} wait beside {free}",
            self.waiting.len()
        );
        prop_assert_eq!(self.house.room.waiting(), self.waiting.len());
        Ok(())
    }
}

/// On a clock that stands still.
fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(test)
}

async fn against_the_model(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (mut real, mut model) = (Real::new(), Model::default());
    for step in steps {
        match step {
            Step::Arrive { priority, retried } => {
                let id = real.arrive(priority, retried);
                model.arrive(id, priority, retried);
            }
            Step::Finish(nth) if !real.running.is_empty() => {
                drop(real.running.swap_remove(nth % real.running.len()));
                model.finish();
            }
            Step::Leave(nth) if !real.waiting.is_empty() => {
                let (id, waiter) = real.waiting.remove(nth % real.waiting.len());
                drop(waiter);
                model.leave(id);
            }
            Step::Poll(nth) if !real.waiting.is_empty() => {
                prop_assert!(!real.poll(nth % real.waiting.len()), "nothing has happened");
            }
            Step::Pass(tens) => {
                let time = Duration::from_millis(10 * tens);
                advance(time).await;
                model.pass(time);
            }
            _ => {}
        }
        real.settle();
        let sorted = |fates: &[(usize, Fate)]| {
            let mut fates = fates.to_vec();
            fates.sort_by_key(|(id, _)| *id);
            fates
        };
        prop_assert_eq!(sorted(&real.fates), sorted(&model.fates));
        let served = |fates: &[(usize, Fate)]| -> Vec<_> {
            fates.iter().filter(|(_, fate)| *fate == Fate::Served).copied().collect()
        };
        prop_assert_eq!(served(&real.fates), served(&model.fates), "in this order");
        prop_assert_eq!(real.running.len(), model.running);
        real.check()?;
    }
    Ok(())
}

/// Requests whose tasks are slow: those that are called ask late, or leave before.
fn with_laggards(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut real = Real::new();
    for step in steps {
        match step {
            Step::Arrive { priority, retried } => {
                let (waited, asked) = (real.house.room.waiting(), real.house.engine.asked());
                real.arrive(priority, retried);
                let asked = real.house.engine.asked() > asked;
                prop_assert!(waited == 0 || !asked, "{waited} wait, and it asks");
            }
            Step::Finish(nth) if !real.running.is_empty() => {
                drop(real.running.swap_remove(nth % real.running.len()));
            }
            Step::Leave(nth) if !real.waiting.is_empty() => {
                drop(real.waiting.remove(nth % real.waiting.len()));
            }
            Step::Poll(nth) if !real.waiting.is_empty() => {
                real.poll(nth % real.waiting.len());
            }
            _ => {}
        }
        prop_assert!(real.house.room.waiting() <= PLACES);
        // One that was turned away is told so when it is polled.
        prop_assert!(real.house.room.waiting() <= real.waiting.len());
    }
    real.settle();
    real.check()?;
    while real.running.pop().is_some() {
        real.settle();
        real.check()?;
    }
    prop_assert!(real.waiting.is_empty(), "everybody is served");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_room_is_a_sorted_list(steps in prop::collection::vec(step(), 160..320)) {
        paused(against_the_model(steps))?;
    }

    #[test]
    fn however_slow_those_are_who_are_called_no_free_place_is_forgotten(
        steps in prop::collection::vec(step(), 160..320),
    ) {
        paused(async { with_laggards(steps) })?;
    }
}
