//! [`HttpClient`]: an HTTP/1.1 client whose connections are driven by the requests that use them, and which
//! speaks HTTP/2 where TLS agrees on it.
//!
//! A connection has no task of its own. While a request is on it, the request's future and then its
//! body poll the connection, so a frame needs no channel and no wake-up, and dropping either one
//! closes the socket: that is how an engine learns that nobody is waiting. Over HTTP/2 it resets a stream; there
//! requests share a connection, and a task drives it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use http_body_util::BodyExt;
//! use jairouter_core::Payload;
//! use jairouter_core::client::HttpClient;
//! use tower::ServiceExt;
//!
//! let client = HttpClient::new(&"127.0.0.1:8000".parse()?);
//! let request = http::Request::get("/v1/models").body(Payload::default())?;
//! let models = client.oneshot(request).await?.into_body().collect().await?.to_bytes();
//! # Ok(())
//! # }
//! ```

mod body;
mod connect;
mod http1;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "tls")]
mod tls;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::payload::Payload;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Response, Uri};
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ClientConfig;
use tower::Service;

pub use body::ResponseBody;

use crate::error::Error;
use connect::Connector;
use http1::{Live, Pool};

/// In a request's extensions: do not use a pooled connection. Set when one has just turned out dead.
#[derive(Debug, Clone, Copy)]
pub struct NewConnection;

/// What bytes travel on.
#[cfg(not(feature = "tls"))]
type Wire = tokio::net::TcpStream;

/// What bytes travel on: a socket, or TLS on one.
#[cfg(feature = "tls")]
type Wire = tokio_util::either::Either<tokio::net::TcpStream, tls::Secured>;

/// A client of one origin, over HTTP/1.1, or with the feature `http2` over HTTP/2 where TLS agrees on it.
///
/// Cloning is a reference count; clones share the pool. A request goes to the client's own origin,
/// whatever authority its URI names.
///
/// # Errors
///
/// The service fails with [`Kind::Unreachable`](crate::Kind::Unreachable) when nothing was sent and
/// with [`Kind::Broken`](crate::Kind::Broken) when the exchange broke off. A pooled connection that
/// dies before a byte of an answer gives an error that [is stale](Error::is_stale).
#[derive(Clone)]
pub struct HttpClient(Arc<Shared>);

struct Shared {
    connector: Arc<Connector>,
    host: HeaderValue,
    pool: Arc<Pool>,
    /// Where it is offered.
    #[cfg(feature = "http2")]
    http2: Option<Arc<http2::Http2>>,
}

/// Settings of an [`HttpClient`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    connect_timeout: Duration,
    idle_timeout: Duration,
    max_idle: usize,
    link_local: bool,
    #[cfg(feature = "tls")]
    tls: Option<Arc<ClientConfig>>,
}

// === impl Builder ===

impl Default for Builder {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(3),
            max_idle: 256,
            link_local: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl Builder {
    /// The longest that resolving and connecting may take together. Default 2 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an unused connection is kept. Default 3 s, below the 5 s at which uvicorn closes.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How many unused connections are kept at most. Default 256.
    pub fn max_idle(mut self, max: usize) -> Self {
        self.max_idle = max;
        self
    }

    /// Whether it connects to addresses of one link alone, as `169.254.0.0/16` and `fe80::/10` are. Default not: there
    /// clouds tell whoever asks the secrets of their machines, and a name may lead there at any time. A request is
    /// [`Kind::Unreachable`](crate::Kind::Unreachable) then.
    pub fn link_local(mut self, link_local: bool) -> Self {
        self.link_local = link_local;
        self
    }

    /// Speaks TLS: to whom this trusts, and as whom it says.
    ///
    /// Offer `http/1.1` in it, and with the feature `http2` perhaps `h2` before it, or `h2` alone. Over HTTP/2
    /// requests share a connection of which a task of its own takes care, and [the pool](Self::max_idle) is not
    /// used.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// A client of this origin. If the authority names no port it is 80, and 443 for TLS.
    pub fn build(self, origin: &Authority) -> HttpClient {
        let connector =
            Connector::new(origin, self.connect_timeout).with_link_local(self.link_local);
        #[cfg(feature = "http2")]
        let http2 = self
            .tls
            .as_ref()
            .and_then(|tls| http2::Http2::offered(&tls.alpn_protocols, self.idle_timeout))
            .map(Arc::new);
        #[cfg(feature = "tls")]
        let connector = match self.tls {
            Some(config) => connector.with_tls(origin, tls::Tls::new(origin, config)),
            None => connector,
        };
        HttpClient(Arc::new(Shared {
            // An authority is made of bytes a header value may hold.
            host: HeaderValue::from_str(origin.as_str())
                .unwrap_or(HeaderValue::from_static("localhost")),
            connector: Arc::new(connector),
            pool: Arc::new(Pool::new(self.idle_timeout, self.max_idle)),
            #[cfg(feature = "http2")]
            http2,
        }))
    }
}

// === impl HttpClient ===

impl HttpClient {
    /// A client of this origin, with the default settings.
    pub fn new(origin: &Authority) -> Self {
        Builder::default().build(origin)
    }

    /// Settings to change first.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A client of the same origin with connections of its own: one for each core.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self(Arc::new(Shared {
            connector: Arc::clone(&self.0.connector),
            host: self.0.host.clone(),
            pool: Arc::new(self.0.pool.sibling()),
            #[cfg(feature = "http2")]
            http2: self.0.http2.as_ref().map(|http2| Arc::new(http2.sibling())),
        }))
    }

    /// How many connections of HTTP/1 lie unused.
    pub fn idle_connections(&self) -> usize {
        self.0.pool.len()
    }
}

impl Service<Request<Payload>> for HttpClient {
    type Response = Response<ResponseBody>;
    type Error = Error;
    // Boxed: what connects has no name.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Payload>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        #[cfg(feature = "http2")]
        if let Some(http2) = &self.0.http2 {
            return Box::pin(http2::ask(shared, Arc::clone(http2), request));
        }
        Box::pin(async move {
            prepare(&mut request, &shared.host);
            let pooled = match request.extensions().get::<NewConnection>() {
                // The one that was dead was the last that was used: the others are older.
                Some(NewConnection) => {
                    shared.pool.clear();
                    None
                }
                None => shared.pool.take(),
            };
            let live = match pooled {
                Some(live) => live,
                None => Live::new(shared.connector.connect().await?),
            };
            live.send(request, Arc::clone(&shared.pool)).await
        })
    }
}

/// Target and `Host` as HTTP/1.1 has them.
fn prepare(request: &mut Request<Payload>, host: &HeaderValue) {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    request.headers_mut().entry(HOST).or_insert_with(|| host.clone());
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("host", &self.0.host).finish_non_exhaustive()
    }
}
