use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::algorithm::{Algorithm, Word};
use super::limiter::{Grant, Hold, Limiter, Quota, Refusal, Unit};
use super::table::Table;
use crate::request::InferenceRequest;

/// How many clients are told apart, unless said otherwise.
const PLACES: usize = 1 << 17;

/// When to come back: an answer's length is not known, and most take about so long.
const SOON: Duration = Duration::from_secs(1);

/// At most so many requests at a time, counted to the ends of their answers' bodies.
#[derive(Debug)]
pub struct Concurrency {
    limit: Running,
    running: Arc<Word>,
    what: Cow<'static, str>,
}

/// At most so many requests of each client at a time; an IPv6 /64 is one client.
#[derive(Debug)]
pub struct ClientConcurrency {
    limit: Running,
    clients: Arc<Clients>,
    what: Cow<'static, str>,
}

#[derive(Debug)]
struct Clients {
    table: Table,
    /// Of those who found no place.
    shared: Word,
}

impl Clients {
    fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { table: Table::new(places), shared: Word::fresh() })
    }

    fn word(&self, place: Option<usize>) -> &Word {
        place.map_or(&self.shared, |place| &self.table.at(place).word)
    }
}

impl Concurrency {
    /// At most `limit` requests at a time, and at least one.
    pub fn new(limit: u32) -> Self {
        let what = Cow::Borrowed("a concurrency limit");
        Self { limit: Running::new(limit), running: Arc::new(Word::fresh()), what }
    }

    /// What people call it, as in "the concurrency limit of the model 'm'".
    #[must_use]
    pub fn named(mut self, what: impl Into<Cow<'static, str>>) -> Self {
        self.what = what.into();
        self
    }

    /// How many requests there are now.
    pub fn running(&self) -> u64 {
        self.running.get()
    }
}

impl ClientConcurrency {
    /// At most `limit` requests of each client at a time, and at least one.
    pub fn new(limit: u32) -> Self {
        let what = Cow::Borrowed("a client's concurrency limit");
        Self { limit: Running::new(limit), clients: Clients::new(PLACES), what }
    }

    /// How many clients are told apart at a time, rounded up to a power of two: 131,072 unless said
    /// otherwise, of 16 bytes each.
    #[must_use]
    pub fn clients(self, clients: usize) -> Self {
        Self { clients: Clients::new(clients), ..self }
    }

    /// What the table of clients takes, in bytes.
    pub fn memory(&self) -> usize {
        self.clients.table.size()
    }

    /// What people call it, as in "your concurrency limit at the service 'chat'".
    #[must_use]
    pub fn named(mut self, what: impl Into<Cow<'static, str>>) -> Self {
        self.what = what.into();
        self
    }
}

impl Limiter for Concurrency {
    fn check(&self, _: &InferenceRequest, _: Instant) -> Result<(), Refusal> {
        match self.limit.take(self.running.get(), 1, Duration::ZERO) {
            Ok(_) => Ok(()),
            Err(soon) => Err(Refusal::new(self.what.clone(), soon)),
        }
    }

    fn acquire(&self, _: &InferenceRequest, _: Instant) -> Result<Grant, Refusal> {
        match self.running.take(&self.limit, 1, Duration::ZERO) {
            Ok(_) => Ok(Grant::holding(Ticket(Arc::clone(&self.running)))),
            Err(soon) => Err(Refusal::new(self.what.clone(), soon)),
        }
    }

    fn left(&self, _: Instant) -> Option<Quota> {
        let remaining = self.limit.remaining(self.running.get(), Duration::ZERO);
        Some(Quota::new(Unit::Requests, self.limit.limit, remaining, Duration::ZERO))
    }
}

impl Limiter for ClientConcurrency {
    fn check(&self, request: &InferenceRequest, _: Instant) -> Result<(), Refusal> {
        let table = &self.clients.table;
        let word = match table.find(table.key(request.client), is_new) {
            Ok(slot) => slot.word.get(),
            Err(true) => 0,
            Err(false) => self.clients.shared.get(),
        };
        match self.limit.take(word, 1, Duration::ZERO) {
            Ok(_) => Ok(()),
            Err(soon) => Err(Refusal::new(self.what.clone(), soon).of_client(true)),
        }
    }

    fn acquire(&self, request: &InferenceRequest, _: Instant) -> Result<Grant, Refusal> {
        let key = self.clients.table.key(request.client);
        loop {
            let place = self.clients.table.place(key, is_new);
            let word = self.clients.word(place);
            if let Err(soon) = word.take(&self.limit, 1, Duration::ZERO) {
                return Err(Refusal::new(self.what.clone(), soon).of_client(true));
            }
            // A place that was nobody's a moment ago may have been taken over. With a count in it,
            // it cannot be.
            if place.is_none_or(|place| self.clients.table.at(place).is(key)) {
                return Ok(Grant::holding(ClientTicket { of: Arc::clone(&self.clients), place }));
            }
            word.update(|count| count.saturating_sub(1));
        }
    }
}

fn is_new(count: u64) -> bool {
    count == 0
}

struct Ticket(Arc<Word>);

impl Hold for Ticket {}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.update(|count| count.saturating_sub(1));
    }
}

struct ClientTicket {
    of: Arc<Clients>,
    place: Option<usize>,
}

impl Hold for ClientTicket {}

impl Drop for ClientTicket {
    fn drop(&mut self) {
        self.of.word(self.place).update(|count| count.saturating_sub(1));
    }
}

/// Counts what runs. Nothing comes back with time.
#[derive(Debug, Clone, Copy)]
struct Running {
    limit: u64,
}

impl Running {
    fn new(limit: u32) -> Self {
        Self { limit: limit.max(1).into() }
    }
}

impl Algorithm for Running {
    fn take(&self, word: u64, amount: u64, _: Duration) -> Result<u64, Duration> {
        if word + amount <= self.limit { Ok(word + amount) } else { Err(SOON) }
    }

    fn owe(&self, word: u64, amount: u64, _: Duration) -> u64 {
        word.saturating_add(amount)
    }

    fn give_back(&self, word: u64, amount: u64, _: Duration) -> u64 {
        word.saturating_sub(amount)
    }

    fn remaining(&self, word: u64, _: Duration) -> u64 {
        self.limit.saturating_sub(word)
    }

    fn limit(&self) -> u64 {
        self.limit
    }

    fn reset(&self, word: u64, _: Duration) -> Duration {
        if word == 0 { Duration::ZERO } else { SOON }
    }
}
