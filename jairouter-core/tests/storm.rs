//! A hundred thousand exchanges that end in any way at any point, through everything at once: nothing
//! is held when they are over, and the next request is served as if nothing had been.
#![cfg(test)]
#![allow(dead_code, reason = "what is shared with other tests")]

mod support {
    pub(crate) mod engine;
    pub(crate) mod stack;
}

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use jairouter_core::balance::{
    Instance, InstanceState, LeastConnections, LoadBalanceLayer, RetryBudget,
};
use jairouter_core::circuit_breaker::{Breaker, Settings, State};
use jairouter_core::fallback::{Cache, CannedAnswer, FallbackLayer, ModelChain};
use jairouter_core::gateway::ClientAddr;
use jairouter_core::health::Health;
use jairouter_core::observe::{Observe, ObserveLayer, Record};
use jairouter_core::rate_limit::{
    ClientConcurrency, Concurrency, Limit, TokenBucket, TokensPerMinute,
};
use jairouter_core::router::{Group, Member};
use jairouter_core::upstream::Timeouts;
use jairouter_core::{
    BodyGuard, End, Gateway, InferenceRequest, Kind, Router, ServiceType, waiting_room,
};
use support::engine::{Engine, Held, JSON, Played, SSE, Script, Step};
use support::stack::{OpenAi, upstream};
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt};

const EXCHANGES: usize = 100_000;
const AT_ONCE: usize = 24;

const ROLE: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n";
const TEXT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Every way an instance answers, in the proportions of a bad day.
fn scripts() -> Vec<Script> {
    let json = |body: &'static str| vec![Step::Data(body.into())];
    let whole = || Script::stream([ROLE, TEXT, TEXT, DONE]);
    let all = [
        whole(),
        whole(),
        whole(),
        Script::new(200, JSON, json("{\"usage\":{\"total_tokens\":9}}")),
        Script::new(400, JSON, json("{\"error\":\"no\"}")),
        Script::new(404, JSON, json("{\"error\":\"no\"}")),
        Script::new(401, JSON, json("{}")),
        Script::new(429, JSON, json("{}")),
        Script::new(500, JSON, json("{}")),
        Script::new(503, JSON, json("{\"error\":\"busy\"}")),
        Script::error(Kind::Unreachable),
        Script::stream([ROLE]).then(Step::Break(Kind::Broken)),
        Script::stream([TEXT]).then(Step::Break(Kind::Broken)),
        Script::stream([TEXT, "data: {\"error\":\"x\"}\n\n", DONE]),
        Script::stream([TEXT]),
        Script::new(200, SSE, vec![]).then(Step::Stall),
        Script::stream([TEXT]).then(Step::Stall),
    ];
    all.into_iter().flat_map(|script| [script.clone(), script.hesitant()]).collect()
}

/// The counters around a stack that has everything.
struct House {
    engine: Engine,
    states: Vec<Arc<InstanceState>>,
    breakers: Vec<Arc<Breaker>>,
    running: Arc<Concurrency>,
    callers: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

/// Counts the stories that have no end yet.
#[derive(Clone)]
struct Stories(Arc<AtomicUsize>);

struct Story(Arc<AtomicUsize>);

impl Observe for Stories {
    type Record = Story;

