//! What the balancer knows of an instance.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::time::Instant;

use crate::body::{BodyGuard, End};
use crate::circuit_breaker::Breaker;
use crate::health::Health;
use crate::waiting_room::Room;

/// How long a failure is remembered if nothing is heard of the instance.
const MEMORY: Duration = Duration::from_secs(30);

/// How often an instance is asked against its breaker that nobody probes.
const UNSEEN: Duration = Duration::from_secs(4);

/// For how long a rest is waited out.
const SOON: Duration = Duration::from_secs(2);

/// How long after it was made an instance is first known to be up.
const SETTLED: Duration = Duration::from_secs(1);

/// Rooms, and in each of them the bit of an instance.
pub(crate) type Rooms = Vec<(Arc<Room>, Option<u64>)>;

/// What the balancer knows of an instance: shared by every clone of it and kept across reloads.
///
/// What a choice looks at comes first, in one line of the cache: a balancer may look at thousands.
#[repr(C, align(64))]
pub struct InstanceState {
    in_flight: AtomicU32,
    max_concurrency: AtomicU32,
    weight: AtomicU16,
    up: AtomicBool,
    /// Whether it fails: it is passed over while this would refuse.
    breaker: OnceLock<Arc<Breaker>>,
    /// Whether it may be asked, as those know who probe it.
    health: OnceLock<Arc<Health>>,
    /// Until when it rests, in milliseconds after the epoch.
    resting: AtomicU64,
    /// When it failed, in the same and one more; 0 if it has answered since.
    failed: AtomicU64,
    epoch: Instant,
    /// When it was last asked against what is known of it, in the same as `failed`.
    asked_anyway: AtomicU64,
    /// Where places at it are waited for.
    rooms: ArcSwapOption<Rooms>,
    id: Box<str>,
    /// The id as a header value, unless it holds what one cannot.
    header: Option<HeaderValue>,
}

impl InstanceState {
    /// An instance of weight 1 and unlimited concurrency.
    pub fn new(id: impl Into<Box<str>>) -> Self {
        let id = id.into();
        Self {
            header: HeaderValue::from_str(&id).ok(),
            id,
            weight: AtomicU16::new(1),
            max_concurrency: AtomicU32::new(u32::MAX),
            in_flight: AtomicU32::new(0),
            up: AtomicBool::new(true),
            resting: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            breaker: OnceLock::new(),
            health: OnceLock::new(),
            rooms: ArcSwapOption::empty(),
            asked_anyway: AtomicU64::new(0),
            epoch: Instant::now(),
        }
    }

    /// Its share of requests, relative to the others'.
    #[must_use]
    pub fn with_weight(self, weight: NonZeroU16) -> Self {
        self.set_weight(weight);
        self
    }

    /// Changes its share. A strategy that has laid out its instances by weight goes by the new one when
    /// a balancer is built over them again.
    pub fn set_weight(&self, weight: NonZeroU16) {
        self.weight.store(weight.get(), Ordering::Relaxed);
    }

    /// The most requests it is sent at a time, counted to the ends of their bodies.
    #[must_use]
    pub fn with_max_concurrency(self, max: u32) -> Self {
        self.set_max_concurrency(max);
        self
    }

    /// Changes how many it is sent at a time. What it works on already is not touched, and who waits
    /// hears of more places within a second.
    pub fn set_max_concurrency(&self, max: u32) {
        self.max_concurrency.store(max, Ordering::Relaxed);
    }

    /// The breaker around it, which a balancer looks at before it chooses. A second one is ignored.
    #[must_use]
    pub fn with_breaker(self, breaker: Arc<Breaker>) -> Self {
        self.guard_by(breaker);
        self
    }

    pub(crate) fn guard_by(&self, breaker: Arc<Breaker>) {
        // Whoever was first decides.
        let _ = self.breaker.set(breaker);
    }

    /// The breaker around it, if it has one.
    pub fn breaker(&self) -> Option<&Arc<Breaker>> {
        self.breaker.get()
    }

    /// How long until its breaker lets a request pass; `None` if it does now.
    pub fn is_refusing(&self, now: Instant) -> Option<Duration> {
        self.breaker.get().and_then(|breaker| breaker.would_refuse(now))
    }

