//! The answers and the order in which they go. It knows no lock and reads no clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::key::Key;

/// What keeping an answer takes beside its bytes: its entry, its places in the two orders, and a
/// header map of its own.
const OVERHEAD: usize = 512;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Exactly these bytes: no slice of something larger.
    pub(super) body: Bytes,
}

impl Answer {
    /// The memory it takes, in bytes.
    fn weight(&self) -> usize {
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            name.as_str().len() + value.len()
        };
        OVERHEAD + self.body.len() + self.headers.iter().map(header).sum::<usize>()
    }
}

/// Answers within a number and a weight, the least recently used out first.
///
/// The two orders are maps from a count that only grows, so that any of their ends and any entry in
/// their middle is a few steps away. Every answer lives equally long: the order by birth is the
/// order of death.
#[derive(Debug)]
pub(super) struct Store {
    most: usize,
    most_bytes: usize,
    ttl: Duration,
    entries: HashMap<Key, Entry>,
    by_use: BTreeMap<u64, Key>,
    by_birth: BTreeMap<u64, Key>,
    bytes: usize,
    count: u64,
}

#[derive(Debug)]
struct Entry {
    answer: Arc<Answer>,
    weight: usize,
    stored: Instant,
    used: u64,
    born: u64,
}

impl Store {
    pub(super) fn new(most: usize, most_bytes: usize, ttl: Duration) -> Self {
        Self {
            most,
            most_bytes,
            ttl,
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            by_birth: BTreeMap::new(),
            bytes: 0,
            count: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The answer, unless it has expired, and its age. It is the most recently used one now.
    pub(super) fn get(&mut self, key: &Key, now: Instant) -> Option<(Arc<Answer>, Duration)> {
        let entry = self.entries.get_mut(key)?;
        let age = now.saturating_duration_since(entry.stored);
        if age >= self.ttl {
            self.remove(key);
            return None;
        }
        self.by_use.remove(&entry.used);
        entry.used = self.count;
        self.by_use.insert(entry.used, *key);
        self.count += 1;
        Some((Arc::clone(&entry.answer), age))
    }

    /// Stores an answer, in place of an older one to the same question. What had to go for it comes
    /// back, to be freed where nobody waits.
    ///
    /// The expired go first, so that the dead push out none of the living. An answer too large for
    /// the whole store pushes out nothing.
    pub(super) fn insert(
        &mut self,
        key: Key,
        answer: Arc<Answer>,
        now: Instant,
    ) -> Vec<Arc<Answer>> {
        let mut gone = Vec::new();
        while let Some(oldest) = self.expired(now) {
            gone.extend(self.remove(&oldest));
        }
        let weight = answer.weight();
        if weight > self.most_bytes || self.most == 0 {
            return gone;
        }
        gone.extend(self.remove(&key));
        while self.entries.len() >= self.most || self.bytes + weight > self.most_bytes {
            let Some(key) = self.by_use.first_key_value().map(|(_, key)| *key) else { break };
            gone.extend(self.remove(&key));
        }
        let (used, born) = (self.count, self.count);
        self.count += 1;
        self.by_use.insert(used, key);
        self.by_birth.insert(born, key);
        self.bytes += weight;
        self.entries.insert(key, Entry { answer, weight, stored: now, used, born });
        gone
    }

    /// The oldest answer, if it has expired.
    fn expired(&self, now: Instant) -> Option<Key> {
        let (_, key) = self.by_birth.first_key_value()?;
        let entry = self.entries.get(key)?;
        (now.saturating_duration_since(entry.stored) >= self.ttl).then_some(*key)
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<Answer>> {
        let entry = self.entries.remove(key)?;
        self.by_use.remove(&entry.used);
        self.by_birth.remove(&entry.born);
        self.bytes -= entry.weight;
        Some(entry.answer)
    }
}

#[cfg(test)]
mod tests;
