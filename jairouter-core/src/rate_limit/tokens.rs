use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Extensions;
use tokio::time::Instant;

use super::algorithm::{Algorithm, FRESH, Word};
use super::bucket::TokenBucket;
use super::limiter::{Grant, Hold, Limiter, Quota, Refusal, Unit};
use super::table::Table;
use super::usage::Estimate;
use crate::body::End;
use crate::clock;
use crate::request::InferenceRequest;
use crate::usage::Watch;

/// How many clients are told apart, unless said otherwise.
const PLACES: usize = 1 << 17;

/// So many tokens a minute, of prompts and answers, for all callers or for each.
///
/// An estimate is reserved when the request comes: its text, and the answer it allows, but no more
/// than the tokens of a minute. When the answer's body ends it is settled by the usage the engine
/// reports, or else by what was seen to pass, so that nobody rides free by leaving early. It may end
/// in debt; then nothing more is given until the debt is paid by time.
pub struct TokensPerMinute {
    state: Arc<State>,
    per_client: bool,
    what: Cow<'static, str>,
}

struct State {
    bucket: TokenBucket,
    clients: Option<Table>,
    all: Word,
    epoch: Instant,
}

/// Whose word it is: all callers', or the one of the client with this key.
#[derive(Debug, Clone, Copy)]
struct Whose(Option<u64>);

impl TokensPerMinute {
    /// So many tokens a minute for all callers together.
    pub fn new(tokens: u64) -> Self {
        Self::with(tokens, None, "a token limit")
    }

    /// So many tokens a minute for each client, by its address; an IPv6 /64 is one client.
    pub fn per_client(tokens: u64) -> Self {
        Self::with(tokens, Some(Table::new(PLACES)), "a client's token limit")
    }

    fn with(tokens: u64, clients: Option<Table>, what: &'static str) -> Self {
        let bucket = TokenBucket::new(tokens as f64 / 60.0, tokens);
        let per_client = clients.is_some();
        Self { state: Arc::new(State::new(bucket, clients)), per_client, what: what.into() }
    }

    /// What people call it, as in "the token limit of the service 'chat'".
    #[must_use]
    pub fn named(mut self, what: impl Into<Cow<'static, str>>) -> Self {
        self.what = what.into();
        self
    }

    /// How many clients are told apart at a time, rounded up to a power of two, if they are at all:
    /// 131,072 unless said otherwise, of 16 bytes each.
    #[must_use]
    pub fn clients(self, clients: usize) -> Self {
        let table = self.per_client.then(|| Table::new(clients));
        Self { state: Arc::new(State::new(self.state.bucket, table)), ..self }
    }

    /// What the table of clients takes, in bytes.
    pub fn memory(&self) -> usize {
        self.state.clients.as_ref().map_or(0, Table::size)
    }

    /// How much is left now, for this request's caller.
    pub fn quota(&self, request: &InferenceRequest, now: Instant) -> Quota {
        let at = self.state.at(now);
        self.state.quota(self.state.seen(self.state.whose(request), at).0, at)
    }

    /// What others used is not told: of a limit they share, nothing is left for this request.
    fn refusal(&self, wait: Duration, (word, own): (u64, bool), at: Duration) -> Refusal {
        let quota = match own {
            true => self.state.quota(word, at),
            false => Quota::new(Unit::Tokens, self.state.bucket.limit(), 0, wait),
        };
        Refusal::new(self.what.clone(), wait).with_quota(quota)
    }
}

impl State {
    fn new(bucket: TokenBucket, clients: Option<Table>) -> Self {
        Self { bucket, clients, all: Word::fresh(), epoch: Instant::now() }
    }

    fn at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    fn is_new(&self, at: Duration) -> impl Fn(u64) -> bool {
        move |word| self.bucket.reset(word, at).is_zero()
    }

    fn whose(&self, request: &InferenceRequest) -> Whose {
        Whose(self.clients.as_ref().map(|table| table.key(request.client)))
    }