    /// What is known of its health, which a balancer goes by and adds to. A second one is ignored.
    #[must_use]
    pub fn with_health(self, health: Arc<Health>) -> Self {
        // Whoever was first decides.
        let _ = self.health.set(health);
        self
    }

    /// What is known of its health, if anybody keeps it.
    pub fn health(&self) -> Option<&Arc<Health>> {
        self.health.get()
    }

    /// Tells these rooms of each place that becomes free, as the instance of each one's bit, and of
    /// those before them the ones where somebody waits still.
    pub(crate) fn announce_to(&self, mut rooms: Rooms) {
        for old in self.rooms.load().iter().flat_map(|old| &***old) {
            if old.0.waiting() > 0 && rooms.iter().all(|(room, _)| !Arc::ptr_eq(room, &old.0)) {
                rooms.push(old.clone());
            }
        }
        self.rooms.store((!rooms.is_empty()).then(|| Arc::new(rooms)));
    }

    /// How far it has come since it recovered, of this time; 1 if that is over.
    pub(super) fn warmth(&self, now: Instant, slow_start: Duration) -> f64 {
        let closed = self.breaker.get().and_then(|breaker| breaker.recovered_for(now));
        let up = self.health.get().map(|health| health.since(now));
        // It has not come back if it was never away.
        let up = up.filter(|since| now.saturating_duration_since(self.epoch) > *since + SETTLED);
        match [closed, up].into_iter().flatten().min() {
            Some(since) if since < slow_start => since.as_secs_f64() / slow_start.as_secs_f64(),
            _ => 1.0,
        }
    }

    pub(super) fn max_concurrency(&self) -> u32 {
        self.max_concurrency.load(Ordering::Relaxed)
    }

    /// What it is called, in logs and metrics, and to callers in `x-jairouter-instance`.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }

    /// Its share of requests.
    pub fn weight(&self) -> u16 {
        self.weight.load(Ordering::Relaxed)
    }

    /// How many requests it is working on, streams included.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it may be asked at all: it is in rotation, and not known to be down.
    pub fn is_up(&self) -> bool {
        let is_up = |health: &Arc<Health>| {
            let status = health.status();
            status.may_be_asked() || status.is_last_resort()
        };
        self.up.load(Ordering::Relaxed) && self.health.get().is_none_or(is_up)
    }

    /// How long after another it may be asked against its breaker, if nothing is known against it: soon
    /// if active probes find it well, and later if nobody looks.
    pub(super) fn relents_after(&self) -> Option<Duration> {
        let is_probed = self.health.get().is_some_and(|health| health.is_probed());
        let is_well = self.is_up() && !self.is_last_resort();
        is_well.then_some(if is_probed { Duration::from_secs(1) } else { UNSEEN })
    }

    /// When it was last asked against what is known of it; earlier, the smaller.
    pub(super) fn asked_anyway(&self) -> u64 {
        self.asked_anyway.load(Ordering::Relaxed)
    }

    /// Whether [`ask_anyway`](Self::ask_anyway) would say so.
    pub(super) fn may_be_asked_anyway(&self, now: Instant, pause: Duration) -> bool {
        let last = self.asked_anyway();
        last == 0 || last + pause.as_millis() as u64 <= self.millis(now) + 1
    }

    /// Whether it may be asked now against what is known of it, once in this time.
    pub(super) fn ask_anyway(&self, now: Instant, pause: Duration) -> bool {
        let (last, at) = (self.asked_anyway(), self.millis(now) + 1);
        let is_due = self.may_be_asked_anyway(now, pause);
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        is_due && self.asked_anyway.compare_exchange(last, at, success, failure).is_ok()
    }

    /// Whether a place at it may be waited for by one that waits already: what is against it will be
    /// over soon.
    pub(super) fn may_recover(&self, now: Instant) -> bool {
        self.is_up()
            && !self.is_last_resort()
            && self.is_refusing(now).is_none()
            && !self.is_resting(now + SOON)
    }

    /// Whether it is asked only when no other is left.
    pub(super) fn is_last_resort(&self) -> bool {
        self.health.get().is_some_and(|health| health.status().is_last_resort())
    }

