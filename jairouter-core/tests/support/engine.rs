//! An engine in memory: a client that plays scripts, poll by poll, and counts what is alive.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use jairouter_core::Payload;
use jairouter_core::{Body, Error, Kind};
use tower::Service;

pub(crate) const SSE: &str = "text/event-stream";
pub(crate) const JSON: &str = "application/json";

/// What a body does at one poll.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Pending,
    Data(Bytes),
    Break(Kind),
    /// Pending for good.
    Stall,
}

/// One exchange, as the engine plays it.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Polls before the client is ready.
    unready: usize,
    /// Polls before the head.
    silent: usize,
    head: Result<(u16, &'static str), Kind>,
    body: Vec<Step>,
}

impl Script {
    /// An answer of this status and type, in these steps.
    pub(crate) fn new(status: u16, content_type: &'static str, body: Vec<Step>) -> Self {
        Self { unready: 0, silent: 0, head: Ok((status, content_type)), body }
    }

    /// No answer at all.
    pub(crate) fn error(kind: Kind) -> Self {
        Self { unready: 0, silent: 0, head: Err(kind), body: Vec::new() }
    }

    /// A stream in these pieces.
    pub(crate) fn stream<D: Into<Bytes>>(pieces: impl IntoIterator<Item = D>) -> Self {
        let data = pieces.into_iter().map(|piece| Step::Data(piece.into()));
        Self::new(200, SSE, data.collect())
    }

    /// The same, and this at the end.
    pub(crate) fn then(mut self, step: Step) -> Self {
        self.body.push(step);
        self
    }

    /// The same, pending at every point at which an engine can be.
    pub(crate) fn hesitant(mut self) -> Self {
        (self.unready, self.silent) = (2, 2);
        let hesitate = |step| [Step::Pending, step, Step::Pending];
        self.body = self.body.into_iter().flat_map(hesitate).collect();
        self
    }
}

/// Counts what it is held by.
#[derive(Debug, Clone)]
pub(crate) struct Held(Arc<AtomicUsize>);

impl Held {
    pub(crate) fn by(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What plays the scripts, one an exchange; the last one again and again.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    /// Polls before this clone is ready.
    unready: Option<usize>,
}

#[derive(Debug)]
struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    shuffled: bool,
    live: Arc<AtomicUsize>,
    asked: AtomicUsize,
}

impl Engine {
    pub(crate) fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        let scripts = Mutex::new(scripts.into_iter().collect());
        let (live, asked) = (Arc::default(), AtomicUsize::new(0));
        let shared = Shared { scripts, shuffled: false, live, asked };
        Self { shared: Arc::new(shared), unready: None }
    }

    /// The same, playing any of its scripts each time.
    pub(crate) fn shuffled(scripts: impl IntoIterator<Item = Script>) -> Self {
        let scripts = Mutex::new(scripts.into_iter().collect());
        let (live, asked) = (Arc::default(), AtomicUsize::new(0));
        let shared = Shared { scripts, shuffled: true, live, asked };
        Self { shared: Arc::new(shared), unready: None }
    }

    /// How many futures and bodies of exchanges there are.
    pub(crate) fn live(&self) -> usize {
        self.shared.live.load(Ordering::Relaxed)
    }

    /// How many requests have been sent to it.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Service<Request<Payload>> for Engine {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Head;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let scripts = self.shared.scripts.lock().unwrap();
        let left = self.unready.get_or_insert(scripts[0].unready);
        if *left == 0 {
            return Poll::Ready(Ok(()));
        }
        *left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request<Payload>) -> Head {
        self.shared.asked.fetch_add(1, Ordering::Relaxed);
        let mut scripts = self.shared.scripts.lock().unwrap();
        let script = match scripts.len() {
            many if self.shared.shuffled => scripts[fastrand::usize(..many)].clone(),
            1 => scripts[0].clone(),
            _ => scripts.pop_front().unwrap(),
        };
        Head { script, held: Some(Held::by(&self.shared.live)) }
    }
}

pub(crate) struct Head {
    script: Script,
    held: Option<Held>,
}

impl Future for Head {
    type Output = Result<Response<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.script.silent > 0 {
            self.script.silent -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let held = self.held.take().expect("polled after completion");
        let (status, content_type) = match self.script.head {
            Ok(head) => head,
            Err(kind) => return Poll::Ready(Err(Error::new(kind, "scripted"))),
        };
        let steps = std::mem::take(&mut self.script.body).into();
        let mut answer = Response::new(Body::new(Played { steps, _held: held }));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Poll::Ready(Ok(answer))
    }
}

/// A body that plays its steps.
pub(crate) struct Played {
    steps: VecDeque<Step>,
    _held: Held,
}

impl Played {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>, held: Held) -> Self {
        Self { steps: steps.into_iter().collect(), _held: held }
    }
}

impl HttpBody for Played {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if matches!(self.steps.front(), Some(Step::Stall)) {
            return Poll::Pending;
        }
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Break(kind)) => Poll::Ready(Some(Err(Error::new(kind, "scripted")))),
            Some(Step::Pending | Step::Stall) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
