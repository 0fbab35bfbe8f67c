//! How an instance is chosen.

mod draw;
mod hash;
mod least;
mod random;
mod round_robin;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

pub use hash::{ConsistentHash, HashAlgorithm, IpHash};
pub use least::{LeastConnections, PowerOfTwoChoices};
pub use random::Random;
pub use round_robin::RoundRobin;

use super::state::InstanceState;
use super::tried::Tried;
use crate::request::InferenceRequest;

/// What an instance that has just come back may have in the end, at least, if it has no bound.
const FEW: u32 = 8;

/// How many instances a request has been to before the next one will do as well as the best: each look
/// for the best may be one at all of them.
const MANY: usize = 16;

/// How an instance is chosen.
///
/// Use [`LeastConnections`] when in doubt: answers differ in length by orders of magnitude, and only
/// what is in flight tells how busy an engine is. Use [`PowerOfTwoChoices`] when many gateways share
/// many instances, [`RoundRobin`] or [`Random`] when answers are alike, [`IpHash`] or
/// [`ConsistentHash`] when the same caller should meet the same engine's prefix cache.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a balancing `Strategy`",
    label = "does not choose between instances",
    note = "`jairouter_core::balance` has six, such as `LeastConnections::new()`"
)]
pub trait Strategy: Send + Sync + 'static {
    /// Learns the instances. Called once, before the first choice.
    fn bind(&mut self, instances: &[Arc<InstanceState>]) {
        let _ = instances;
    }

    /// One of the candidates, by its index; `None` only if there is none.
    fn select(&self, request: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize>;
}

impl Strategy for Box<dyn Strategy> {
    fn bind(&mut self, instances: &[Arc<InstanceState>]) {
        (**self).bind(instances);
    }

    fn select(&self, request: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        (**self).select(request, candidates)
    }
}

/// The instances a request may be sent to now: a view of all of them, in their order.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    states: &'a [Arc<InstanceState>],
    tried: &'a Tried,
    now: Instant,
    which: Which,
    busiest: &'a Busiest,
}

/// How much the busiest instance has, once somebody wants to know: looked up once in a choice, not once
/// for each instance that has come back.
#[derive(Debug)]
pub(super) struct Busiest(AtomicU64);

/// Which of those that could be asked are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// All but those that rest, or have just come back and are spared for this time.
    Well(Duration),
    All,
    /// All but those that rest.
    Rested,
    /// Those that rest.
    Resting,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(
        states: &'a [Arc<InstanceState>],
        tried: &'a Tried,
        now: Instant,
        which: Which,
        busiest: &'a Busiest,
    ) -> Self {
        Self { states, tried, now, which, busiest }
    }

    /// Others of the same.
    pub(super) fn only(self, which: Which) -> Self {
        Self { which, ..self }
    }

    /// Whether a place at an instance that does not rest may be waited for, if there is where.
    pub(super) fn may_be_waited_for(&self) -> bool {
        self.states.iter().enumerate().any(|(index, state)| {
            state.is_up()
                && state.is_full()
                && !self.tried.contains(index)
                && !state.is_last_resort()
                && !state.is_resting(self.now)
                && !self.is_suspect(state)
                && state.is_refusing(self.now).is_none()
        })
    }

    /// Whether one that waits already may wait on.
    pub(super) fn may_recover(&self) -> bool {
        let mut states = self.states.iter().enumerate();
        states.any(|(index, state)| !self.tried.contains(index) && state.may_recover(self.now))
    }

    /// Whether a request that has failed elsewhere would likely fail there.
    fn is_suspect(&self, state: &InstanceState) -> bool {
        !self.tried.is_empty() && state.is_suspect(self.now)
    }

    /// All instances, candidates or not.
    pub fn all(&self) -> &'a [Arc<InstanceState>] {
        self.states
    }

    /// Whether the instance at this index may be chosen: it is up and not full, its breaker would let
    /// the request pass, and the request has not been sent to it.
    pub fn contains(&self, index: usize) -> bool {
        // What is cheap to find out, and often against it, first: this is asked of thousands.
        self.states.get(index).is_some_and(|state| {
            !state.is_full()
                && !self.tried.contains(index)
                && state.is_refusing(self.now).is_none()
                && state.is_up()
                && match self.which {
                    Which::Well(slow_start) => !self.is_spared(state, slow_start),
                    Which::All => true,
                    Which::Rested => !self.rests(state),
                    Which::Resting => self.rests(state),
                }
        })
    }

    fn rests(&self, state: &InstanceState) -> bool {
        state.is_resting(self.now) || state.is_last_resort()
    }

    /// Whether others should be asked rather than this one.
    fn is_spared(&self, state: &InstanceState, slow_start: Duration) -> bool {
        if self.is_suspect(state) || self.rests(state) {
            return true;
        }
        let warmth = state.warmth(self.now, slow_start);
        // One is little enough for anybody, and spares a look at all the others.
        if warmth >= 1.0 || state.in_flight() == 0 {
            return false;
        }
        // A share of what it may have, or of what the busiest has.
        let all = state.max_concurrency().min(self.busiest.of(self.states).max(FEW));
        state.in_flight() >= ((f64::from(all) * warmth) as u32).max(1)
    }

    /// The instance that the request has come from, if it has been to many.
    pub(super) fn come_from(&self) -> Option<usize> {
        (self.tried.count() > MANY).then(|| self.tried.last())
    }

    /// The next candidate after this one, in their order and from the last on to the first.
    pub(super) fn after(&self, index: usize) -> Option<usize> {
        let next = (index + 1).min(self.states.len());
        (next..self.states.len()).chain(0..next).find(|index| self.contains(*index))
    }

    /// The candidates and their indices.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &'a InstanceState)> {
        self.within(0..self.states.len())
    }

    /// Those at these places.
    fn within(&self, places: Range<usize>) -> impl Iterator<Item = (usize, &'a InstanceState)> {
        let candidates = *self;
        places
            .filter(move |index| candidates.contains(*index))
            .map(move |index| (index, &*candidates.states[index]))
    }
}

