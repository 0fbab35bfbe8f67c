//! Each layer alone around a stranger's service, all of them in every order, and tower's own between them.
#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use jairouter_core::balance::{Instance, InstanceState, LoadBalanceLayer, RoundRobin};
use jairouter_core::circuit_breaker::{Breaker, CircuitBreakerLayer, Settings, State};
use jairouter_core::fallback::{CannedAnswer, FallbackLayer};
use jairouter_core::observe::{Exchange, ObserveLayer};
use jairouter_core::rate_limit::{Concurrency, Limit, Limiter, RateLimitLayer, TokenBucket};
use jairouter_core::router::ModelRouter;
use jairouter_core::usage::StreamUsageLayer;
use jairouter_core::waiting_room::{Room, Settings as Waiting, WaitingRoomLayer};
use jairouter_core::{Body, Endpoint, Error, InferenceRequest, Kind};
use serde_json::json;
use tokio::time::Instant;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Stack = BoxCloneSyncService<InferenceRequest, Response<Body>, Error>;

const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi!"},"finish_reason":"stop"}]}"#;

/// A stranger's service, which answers, or is out of order.
fn engine(is_well: bool) -> Stack {
    boxed(service_fn(move |_: InferenceRequest| {
        std::future::ready(if is_well {
            let answer = Response::builder().header("content-type", "application/json");
            Ok(answer.body(Body::from(ANSWER)).unwrap())
        } else {
            Err(Error::new(Kind::Failed, "out of order"))
        })
    }))
}

fn boxed<S, B>(service: S) -> Stack
where
    S: Service<InferenceRequest, Response = Response<B>, Error = Error, Future: Send>,
    S: Clone + Send + Sync + 'static,
    B: HttpBody<Data = Bytes, Error = Error> + Send + 'static,
{
    BoxCloneSyncService::new(service.map_response(|answer| answer.map(Body::new)))
}

/// What the layers hold while a request is on its way.
struct House {
    told: Arc<AtomicUsize>,
    state: Arc<InstanceState>,
    breaker: Arc<Breaker>,
    concurrency: Arc<Concurrency>,
    room: Arc<Room>,
}

const LAYERS: usize = 7;

impl House {
    fn new() -> Self {
        Self {
            told: Arc::default(),
            state: Arc::new(InstanceState::new("one")),
            breaker: Arc::new(Breaker::new(Settings::default())),
            concurrency: Arc::new(Concurrency::new(1)),
            room: Arc::new(Room::new(Waiting::default().with_places(1))),
        }
    }

    fn layer(&self, which: usize, inner: Stack) -> Stack {
        let told = Arc::clone(&self.told);
        match which {
            0 => boxed(
                ObserveLayer::new(move |_: &Exchange| {
                    let _ = told.fetch_add(1, Relaxed);
                })
                .layer(inner),
            ),
            1 => boxed(RateLimitLayer::new(Arc::clone(&self.concurrency)).layer(inner)),
            2 => boxed(FallbackLayer::new().answer(CannedAnswer::text("later")).layer(inner)),
            3 => boxed(WaitingRoomLayer::new(Arc::clone(&self.room)).layer(inner)),
            4 => boxed(
                LoadBalanceLayer::new(RoundRobin::new())
                    .layer([Instance::with_state(Arc::clone(&self.state), inner)]),
            ),
            5 => boxed(CircuitBreakerLayer::new(Arc::clone(&self.breaker)).layer(inner)),
            _ => boxed(StreamUsageLayer::new(true).layer(inner)),
        }
    }

    /// Whether nothing is held of a request that is over, and its story has been told.
    fn check(&self, order: &[usize]) {
        assert_eq!(self.state.in_flight(), 0, "{order:?}");
        assert_eq!(self.breaker.state(Instant::now()), State::Closed, "{order:?}");
        assert_eq!(self.told.load(Relaxed), usize::from(order.contains(&0)), "{order:?}");
        assert_eq!(self.room.waiting(), 0, "{order:?}");
        assert!(self.concurrency.check(&request(), Instant::now()).is_ok(), "{order:?}");
    }
}

fn request() -> InferenceRequest {
    let question = json!({ "model": "m", "stream": false, "messages": [] });
    InferenceRequest::json(Endpoint::ChatCompletions, &question).unwrap()
}

async fn ask(stack: Stack) -> Result<String, Error> {
    let answer = stack.oneshot(request()).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// All orders of these, by Heap's algorithm.
fn orders(mut items: [usize; LAYERS], each: &mut impl FnMut([usize; LAYERS])) {
    let mut turns = [0; LAYERS];
    each(items);
    let mut at = 1;
    while at < LAYERS {
        if turns[at] < at {
            items.swap(if at % 2 == 0 { 0 } else { turns[at] }, at);
            each(items);
            turns[at] += 1;
            at = 1;
        } else {
            turns[at] = 0;
            at += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_every_order_an_answer_passes_and_a_failure_does_and_nothing_of_them_is_left() {
    let mut all = (0..LAYERS).map(|one| vec![one]).collect::<Vec<_>>();
    orders(std::array::from_fn(|one| one), &mut |order| all.push(order.to_vec()));
    assert_eq!(all.len(), LAYERS + 5040);
    for order in all {
        for is_well in [true, false] {
            let house = House::new();
            // The last of the order is the outermost.
            let stack = order.iter().fold(engine(is_well), |inner, one| house.layer(*one, inner));
            let has_fallback = order.contains(&2);
            match ask(stack).await {
                Ok(answer) if is_well => assert_eq!(answer, ANSWER, "{order:?}"),
                Ok(answer) => assert!(has_fallback && answer.contains("later"), "{order:?}"),
                Err(error) => {
                    assert!(!is_well && !has_fallback, "{order:?}: {error}");
                    assert_eq!(error.kind(), Kind::Failed, "{order:?}");
                }
            }
            house.check(&order);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tower_s_own_stand_between_ours_and_their_errors_are_put_into_our_words() {
    let slow = service_fn(async |_: InferenceRequest| {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok::<_, Error>(Response::new(Body::from(ANSWER)))
    });
    let stack = |engine: Stack| {
        ServiceBuilder::new()
            .layer(FallbackLayer::new().answer(CannedAnswer::text("later")))
            .layer(RateLimitLayer::new(Arc::new(Limit::new(TokenBucket::new(1.0, 100)))))
            .map_err(|error| Error::new(Kind::Timeout, "not in ten minutes").with_source(error))
            .layer(TimeoutLayer::new(Duration::from_secs(600)))
            .layer(LoadShedLayer::new())
            .layer(ConcurrencyLimitLayer::new(1))
            .service(ModelRouter::new([("m", engine)]))
    };
    assert_eq!(ask(boxed(stack(engine(true)))).await.unwrap(), ANSWER);
    let begun = Instant::now();
    let answer = ask(boxed(stack(boxed(slow)))).await.unwrap();
    assert!(answer.contains("later"), "{answer}");
    assert_eq!(begun.elapsed(), Duration::from_secs(600));
}