    fn begin(&self, _: &InferenceRequest) -> Story {
        self.0.fetch_add(1, Ordering::Relaxed);
        Story(Arc::clone(&self.0))
    }
}

impl Record for Story {}

impl BodyGuard for Story {
    fn end(self, _: End) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl House {
    fn new() -> Self {
        let breaker = || {
            let settings = Settings::default().with_failure_threshold(9);
            let moment = Duration::from_millis(40);
            Arc::new(Breaker::new(settings.with_open_for(moment).with_max_open_for(moment)))
        };
        let state = |id: &str| {
            let state = InstanceState::new(id).with_max_concurrency(4);
            Arc::new(state.with_health(Arc::new(Health::new())))
        };
        Self {
            engine: Engine::shuffled(scripts()),
            states: ["a", "b", "c", "d"].map(state).into(),
            breakers: (0..4).map(|_| breaker()).collect(),
            running: Arc::new(Concurrency::new(AT_ONCE as u32)),
            callers: Arc::default(),
            open: Arc::default(),
        }
    }

    fn router(&self) -> Router<OpenAi, Engine> {
        let ms = Duration::from_millis;
        let timeouts =
            Timeouts::default().with_first_token(ms(50)).with_idle(ms(50)).with_total(ms(500));
        let cache = Cache::builder().any(true).entries(50).build();
        let balance =
            LoadBalanceLayer::new(LeastConnections::new()).retry_budget(RetryBudget::new(100, 5));
        let mut group = Group::new(balance)
            .limit((
                Arc::clone(&self.running),
                (ClientConcurrency::new(9), TokensPerMinute::per_client(50_000_000)),
            ))
            .waiting_room(waiting_room::Settings::default().with_places(6).with_timeout(ms(100)))
            .fallback(
                FallbackLayer::new()
                    .models_for("m", ModelChain::new(["n"]).on_context_length(true))
                    .cache(cache)
                    .answer(CannedAnswer::text("later")),
            );
        for (number, (state, breaker)) in self.states.iter().zip(&self.breakers).enumerate() {
            let one = upstream(&self.engine, timeouts);
            let limit = Limit::new(TokenBucket::new(1e5, 50));
            let member = Member::new(Instance::with_state(Arc::clone(state), one));
            let model = if number < 3 { "m" } else { "n" };
            group = group.instance(model, member.breaker(Arc::clone(breaker)).limit(limit));
        }
        Router::builder().service(ServiceType::Chat, group).build()
    }

    fn http(&self) -> Request<Played> {
        let ask = format!(
            r#"{{"model":"{}","stream":{},"n":{},"messages":[]}}"#,
            ["m", "m", "n", "nobody"][fastrand::usize(..4)],
            fastrand::bool(),
            fastrand::u8(..9),
        );
        let mut first = Bytes::from(ask);
        let second = first.split_off(fastrand::usize(..first.len()));
        let steps = [Step::Data(first), Step::Pending, Step::Data(second)];
        let body = Played::new(steps, Held::by(&self.callers));
        let head = Request::post("/v1/chat/completions").header("content-type", JSON);
        let mut request = head.body(body).unwrap();
        let client = [10, 0, 0, fastrand::u8(..5)];
        request.extensions_mut().insert(ClientAddr(client.into()));
        request
    }

    /// What is held, by whom.
    fn held(&self) -> [(&'static str, usize); 5] {
        let in_flight = self.states.iter().map(|state| state.in_flight() as usize).sum();
        [
            ("the engine's exchanges", self.engine.live()),
            ("counts of requests in flight", in_flight),
            ("places among those that run", self.running.running() as usize),
            ("bodies of callers", self.callers.load(Ordering::Relaxed)),
            ("stories without an end", self.open.load(Ordering::Relaxed)),
        ]
    }
}

type Running = Pin<Box<dyn Future<Output = ()>>>;

#[tokio::test(start_paused = true)]
async fn nothing_is_held_after_a_hundred_thousand_exchanges_that_ended_in_any_way() {
    fastrand::seed(7);
    let house = House::new();
    let stories = ObserveLayer::new(Stories(Arc::clone(&house.open)));
    let gateway = Gateway::new(stories.layer(house.router()));
    let mut cx = Context::from_waker(Waker::noop());
    let mut running: Vec<Running> = Vec::new();
    let (mut started, mut dropped) = (0, 0);
    while started < EXCHANGES || !running.is_empty() {
        match fastrand::u8(..100) {
            0..40 if started < EXCHANGES && running.len() < AT_ONCE => {
                started += 1;
                let exchange = gateway.clone().oneshot(house.http());
                running.push(Box::pin(async move {
                    let answer = exchange.await.unwrap_or_else(|never| match never {});
                    let mut body = std::pin::pin!(answer.into_body());
                    while let Some(Ok(_)) = body.frame().await {}
                }));
            }
            40..50 if !running.is_empty() => {
                dropped += 1;
                drop(running.swap_remove(fastrand::usize(..running.len())));
            }
            50..62 => advance(Duration::from_millis(fastrand::u64(..30))).await,
            _ if !running.is_empty() => {
                let index = fastrand::usize(..running.len());
                if running[index].as_mut().poll(&mut cx).is_ready() {
                    drop(running.swap_remove(index));
                }
            }
            _ => {}
        }
    }
    println!("{dropped} dropped, {} attempts", house.engine.asked());
    assert!(dropped > EXCHANGES / 20, "{dropped}");
    for (what, count) in house.held() {
        assert_eq!(count, 0, "{what}");
    }
    advance(Duration::from_secs(3600)).await;
    for breaker in &house.breakers {
        let now = Instant::now();
        assert!(breaker.state(now) != State::Open, "its time is over");
        // Two probes close it, and one may have passed already.
        for _ in 0..2 {
            breaker.admit(now).expect("no probe was lost").success(now);
        }
        assert_eq!(breaker.state(now), State::Closed);
    }
    assert!(house.engine.asked() > EXCHANGES / 3, "{}", house.engine.asked());
}
