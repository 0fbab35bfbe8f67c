//! How instances have fared in the last minutes: counted as requests end, and looked at now and then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jairouter_core::observe::Exchange;
use serde::Serialize;
use utoipa::ToSchema;

/// How often they are looked at, and how many looks are kept: two minutes.
pub(crate) const LOOK: Duration = Duration::from_secs(2);
const MOST_LOOKS: usize = 60;

/// What has been counted at an instance since it was first served.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    failures: AtomicU64,
    /// Streams that had a first token, and how long those took, in microseconds.
    streams: AtomicU64,
    first_tokens: AtomicU64,
    output_tokens: AtomicU64,
}

/// The same at one time.
#[derive(Debug, Default, Clone, Copy)]
struct Look {
    requests: u64,
    failures: u64,
    streams: u64,
    first_tokens: u64,
    output_tokens: u64,
}

/// How an instance has fared, a number for each look, the newest last.
#[derive(Debug, Default, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pulse {
    /// Requests that ended, a second.
    requests: Vec<f32>,
    /// Those of them that failed, a second.
    failures: Vec<f32>,
    /// Milliseconds to the first token of a stream, on average; nothing if none had one.
    first_token: Vec<Option<f32>>,
    /// Output tokens a second, as far as the engine says how many there were.
    tokens: Vec<f32>,
}

/// Of all instances.
#[derive(Debug, Default)]
pub(crate) struct Pulses {
    counts: ArcSwap<HashMap<Box<str>, Arc<Counts>>>,
    seen: Mutex<HashMap<Box<str>, (Look, Pulse)>>,
}

impl Counts {
    fn look(&self) -> Look {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Look {
            requests: get(&self.requests),
            failures: get(&self.failures),
            streams: get(&self.streams),
            first_tokens: get(&self.first_tokens),
            output_tokens: get(&self.output_tokens),
        }
    }
}

impl Pulse {
    fn add(&mut self, before: Look, now: Look) {
        let a_second = |now: u64, before: u64| (now - before) as f32 / LOOK.as_secs_f32();
        push(&mut self.requests, a_second(now.requests, before.requests));
        push(&mut self.failures, a_second(now.failures, before.failures));
        push(&mut self.tokens, a_second(now.output_tokens, before.output_tokens));
        let streams = now.streams - before.streams;
        let micros = (now.first_tokens - before.first_tokens) as f32;
        let first = (streams > 0).then(|| micros / streams as f32 / 1000.0);
        push(&mut self.first_token, first);
    }
}

fn push<T>(looks: &mut Vec<T>, look: T) {
    if looks.len() == MOST_LOOKS {
        looks.remove(0);
    }
    looks.push(look);
}

impl Pulses {
    /// These instances are served from now on.
    pub(crate) fn serve<'a>(&self, instances: impl Iterator<Item = &'a str>) {
        let old = self.counts.load();
        let counts = |id: &str| old.get(id).cloned().unwrap_or_default();
        let new: HashMap<Box<str>, _> = instances.map(|id| (id.into(), counts(id))).collect();
        self.counts.store(Arc::new(new));
    }

    /// A request is over.
    pub(crate) fn tell(&self, exchange: &Exchange) {
        let counts = self.counts.load();
        let add = |count: &AtomicU64, by: u64| {
            let _ = count.fetch_add(by, Ordering::Relaxed);
        };
        for attempt in &exchange.attempts {
            if let Some(counts) = counts.get(&attempt.instance) {
                add(&counts.requests, 1);
                add(&counts.failures, 1);
            }
        }
        let answered = exchange.instance.as_ref().and_then(|instance| counts.get(instance));
        let Some(counts) = answered else { return };
        add(&counts.requests, 1);
        add(&counts.failures, exchange.error.is_some().into());
        if let (true, Some(first)) = (exchange.stream, exchange.first) {
            add(&counts.streams, 1);
            add(&counts.first_tokens, u64::try_from(first.as_micros()).unwrap_or(u64::MAX));
        }
        add(&counts.output_tokens, exchange.usage.map_or(0, |usage| usage.output));
    }

    /// Looks once more. To be called every [`LOOK`].
    pub(crate) fn look(&self) {
        let counts = self.counts.load();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|id, _| counts.contains_key(id));
        for (id, counts) in &**counts {
            let now = counts.look();
            let (before, pulse) = seen.entry(id.clone()).or_default();
            pulse.add(*before, now);
            *before = now;
        }
    }

    /// How this instance has fared.
    pub(crate) fn of(&self, id: &str) -> Pulse {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(id).map(|(_, pulse)| pulse.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_tells_what_happened_since_the_one_before() {
        let (pulses, mut pulse) = (Pulses::default(), Pulse::default());
        pulses.serve(["a"].into_iter());
        let counts = Arc::clone(&pulses.counts.load()["a"]);
        counts.requests.store(6, Ordering::Relaxed);
        counts.streams.store(2, Ordering::Relaxed);
        counts.first_tokens.store(50_000, Ordering::Relaxed);
        pulse.add(Look::default(), counts.look());
        pulse.add(counts.look(), counts.look());
        assert_eq!((pulse.requests, pulse.first_token), (vec![3.0, 0.0], vec![Some(25.0), None]));
        pulses.look();
        // What is served still is counted on.
        pulses.serve(["a", "b"].into_iter());
        assert!(Arc::ptr_eq(&counts, &pulses.counts.load()["a"]));
        (0..MOST_LOOKS).for_each(|_| pulses.look());
        assert_eq!(pulses.of("a").requests.len(), MOST_LOOKS);
        assert_eq!(pulses.of("a").requests.last(), Some(&0.0));
    }
}
