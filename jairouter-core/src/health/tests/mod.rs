mod answers;
mod evidence;
mod model;
mod prober;
mod schedule;
#[cfg(feature = "client")]
mod sockets;

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::payload::Payload;
use bytes::Bytes;
use futures::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tower::Service;

use super::*;
use crate::backend::{Backend, Route};
use crate::body::Body;
use crate::error::{Error, Kind};
use crate::upstream::Target;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

struct Normal;

impl Backend for Normal {
    fn name(&self) -> &'static str {
        "normal"
    }
    fn path(&self, _: &Route<'_>) -> Option<Cow<'static, str>> {
        None
    }
}

/// What an engine does with a question.
#[derive(Debug, Clone, Copy)]
enum Reply {
    Status(u16),
    Text(u16, &'static str),
    /// 503, and when to come back.
    Later(&'static str),
    /// 200, after this time.
    Slow(Duration),
    /// 503, after this time.
    SlowlyUnwell(Duration),
    Refuse,
    BreakOff,
    Stall,
    /// A head of 200, and then …
    StallBody,
    CutBody,
    EndlessBody,
}

/// An engine in memory.
#[derive(Clone)]
struct Engine(Arc<Seen>);

struct Seen {
    reply: Mutex<Reply>,
    asked: Mutex<Vec<Instant>>,
    last: Mutex<Option<Request<Payload>>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    read: AtomicUsize,
}

/// An exchange, until it is over.
struct Exchange(Arc<Seen>);

impl Engine {
    fn new(reply: Reply) -> Self {
        Self(Arc::new(Seen {
            reply: Mutex::new(reply),
            asked: Mutex::default(),
            last: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
        }))
    }

    fn replies(&self, reply: Reply) {
        *self.0.reply.lock().unwrap() = reply;
    }

    /// When it was asked.
    fn asked(&self) -> Vec<Instant> {
        self.0.asked.lock().unwrap().clone()
    }

    /// The times from one question to the next.
    fn pauses(&self) -> Vec<Duration> {
        self.asked().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    fn most_in_flight(&self) -> usize {
        self.0.most_in_flight.load(Ordering::Relaxed)
    }
}

impl Service<Request<Payload>> for Engine {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let seen = Arc::clone(&self.0);
        let reply = *seen.reply.lock().unwrap();
        seen.asked.lock().unwrap().push(Instant::now());
        *seen.last.lock().unwrap() = Some(request);
        let exchange = Exchange::new(&seen);
        Box::pin(async move { exchange.reply(reply).await })
    }
}

impl Exchange {
    fn new(seen: &Arc<Seen>) -> Self {
        let now = seen.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        seen.most_in_flight.fetch_max(now, Ordering::Relaxed);
        Self(Arc::clone(seen))
    }

    async fn reply(self, reply: Reply) -> Result<Response<Body>, Error> {
        match reply {
            Reply::Status(status) => Ok(answer(status, Body::empty())),
            Reply::Text(status, text) => Ok(answer(status, text.into())),
            Reply::Later(text) => {
                let mut answer = answer(503, text.into());
                answer.headers_mut().insert("retry-after", 30.into());
                Ok(answer)
            }
            Reply::Slow(time) => {
                sleep(time).await;
                Ok(answer(200, Body::empty()))
            }
            Reply::SlowlyUnwell(time) => {
                sleep(time).await;
                Ok(answer(503, Body::empty()))
            }
            Reply::Refuse => Err(Error::new(Kind::Unreachable, "connection refused")),
            Reply::BreakOff => Err(Error::new(Kind::Broken, "no HTTP")),
            Reply::Stall => std::future::pending().await,
            Reply::StallBody => Ok(answer(200, self.body(|_| None))),
            Reply::CutBody => Ok(answer(
                200,
                self.body(|read| match read {
                    0 => Some(Ok(Bytes::from_static(b"{"))),
                    _ => Some(Err(Error::new(Kind::Broken, "cut off"))),
                }),
            )),
            Reply::EndlessBody => {
                Ok(answer(200, self.body(|_| Some(Ok(Bytes::from_static(&[b' '; 1000]))))))
            }
        }
    }

    /// A body of these frames, which stalls where there is none. Holds the exchange.
    fn body(self, next: impl Fn(usize) -> Option<Result<Bytes, Error>> + Send + 'static) -> Body {
        Body::new(StreamBody::new(stream::poll_fn(move |_| {
            let read = self.0.read.load(Ordering::Relaxed);
            match next(read) {
                Some(data) => {
                    self.0.read.fetch_add(data.as_ref().map_or(0, Bytes::len), Ordering::Relaxed);
                    Poll::Ready(Some(data.map(Frame::data)))
                }
                None => Poll::Pending,
            }
        })))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn answer(status: u16, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

fn target() -> Target {
    "http://10.0.0.1:8000".parse().unwrap()
}

fn prober(engine: &Engine, health: &Arc<Health>, settings: Settings) -> Prober<Engine> {
    Prober::new(&Normal, &target(), engine.clone(), Arc::clone(health), settings).unwrap()
}

/// An engine, and somebody who probes it.
struct Probed {
    engine: Engine,
    health: Arc<Health>,
    changes: Arc<Mutex<Vec<(Instant, Change)>>>,
    task: JoinHandle<()>,
}

impl Probed {
    fn new(reply: Reply, settings: Settings) -> Self {
        Self::with(Engine::new(reply), Arc::new(Health::new()), settings)
    }

    fn with(engine: Engine, health: Arc<Health>, settings: Settings) -> Self {
        let changes = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&changes);
        let run = prober(&engine, &health, settings)
            .run(move |change| told.lock().unwrap().push((Instant::now(), change)));
        let task = tokio::spawn(async move { match run.await {} });
        Self { engine, health, changes, task }
    }

    /// One that has been found up, a moment ago.
    async fn up() -> Self {
        let probed = Self::new(Reply::Status(200), Settings::default());
        probed.until_asked(1).await;
        sleep(200 * MILLISECOND).await;
        probed
    }

    async fn until_asked(&self, times: usize) {
        while self.engine.asked().len() < times {
            sleep(MILLISECOND).await;
        }
        sleep(MILLISECOND).await;
    }

    /// How long it takes to become so.
    async fn until(&self, status: Status) -> Duration {
        let start = Instant::now();
        while self.health.status() != status {
            assert!(start.elapsed() < 1000 * SECOND, "it does not become {status}");
            sleep(MILLISECOND).await;
        }
        start.elapsed()
    }

    fn told(&self) -> Vec<(Status, Status)> {
        let changes = self.changes.lock().unwrap();
        changes.iter().map(|(_, change)| (change.from, change.to)).collect()
    }
}

impl Drop for Probed {
    fn drop(&mut self) {
        self.task.abort();
    }
}
