use std::sync::Arc;

use futures::executor::block_on;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::body::{Body, BodyGuard, End};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};

#[tokio::test]
async fn a_place_is_held_to_the_end_of_the_body() {
    let limit = Arc::new(Concurrency::new(1).named("one at a time"));
    let engine = service_fn(async |_| Ok::<_, Error>(Response::new(Body::from("answer"))));
    let mut service = RateLimitLayer::new(limit.clone()).layer(engine);
    let answer = service.ready().await.unwrap().call(request()).await.unwrap();
    let error = service.ready().await.unwrap().call(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::RateLimited, "one at a time is exceeded"));
    answer.into_body().collect().await.unwrap();
    assert_eq!(limit.running(), 0);
    drop(service.call(request()));
    assert_eq!(limit.running(), 0, "dropped before its answer");
    drop(service.call(request()).await.unwrap());
    assert_eq!(limit.running(), 0, "dropped before its end");
    let failing = service_fn(async |_| Err::<Response<Body>, _>(Error::new(Kind::Broken, "x")));
    RateLimitLayer::new(limit.clone()).layer(failing).oneshot(request()).await.unwrap_err();
    assert_eq!(limit.running(), 0, "failed");
}

#[test]
fn each_client_has_places_of_its_own() {
    let limit = ClientConcurrency::new(2);
    let now = Instant::now();
    let held: Vec<_> = [1, 1, 2].map(|client| limit.acquire(&from(client), now).unwrap()).into();
    assert!(limit.check(&from(1), now).is_err() && limit.acquire(&from(1), now).is_err());
    assert!(limit.check(&from(2), now).is_ok());
    drop(held);
    assert!(limit.acquire(&from(1), now).is_ok());
}

