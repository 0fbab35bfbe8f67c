//! The listener of operators: what is counted, how the program is, and the API that changes it. It is served
//! by the main thread, so that nothing that is asked there takes time from a caller's request.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::Status;
use super::worker::{Trouble, prepare};
use crate::admin::api::{self, Guard};
use crate::metrics::{Metrics, classic};
use crate::program::Program;

/// The most connections at a time. One more waits.
const MOST_CONNECTIONS: usize = 256;

/// How long a connection may last: a watcher comes again.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long who asks may leave what was written unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Short, since whoever says nothing holds a place.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const BREATH: Duration = Duration::from_millis(200);

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const CLASSIC: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Where operators ask.
#[derive(Debug)]
pub struct Operators {
    listener: StdListener,
    address: SocketAddr,
}

impl Operators {
    /// Listens at this address.
    ///
    /// # Errors
    ///
    /// If it is not to be had.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Answers those who come to this socket, which listens already.
    ///
    /// # Errors
    ///
    /// If it does not say where.
    pub fn inherited(listener: StdListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Another handle of its socket.
    pub(super) fn socket(&self) -> io::Result<StdListener> {
        self.listener.try_clone()
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for as long as it is polled.
    pub(crate) fn run(self, program: &Program) -> impl Future<Output = ()> + use<> {
        let admin = Arc::clone(program.admin());
        let guard = Guard::new(self.address.ip(), {
            let admin = Arc::clone(&admin);
            move || admin.token()
        });
        // Whoever asks first has it made: its document takes five MiB to make, of which most stays with the
        // allocator.
        let api = LazyLock::new(move || api::router(admin, guard));
        self.serve(Arc::clone(program.metrics()), Arc::clone(program.status()), Arc::new(api))
    }

    async fn serve<F>(
        self,
        metrics: Arc<Metrics>,
        status: Arc<Status>,
        api: Arc<LazyLock<Router, F>>,
    ) where
        F: FnOnce() -> Router + Send + 'static,
    {
        let listener = match TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "operators cannot be listened to"),
        };
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut trouble = Trouble::default();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                // Another process answers for all that is counted from now on.
                () = status.replaced.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    trouble.tell(|| {
                        tracing::error!(%error, "cannot accept an operator's connection");
                    });
                    sleep(BREATH).await;
                    continue;
                }
            };
            prepare(&stream, WRITE_TIMEOUT);
            let (metrics, status) = (Arc::clone(&metrics), Arc::clone(&status));
            let api = Arc::clone(&api);
            connections.spawn(async move {
                let service = service_fn(|request: Request<Incoming>| {
                    let answer = answer(&request, &metrics, &status);
                    let api = answer.is_none().then(|| Router::clone(&api));
                    async move {
                        match (answer, api) {
                            (Some(answer), _) => Ok::<_, Infallible>(answer.map(Body::new)),
                            (None, api) => api.unwrap_or_default().oneshot(request).await,
                        }
                    }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service);
                // However it ends, it is over.
                let _ = timeout(LONGEST, connection).await;
                drop(place);
            });
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

/// What is answered without the API.
fn answer(
    request: &Request<Incoming>,
    metrics: &Metrics,
    status: &Status,
) -> Option<Response<Full<Bytes>>> {
    let path = request.uri().path();
    let (code, content_type, body) = match path {
        _ if !matches!(path, "/metrics" | "/healthz" | "/readyz") => return None,
        _ if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            let mut response =
                text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "this takes GET\n".into());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(response);
        }
        "/metrics" if takes_openmetrics(request) => (StatusCode::OK, OPENMETRICS, metrics.text()),
        "/metrics" => (StatusCode::OK, CLASSIC, classic(&metrics.text())),
        "/healthz" => (StatusCode::OK, JSON, r#"{"status":"ok"}"#.to_owned()),
        _ => match status.readiness() {
            Ok(()) => (StatusCode::OK, JSON, r#"{"status":"ready"}"#.to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, JSON, why.to_owned()),
        },
    };
    Some(text(code, content_type, body))
}

fn takes_openmetrics(request: &Request<Incoming>) -> bool {
    let mut accepted = request.headers().get_all(ACCEPT).iter();
    accepted.any(|value| {
        memchr::memmem::find(value.as_bytes(), b"application/openmetrics-text").is_some()
    })
}

fn text(status: StatusCode, content_type: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
