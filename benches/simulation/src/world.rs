//! Engines, the library's router around them, and who asks.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http_body_util::BodyExt;
use jairouter_core::balance::{Instance, InstanceState, LoadBalanceLayer};
use jairouter_core::circuit_breaker::{Breaker, Settings, State};
use jairouter_core::health::{Health, Prober, Settings as Probes};
use jairouter_core::rate_limit::{PerClient, TokenBucket};
use jairouter_core::router::{Group, Member};
use jairouter_core::{
    Backend, Endpoint, InferenceRequest, Kind, Route, Router, ServiceType, Upstream,
};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt;

use crate::engine::{self, Engine};
use crate::strategy::Any;

/// The logarithm of the middle number of tokens, and how far they scatter.
const TOKENS: (f64, f64) = (5.0, 0.8);

/// How long an engine is busy with a request on average, at speed 1.
pub fn mean_service() -> Duration {
    let tokens = (TOKENS.0 + TOKENS.1 * TOKENS.1 / 2.0).exp();
    engine::PREFILL + engine::PER_TOKEN.mul_f64(tokens)
}

/// Requests a second that so many engines can serve, at this speed on average.
pub fn capacity(engines: usize, speed: f64) -> f64 {
    (engines * engine::PLACES) as f64 * speed / mean_service().as_secs_f64()
}

/// What there is.
pub struct Plan {
    /// How an instance is chosen.
    pub strategy: Any,
    /// The speed of each engine.
    pub speeds: Vec<f64>,
    /// How instances are judged.
    pub breaker: Settings,
    /// Whether they are probed, every five seconds.
    pub probed: bool,
    /// How much each client may ask.
    pub limit: Option<PerClient<TokenBucket>>,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests a second, at random.
    pub rate: f64,
    /// For how long.
    pub time: Duration,
    /// By so many clients.
    pub clients: u32,
    /// Of which the first so many ask this many times as much as each of the others.
    pub greedy: (u32, u32),
    /// What all chance comes from.
    pub seed: u64,
}

/// What became of a request. Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// When it came.
    pub at: f64,
    /// The client's number.
    pub client: u32,
    /// How long its first token took.
    pub first: f64,
    /// How long all of it took.
    pub whole: f64,
    /// Why there is no whole answer.
    pub failed: Option<Kind>,
}

/// A framework that is OpenAI's API itself.
#[derive(Debug, Clone, Copy)]
struct OpenAi;

impl Backend for OpenAi {
    fn name(&self) -> &'static str {
        "normal"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        Some(route.endpoint.path().into())
    }
}

/// Engines, and the router around them.
pub struct World {
    /// The engines.
    pub engines: Vec<Engine>,
    /// What the balancer knows of each.
    pub states: Vec<Arc<InstanceState>>,
    router: Router<OpenAi, Engine>,
}

