//! Dropping is the only cancellation: wherever a future or a body is dropped, whatever it held is
//! given back, and whoever waits for its end is told once.
#![cfg(test)]
#![allow(dead_code, reason = "what is shared with other tests")]

mod support {
    pub(crate) mod engine;
    pub(crate) mod stack;
}

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use jairouter_core::balance::{
    Instance, InstanceState, LoadBalance, LoadBalanceLayer, RetryBudget, RoundRobin,
};
use jairouter_core::circuit_breaker::{
    Breaker, CircuitBreaker, CircuitBreakerLayer, Settings, State,
};
use jairouter_core::fallback::{Cache, CannedAnswer, Fallback, FallbackLayer, ModelChain};
use jairouter_core::observe::{Observe, ObserveLayer, Observed, Record};
use jairouter_core::rate_limit::{Concurrency, RateLimitLayer, TokensPerMinute};
use jairouter_core::router::{EndpointRouter, Group, ModelRouter};
use jairouter_core::upstream::Timeouts;
use jairouter_core::waiting_room::{Room, Settings as Waiting, WaitingRoomLayer};
use jairouter_core::{
    BodyGuard, End, Error, Gateway, InferenceRequest, Kind, Router, ServiceType, Upstream,
};
use support::engine::{Engine, Held, JSON, Played, SSE, Script, Step};
use support::stack::{OpenAi, request, upstream};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

/// More than any exchange here takes.
const LONGEST: usize = 200;

/// What a stream says at first, and then, and at its end.
const ROLE: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n";
const TEXT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Polls an exchange so often, first its future and then its body, and drops it. Whether it was
/// over before that.
fn polled<F, B, E>(exchange: F, polls: usize) -> bool
where
    F: Future<Output = Result<Response<B>, E>>,
    B: HttpBody<Data = Bytes>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut left = 0..polls;
    let mut exchange = Box::pin(exchange);
    let answer = loop {
        if left.next().is_none() {
            return false;
        }
        match exchange.as_mut().poll(&mut cx) {
            Poll::Pending => {}
            Poll::Ready(Err(_)) => return true,
            Poll::Ready(Ok(answer)) => break answer,
        }
    };
    // Whoever awaits a future drops it before it reads the body.
    drop(exchange);
    let mut body = pin!(answer.into_body());
    while left.next().is_some() {
        if let Poll::Ready(None | Some(Err(_))) = body.as_mut().poll_frame(&mut cx) {
            return true;
        }
    }
    false
}

/// Every way an exchange goes, with the engines pending wherever one can be.
fn ways() -> Vec<(&'static str, Vec<Script>)> {
    let whole = || Script::stream([ROLE, TEXT, TEXT, DONE]);
    let json = |body: &'static str| vec![Step::Data(body.into())];
    vec![
        ("a stream", vec![whole()]),
        ("a JSON answer", vec![Script::new(200, JSON, json("{\"choices\":[]}"))]),
        ("a refusal", vec![Script::new(400, JSON, json("{\"error\":\"no\"}"))]),
        ("a refusal and another", vec![Script::new(500, JSON, json("{}")), whole()]),
        ("no connection", vec![Script::error(Kind::Unreachable), whole()]),
        (
            "a break before content",
            vec![Script::stream([ROLE]).then(Step::Break(Kind::Broken)), whole()],
        ),
        ("a break behind it", vec![Script::stream([TEXT]).then(Step::Break(Kind::Broken))]),
        ("an error event", vec![Script::stream([TEXT, "data: {\"error\":\"x\"}\n\n", DONE])]),
        ("silence before content", vec![Script::new(200, SSE, vec![]).then(Step::Stall)]),
        ("silence behind it", vec![Script::stream([TEXT]).then(Step::Stall)]),
        ("none that can", vec![Script::error(Kind::Unreachable)]),
    ]
}

