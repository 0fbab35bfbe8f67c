//! What it costs to choose one of many instances, in real time.
//!
//! Measured is a whole call of the balancer: the future, the choice among all that are up, not full,
//! not resting, behind a closed breaker and healthy, the count, the instance's own limit and breaker,
//! an answer that is there at once, and the end of it.

use std::future::{Ready, ready};
use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use jairouter_core::balance::{InFlight, Instance, InstanceState, LoadBalance, LoadBalanceLayer};
use jairouter_core::circuit_breaker::{Breaker, CircuitBreaker, CircuitBreakerLayer, Settings};
use jairouter_core::health::Health;
use jairouter_core::rate_limit::{Limit, RateLimit, RateLimitLayer, TokenBucket};
use jairouter_core::{Body, Endpoint, Error, InferenceRequest};
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::plot::{Axis, Chart};
use crate::report::{Report, Table};
use crate::stats::median;
use crate::strategy::Any;

/// What is worth a picture; the others are in the table.
const PLOTTED: [Situation; 3] = [Situation::Busy, Situation::MostlyOpen, Situation::OneLeft];

/// Short ones, so that whatever else the core does is in few of them.
const ROUNDS: usize = 31;

const HOUR: Duration = Duration::from_secs(3600);

/// How the instances are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Situation {
    /// Each has one to eight requests.
    Busy,
    /// None has any.
    Idle,
    /// The breakers of nine in ten are open.
    MostlyOpen,
    /// The breakers of all but one are.
    OneLeft,
    /// All breakers are.
    AllOpen,
    /// Half have come back just now, and are spared.
    Recovering,
    /// The own limits of all but one have nothing left.
    Limited,
}

impl Situation {
    /// All of them, and what they are called.
    pub const ALL: [(Self, &str); 7] = [
        (Self::Busy, "busy"),
        (Self::Idle, "idle"),
        (Self::MostlyOpen, "9 in 10 open"),
        (Self::OneLeft, "all open but one"),
        (Self::AllOpen, "all open"),
        (Self::Recovering, "half just back"),
        (Self::Limited, "all at own limit but one"),
    ];
}

/// An instance that answers at once.
#[derive(Debug, Clone, Copy)]
struct Prompt;

impl Service<InferenceRequest> for Prompt {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Ready<Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: InferenceRequest) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

type Governed = RateLimit<Arc<Limit<TokenBucket>>, CircuitBreaker<Prompt>>;

/// A balancer over so many instances, and what keeps them as they are.
pub struct Pool {
    balance: LoadBalance<Governed>,
    requests: Vec<InferenceRequest>,
    next: usize,
    _busy: Vec<InFlight>,
    /// How long it took to lay out the instances.
    pub built_in: Duration,
}

impl Pool {
    /// So many instances, in this situation.
    ///
    /// # Panics
    ///
    /// If the library does not take the request it is asked with.
    pub fn new(strategy: Any, count: usize, situation: Situation) -> Self {
        let mut random = fastrand::Rng::with_seed(7);
        // Which are not as the others are: spread over all, as failures are.
        let mut order: Vec<_> = (0..count).collect();
        random.shuffle(&mut order);
        let rank = |index: usize| order[index];
        let instances: Vec<_> =
            (0..count).map(|index| instance(index, rank(index), count, situation)).collect();
        let mut busy = Vec::new();
        for instance in &instances {
            if situation != Situation::Idle {
                busy.extend((0..random.usize(1..=8)).filter_map(|_| instance.state().acquire()));
            }
        }
        let started = now();
        let balance = LoadBalanceLayer::new(strategy).slow_start(HOUR).layer(instances);
        let built_in = started.elapsed();
        let payload = Bytes::from_static(br#"{"model":"m","stream":true,"messages":[]}"#);
        let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload)
            .expect("it names a model");
        let requests = (0..1024)
            .map(|_| request.clone().with_client(Some(Ipv4Addr::from_bits(random.u32(..)).into())));
        Self { balance, requests: requests.collect(), next: 0, _busy: busy, built_in }
    }

