//! Limits, breakers and keys: one decision each.

use std::hint::black_box;
use std::sync::Arc;

use jairouter_core::circuit_breaker::{Breaker, Settings};
use jairouter_core::rate_limit::{
    ClientConcurrency, Concurrency, LeakyBucket, Limit, Limiter, PerClient, SlidingWindow,
    TokenBucket, TokensPerMinute, WarmUp,
};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{Case, ask, program};

/// More than a case asks for in its time, a second.
pub(crate) const ENOUGH: f64 = 1e9;

/// The same at once.
pub(crate) const BURST: u64 = 1_000_000_000;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        limit("token-bucket", || Limit::new(TokenBucket::new(ENOUGH, BURST))),
        limit("leaky-bucket", || Limit::new(LeakyBucket::new(ENOUGH, BURST))),
        limit("warm-up", || {
            Limit::new(WarmUp::new(ENOUGH, BURST, std::time::Duration::from_secs(1)))
        }),
        limit("sliding-window", || Limit::new(SlidingWindow::new(ENOUGH, BURST))),
        limit("per-client", || PerClient::new(TokenBucket::new(ENOUGH, BURST))),
        limit("concurrency", || Concurrency::new(1000)),
        limit("client-concurrency", || ClientConcurrency::new(1000)),
        limit("tokens-per-minute", || TokensPerMinute::new(BURST)),
        breaker("breaker/consecutive", Settings::default()),
        breaker("breaker/rate", Settings::default().with_failure_rate(0.5)),
        key(),
    ]
}

/// A look and a decision, as a layer asks for them, and the end of what was granted.
fn limit<L: Limiter + 'static>(name: &str, make: fn() -> L) -> Case {
    Case::new(format!("limit/{name}"), move || {
        let (limit, request) = (make(), ask::small(false));
        move || {
            let now = Instant::now();
            drop(black_box(limit.check(&request, now)));
            drop(black_box(limit.acquire(&request, now).expect("there is enough")));
        }
    })
}

/// A permit, and its verdict.
fn breaker(name: &str, settings: Settings) -> Case {
    Case::new(name, move || {
        let breaker = Arc::new(Breaker::new(settings));
        move || {
            let now = Instant::now();
            breaker.admit(now).expect("it is closed").success(now);
        }
    })
}

/// Whose key a request shows.
fn key() -> Case {
    Case::new("key", || {
        let (keys, request) = (program::Program::new(), ask::http(ask::chat("", 0, false)));
        let now = || Timestamp::UNIX_EPOCH;
        move || {
            let mut request = request.clone();
            keys.admit(&mut request, now);
            black_box(request);
        }
    })
}
