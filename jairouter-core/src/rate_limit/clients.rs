use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::algorithm::{Algorithm, FRESH, Word};
use super::limit::{quota, refusal};
use super::limiter::{Grant, Limiter, Refusal};
use super::table::Table;
use crate::request::InferenceRequest;

/// How many clients are told apart, unless said otherwise. Each takes 16 bytes.
const PLACES: usize = 1 << 17;

/// A limit of its own for each client, by its address; an IPv6 /64 is one client.
///
/// The memory is fixed, 2 MiB by default, whatever number of addresses there are. A new client takes
/// the place of one that is as good as new; one that has used its limit up keeps its place, so that
/// a flood of addresses frees nobody. When every place is kept, newcomers share one limit.
pub struct PerClient<A> {
    algorithm: A,
    table: Table,
    /// Of those who found no place.
    shared: Word,
    epoch: Instant,
    what: Cow<'static, str>,
}

impl<A: Algorithm> PerClient<A> {
    /// A limit by this algorithm for each of 131,072 clients at a time.
    pub fn new(algorithm: A) -> Self {
        Self {
            algorithm,
            table: Table::new(PLACES),
            shared: Word::fresh(),
            epoch: Instant::now(),
            what: "a client's rate limit".into(),
        }
    }

    /// How many clients are told apart at a time, rounded up to a power of two.
    #[must_use]
    pub fn clients(mut self, clients: usize) -> Self {
        self.table = Table::new(clients);
        self
    }

    /// What people call it, as in "your rate limit at the service 'chat'".
    #[must_use]
    pub fn named(mut self, what: impl Into<Cow<'static, str>>) -> Self {
        self.what = what.into();
        self
    }

    /// What the table takes, in bytes.
    pub fn memory(&self) -> usize {
        self.table.size()
    }

    fn at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    fn is_new(&self, at: Duration) -> impl Fn(u64) -> bool {
        move |word| self.algorithm.reset(word, at).is_zero()
    }

    fn refusal(&self, wait: Duration, word: u64, at: Duration) -> Refusal {
        refusal(&self.algorithm, self.what.clone(), wait, word, at).of_client(true)
    }
}

impl<A: Algorithm> Limiter for PerClient<A> {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        let at = self.at(now);
        let word = match self.table.find(self.table.key(request.client), self.is_new(at)) {
            Ok(slot) => slot.word.get(),
            Err(true) => FRESH,
            Err(false) => self.shared.get(),
        };
        match self.algorithm.take(word, 1, at) {
            Ok(_) => Ok(()),
            Err(wait) => Err(self.refusal(wait, word, at)),
        }
    }

    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        let at = self.at(now);
        let place = self.table.place(self.table.key(request.client), self.is_new(at));
        let word = place.map_or(&self.shared, |place| &self.table.at(place).word);
        match word.take(&self.algorithm, 1, at) {
            Ok(left) if place.is_some() => {
                Ok(Grant::default().with_quota(quota(&self.algorithm, left, at)))
            }
            Ok(_) => Ok(Grant::default()),
            Err(wait) => Err(self.refusal(wait, word.get(), at)),
        }
    }

    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        let at = self.at(now);
        let slot = self.table.find(self.table.key(request.client), |_| false);
        let word = slot.map_or(&self.shared, |slot| &slot.word);
        word.update(|word| self.algorithm.give_back(word, 1, at));
    }
}

impl<A: fmt::Debug> fmt::Debug for PerClient<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerClient")
            .field("what", &self.what)
            .field("algorithm", &self.algorithm)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