/// Runs this on a virtual clock, which goes on when everything waits for it.
///
/// # Panics
///
/// If there is no runtime to be had.
pub fn in_virtual_time<T>(seed: u64, work: impl Future<Output = T>) -> T {
    // What the library draws, it draws from this.
    fastrand::seed(seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without sockets").block_on(work)
}

impl World {
    /// To be made on a virtual clock.
    ///
    /// # Panics
    ///
    /// If the library does not take the address of an engine.
    pub fn new(plan: Plan) -> Self {
        let balance = LoadBalanceLayer::new(plan.strategy);
        let mut group = Group::new(balance);
        let (mut engines, mut states) = (Vec::new(), Vec::new());
        for (index, speed) in plan.speeds.into_iter().enumerate() {
            let engine = Engine::new(speed);
            let target: jairouter_core::upstream::Target =
                "http://engine.invalid".parse().expect("it is a target");
            let health = Arc::new(Health::new());
            let state = InstanceState::new(index.to_string()).with_health(Arc::clone(&health));
            let state = Arc::new(state);
            if plan.probed {
                let settings = Probes::default();
                let prober = Prober::new(&OpenAi, &target, engine.clone(), health, settings);
                let prober = prober.expect("its path is one");
                tokio::spawn(async move { prober.run(drop).await });
            }
            let upstream = Upstream::new(OpenAi, target, engine.clone());
            let instance = Instance::with_state(Arc::clone(&state), upstream);
            let breaker = Arc::new(Breaker::new(plan.breaker));
            group = group.instance("m", Member::new(instance).breaker(breaker));
            engines.push(engine);
            states.push(state);
        }
        if let Some(limit) = plan.limit {
            group = group.limit(limit);
        }
        let router = Router::builder().service(ServiceType::Chat, group).build();
        Self { engines, states, router }
    }

    /// How many breakers are open or half-open.
    pub fn open_breakers(&self) -> usize {
        let now = Instant::now();
        let breakers = self.states.iter().filter_map(|state| state.breaker());
        breakers.filter(|breaker| breaker.state(now) != State::Closed).count()
    }

    /// How often any has opened.
    pub fn trips(&self) -> u64 {
        self.states.iter().filter_map(|state| state.breaker()).map(|breaker| breaker.trips()).sum()
    }

    /// Sends requests, and calls this every second with how many have passed.
    pub async fn drive(&self, load: Load, mut each_second: impl FnMut(u64)) -> Vec<Told> {
        let mut random = fastrand::Rng::with_seed(load.seed);
        let told = Arc::new(Mutex::new(Vec::new()));
        let (begun, mut at, mut second) = (Instant::now(), 0.0, 0);
        while at < load.time.as_secs_f64() {
            while second as f64 <= at {
                sleep_until(begun + Duration::from_secs(second)).await;
                each_second(second);
                second += 1;
            }
            sleep_until(begun + Duration::from_secs_f64(at)).await;
            let client = load.client(&mut random);
            tokio::spawn(ask(
                self.router.clone(),
                client,
                tokens(&mut random),
                at,
                Arc::clone(&told),
            ));
            at += -(1.0 - random.f64()).ln() / load.rate;
        }
        // Those that still run have their say.
        while Arc::strong_count(&told) > 1 {
            sleep_until(begun + Duration::from_secs(second)).await;
            each_second(second);
            second += 1;
        }
        std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Load {
    fn client(&self, random: &mut fastrand::Rng) -> u32 {
        let (greedy, times) = self.greedy;
        let modest = u64::from(self.clients - greedy);
        let ticket = random.u64(..modest + u64::from(greedy) * u64::from(times));
        match u32::try_from(ticket) {
            Ok(ticket) if u64::from(ticket) < modest => greedy + ticket,
            _ => ((ticket - modest) / u64::from(times)) as u32,
        }
    }
}

/// By a log-normal distribution, as the lengths of answers are.
fn tokens(random: &mut fastrand::Rng) -> u32 {
    let (radius, angle) = ((-2.0 * (1.0 - random.f64()).ln()).sqrt(), random.f64());
    let normal = radius * (std::f64::consts::TAU * angle).cos();
    (TOKENS.0 + TOKENS.1 * normal).exp().clamp(1.0, 8192.0) as u32
}

/// The address of a client, by its number.
pub(crate) fn address(client: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + client)
}

async fn ask(
    router: Router<OpenAi, Engine>,
    client: u32,
    tokens: u32,
    at: f64,
    told: Arc<Mutex<Vec<Told>>>,
) {
    let payload = engine::payload(tokens);
    let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload);
    let request = request.expect("it names a model").with_client(Some(address(client).into()));
    let begun = Instant::now();
    let elapsed = || begun.elapsed().as_secs_f64();
    let (first, failed) = match router.oneshot(request).await {
        Err(error) => (elapsed(), Some(error.kind())),
        Ok(answer) => {
            let (first, mut body) = (elapsed(), answer.into_body());
            let failed = loop {
                match body.frame().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Some(error.kind()),
                    None => break None,
                }
            };
            (first, failed)
        }
    };
    let told_now = Told { at, client, first, whole: elapsed(), failed };
    told.lock().unwrap_or_else(PoisonError::into_inner).push(told_now);
}
