use proptest::prelude::*;

use super::*;

const TTL: Duration = Duration::from_secs(10);

fn key(byte: u8) -> Key {
    Key([byte; 32])
}

/// An answer of this weight, told from others by its status.
fn answer(weight: usize, nth: u16) -> Arc<Answer> {
    let status = StatusCode::from_u16(200 + nth % 100).unwrap();
    let body = Bytes::from(vec![0; weight - OVERHEAD]);
    Arc::new(Answer { status, headers: HeaderMap::new(), body })
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_the_store_pushes_out_nothing() {
    let (mut store, now) = (Store::new(10, 2 * OVERHEAD, TTL), Instant::now());
    store.insert(key(1), answer(2 * OVERHEAD, 1), now);
    store.insert(key(2), answer(2 * OVERHEAD + 1, 2), now);
    assert!(store.get(&key(1), now).is_some() && store.get(&key(2), now).is_none());
    store.insert(key(1), answer(3 * OVERHEAD, 3), now);
    assert!(store.get(&key(1), now).is_some(), "nor the last good one of its own question");
}

#[tokio::test(start_paused = true)]
async fn the_dead_push_out_none_of_the_living() {
    let (mut store, start) = (Store::new(2, usize::MAX, TTL), Instant::now());
    store.insert(key(1), answer(OVERHEAD, 1), start);
    store.insert(key(2), answer(OVERHEAD, 2), start + TTL / 2);
    // The first is the one that was used last, and dead all the same.
    assert!(store.get(&key(1), start + TTL / 2).is_some());
    store.insert(key(3), answer(OVERHEAD, 3), start + TTL);
    assert!(store.get(&key(2), start + TTL).is_some(), "it has half its life before it");
}

#[tokio::test(start_paused = true)]
async fn what_had_to_go_comes_back() {
    let (mut store, now) = (Store::new(1, usize::MAX, TTL), Instant::now());
    assert!(store.insert(key(1), answer(OVERHEAD, 1), now).is_empty());
    let gone = store.insert(key(2), answer(OVERHEAD, 2), now);
    assert_eq!(gone.iter().map(|gone| gone.status.as_u16()).collect::<Vec<_>>(), [201]);
    assert_eq!(store.insert(key(2), answer(OVERHEAD, 3), now).len(), 1, "the older one");
    assert_eq!(store.insert(key(3), answer(OVERHEAD, 3), now + TTL).len(), 1, "the expired one");
}

/// The same rules, by linear search over a list: the least recently used first.
struct Plain {
    most: usize,
    most_bytes: usize,
    entries: Vec<(Key, Arc<Answer>, Instant)>,
}

impl Plain {
    fn bytes(&self) -> usize {
        self.entries.iter().map(|(_, answer, _)| answer.weight()).sum()
    }

    fn get(&mut self, key: &Key, now: Instant) -> Option<(u16, Duration)> {
        let at = self.entries.iter().position(|(other, ..)| other == key)?;
        let entry = self.entries.remove(at);
        if now - entry.2 >= TTL {
            return None;
        }
        let found = (entry.1.status.as_u16(), now - entry.2);
        self.entries.push(entry);
        Some(found)
    }

    fn insert(&mut self, key: Key, answer: Arc<Answer>, now: Instant) {
        self.entries.retain(|(_, _, stored)| now - *stored < TTL);
        if answer.weight() > self.most_bytes || self.most == 0 {
            return;
        }
        self.entries.retain(|(other, ..)| *other != key);
        self.entries.push((key, answer, now));
        while self.entries.len() > self.most || self.bytes() > self.most_bytes {
            self.entries.remove(0);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u8, usize),
    Get(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8_u8, 0..1500_usize).prop_map(|(key, size)| Step::Insert(key, OVERHEAD + size)),
        4 => (0..8_u8).prop_map(Step::Get),
        1 => (0..12_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Nothing is lost that has its place, nothing is found that has not, and the sums are right.
    #[test]
    fn the_store_is_a_list_that_is_searched_from_its_end(
        most in 0..6_usize,
        most_bytes in 0..6000_usize,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let (mut store, mut now) = (Store::new(most, most_bytes, TTL), Instant::now());
        let mut plain = Plain { most, most_bytes, entries: Vec::new() };
        for (nth, step) in (0..).zip(steps) {
            match step {
                Step::Insert(byte, weight) => {
                    let answer = answer(weight, nth);
                    store.insert(key(byte), Arc::clone(&answer), now);
                    plain.insert(key(byte), answer, now);
                }
                Step::Get(byte) => {
                    let found = store.get(&key(byte), now);
                    let found = found.map(|(answer, age)| (answer.status.as_u16(), age));
                    prop_assert_eq!(found, plain.get(&key(byte), now));
                }
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
            }
            prop_assert_eq!(store.len(), plain.entries.len());
            prop_assert_eq!(store.bytes(), plain.bytes());
            prop_assert!(store.len() <= most && store.bytes() <= most_bytes);
            prop_assert_eq!(store.by_use.len(), store.len());
            prop_assert_eq!(store.by_birth.len(), store.len());
        }
    }
}
