//! An upstream that does exactly what it is told, byte by byte, and remembers what it saw.

mod play;
mod ports;
mod step;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use ports::{Unaccepting, closed_port};
pub use step::{Step, event_stream, json};

/// What happened on one connection or to one request of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Somebody connected.
    Connected,
    /// A request was read, with these exact bytes.
    Request(Vec<u8>),
    /// It was answered, and the connection stays open for the next one.
    Answered,
    /// The other side closed a connection that was waiting for its next request.
    Closed,
    /// The other side closed or reset while the upstream still had something to do.
    Left,
    /// The upstream did all it was told.
    Finished,
}

/// When something was seen, and on which connection.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// The connection, counted from 0.
    pub connection: usize,
    /// What.
    pub seen: Seen,
}

type Events = Mutex<Vec<Event>>;

type ForConnection = dyn Fn(usize) -> Vec<Step> + Send + Sync;
type ForRequest = dyn Fn(usize, &str) -> Vec<Step> + Send + Sync;

enum Script {
    Connections(Box<ForConnection>),
    Requests(Box<ForRequest>),
}

/// A running upstream. It stops, and its connections with it, when this is dropped.
pub struct Upstream {
    address: SocketAddr,
    events: Arc<Events>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Does, on each connection, what `script` says for it; they are counted from 0.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub async fn start(script: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::run(Script::Connections(Box::new(script))).await
    }

    /// Does, for each request it has read, what `script` says; they are counted from 0 over all
    /// connections, which stay open until a step closes them.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub async fn serving(
        script: impl Fn(usize, &str) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::run(Script::Requests(Box::new(script))).await
    }

    /// The same as [`serving`](Self::serving), at this address.
    ///
    /// # Panics
    ///
    /// If it cannot listen there.
    pub async fn serving_at(
        address: SocketAddr,
        script: impl Fn(usize, &str) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::run_at(address, Script::Requests(Box::new(script))).await
    }

    /// Answers every request alike, on connections that stay open.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::serving(move |_, _| vec![Step::Send(answer.clone())]).await
    }

    async fn run(script: Script) -> Self {
        Self::run_at(([127, 0, 0, 1], 0).into(), script).await
    }

    async fn run_at(address: SocketAddr, script: Script) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let events = Arc::new(Events::default());
        let task = tokio::spawn(play::serve(listener, Arc::new(script), Arc::clone(&events)));
        Self { address, events, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it saw so far, and when.
    pub fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }

    /// What it saw so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.events().into_iter().map(|event| event.seen).collect()
    }

    /// When it first saw this.
    pub fn when(&self, what: &Seen) -> Option<Instant> {
        self.events().iter().find(|event| event.seen == *what).map(|event| event.at)
    }

    /// How many requests it works on: read, not answered, and nobody has left.
    pub fn live(&self) -> usize {
        let events = self.events();
        let mut live = vec![false; events.len()];
        for event in events {
            live[event.connection] = matches!(event.seen, Seen::Request(_));
        }
        live.into_iter().filter(|live| *live).count()
    }

    /// The requests it read, as text.
    pub fn requests(&self) -> Vec<String> {
        let text = |seen| match seen {
            Seen::Request(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        };
        self.seen().into_iter().filter_map(text).collect()
    }

    /// How often this happened.
    pub fn count(&self, what: &Seen) -> usize {
        self.seen().iter().filter(|seen| *seen == what).count()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(events: &Events) -> MutexGuard<'_, Vec<Event>> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}