impl Busiest {
    /// It is not known yet.
    pub(super) fn unknown() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    fn of(&self, states: &[Arc<InstanceState>]) -> u32 {
        u32::try_from(self.0.load(Ordering::Relaxed)).unwrap_or_else(|_| {
            let most = states.iter().map(|state| state.in_flight()).max().unwrap_or(0);
            self.0.store(most.into(), Ordering::Relaxed);
            most
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroU16;

    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::endpoint::Endpoint;

    pub(crate) fn request() -> InferenceRequest {
        let payload = Bytes::from_static(br#"{"model":"m"}"#);
        InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload).unwrap()
    }

    pub(super) fn from(client: IpAddr) -> InferenceRequest {
        request().with_client(Some(client))
    }

    pub(super) fn pool(weights: &[u16]) -> Vec<Arc<InstanceState>> {
        let state = |(index, weight): (usize, &u16)| {
            let state = InstanceState::new(format!("i{index}"));
            Arc::new(state.with_weight(NonZeroU16::new(*weight).unwrap()))
        };
        weights.iter().enumerate().map(state).collect()
    }

    pub(super) fn choose(strategy: &impl Strategy, pool: &[Arc<InstanceState>]) -> Option<usize> {
        choose_for(strategy, pool, &request())
    }

    pub(super) fn choose_for(
        strategy: &impl Strategy,
        pool: &[Arc<InstanceState>],
        request: &InferenceRequest,
    ) -> Option<usize> {
        select(strategy, pool, request, &Tried::default())
    }

    fn select(
        strategy: &impl Strategy,
        pool: &[Arc<InstanceState>],
        request: &InferenceRequest,
        tried: &Tried,
    ) -> Option<usize> {
        let (now, busiest) = (Instant::now(), Busiest::unknown());
        strategy.select(request, &Candidates::new(pool, tried, now, Which::All, &busiest))
    }

    fn every_strategy() -> Vec<Box<dyn Strategy>> {
        vec![
            Box::new(RoundRobin::new()),
            Box::new(Random::new()),
            Box::new(LeastConnections::new()),
            Box::new(PowerOfTwoChoices::new()),
            Box::new(IpHash::new(HashAlgorithm::Sha256)),
            Box::new(ConsistentHash::new(HashAlgorithm::Sha256, 150)),
        ]
    }

    #[test]
    fn the_only_candidate_is_always_chosen_and_nobody_when_there_is_none() {
        for mut strategy in every_strategy() {
            let pool = pool(&[3, 1, 2, 7]);
            strategy.bind(&pool);
            for chosen in 0..pool.len() {
                for (index, state) in pool.iter().enumerate() {
                    state.set_up(index == chosen);
                }
                for _ in 0..50 {
                    assert_eq!(choose(&strategy, &pool), Some(chosen));
                }
            }
            for state in &pool {
                state.set_up(false);
            }
            assert_eq!(choose(&strategy, &pool), None);
            assert_eq!(choose(&strategy, &[]), None);
        }
    }

    #[test]
    fn a_tried_instance_is_not_chosen_again() {
        for mut strategy in every_strategy() {
            let pool = pool(&[1, 1, 1]);
            strategy.bind(&pool);
            for _ in 0..50 {
                let mut tried = Tried::default();
                let mut seen = [false; 3];
                for _ in 0..3 {
                    let chosen = select(&strategy, &pool, &request(), &tried).unwrap();
                    assert!(!std::mem::replace(&mut seen[chosen], true));
                    tried.push(chosen);
                }
                assert_eq!(select(&strategy, &pool, &request(), &tried), None);
            }
        }
    }
}
