//! From an authority to a connected socket, within one clock.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use http::uri::Authority;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::Wire;
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::error::{Error, Kind};
use crate::upstream::is_link_local;

pub(super) struct Connector {
    host: Host,
    port: u16,
    timeout: Duration,
    /// Whether addresses of one link alone are connected to.
    link_local: bool,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

enum Host {
    Address(IpAddr),
    Name {
        name: String,
        /// What the name last resolved to, for when the resolver fails. Written only on a change of
        /// addresses, and never waited for.
        last: RwLock<Arc<[SocketAddr]>>,
    },
}

impl Connector {
    pub(super) fn new(origin: &Authority, timeout: Duration) -> Self {
        let host = origin.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name { name: host.to_owned(), last: RwLock::new(Arc::new([])) },
        };
        Self {
            host,
            port: origin.port_u16().unwrap_or(80),
            timeout,
            link_local: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The same, which connects to addresses of one link alone if this is true.
    pub(super) fn with_link_local(mut self, link_local: bool) -> Self {
        self.link_local = link_local;
        self
    }

    /// The same over TLS, whose usual port is another.
    #[cfg(feature = "tls")]
    pub(super) fn with_tls(mut self, origin: &Authority, tls: Tls) -> Self {
        self.port = origin.port_u16().unwrap_or(443);
        self.tls = Some(tls);
        self
    }

    /// When one that is begun now has to be there.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// A new connection, and over it TLS if that is wanted, within one time.
    pub(super) async fn connect(&self) -> Result<Wire, Error> {
        self.connect_by(self.deadline()).await
    }

    /// The same until then.
    pub(super) async fn connect_by(&self, deadline: Instant) -> Result<Wire, Error> {
        let stream = self.reach(deadline).await?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            // A box, so that requests without TLS are no larger for it.
            return match timeout_at(deadline, Box::pin(tls.handshake(stream))).await {
                Ok(Ok(stream)) => Ok(Wire::Right(stream)),
                Ok(Err(error)) => {
                    Err(unreachable("there is no TLS with the instance").with_source(error))
                }
                Err(late) => {
                    Err(unreachable("the instance did not agree on TLS in time").with_source(late))
                }
            };
        }
        Ok(plain(stream))
    }

    /// Every address of the name is tried, each with its share of the time.
    async fn reach(&self, deadline: Instant) -> Result<TcpStream, Error> {
        let addresses = match &self.host {
            Host::Address(address) => {
                return self.one(SocketAddr::new(*address, self.port), deadline).await;
            }
            Host::Name { name, last } => resolve(name, self.port, last, deadline).await?,
        };
        let mut failure = None;
        for (tried, address) in addresses.iter().enumerate() {
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            let share = left / (addresses.len() - tried) as u32;
            match self.one(*address, now + share).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| unreachable("the instance's name has no address")))
    }

    /// Looked at when it is connected to, whatever a name led to before.
    async fn one(&self, address: SocketAddr, deadline: Instant) -> Result<TcpStream, Error> {
        match is_link_local(address.ip()) && !self.link_local {
            true => Err(unreachable("the instance's address is link-local, which is not allowed")),
            false => one(address, deadline).await,
        }
    }
}

async fn resolve(
    name: &str,
    port: u16,
    last: &RwLock<Arc<[SocketAddr]>>,
    deadline: Instant,
) -> Result<Arc<[SocketAddr]>, Error> {
    let known = || last.try_read().map(|last| Arc::clone(&last)).unwrap_or_default();
    let found = timeout_at(deadline, lookup_host((name, port))).await;
    match found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(found) => {
            let found: Arc<[_]> = found.collect();
            if *found != *known()
                && let Ok(mut last) = last.try_write()
            {
                *last = Arc::clone(&found);
            }
            Ok(found)
        }
        Err(error) => match known() {
            known if known.is_empty() => {
                Err(unreachable("the instance's name cannot be resolved").with_source(error))
            }
            known => Ok(known),
        },
    }
}

async fn one(address: SocketAddr, deadline: Instant) -> Result<TcpStream, Error> {
    match timeout_at(deadline, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            // Both only make a connection better: a socket that refuses them still works.
            let _ = stream.set_nodelay(true);
            let keepalive = TcpKeepalive::new()
                .with_time(Duration::from_secs(15))
                .with_interval(Duration::from_secs(5));
            let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
            Ok(stream)
        }
        Ok(Err(error)) if is_ours(&error) => {
            let message = "the gateway has no socket left to reach an instance";
            Err(Error::new(Kind::Overloaded, message)
                .with_retry_after(Duration::from_secs(1))
                .with_source(error))
        }
        Ok(Err(error)) => Err(unreachable("the instance cannot be reached").with_source(error)),
        Err(late) => {
            Err(unreachable("the instance did not accept a connection in time").with_source(late))
        }
    }
}

/// No port or descriptor left is our trouble, not the instance's.
fn is_ours(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    error.kind() == io::ErrorKind::AddrNotAvailable
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

#[cfg(not(feature = "tls"))]
fn plain(stream: TcpStream) -> Wire {
    stream
}

#[cfg(feature = "tls")]
fn plain(stream: TcpStream) -> Wire {
    Wire::Left(stream)
}

pub(super) fn unreachable(message: &'static str) -> Error {
    Error::new(Kind::Unreachable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    // fault: X2
    #[tokio::test(start_paused = true)]
    async fn no_link_local_address_is_connected_to_unless_that_is_meant() {
        // The last one is a name, which resolvers take for the first.
        for origin in
            ["169.254.169.254:80", "[fe80::1]:80", "[::ffff:169.254.1.1]:80", "2852039166:80"]
        {
            let connector = Connector::new(&origin.parse().unwrap(), Duration::from_secs(1));
            let refused = connector.connect().await.err().unwrap();
            assert_eq!(refused.kind(), Kind::Unreachable);
            assert!(refused.message().contains("link-local"), "{origin}: {}", refused.message());
            // Whether somebody is there or not.
            if let Err(error) = connector.with_link_local(true).connect().await {
                assert!(!error.message().contains("link-local"), "{origin}");
            }
        }
    }
}