/// An answer that says it took so many tokens.
fn answer(used: u64) -> String {
    format!(r#"{{"choices":[],"usage":{{"total_tokens":{used}}}}}"#)
}

fn remaining(limit: &TokensPerMinute, now: Instant) -> u64 {
    limit.quota(&request(), now).remaining
}

#[tokio::test(start_paused = true)]
async fn tokens_are_reserved_by_estimate_and_settled_by_what_was_used() {
    let (limit, now) = (TokensPerMinute::new(1000), Instant::now());
    let grant = limit.acquire(&request(), now).unwrap();
    let reserved = 1000 - remaining(&limit, now);
    assert!((256..300).contains(&reserved), "{reserved}");
    let mut grant = grant;
    grant.data(&answer(100).into());
    grant.end(End::Complete);
    assert_eq!(remaining(&limit, now), 900);
    let mut grant = limit.acquire(&request(), now).unwrap();
    grant.data(&answer(1500).into());
    grant.end(End::Complete);
    assert_eq!(remaining(&limit, now), 0);
    let refusal = limit.check(&request(), now).unwrap_err();
    // 600 tokens of debt, and the reservation, at a thousand a minute.
    assert!((36..60).contains(&refusal.retry_after.as_secs()), "{:?}", refusal.retry_after);
    assert_eq!(refusal.quota.unwrap().unit, Unit::Tokens);
    assert!(limit.check(&request(), now + refusal.retry_after + seconds(0.001)).is_ok());
}

// fault: L9
#[tokio::test(start_paused = true)]
async fn leaving_early_is_no_free_ride_and_a_failed_request_costs_nothing() {
    let (limit, now) = (TokensPerMinute::new(1000), Instant::now());
    let mut grant = limit.acquire(&request(), now).unwrap();
    for _ in 0..50 {
        grant.data(&"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n".into());
    }
    grant.end(End::Abandoned);
    let left = remaining(&limit, now);
    assert!((940..=950).contains(&left), "fifty tokens and the prompt: {left}");
    drop(limit.acquire(&request(), now).unwrap());
    assert!(remaining(&limit, now) < left, "a prompt was read");
    let before = remaining(&limit, now);
    limit.acquire(&request(), now).unwrap().refused();
    assert_eq!(remaining(&limit, now), before);
    let first = (TokensPerMinute::new(1000), Concurrency::new(1));
    let _held = first.1.acquire(&request(), now).unwrap();
    assert!(first.acquire(&request(), now).is_err());
    assert_eq!(remaining(&first.0, now), 1000, "and one that another limit refused");
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_the_whole_limit_passes_alone_and_is_paid_for() {
    let (limit, now) = (TokensPerMinute::new(100), Instant::now());
    let mut grant = limit.acquire(&request(), now).unwrap();
    grant.data(&answer(400).into());
    grant.end(End::Complete);
    let wait = limit.check(&request(), now).unwrap_err().retry_after;
    assert_eq!(wait.as_secs(), 240, "the debt of 300, and a full limit again");
}

/// A chat that allows an answer of this many tokens.
fn allowing(max_tokens: u64) -> InferenceRequest {
    let payload = format!(r#"{{"model":"m","max_tokens":{max_tokens}}}"#).into();
    InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_answer_allowed_to_be_endless_reserves_a_minute_at_most_and_wipes_out_no_debt() {
    for max_tokens in [1_000_000_000, 10_000_000_000_000, u64::MAX] {
        let (limit, now) = (TokensPerMinute::new(1000), Instant::now());
        let mut grant = limit.acquire(&allowing(max_tokens), now).unwrap();
        let wait = limit.check(&request(), now).unwrap_err().retry_after;
        assert!(wait.as_secs() <= 60, "{max_tokens}: {wait:?}");
        grant.data(&answer(1500).into());
        grant.end(End::Complete);
        let wait = limit.check(&request(), now).unwrap_err().retry_after;
        assert!((30..60).contains(&wait.as_secs()), "{max_tokens}: {wait:?}");
        assert_eq!(remaining(&limit, now + seconds(31.0)), 16, "a debt of 500 was paid");
        let later = now + seconds(90.0);
        limit.acquire(&allowing(max_tokens), later).unwrap().refused();
        assert_eq!(remaining(&limit, later), 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn each_client_has_tokens_of_its_own() {
    let (limit, now) = (TokensPerMinute::per_client(300), Instant::now());
    let first = limit.acquire(&from(1), now).unwrap();
    assert!(first.quotas().any(|quota| quota.unit == Unit::Tokens));
    assert!(limit.check(&from(1), now).is_err());
    assert!(limit.check(&from(2), now).is_ok());
    first.refused();
    assert!(limit.check(&from(1), now).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However requests end, in whatever order: nothing stays held, and nothing is held twice.
    #[test]
    fn every_place_comes_back(steps in prop::collection::vec((0_u32..20, 0_u8..4), 1..200)) {
        let all = Arc::new(Concurrency::new(5));
        let clients = Arc::new(ClientConcurrency::new(2));
        let limit = (all.clone(), clients.clone());
        let now = Instant::now();
        let mut held: Vec<(u32, Grant)> = Vec::new();
        for (client, step) in steps {
            match step {
                0 | 1 => {
                    let of_client = held.iter().filter(|(other, _)| *other == client).count();
                    let granted = limit.acquire(&from(client), now);
                    prop_assert_eq!(granted.is_ok(), held.len() < 5 && of_client < 2);
                    held.extend(granted.ok().map(|grant| (client, grant)));
                }
                2 if !held.is_empty() => held.remove(client as usize % held.len()).1.end(End::Complete),
                _ if !held.is_empty() => drop(held.remove(client as usize % held.len())),
                _ => {}
            }
            prop_assert_eq!(all.running(), held.len() as u64);
        }
        drop(held);
        prop_assert_eq!(all.running(), 0);
        for client in 0..20 {
            prop_assert!(clients.acquire(&from(client), now).is_ok());
        }
    }
}

#[test]
fn threads_that_come_and_go_leave_nothing_behind() {
    let limit = Arc::new((Concurrency::new(7), ClientConcurrency::new(1)));
    let engine = service_fn(async |_| Ok::<_, Error>(Response::new(Body::from("answer"))));
    std::thread::scope(|scope| {
        for client in 0..4_u32 {
            let limit = limit.clone();
            scope.spawn(move || {
                for nth in 0..5000_u32 {
                    let service = RateLimitLayer::new(limit.clone()).layer(engine);
                    let answer = block_on(service.oneshot(from(client * 10 + nth % 3)));
                    assert!(answer.is_ok(), "four at a time, each another client");
                }
            });
        }
    });
    assert_eq!(limit.0.running(), 0);
    for client in 0..40 {
        assert!(limit.1.check(&from(client), Instant::now()).is_ok());
    }
}
