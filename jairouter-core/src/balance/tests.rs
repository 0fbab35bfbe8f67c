//! A pool whose breakers open, and one that is at its limits.

use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt, service_fn};

use super::strategy::tests::request;
use super::*;
use crate::Body;
use crate::circuit_breaker::{Breaker, CircuitBreakerLayer, Settings as BreakerSettings};
use crate::error::{Error, Kind};
use crate::health::Health;
use crate::rate_limit::{Limit, Limiter, RateLimitLayer, TokenBucket};
use crate::request::InferenceRequest;

/// How long after the last failure one is answered again, asked ten times a second.
async fn back_after(health: Option<Arc<Health>>) -> Duration {
    let works = &AtomicBool::new(false);
    let instances = ["a", "b"].map(|id| {
        let settings = BreakerSettings::default().with_failure_threshold(2);
        let breaker = Arc::new(Breaker::new(settings.with_open_for(Duration::from_secs(60))));
        let engine = service_fn(async |_: InferenceRequest| match works.load(Ordering::Relaxed) {
            true => Ok(Response::new(Body::empty())),
            false => Err(Error::new(Kind::Failed, "the engine chokes on it")),
        });
        let state = InstanceState::new(id).with_breaker(Arc::clone(&breaker));
        let state = match &health {
            Some(health) => state.with_health(Arc::clone(health)),
            None => state,
        };
        Instance::with_state(Arc::new(state), CircuitBreakerLayer::new(breaker).layer(engine))
    });
    let pool = LoadBalanceLayer::new(RoundRobin::new()).layer(instances);
    for _ in 0..8 {
        assert!(pool.clone().oneshot(request()).await.is_err());
    }
    let Err(refused) = pool.clone().oneshot(request()).await else { panic!("all are open") };
    assert_eq!(refused.kind(), Kind::BreakerOpen);
    works.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    while pool.clone().oneshot(request()).await.is_err() {
        advance(Duration::from_millis(100)).await;
        assert!(begun.elapsed() < Duration::from_secs(70), "for ever");
    }
    assert!(refused.retry_after().unwrap() <= Duration::from_secs(5), "{refused:?}");
    begun.elapsed()
}

// fault: R1, R7
#[tokio::test(start_paused = true)]
async fn it_is_not_refused_to_everybody_until_the_time_of_a_breaker_is_over() {
    let seconds = Duration::from_secs;
    assert!(back_after(None).await <= seconds(5), "nobody looks");
    let health = Arc::new(Health::new());
    let _probing = health.probing();
    assert!(back_after(Some(health)).await <= seconds(1), "probes find it well");
}

#[tokio::test(start_paused = true)]
async fn each_failure_is_told_with_its_request_and_whoever_sees_a_breaker_open_says_so_once() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let instances = ["a", "b"].map(|id| {
        let settings = BreakerSettings::default().with_failure_threshold(2);
        let breaker = Arc::new(Breaker::new(settings));
        let state = InstanceState::new(id).with_breaker(Arc::clone(&breaker));
        let engine = service_fn(move |_: InferenceRequest| {
            ready(match id {
                "a" => Err(Error::new(Kind::Failed, "the engine chokes on it")),
                _ => Ok(Response::new(Body::empty())),
            })
        });
        Instance::with_state(Arc::new(state), CircuitBreakerLayer::new(breaker).layer(engine))
    });
    let layer = LoadBalanceLayer::new(RoundRobin::new()).tell_failures(move |failed| {
        let opened = failed.instance.breaker().is_some_and(|breaker| breaker.is_newly_open());
        let model = failed.request.model.to_string();
        tell.lock().unwrap().push((model, failed.instance.id().to_owned(), failed.kind, opened));
    });
    let pool = layer.layer(instances);
    for _ in 0..8 {
        drop(pool.clone().oneshot(request()).await.unwrap());
        advance(Duration::from_secs(2)).await;
    }
    let model = request().model.to_string();
    let one = |opened| (model.clone(), "a".to_owned(), Kind::Failed, opened);
    assert_eq!(*told.lock().unwrap(), [one(false), one(true)]);
}

/// Counts how often it is asked.
#[derive(Clone, Default)]
struct Counted(LeastConnections, Arc<AtomicUsize>);

impl Strategy for Counted {
    fn select(&self, request: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.select(request, candidates)
    }
}

#[tokio::test(start_paused = true)]
async fn the_one_that_has_room_is_found_and_not_by_looking_for_the_best_of_all_each_time() {
    let limits = (0..200).map(|index| {
        // A token a century.
        let limit = Limit::new(TokenBucket::new(1e-9, 1));
        if index != 77 {
            drop(limit.acquire(&request(), Instant::now()).unwrap());
        }
        Arc::new(limit)
    });
    let instances: Vec<_> = limits
        .enumerate()
        .map(|(index, limit)| {
            let engine = service_fn(move |_: InferenceRequest| {
                assert_eq!(index, 77, "the others are at their limits");
                ready(Ok::<_, Error>(Response::new(Body::empty())))
            });
            Instance::new(index.to_string(), RateLimitLayer::of_instance(limit).layer(engine))
        })
        .collect();
    let strategy = Counted::default();
    let looks = Arc::clone(&strategy.1);
    let pool = LoadBalanceLayer::new(strategy).layer(instances);
    assert!(pool.clone().oneshot(request()).await.is_ok());
    assert!(looks.load(Ordering::Relaxed) <= 20, "{looks:?} looks at two hundred");
    let Err(refused) = pool.oneshot(request()).await else { panic!("all are at their limits") };
    assert_eq!(refused.kind(), Kind::Busy);
}