/// An engine, and what is counted around it.
struct House {
    engine: Engine,
    states: Vec<Arc<InstanceState>>,
    /// Half-open, with one probe.
    breaker: Arc<Breaker>,
    /// Stories that have begun, and the ends of those that are over.
    begun: Arc<AtomicUsize>,
    ends: Arc<Mutex<Vec<End>>>,
    /// Bodies of callers that are still read.
    callers: Arc<AtomicUsize>,
    running: Arc<Concurrency>,
    /// Last good answers.
    cache: Cache,
    room: Arc<Room>,
}

type One = Upstream<OpenAi, Engine>;

impl House {
    fn new(scripts: Vec<Script>) -> Self {
        Self {
            engine: Engine::new(scripts.into_iter().map(Script::hesitant)),
            states: ["a", "b", "c"].map(|id| Arc::new(InstanceState::new(id))).into(),
            breaker: half_open(),
            begun: Arc::default(),
            ends: Arc::default(),
            callers: Arc::default(),
            running: Arc::new(Concurrency::new(1)),
            cache: Cache::builder().any(true).build(),
            room: Arc::new(Room::new(Waiting::default().with_places(2))),
        }
    }

    fn instances(&self) -> Vec<Instance<One>> {
        let one = |state| Instance::with_state(state, self.upstream());
        self.states.iter().cloned().map(one).collect()
    }

    fn balanced(&self) -> LoadBalance<One> {
        LoadBalanceLayer::new(RoundRobin::new()).layer(self.instances())
    }

    fn guarded<S>(&self, inner: S) -> CircuitBreaker<S> {
        CircuitBreakerLayer::new(Arc::clone(&self.breaker)).layer(inner)
    }

    fn upstream(&self) -> One {
        upstream(&self.engine, Timeouts::default())
    }

    fn router(&self) -> Router<OpenAi, Engine> {
        let group = Group::new(RoundRobin::new());
        let group = self.instances().into_iter().fold(group, |group, one| group.instance("m", one));
        Router::builder().service(ServiceType::Chat, group).build()
    }

    /// Asks for `m`, then for `n`, then a memory.
    fn fallback(&self) -> Fallback<ModelRouter<LoadBalance<One>>> {
        let models = ["m", "n"].map(|model| (model, self.balanced()));
        FallbackLayer::new()
            .models(ModelChain::new(["n"]))
            .cache(self.cache.clone())
            .answer(CannedAnswer::text("later"))
            .layer(ModelRouter::new(models))
    }

    fn observed<S>(&self, inner: S) -> Observed<Stories, S> {
        let stories = Stories { begun: Arc::clone(&self.begun), ends: Arc::clone(&self.ends) };
        ObserveLayer::new(stories).layer(inner)
    }

    /// A caller that sends its request in two pieces.
    fn http(&self) -> Request<Played> {
        let mut first = request().payload.clone();
        let second = first.split_off(9);
        let steps = [Step::Pending, Step::Data(first), Step::Pending, Step::Data(second)];
        let body = Played::new(steps, Held::by(&self.callers));
        let head = Request::post("/v1/chat/completions").header("content-type", JSON);
        head.body(body).unwrap()
    }

    /// What is held, by whom.
    fn held(&self) -> Vec<(&'static str, usize)> {
        let in_flight = self.states.iter().map(|state| state.in_flight() as usize).sum();
        let told = self.ends.lock().unwrap().len();
        let now = Instant::now();
        let half_open = self.breaker.state(now) == State::HalfOpen;
        let no_probe_left = half_open && self.breaker.would_refuse(now).is_some();
        vec![
            ("the engine's exchanges", self.engine.live()),
            ("counts of requests in flight", in_flight),
            ("probes not given back", usize::from(no_probe_left)),
            ("stories not told to their end", self.begun.load(Ordering::Relaxed) - told),
            ("bodies of callers", self.callers.load(Ordering::Relaxed)),
            ("places among those that run", self.running.running() as usize),
            ("places in the waiting room", self.room.waiting()),
        ]
    }
}

/// A breaker that has been open, and has one probe to give.
fn half_open() -> Arc<Breaker> {
    let settings = Settings::default().with_failure_threshold(1).with_success_threshold(1);
    let (breaker, now) = (Arc::new(Breaker::new(settings)), Instant::now());
    breaker.admit(now).unwrap().failure(now);
    breaker.probe_soon(now);
    assert_eq!(breaker.state(now), State::HalfOpen);
    breaker
}

