//! The limits of those who hold tokens: bounded memory for whoever the issuer names.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderMap;
use jairouter_core::rate_limit::{
    Concurrency, Grant, Limit, Limiter, Refusal, TokenBucket, TokensPerMinute,
};
use jairouter_core::{Endpoint, InferenceRequest};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::authorize::OwnLimit;
use crate::config::Rights;

/// Into how many maps the holders are divided, and the most of each: 32,768 holders.
const SHARDS: usize = 256;
const MOST_OF_EACH: usize = 128;

/// The limits of each holder. A new one takes the place of one whose limits are as good as new and which
/// nobody uses, so that nobody gains or loses by it.
///
/// A map is replaced as a whole when a holder comes who is not in it, which is when a token is seen first.
pub(crate) struct Holders(Box<[ArcSwap<Shard>]>);

type Shard = HashMap<[u8; 32], Arc<Limits>>;

/// The limits of one holder, by one set of numbers: requests, tokens, and requests at a time.
pub(crate) struct Limits((Option<OwnLimit>, (Option<TokensPerMinute>, Option<Concurrency>)));

/// There are as many holders as there may be, and all of them are busy.
pub(super) struct Full;

impl Default for Holders {
    fn default() -> Self {
        Self(std::iter::repeat_with(ArcSwap::default).take(SHARDS).collect())
    }
}

impl Holders {
    /// The limits of this holder, if it has any. Those of other numbers are others: a token with more does not
    /// make one with less new.
    pub(super) fn limits(
        &self,
        holder: &[u8; 32],
        rights: &Rights,
    ) -> Result<Option<Arc<Limits>>, Full> {
        let Rights { requests_per_minute, tokens_per_minute, concurrency, .. } = rights;
        if requests_per_minute.is_none() && tokens_per_minute.is_none() && concurrency.is_none() {
            return Ok(None);
        }
        let mut id = Sha256::new();
        id.update(holder);
        for number in [*requests_per_minute, *tokens_per_minute, concurrency.map(u64::from)] {
            id.update(number.map_or([0xff; 8], u64::to_le_bytes));
        }
        let id: [u8; 32] = id.finalize().into();
        let shard = &self.0[usize::from(id[0]) % SHARDS];
        if let Some(limits) = shard.load().get(&id) {
            return Ok(Some(Arc::clone(limits)));
        }
        let new = Arc::new(Limits::new(rights));
        shard.rcu(|before| {
            let mut after = Shard::clone(before);
            if after.len() >= MOST_OF_EACH {
                // One here, one in the map that is replaced: nobody else has it.
                after.retain(|_, limits| Arc::strong_count(limits) > 2 || !limits.are_as_new());
            }
            if after.len() < MOST_OF_EACH {
                after.entry(id).or_insert_with(|| Arc::clone(&new));
            }
            after
        });
        shard.load().get(&id).map(|limits| Some(Arc::clone(limits))).ok_or(Full)
    }
}

impl Limits {
    fn new(rights: &Rights) -> Self {
        let requests = rights.requests_per_minute.map(|most| {
            let bucket = TokenBucket::new(most as f64 / 60.0, most);
            OwnLimit(Limit::new(bucket).named("the rate limit of your token"))
        });
        let tokens = rights.tokens_per_minute;
        let tokens =
            tokens.map(|most| TokensPerMinute::new(most).named("the token limit of your token"));
        let running = rights.concurrency;
        let running =
            running.map(|most| Concurrency::new(most).named("the concurrency limit of your token"));
        Self((requests, (tokens, running)))
    }

    fn are_as_new(&self) -> bool {
        let now = Instant::now();
        let Self((requests, (tokens, running))) = self;
        let is_full = tokens.as_ref().is_none_or(|tokens| {
            // Whose it is does not matter to a limit of one holder.
            let json = Bytes::from_static(br#"{"model":"m"}"#);
            let any = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), json);
            any.is_ok_and(|any| tokens.quota(&any, now).reset.is_zero())
        });
        is_full
            && requests.as_ref().is_none_or(|limit| limit.0.quota(now).reset.is_zero())
            && running.as_ref().is_none_or(|running| running.running() == 0)
    }
}

impl Limiter for Limits {
    fn check(&self, request: &InferenceRequest, now: Instant) -> Result<(), Refusal> {
        self.0.check(request, now)
    }

    fn acquire(&self, request: &InferenceRequest, now: Instant) -> Result<Grant, Refusal> {
        self.0.acquire(request, now)
    }

    fn give_back(&self, request: &InferenceRequest, now: Instant) {
        self.0.give_back(request, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(requests: Option<u64>) -> Rights {
        Rights { requests_per_minute: requests, ..Rights::default() }
    }

    fn request() -> InferenceRequest {
        let json = Bytes::from_static(br#"{"model":"m"}"#);
        InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), json).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_keeps_its_limits_and_a_flood_of_others_is_bounded() {
        let holders = Holders::default();
        let one = [7; 32];
        assert!(matches!(holders.limits(&one, &rights(None)), Ok(None)));
        let spent = |limits: &Limits| limits.acquire(&request(), Instant::now()).is_err();
        let limits = || holders.limits(&one, &rights(Some(1))).ok().flatten().unwrap();
        assert!(!spent(&limits()) && spent(&limits()), "it is the same one");
        let more = holders.limits(&one, &rights(Some(2))).ok().flatten().unwrap();
        assert!(!spent(&more), "other numbers are other limits");
        assert!(spent(&limits()), "which make these not new");
        let mut full = 0;
        for number in 0_u64..100_000 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            match holders.limits(&id, &rights(Some(1))) {
                Ok(limits) => drop(limits.map(|limits| spent(&limits))),
                Err(Full) => full += 1,
            }
        }
        let kept: usize = holders.0.iter().map(|shard| shard.load().len()).sum();
        assert!(kept <= SHARDS * MOST_OF_EACH && full > 60_000, "{kept} {full}");
        assert!(spent(&limits()), "what is spent stays so");
        // Once they are as good as new, others take their places.
        tokio::time::advance(std::time::Duration::from_secs(61)).await;
        assert!(holders.limits(&[9; 32], &rights(Some(1))).is_ok());
    }
}