    /// Takes it out of rotation, or back.
    pub fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }

    /// Whether it has as much to do as it may.
    pub fn is_full(&self) -> bool {
        self.in_flight() >= self.max_concurrency()
    }

    /// Whether it was seen failing, or asked for a pause, and others are preferred for now.
    pub fn is_resting(&self, now: Instant) -> bool {
        let until = self.resting.load(Ordering::Relaxed);
        // Asked of every instance for every request, and nearly none has ever rested.
        until != 0 && self.millis(now) < until
    }

    /// Prefers others for this long, or for as long as it rests already.
    pub fn rest(&self, now: Instant, pause: Duration) {
        self.resting.fetch_max(self.millis(now + pause), Ordering::Relaxed);
    }

    /// A request failed at it. Whether it was suspect already.
    pub(super) fn failed(&self, now: Instant) -> bool {
        let was_suspect = self.is_suspect(now);
        self.failed.store(self.millis(now) + 1, Ordering::Relaxed);
        was_suspect
    }

    /// A request was answered that was sent to it at this instant: what failed before is forgotten.
    pub(super) fn answered(&self, sent: Instant) {
        let failed = self.failed.load(Ordering::Relaxed);
        if failed != 0 && failed <= self.millis(sent) + 1 {
            // A failure that comes in between stays.
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = self.failed.compare_exchange(failed, 0, success, failure);
        }
    }

    /// Whether the last that was heard of it lately is a failure.
    pub(super) fn is_suspect(&self, now: Instant) -> bool {
        let failed = self.failed.load(Ordering::Relaxed);
        failed != 0 && self.millis(now) < failed + MEMORY.as_millis() as u64
    }

    /// Counts a request, unless the instance is full.
    pub fn acquire(self: &Arc<Self>) -> Option<InFlight> {
        let max = self.max_concurrency();
        let free = |count: u32| (count < max).then_some(count + 1);
        let counted = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        counted.is_ok().then(|| InFlight { state: Arc::clone(self), announced: true })
    }

    fn millis(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.epoch).as_millis() as u64
    }
}

impl fmt::Debug for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceState")
            .field("id", &self.id)
            .field("weight", &self.weight())
            .field("in_flight", &self.in_flight())
            .field("up", &self.is_up())
            .finish_non_exhaustive()
    }
}

/// One request an instance is working on, until this is dropped.
#[derive(Debug)]
#[must_use = "dropping this says that the request is over"]
pub struct InFlight {
    state: Arc<InstanceState>,
    /// Whether those who wait are told when it is over.
    announced: bool,
}

impl InFlight {
    /// The instance.
    pub fn instance(&self) -> &Arc<InstanceState> {
        &self.state
    }

    /// Gives the place back. Nobody who waits is told of it if the instance was not sent the request
    /// after all: they would be refused it for the same reason, and each would call the next.
    pub(super) fn over(mut self, unsent: bool) {
        self.announced = !unsent;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.announced
            && let Some(rooms) = &*self.state.rooms.load()
        {
            Room::released_at_each(rooms);
        }
    }
}

impl BodyGuard for InFlight {
    fn end(self, _: End) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_instance_counts_no_further() {
        let state = Arc::new(InstanceState::new("a").with_max_concurrency(2));
        let (first, second) = (state.acquire().unwrap(), state.acquire().unwrap());
        assert!(state.acquire().is_none() && state.is_full());
        drop(first);
        assert!(state.acquire().is_some());
        drop(second);
        assert_eq!(state.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_as_long_as_the_longest_asked_for() {
        let state = InstanceState::new("a");
        let now = Instant::now();
        let after = |millis| now + Duration::from_millis(millis);
        state.rest(after(5), Duration::from_secs(2));
        state.rest(after(10), Duration::from_secs(1));
        assert!(state.is_resting(after(2004)) && !state.is_resting(after(2005)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_is_suspect_until_it_answers_what_it_was_sent_since() {
        let state = InstanceState::new("a");
        let now = Instant::now();
        let after = |millis| now + Duration::from_millis(millis);
        assert!(!state.is_suspect(now));
        assert!(!state.failed(after(5)));
        state.answered(after(4));
        assert!(state.is_suspect(after(6)), "that answer is older");
        state.answered(after(7));
        assert!(!state.is_suspect(after(8)));
        assert!(!state.failed(after(8)) && state.failed(after(9)));
        assert!(state.is_suspect(after(29_000)) && !state.is_suspect(after(31_000)));
    }
}
