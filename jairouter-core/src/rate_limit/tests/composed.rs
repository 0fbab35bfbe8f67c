use std::sync::Arc;

use http::Response;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::body::Body;
use crate::envelope;
use crate::error::{Error, Kind};

fn tight() -> Limit<TokenBucket> {
    Limit::new(TokenBucket::new(1e-3, 1)).named("the tight one")
}

fn wide() -> Limit<TokenBucket> {
    Limit::new(TokenBucket::new(1e-3, 10)).named("the wide one")
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_one_spends_nothing_of_the_others() {
    let now = Instant::now();
    let (wide, tight) = (Arc::new(wide()), Arc::new(tight()));
    let orders: [Vec<Arc<dyn Limiter>>; 2] =
        [vec![wide.clone(), tight.clone()], vec![tight.clone(), wide.clone()]];
    drop(orders[0].acquire(&request(), now).unwrap());
    for limiter in &orders {
        for _ in 0..5 {
            assert_eq!(limiter.check(&request(), now).unwrap_err().what, "the tight one");
            // As when somebody was faster between the look and this.
            assert_eq!(limiter.acquire(&request(), now).unwrap_err().what, "the tight one");
        }
    }
    assert_eq!(wide.quota(now).remaining, 9);
    let pair = (wide.clone(), tight.clone());
    assert!(pair.check(&request(), now).is_err() && pair.acquire(&request(), now).is_err());
    let pair = (tight, wide.clone());
    assert!(pair.check(&request(), now).is_err() && pair.acquire(&request(), now).is_err());
    assert_eq!(wide.quota(now).remaining, 9);
}

#[tokio::test(start_paused = true)]
async fn of_several_refusals_the_longest_is_told() {
    let now = Instant::now();
    let (short, long) = (Limit::new(TokenBucket::new(1.0, 1)), tight());
    let both = (short, long);
    drop(both.acquire(&request(), now).unwrap());
    let refusal = both.check(&request(), now).unwrap_err();
    assert_eq!((&*refusal.what, refusal.retry_after.as_secs()), ("the tight one", 1000));
}

#[tokio::test(start_paused = true)]
async fn none_is_no_limit() {
    let none: Option<Limit<TokenBucket>> = None;
    for _ in 0..100 {
        assert!(none.check(&request(), Instant::now()).is_ok());
        assert!(none.acquire(&request(), Instant::now()).is_ok());
    }
    let nothing: Vec<Limit<TokenBucket>> = Vec::new();
    assert!(nothing.acquire(&request(), Instant::now()).is_ok());
}

fn engine()
-> impl tower::Service<InferenceRequest, Response = Response<Body>, Error = Error, Future: Send> + Clone
{
    service_fn(async |_| Ok::<_, Error>(Response::new(Body::from("answer"))))
}

// fault: L10
#[tokio::test(start_paused = true)]
async fn a_refusal_is_429_with_when_to_come_back_and_the_limit_that_was_hit() {
    let service = RateLimitLayer::new(Arc::new(tight())).layer(engine());
    let answer = service.clone().oneshot(request()).await.unwrap();
    assert!(!answer.headers().contains_key("x-ratelimit-limit-requests"), "others' use is secret");
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_unsent()), (Kind::RateLimited, true));
    let answer = envelope::response(&error);
    assert_eq!(answer.status(), 429);
    for (name, value) in [
        ("retry-after", "1000"),
        ("retry-after-ms", "1000000"),
        ("x-ratelimit-limit-requests", "1"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "16m40s"),
    ] {
        assert_eq!(answer.headers()[name], value, "{name}");
    }
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["error"]["code"], "rate_limit_exceeded");
    assert_eq!(body["error"]["type"], "requests");
    assert_eq!(body["error"]["message"], "the tight one is exceeded");
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_what_is_left_of_its_own_limits() {
    let requests = PerClient::new(TokenBucket::new(1.0, 5));
    let tokens = TokensPerMinute::per_client(6000);
    let service = RateLimitLayer::new(Arc::new((requests, tokens))).layer(engine());
    let answer = service.oneshot(from(1)).await.unwrap();
    for (name, value) in [
        ("x-ratelimit-limit-requests", "5"),
        ("x-ratelimit-remaining-requests", "4"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-limit-tokens", "6000"),
    ] {
        assert_eq!(answer.headers()[name], value, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_tokens_tells_what_the_caller_used_and_not_what_the_others_did() {
    let now = Instant::now();
    let refused = |limit: &TokensPerMinute, client: u32| {
        let looked = limit.check(&from(client), now).unwrap_err();
        assert_eq!(limit.acquire(&from(client), now).unwrap_err(), looked);
        (looked.quota.unwrap(), looked.retry_after)
    };
    let all = TokensPerMinute::new(300);
    let _held = all.acquire(&from(1), now).unwrap();
    let (quota, wait) = refused(&all, 2);
    assert_eq!(quota, Quota::new(Unit::Tokens, 300, 0, wait));
    let each = TokensPerMinute::per_client(300).clients(8);
    let _held: Vec<_> = (0..8).map(|client| each.acquire(&from(client), now).unwrap()).collect();
    let (quota, wait) = refused(&each, 1);
    assert!(quota.remaining > 0 && quota.reset > wait, "its own: {quota:?}");
    // Newcomers without a place share a limit.
    let newcomer = each.acquire(&from(8), now).unwrap();
    assert_eq!(newcomer.quotas().count(), 0);
    let (quota, wait) = refused(&each, 9);
    assert_eq!(quota, Quota::new(Unit::Tokens, 300, 0, wait));
}

#[tokio::test(start_paused = true)]
async fn an_instance_s_refusal_says_busy_and_that_nothing_was_sent() {
    let service = RateLimitLayer::of_instance(Arc::new(tight())).layer(engine());
    let answer = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "answer");
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_unsent(), error.quota()), (Kind::Busy, true, None));
    assert!(error.retry_after().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_further_down_spends_nothing_either_unless_somebody_saw_the_request() {
    let wide = Arc::new(wide());
    let left = || wide.quota(Instant::now()).remaining;
    let inner = RateLimitLayer::of_instance(Arc::new(tight())).layer(engine());
    let service = RateLimitLayer::new(wide.clone()).layer(inner);
    assert!(service.clone().oneshot(request()).await.is_ok());
    for _ in 0..5 {
        assert_eq!(service.clone().oneshot(request()).await.unwrap_err().kind(), Kind::Busy);
    }
    assert_eq!(left(), 9);
    let seen = service_fn(async |_| Err::<Response<Body>, _>(Error::new(Kind::Failed, "seen")));
    RateLimitLayer::new(wide.clone()).layer(seen).oneshot(request()).await.unwrap_err();
    assert_eq!(left(), 8);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_for_all_is_told_to_operators_and_what_each_has_is_not() {
    let now = Instant::now();
    let left = |limit: &dyn Limiter| limit.left(now).map(|quota| (quota.limit, quota.remaining));
    let (rate, running) = (Limit::new(TokenBucket::new(1.0, 5)), Concurrency::new(2));
    let tokens = TokensPerMinute::new(600);
    let _held = running.acquire(&from(1), now).unwrap();
    let _spent = rate.acquire(&from(1), now).unwrap();
    assert_eq!((left(&rate), left(&running)), (Some((5, 4)), Some((2, 1))));
    assert_eq!(left(&Arc::new(tokens)), Some((600, 600)));
    assert_eq!(left(&TokensPerMinute::per_client(600)), None);
    assert_eq!(left(&ClientConcurrency::new(2)), None);
}
