//! What is asked of a gateway, phase by phase.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::task::{self, JoinHandle};
use tokio::time::{Instant, sleep, sleep_until};

use crate::Failure;
use crate::answer::Connection;
use crate::ask::request;
use crate::engine::{Left, Seen, Wanted};
use crate::gateways::{Gateway, Running};
use crate::leave::Leavers;
use crate::process::Process;
use crate::statistics::quantile;
use crate::streams::{self, Times};

/// What a phase does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Requests with bodies of so many bytes, as fast as so many connections take them.
    Closed(&'static str, usize, usize),
    /// So many requests a second, however long they take.
    Open(&'static str, u32),
    /// So many streams at a time of so many events, with this between them in microseconds.
    Streams(&'static str, usize, u32, u64),
}

impl Phase {
    pub(crate) const ALL: [Self; 6] = [
        Self::Closed("0.5 KB", 512, 32),
        Self::Closed("16 KB", 16 << 10, 32),
        Self::Closed("256 KB", 256 << 10, 16),
        Self::Open("500/s", 500),
        Self::Streams("SSE, 1 ms", 50, 128, 1_000),
        Self::Streams("SSE, no delay", 50, 128, 0),
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Closed(name, ..) | Self::Open(name, _) | Self::Streams(name, ..) => name,
        }
    }
}

/// What came of it.
pub(crate) type Figures = Vec<(&'static str, f64)>;

/// What the tasks of a phase share.
#[derive(Default)]
struct Shared {
    is_over: Cell<bool>,
    is_warm: Cell<bool>,
    /// How many requests or events there were.
    count: Cell<u64>,
    /// In seconds.
    latencies: RefCell<Vec<f64>>,
    times: RefCell<Times>,
    failure: RefCell<Option<String>>,
}

impl Shared {
    fn count(&self, more: u32) {
        self.count.set(self.count.get() + u64::from(more));
    }

    fn take(&self, latency: Duration) {
        if self.is_warm.get() {
            self.latencies.borrow_mut().push(latency.as_secs_f64());
        }
    }

    fn fail(&self, why: &dyn std::fmt::Display) {
        self.failure.borrow_mut().get_or_insert_with(|| why.to_string());
        self.is_over.set(true);
    }
}

/// Runs it for so long, and tells what it cost.
pub(crate) async fn run(
    phase: Phase,
    gateway: &Running,
    length: Duration,
    seen: &Seen,
) -> Result<Figures, Failure> {
    let shared = Rc::new(Shared::default());
    let tasks = begin(phase, gateway, &shared);
    sleep(length / 8).await;
    shared.is_warm.set(true);
    let (count, cpu) = (shared.count.get(), cpu(gateway)?);
    let begun = Instant::now();
    let mut leavers = Leavers::new(gateway.address, seen);
    while begun.elapsed() < length && !shared.is_over.get() {
        if gateway.gateway == Gateway::None {
            sleep(length / 100).await;
        } else {
            leavers.leave().await?;
        }
    }
    let (took, cpu) = (begun.elapsed(), self::cpu(gateway)?.saturating_sub(cpu));
    let count = (shared.count.get() - count) as f64;
    shared.is_warm.set(false);
    shared.is_over.set(true);
    join_all(tasks).await;
    if let Some(failure) = shared.failure.take() {
        return Err(format!("{}, {}: {failure}", gateway.gateway.name(), phase.name()).into());
    }
    let mut figures = vec![("each second", count / took.as_secs_f64())];
    if gateway.gateway != Gateway::None {
        figures.push(("CPU µs", cpu.as_secs_f64() * 1e6 / count));
        let mut freed = leavers.freed().await?;
        figures.extend(quantile(&mut freed, 0.99).map(|freed| ("freed p99 ms", freed * 1e3)));
    }
    let mut times = shared.times.take();
    for (name, values, share) in [
        ("p50 µs", &mut shared.latencies.take(), 0.5),
        ("p99 µs", &mut shared.latencies.take(), 0.99),
        ("first p50 µs", &mut times.first.clone(), 0.5),
        ("first p99 µs", &mut times.first, 0.99),
        ("between p99 µs", &mut times.between, 0.99),
    ] {
        figures.extend(quantile(values, share).map(|value| (name, value * 1e6)));
    }
    Ok(figures)
}

fn cpu(gateway: &Running) -> Result<Duration, Failure> {
    gateway.process.as_ref().map_or(Ok(Duration::ZERO), Process::cpu)
}

fn begin(phase: Phase, gateway: &Running, shared: &Rc<Shared>) -> Vec<JoinHandle<()>> {
    let address = gateway.address;
    let spawn = |work: futures::future::LocalBoxFuture<'static, Result<(), Failure>>| {
        let shared = Rc::clone(shared);
        task::spawn_local(async move {
            if let Err(failure) = work.await {
                shared.fail(&failure);
            }
        })
    };
    match phase {
        Phase::Closed(_, size, connections) => {
            let request = request(size, Wanted::default());
            let one = |_| {
                let work = closed(address, Rc::clone(&request), Rc::clone(shared));
                spawn(Box::pin(work))
            };
            (0..connections).map(one).collect()
        }
        Phase::Open(_, rate) => {
            let request = request(512, Wanted::default());
            vec![spawn(Box::pin(open(address, request, rate, Rc::clone(shared))))]
        }
        Phase::Streams(_, streams, events, gap) => {
            let request = request(512, Wanted { events, gap, leaves: None });
            let one = |_| {
                let work = stream(address, Rc::clone(&request), events, Rc::clone(shared));
                spawn(Box::pin(work))
            };
            (0..streams).map(one).collect()
        }
    }
}

/// One request after another.
async fn closed(
    address: std::net::SocketAddr,
    request: Rc<[u8]>,
    shared: Rc<Shared>,
) -> Result<(), Failure> {
    let mut connection = Connection::open(address).await?;
    while !shared.is_over.get() {
        let asked = Instant::now();
        connection.stream.write_all(&request).await?;
        connection.whole().await?;
        shared.take(asked.elapsed());
        shared.count(1);
    }
    Ok(())
}

/// Requests at their times, whether or not those before them have been answered: what one waits for another is in its
/// own time.
async fn open(
    address: std::net::SocketAddr,
    request: Rc<[u8]>,
    rate: u32,
    shared: Rc<Shared>,
) -> Result<(), Failure> {
    let idle: Rc<RefCell<VecDeque<Connection>>> = Rc::default();
    let mut due = Instant::now();
    let mut tasks = Vec::new();
    while !shared.is_over.get() {
        due += Duration::from_secs(1) / rate;
        sleep_until(due).await;
        let (idle, request, shared) = (Rc::clone(&idle), Rc::clone(&request), Rc::clone(&shared));
        tasks.push(task::spawn_local(async move {
            let unused = idle.borrow_mut().pop_front();
            let answered = async {
                let mut connection = match unused {
                    Some(connection) => connection,
                    None => Connection::open(address).await?,
                };
                connection.stream.write_all(&request).await?;
                connection.whole().await?;
                std::io::Result::Ok(connection)
            };
            match answered.await {
                Ok(connection) => {
                    shared.take(due.elapsed());
                    shared.count(1);
                    idle.borrow_mut().push_back(connection);
                }
                Err(error) => shared.fail(&error),
            }
        }));
    }
    join_all(tasks).await;
    Ok(())
}

/// One stream after another.
async fn stream(
    address: std::net::SocketAddr,
    request: Rc<[u8]>,
    events: u32,
    shared: Rc<Shared>,
) -> Result<(), Failure> {
    let mut connection = Connection::open(address).await?;
    while !shared.is_over.get() {
        let mut times = Times::default();
        let came = |count| shared.count(count);
        streams::read(&mut connection, &request, events, &mut times, came).await?;
        if shared.is_warm.get() {
            let mut all = shared.times.borrow_mut();
            all.first.append(&mut times.first);
            all.between.append(&mut times.between);
        }
    }
    Ok(())
}

/// What it takes when nobody asks, and for each of so many streams that are open at a time.
pub(crate) async fn memory(gateway: &Running, most: usize) -> Result<Figures, Failure> {
    let process = gateway.process.as_ref().ok_or("there is no gateway")?;
    let idle = process.resident()?;
    let mut figures =
        vec![("start s", gateway.start.as_secs_f64()), ("idle MiB", idle as f64 / 1024.0)];
    let mut open: Vec<Connection> = Vec::new();
    for (name, streams) in
        [("KiB a stream of 1,000", most.min(1_000)), ("KiB a stream of the most", most)]
    {
        while open.len() < streams {
            let some = (streams - open.len()).min(100);
            let opened = join_all((0..some).map(|_| silent(gateway.address))).await;
            open.extend(opened.into_iter().collect::<Result<Vec<_>, _>>()?);
        }
        sleep(Duration::from_millis(300)).await;
        let kib = process.resident()?.saturating_sub(idle);
        figures.push((name, kib as f64 / streams as f64));
    }
    figures.push(("streams at most", most as f64));
    Ok(figures)
}

/// A stream of one event, behind which nothing comes.
async fn silent(address: std::net::SocketAddr) -> Result<Connection, Failure> {
    let wanted = Wanted { leaves: Some((Left::Silent, 0)), ..Wanted::default() };
    let mut connection = Connection::open(address).await?;
    connection.stream.write_all(&request(512, wanted)).await?;
    connection.head().await?;
    while memchr::memmem::find(&connection.read, b"\n\n").is_none() {
        connection.more().await?;
    }
    Ok(connection)
}