    /// The word's value, and whether it is this client's own.
    fn seen(&self, whose: Whose, at: Duration) -> (u64, bool) {
        let (Some(key), Some(table)) = (whose.0, &self.clients) else {
            return (self.all.get(), false);
        };
        match table.find(key, self.is_new(at)) {
            Ok(slot) => (slot.word.get(), true),
            Err(true) => (FRESH, true),
            Err(false) => (self.all.get(), false),
        }
    }

    /// The word itself, and whether it is this client's own. Those who find no place share one.
    fn word(&self, whose: Whose, at: Duration) -> (&Word, bool) {
        let (Some(key), Some(table)) = (whose.0, &self.clients) else {
            return (&self.all, false);
        };
        let place = table.place(key, self.is_new(at));
        place.map_or((&self.all, false), |place| (&table.at(place).word, true))
    }

    /// What is reserved: no more than a minute's tokens, however long an answer is allowed.
    fn reserve(&self, estimate: Estimate) -> u64 {
        estimate.total().min(self.bucket.limit())
    }

    fn quota(&self, word: u64, at: Duration) -> Quota {
        let (limit, remaining) = (self.bucket.limit(), self.bucket.remaining(word, at));
        Quota::new(Unit::Tokens, limit, remaining, self.bucket.reset(word, at))
    }
}

impl Limiter for TokensPerMinute {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        let (at, amount) = (self.state.at(now), self.state.reserve(Estimate::of(request)));
        let seen = self.state.seen(self.state.whose(request), at);
        match self.state.bucket.take(seen.0, amount, at) {
            Ok(_) => Ok(()),
            Err(wait) => Err(self.refusal(wait, seen, at)),
        }
    }

    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        let (at, estimate) = (self.state.at(now), Estimate::of(request));
        let reserved = self.state.reserve(estimate);
        let whose = self.state.whose(request);
        let (word, own) = self.state.word(whose, at);
        let left = word
            .take(&self.state.bucket, reserved, at)
            .map_err(|wait| self.refusal(wait, (word.get(), own), at))?;
        let state = Arc::clone(&self.state);
        let settlement =
            Settlement { state, whose, estimate, reserved, watch: None, settled: false };
        let grant = Grant::holding(settlement);
        match own {
            true => Ok(grant.with_quota(self.state.quota(left, at))),
            false => Ok(grant),
        }
    }

    fn left(&self, now: Instant) -> Option<Quota> {
        let at = self.state.at(now);
        (!self.per_client).then(|| self.state.quota(self.state.all.get(), at))
    }
}

/// A reservation, until it is settled.
struct Settlement {
    state: Arc<State>,
    whose: Whose,
    estimate: Estimate,
    reserved: u64,
    /// Once there is an answer.
    watch: Option<Watch>,
    settled: bool,
}

impl Settlement {
    /// What was used so far: the prompt at least.
    fn used(&self) -> u64 {
        let Estimate { prompt, answer } = self.estimate;
        self.watch.as_ref().map_or(prompt, |watch| watch.total(prompt, answer > 0))
    }

    fn settle(&mut self, used: u64) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let (at, reserved) = (self.state.at(clock::now()), self.reserved);
        let ((word, _), bucket) = (self.state.word(self.whose, at), &self.state.bucket);
        if used > reserved {
            word.update(|word| bucket.owe(word, used - reserved, at));
        } else {
            word.update(|word| bucket.give_back(word, reserved - used, at));
        }
    }
}

impl Hold for Settlement {
    fn answered(&mut self, extensions: &mut Extensions) {
        self.watch = Some(Watch::new(extensions, true));
    }

    fn data(&mut self, data: &Bytes) {
        self.watch.get_or_insert_with(Watch::alone).data(data);
    }

    fn end(mut self: Box<Self>, _: End) {
        let used = self.used();
        self.settle(used);
    }

    fn refused(mut self: Box<Self>) {
        self.settle(0);
    }
}

/// The caller left before the answer began: its prompt was read.
impl Drop for Settlement {
    fn drop(&mut self) {
        let used = self.used();
        self.settle(used);
    }
}

impl fmt::Debug for TokensPerMinute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokensPerMinute")
            .field("what", &self.what)
            .field("limit", &self.state.bucket.limit())
            .field("per_client", &self.per_client)
            .finish_non_exhaustive()
    }
}