/// Notes how each story ends.
#[derive(Clone)]
struct Stories {
    begun: Arc<AtomicUsize>,
    ends: Arc<Mutex<Vec<End>>>,
}

struct Story(Arc<Mutex<Vec<End>>>);

impl Observe for Stories {
    type Record = Story;

    fn begin(&self, _: &InferenceRequest) -> Story {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Story(Arc::clone(&self.ends))
    }
}

impl Record for Story {}

impl BodyGuard for Story {
    fn end(self, end: End) {
        self.0.lock().unwrap().push(end);
    }
}

/// One exchange of a house, with one of its services.
type Exchange = fn(&House, usize) -> bool;

/// Every service whose futures and bodies are public, alone and in the stack.
const SERVICES: [(&str, Exchange); 13] = [
    ("upstream", |house, polls| polled(house.upstream().oneshot(request()), polls)),
    ("circuit breaker around an upstream", |house, polls| {
        polled(house.guarded(house.upstream()).oneshot(request()), polls)
    }),
    ("circuit breaker around a balancer", |house, polls| {
        polled(house.guarded(house.balanced()).oneshot(request()), polls)
    }),
    ("circuit breakers below a balancer", |house, polls| {
        let one = |inner: &One| house.guarded(inner.clone());
        polled(house.balanced().map(one).oneshot(request()), polls)
    }),
    ("load balance", |house, polls| polled(house.balanced().oneshot(request()), polls)),
    ("model router", |house, polls| {
        polled(ModelRouter::new([("m", house.balanced())]).oneshot(request()), polls)
    }),
    ("endpoint router", |house, polls| {
        let services = [(ServiceType::Chat, house.balanced())];
        polled(EndpointRouter::new(services).oneshot(request()), polls)
    }),
    ("fallback", |house, polls| {
        let caller = request().with_client(Some([10, 0, 0, 1].into()));
        polled(house.fallback().oneshot(caller), polls)
    }),
    ("router", |house, polls| polled(house.router().oneshot(request()), polls)),
    ("observed", |house, polls| polled(house.observed(house.balanced()).oneshot(request()), polls)),
    ("rate limit", |house, polls| {
        let tokens = TokensPerMinute::new(1_000_000);
        let limits = Arc::new((Arc::clone(&house.running), tokens));
        polled(RateLimitLayer::new(limits).layer(house.balanced()).oneshot(request()), polls)
    }),
    ("waiting room", |house, polls| {
        let (room, service) = (Arc::clone(&house.room), house.balanced());
        let asked = AtomicUsize::new(0);
        // Busy when it is asked first and once more, and free again before that one waits.
        let busy = tower::service_fn(|request| {
            let service = service.clone();
            let nth = asked.fetch_add(1, Ordering::Relaxed);
            async move {
                if nth < 2 {
                    house.room.released();
                    return Err(Error::new(Kind::Busy, "busy").unsent());
                }
                service.oneshot(request).await
            }
        });
        polled(WaitingRoomLayer::new(room).layer(busy).oneshot(request()), polls)
    }),
    ("gateway", |house, polls| {
        polled(Gateway::new(house.observed(house.router())).oneshot(house.http()), polls)
    }),
];

/// Whether the answer of the model that was asked for comes to a good end this way.
fn is_good(way: &str) -> bool {
    ["a stream", "a JSON answer", "a refusal and another", "no connection"].contains(&way)
        || way == "a break before content"
}

#[test]
fn wherever_an_exchange_is_dropped_everything_it_held_is_given_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    for (way, scripts) in ways() {
        for (service, exchange) in SERVICES {
            let mut over = false;
            for polls in 0..LONGEST {
                let house = House::new(scripts.clone());
                over = exchange(&house, polls);
                for (what, count) in house.held() {
                    assert_eq!(count, 0, "{what}, after {polls} polls of {service} with {way}");
                }
                let kept = usize::from(over && service == "fallback" && is_good(way));
                assert_eq!(house.cache.len(), kept, "{polls} polls of {service} with {way}");
                if over {
                    break;
                }
            }
            assert_eq!(over, !way.starts_with("silence"), "{service} with {way} comes to an end");
        }
    }
}

