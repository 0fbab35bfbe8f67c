//! An engine that speaks HTTP/2, does with each request what it is told, and remembers what it saw.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{Response, request};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::tls::Authority;

/// What an engine saw, each with the number of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// Somebody connected.
    Connected(usize),
    /// A request came.
    Asked(usize),
    /// It was taken back, for this reason.
    TakenBack(usize, Reason),
    /// The connection ended.
    Ended(usize),
}

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// It takes no more requests, and ends with those it has.
    Drain,
    /// It ends without a word.
    Cut,
}

type Seen = Arc<Mutex<Vec<Happened>>>;

/// A running engine. It stops, and its connections with it, when this is dropped.
pub struct Engine {
    address: SocketAddr,
    seen: Seen,
    task: JoinHandle<()>,
}

/// A request, and all that can be done with it.
pub struct Asked {
    /// How many came before it.
    pub nth: usize,
    /// On which connection it came.
    pub connection: usize,
    /// Its head.
    pub head: request::Parts,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    orders: mpsc::Sender<Order>,
    seen: Seen,
}

impl Engine {
    /// Does with each request what `script` says.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub async fn start<F>(
        authority: &Authority,
        script: impl Fn(Asked) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_as(authority, &Builder::new(), script).await
    }

    /// The same with these settings.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub async fn start_as<F>(
        authority: &Authority,
        how: &Builder,
        script: impl Fn(Asked) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (acceptor, how) = (authority.acceptor(&["h2", "http/1.1"]), how.clone());
        let seen = Seen::default();
        let (asked, told) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                note(&told, Happened::Connected(number));
                let (acceptor, how, script) = (acceptor.clone(), how.clone(), script.clone());
                let (asked, seen) = (Arc::clone(&asked), Arc::clone(&told));
                connections.spawn(async move {
                    let served = serve(stream, acceptor, how, number, &asked, &seen, script);
                    Box::pin(served).await;
                    note(&seen, Happened::Ended(number));
                });
            }
        });
        Self { address, seen, task }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// What it saw so far.
    pub fn seen(&self) -> Vec<Happened> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often something happened.
    pub fn count(&self, what: impl Fn(Happened) -> bool) -> usize {
        self.seen().into_iter().filter(|seen| what(*seen)).count()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.count(|seen| matches!(seen, Happened::Connected(_)))
    }

    /// How many requests there were.
    pub fn asked(&self) -> usize {
        self.count(|seen| matches!(seen, Happened::Asked(_)))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(seen: &Seen, what: Happened) {
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(what);
}

async fn serve<F>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    how: Builder,
    number: usize,
    asked: &AtomicUsize,
    seen: &Seen,
    script: impl Fn(Asked) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(stream) = acceptor.accept(stream).await else { return };
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return;
    }
    let Ok(mut connection) = Box::pin(how.handshake(stream)).await else { return };
    let (orders, mut ordered) = mpsc::channel(1);
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            Some(order) = ordered.recv() => match order {
                Order::Drain => connection.graceful_shutdown(),
                Order::Cut => return,
            },
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                note(seen, Happened::Asked(number));
                let (head, body) = request.into_parts();
                let (orders, seen) = (orders.clone(), Arc::clone(seen));
                let nth = asked.fetch_add(1, Ordering::Relaxed);
                streams.spawn(script(Asked {
                    nth, connection: number, head, body, respond, orders, seen,
                }));
            }
        }
    }
}

impl Asked {
    /// The body of the request, to its end.
    ///
    /// # Panics
    ///
    /// If it is taken back before.
    pub async fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(data) = poll_fn(|cx| self.body.poll_data(cx)).await {
            let data = data.expect("it comes");
            self.body.flow_control().release_capacity(data.len()).expect("it came");
            body.extend_from_slice(&data);
        }
        body
    }

    /// Begins an answer of this type.
    ///
    /// # Panics
    ///
    /// If nobody waits for it.
    pub fn begin(&mut self, status: u16, content_type: &str) -> SendStream<Bytes> {
        let response = Response::builder().status(status).header("content-type", content_type);
        let response = response.body(()).expect("it is one");
        self.respond.send_response(response, false).expect("it is waited for")
    }

    /// Answers with this JSON.
    ///
    /// # Panics
    ///
    /// If nobody waits for it.
    pub fn answer(&mut self, status: u16, json: &str) {
        let json = Bytes::copy_from_slice(json.as_bytes());
        self.begin(status, "application/json").send_data(json, true).expect("it is waited for");
    }

    /// Refuses it, or breaks off before an answer.
    pub fn reset(&mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }

    /// Does this with its connection.
    ///
    /// # Panics
    ///
    /// If that has ended.
    pub async fn order(&self, order: Order) {
        self.orders.send(order).await.expect("it goes on");
    }

    /// Waits until it is taken back before its answer has begun, and notes that.
    pub async fn taken_back(&mut self) {
        let reason = poll_fn(|cx| self.respond.poll_reset(cx)).await;
        note(&self.seen, Happened::TakenBack(self.connection, reason.unwrap_or(Reason::NO_ERROR)));
    }

    /// The same in the middle of its answer.
    pub async fn dropped(&self, stream: &mut SendStream<Bytes>) {
        let reason = poll_fn(|cx| stream.poll_reset(cx)).await;
        note(&self.seen, Happened::TakenBack(self.connection, reason.unwrap_or(Reason::NO_ERROR)));
    }
}