    /// One request, from the first poll to the end of its answer. Whether it was answered.
    pub fn ask(&mut self) -> bool {
        self.next = (self.next + 1) % self.requests.len();
        let request = self.requests[self.next].clone();
        let answer = pin!(self.balance.call(request));
        match answer.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer.is_ok(),
            Poll::Pending => false,
        }
    }

    /// What one costs, in nanoseconds: the median of rounds that take at least this long, each of many
    /// callers, for some may be luckier than others.
    fn cost(&mut self, round: Duration) -> f64 {
        let mut time = || {
            let (started, mut times) = (now(), 0);
            while started.elapsed() < round {
                for _ in 0..8 {
                    self.ask();
                }
                times += 8;
            }
            started.elapsed().as_nanos() as f64 / f64::from(times)
        };
        // The first fills the caches.
        time();
        median(&mut (0..ROUNDS).map(|_| time()).collect::<Vec<_>>())
    }
}

#[allow(clippy::disallowed_methods, reason = "the one thing that is measured in real time")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn instance(index: usize, rank: usize, count: usize, situation: Situation) -> Instance<Governed> {
    let settings = Settings::default().with_failure_threshold(1).with_success_threshold(1);
    let is_open = match situation {
        Situation::MostlyOpen => rank >= count.div_ceil(10),
        Situation::OneLeft => rank > 0,
        Situation::AllOpen => true,
        Situation::Recovering => rank < count / 2,
        _ => false,
    };
    let open_for = if situation == Situation::Recovering { Duration::ZERO } else { HOUR };
    let breaker = Arc::new(Breaker::new(settings.with_open_for(open_for)));
    // What came back in the first second of a breaker's life was never away.
    let later = Instant::now() + Duration::from_secs(1);
    let admit = || breaker.admit(later).ok();
    if is_open && let Some(permit) = admit() {
        permit.failure(later);
    }
    if situation == Situation::Recovering
        && is_open
        && let Some(probe) = admit()
    {
        probe.success(later);
    }
    let is_limited = situation == Situation::Limited && rank > 0;
    let bucket =
        if is_limited { TokenBucket::new(1e-9, 1) } else { TokenBucket::new(1e9, 1 << 30) };
    let limit = Arc::new(Limit::new(bucket));
    let state = InstanceState::new(format!("http://10.0.{}.{}:8000", index / 256, index % 256))
        .with_breaker(Arc::clone(&breaker))
        .with_health(Arc::new(Health::new()));
    let guarded = CircuitBreakerLayer::new(breaker).layer(Prompt);
    Instance::with_state(Arc::new(state), RateLimitLayer::of_instance(limit).layer(guarded))
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The numbers of instances.
    pub counts: &'static [usize],
    /// The most instances where one request may ask them all.
    pub most_limited: usize,
    /// How long a round takes.
    pub round: Duration,
}

/// Every strategy, over every number of instances, in every situation.
pub fn run(size: Size, report: &mut Report<'_>) -> io::Result<()> {
    let mut table = Table::new(
        "A call of the balancer, in ns: the median of 31 rounds",
        ["strategy", "situation", "instances", "ns", "ns per instance", "built in ms"],
    );
    for (situation, name) in Situation::ALL {
        let title = format!("A call of the balancer, instances: {name}");
        let (x, y) = (Axis::logarithmic("instances"), Axis::logarithmic("ns"));
        let mut chart = Chart::new(title, x, y.reaching(20_000.0));
        for strategy in Any::all() {
            let mut line = Vec::new();
            for &count in size.counts {
                if situation == Situation::Limited && count > size.most_limited {
                    continue;
                }
                let mut pool = Pool::new(strategy.clone(), count, situation);
                let ns = pool.cost(size.round);
                let built = pool.built_in.as_secs_f64() * 1e3;
                line.push((count as f64, ns));
                let (ns, each) = (format!("{ns:.0}"), format!("{:.2}", ns / count as f64));
                table.row([&strategy, &name, &count, &ns, &each, &format!("{built:.1}")]);
            }
            chart.line(&strategy, line);
        }
        if PLOTTED.contains(&situation) {
            report.plot(&format!("selection-{}", name.replace(' ', "-")), &chart)?;
        }
    }
    report.table("selection", &table)
}