#[test]
fn a_story_that_is_dropped_is_abandoned_and_any_other_is_not() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let whole = Script::stream([ROLE, TEXT, DONE]);
    let mut seen = Vec::new();
    for polls in 1..LONGEST {
        let house = House::new(vec![whole.clone()]);
        let over = polled(house.observed(house.balanced()).oneshot(request()), polls);
        let ends = house.ends.lock().unwrap().clone();
        assert_eq!(ends.len(), house.begun.load(Ordering::Relaxed), "each is told once");
        seen.extend(ends);
        if over {
            break;
        }
    }
    let (last, before) = seen.split_last().unwrap();
    assert_eq!(*last, End::Complete);
    assert!(before.len() > 10 && before.iter().all(|end| *end == End::Abandoned), "{before:?}");
}

#[test]
fn a_retry_that_is_dropped_gives_back_its_share_of_the_budget() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let refusal = Script::new(500, JSON, vec![Step::Data("{}".into())]);
    let house = House::new(vec![refusal]);
    let layer = LoadBalanceLayer::new(RoundRobin::new()).retry_budget(RetryBudget::new(100, 1));
    let service = layer.layer(house.instances());
    // The first has all of them known to fail: from here on a retry needs the budget.
    polled(service.clone().oneshot(request()), LONGEST);
    let mut most = 0;
    for polls in 0..LONGEST {
        let before = house.engine.asked();
        let over = polled(service.clone().oneshot(request()), polls);
        let asked = house.engine.asked() - before;
        assert!(asked >= most, "no retry is refused because one before it was dropped: {asked}");
        most = asked;
        if over {
            break;
        }
    }
    assert_eq!(most, 2, "the first attempt and what it has earned");
}

/// One request at a time, until its answer is dropped, which the room is told.
#[derive(Clone)]
struct OneAtATime {
    busy: Arc<AtomicBool>,
    room: Arc<Room>,
}

struct Answer(OneAtATime);

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Relaxed);
        self.0.room.released();
    }
}

impl OneAtATime {
    fn new() -> Self {
        let room = Arc::new(Room::new(Waiting::default().with_places(2)));
        Self { busy: Arc::default(), room }
    }

    /// Asks for an answer that comes at the third poll.
    fn ask(&self) -> impl Future<Output = Result<Answer, Error>> + use<> {
        let one = self.clone();
        let service = tower::service_fn(move |_: InferenceRequest| {
            let one = one.clone();
            async move {
                if one.busy.swap(true, Ordering::Relaxed) {
                    return Err(Error::new(Kind::Busy, "busy").unsent());
                }
                let answer = Answer(one);
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                Ok(answer)
            }
        });
        WaitingRoomLayer::new(Arc::clone(&self.room)).layer(service).oneshot(request())
    }
}

#[test]
fn wherever_one_that_waits_is_dropped_the_next_release_reaches_the_next() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    // So often it is polled before the place is free, and so often behind that.
    for (before, behind) in [0, 1, 2, 5].into_iter().flat_map(|n| (0..4).map(move |m| (n, m))) {
        let one = OneAtATime::new();
        one.busy.store(true, Ordering::Relaxed);
        let mut first = tokio_test::task::spawn(one.ask());
        for _ in 0..before {
            assert!(first.poll().is_pending(), "one at a time");
        }
        let mut second = tokio_test::task::spawn(one.ask());
        assert!(second.poll().is_pending());
        one.busy.store(false, Ordering::Relaxed);
        one.room.released();
        let over = (0..behind).any(|_| first.poll().is_ready());
        drop(first);
        let case = format!("dropped after {before} polls and {behind}");
        assert_eq!(over, before > 0 && behind > 2, "{case}");
        assert!(second.is_woken(), "{case}");
        let answer = loop {
            if let Poll::Ready(answer) = second.poll() {
                break answer;
            }
        };
        assert!(answer.is_ok(), "{case}");
        assert_eq!(one.room.waiting(), 0, "{case}");
    }
}
