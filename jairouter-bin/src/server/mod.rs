//! Sockets to callers: one current-thread runtime per core, each with a listener, connections and
//! upstream pools of its own, and one orderly end for all of them.

mod body;
mod client_addr;
mod connection;
mod crowd;
mod front;
mod hand_over;
mod http2;
mod inherit;
mod keep_alive;
mod listen;
mod notify;
mod operators;
mod pass;
mod received;
mod signals;
mod socket;
#[cfg(test)]
mod tests;
mod worker;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::select;
use http::{Request, Response};
use http_body::Body as HttpBody;
use ipnet::IpNet;
use jairouter_config::Serving;
use jairouter_config::config;
use jairouter_config::keys::Keys;
use jairouter_config::stack::App;
use jairouter_core::Error;
use jairouter_core::balance::InstanceState;
use tokio::runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crowd::Crowd;
use hand_over::HandOver;
pub(crate) use inherit::addresses;
pub use inherit::{Inherited, Predecessor};
pub use listen::Listeners;
pub use operators::Operators;
pub use received::Received;
pub use signals::Signals;

/// How connections are served.
#[derive(Clone)]
pub struct Settings {
    /// Who the program is to callers, if it speaks TLS with them.
    pub tls: Option<TlsAcceptor>,
    /// How long a new connection may take to send its first head.
    pub header_timeout: Duration,
    /// How long a caller may leave what was written to it unread.
    pub write_timeout: Duration,
    /// How long a stream of events may be silent before its caller is sent a comment.
    pub stream_keep_alive: Option<Duration>,
    /// How long everything is still served once the process is asked to end.
    pub shutdown_delay: Duration,
    /// How long answers may take to finish once the process is asked to end.
    pub drain_timeout: Duration,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many connections are served at a time.
    pub max_connections: usize,
    /// How many connections each client may have at a time, but for trusted proxies.
    pub max_connections_per_client: Option<usize>,
}

impl Settings {
    /// Those of this configuration.
    pub fn of(server: &config::Server) -> Self {
        let tls = server.tls.as_ref();
        Self {
            tls: tls.map(|identity| TlsAcceptor::from(identity.config(server.http2))),
            header_timeout: server.header_timeout,
            write_timeout: server.write_timeout,
            stream_keep_alive: server.stream_keep_alive,
            shutdown_delay: server.shutdown_delay,
            drain_timeout: server.drain_timeout,
            trusted_proxies: server.trusted_proxies.clone(),
            max_connections: server.max_connections.unwrap_or(usize::MAX),
            max_connections_per_client: server.max_connections_per_client,
        }
    }
}

/// How far the process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// As before, but every answer is the last of its connection.
    Leaving,
    /// No new connections; answers may finish.
    Draining,
    /// Every answer ends now.
    Cut,
}

/// What `/readyz` tells, how many are connected, and how they are served.
pub struct Status {
    draining: AtomicBool,
    crowd: Arc<Crowd>,
    settings: ArcSwap<Settings>,
    instances: ArcSwap<Vec<Arc<InstanceState>>>,
    /// Once another process serves in place of this one.
    replaced: CancellationToken,
}

impl Status {
    /// The status of a process that serves these instances.
    pub fn new(settings: Settings, instances: Vec<Arc<InstanceState>>) -> Self {
        Self {
            draining: AtomicBool::new(false),
            crowd: Arc::default(),
            settings: ArcSwap::from_pointee(settings),
            instances: ArcSwap::from_pointee(instances),
            replaced: CancellationToken::new(),
        }
    }

    /// Serves these from now on, and whoever connects from now on like this.
    pub(crate) fn serve(&self, settings: Settings, instances: Vec<Arc<InstanceState>>) {
        self.settings.store(Arc::new(settings));
        self.instances.store(Arc::new(instances));
    }

    fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Whether requests should be sent here, or why not, as JSON.
    fn readiness(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(r#"{"status":"draining"}"#);
        }
        if !self.instances.load().iter().any(|instance| instance.is_up()) {
            return Err(r#"{"status":"no instance is up"}"#);
        }
        Ok(())
    }
}

/// What serves one core: who is let in, and what answers them, which are of one configuration.
pub trait Serve: Clone + Send + 'static {
    /// What answers.
    type Service;

    /// What the keys of now say, and what answers now.
    fn ask<T>(&self, keys: impl FnOnce(&Keys) -> T) -> (T, Self::Service);
}

impl Serve for Serving {
    type Service = App;

    fn ask<T>(&self, keys: impl FnOnce(&Keys) -> T) -> (T, App) {
        Self::ask(self, keys)
    }
}

/// Who was before this process, and what else whoever comes after it is to have.
#[derive(Debug, Default)]
pub struct Succession {
    /// Who waits to be replaced by this process.
    pub predecessor: Option<Predecessor>,
    /// Where operators are listened to.
    pub operators: Option<TcpListener>,
}

impl Succession {
    /// After this one, and with these operators.
    ///
    /// # Errors
    ///
    /// If there is no other handle of their socket to be had.
    pub fn new(
        predecessor: Option<Predecessor>,
        operators: Option<&Operators>,
    ) -> io::Result<Self> {
        Ok(Self { predecessor, operators: operators.map(Operators::socket).transpose()? })
    }
}

/// Serves until a signal asks for the end or for another process, then drains and returns.
///
/// `service` makes what answers on one core; `background` runs beside them on this thread, in the main
/// runtime, until the end. The first signal, after the shutdown delay, closes the listeners and lets answers
/// finish within the drain timeout; a second one ends the process at once. SIGUSR2 starts the program anew with the same sockets, and
/// once that serves it is as with the first signal.
///
/// # Errors
///
/// If a thread or a runtime cannot be made.
pub fn run<S, B>(
    main: &runtime::Runtime,
    listeners: Listeners,
    succession: Succession,
    signals: Signals,
    status: &Arc<Status>,
    background: impl Future<Output = ()>,
    mut service: impl FnMut() -> S,
) -> io::Result<()>
where
    S: Serve,
    S::Service: Service<Request<Received>, Response = Response<B>, Error = Infallible>,
    S::Service: Clone + Send + 'static,
    <S::Service as Service<Request<Received>>>::Future: Send,
    B: HttpBody<Data = Bytes, Error = Error> + Send + 'static,
{
    let (phase, watched) = watch::channel(Phase::Serving);
    let mut workers = Vec::new();
    let is_held = listeners.are_held();
    for (index, share) in listeners.shares()?.into_iter().enumerate() {
        let (service, status) = (service(), Arc::clone(status));
        let watched = watched.clone();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            let result = runtime.block_on(worker::run(share, is_held, service, status, watched));
            // A name may be being resolved, which nobody waits for any more.
            runtime.shutdown_background();
            result
        };
        workers.push(thread::Builder::new().name(format!("worker-{index}")).spawn(work)?);
    }
    drop(watched);
    let Succession { predecessor, operators } = succession;
    let sockets = HandOver { callers: listeners.into_sockets(), operators, held: is_held };
    main.block_on(async {
        let supervised = pin!(signals::supervise(&phase, status, sockets, predecessor, signals));
        let background = pin!(background.then(|()| std::future::pending::<()>()));
        select(supervised, background).await;
    });
    for worker in workers {
        match worker.join() {
            Ok(result) => result?,
            Err(_) => return Err(io::Error::other("a worker thread panicked")),
        }
    }
    Ok(())
}

/// An address people can put into a URL: the one they reach if any will do.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        std::net::IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
