//! One core's share: its listeners and the connections it accepted.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body::Body as HttpBody;
use jairouter_core::gateway::request_id;
use jairouter_core::{Error, Kind, envelope};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tower::Service;

use super::crowd::Refusal;
use super::received::Received;
use super::{Phase, Serve, Status, connection};

/// How long to wait before accepting again when the process is out of descriptors or memory.
const BREATH: Duration = Duration::from_millis(200);

/// How long a caller over the limit may take to hear of it.
const REFUSAL: Duration = Duration::from_secs(1);

/// Accepts until answers are only to finish, and returns when the last connection has ended. Who waits in listeners that
/// are held by others is left to those.
pub(super) async fn run<S, B>(
    listeners: Vec<std::net::TcpListener>,
    are_held: bool,
    service: S,
    status: Arc<Status>,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()>
where
    S: Serve,
    S::Service: Service<Request<Received>, Response = Response<B>, Error = Infallible>,
    S::Service: Clone + Send + 'static,
    <S::Service as Service<Request<Received>>>::Future: Send,
    B: HttpBody<Data = Bytes, Error = Error> + Send + 'static,
{
    let listeners: io::Result<Vec<_>> = listeners.into_iter().map(TcpListener::from_std).collect();
    let mut listeners = Accepting { listeners: listeners?, next: 0 };
    // Every connection holds a receiver; the sender sees the last one go.
    let (ended, alive) = watch::channel(());
    let serve = |stream: TcpStream, peer: SocketAddr| {
        let settings = status.settings();
        let counted = match status.crowd.enter(peer.ip(), &settings) {
            Ok(counted) => counted,
            Err(refusal) => {
                tracing::warn!(peer = %peer.ip(), ?refusal, "refused a connection over the limit");
                // One that speaks TLS would read it as nonsense.
                if settings.tls.is_none() {
                    drop(tokio::spawn(timeout(REFUSAL, refuse(stream, refusal))));
                }
                return;
            }
        };
        prepare(&stream, settings.write_timeout);
        let served = connection::serve(
            stream,
            peer.ip(),
            service.clone(),
            settings,
            Arc::clone(&status),
            phase.clone(),
        );
        let alive = alive.clone();
        drop(tokio::spawn(async move {
            served.await;
            drop((counted, alive));
        }));
    };
    let mut ending = phase.clone();
    let mut trouble = Trouble::default();
    loop {
        tokio::select! {
            _ = ending.wait_for(|phase| *phase >= Phase::Draining) => break,
            accepted = listeners.accept() => match accepted {
                Ok((stream, peer)) => serve(stream, peer),
                Err(error) if is_the_caller_s(&error) => {}
                Err(error) => {
                    trouble.tell(|| tracing::error!(%error, "cannot accept connections"));
                    sleep(BREATH).await;
                }
            },
        }
    }
    // The kernel has completed these handshakes: to their callers the connection is made.
    while !are_held && let Some(Ok((stream, peer))) = listeners.accept().now_or_never() {
        serve(stream, peer);
    }
    drop((listeners, alive));
    ended.closed().await;
    // Held until here, so that whoever waits for all workers waits for this one.
    let _ = phase.borrow_and_update();
    Ok(())
}

/// Listeners that are accepted from in turn, so that none waits for the others to be empty.
struct Accepting {
    listeners: Vec<TcpListener>,
    next: usize,
}

impl Accepting {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| {
            for _ in 0..self.listeners.len() {
                let accepted = self.listeners[self.next].poll_accept(cx);
                self.next = (self.next + 1) % self.listeners.len();
                if accepted.is_ready() {
                    return accepted;
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Tells a caller over the limit so, and reads what it sends meanwhile so that it gets the answer.
async fn refuse(mut stream: TcpStream, refusal: Refusal) -> io::Result<()> {
    let why = match refusal {
        Refusal::Full(_) => "the gateway has as many connections as it may",
        Refusal::OfClient(_) => "you have as many connections to the gateway as one may",
    };
    let id = request_id(&mut HeaderMap::new());
    let error = Error::new(Kind::Overloaded, why);
    let body = envelope::body(&error.with_request_id(id.clone()));
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         retry-after: 1\r\nretry-after-ms: 1000\r\nconnection: close\r\nx-request-id: {}\r\ncontent-length: {}\r\n\r\n",
        id.to_str().unwrap_or_default(),
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).await?;
    stream.shutdown().await?;
    let mut unwanted = [0; 4096];
    while stream.read(&mut unwanted).await? > 0 {}
    Ok(())
}

/// Something that may go on for hours, and is said every ten seconds.
#[derive(Debug, Default)]
pub(super) struct Trouble(Option<Instant>);

impl Trouble {
    pub(super) fn tell(&mut self, say: impl FnOnce()) {
        let now = Instant::now();
        if self.0.is_none_or(|last| now.duration_since(last) >= Duration::from_secs(10)) {
            self.0 = Some(now);
            say();
        }
    }
}

/// Whether one caller left between its handshake and our accepting it.
fn is_the_caller_s(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Small frames leave at once, and a host that vanished is noticed.
pub(super) fn prepare(stream: &TcpStream, write_timeout: Duration) {
    // All of it makes a connection better, and one that cannot have it still works.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    let _ = socket.set_tcp_keepalive(&keepalive);
    // It also ends callers whose window stays shut, so it may not be shorter than their own clock.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(write_timeout.max(Duration::from_secs(30))));
    #[cfg(not(target_os = "linux"))]
    let _ = write_timeout;
}
