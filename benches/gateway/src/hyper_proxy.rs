//! What hyper makes of a proxy: its server, hyper-util's client, and nothing between them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::runtime;

use crate::Failure;

/// Serves until it is killed.
pub(crate) fn run(listen: SocketAddr, to: Vec<SocketAddr>) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(listen, to))
}

struct Proxy {
    client: Client<HttpConnector, Incoming>,
    to: Vec<Authority>,
    next: AtomicUsize,
}

async fn serve(listen: SocketAddr, to: Vec<SocketAddr>) -> Result<(), Failure> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client =
        Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    let to: Result<Vec<Authority>, _> = to.iter().map(|to| to.to_string().parse()).collect();
    let proxy = Arc::new(Proxy { client, to: to?, next: AtomicUsize::new(0) });
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let proxy = Arc::clone(&proxy);
        let service = service_fn(move |request| {
            let proxy = Arc::clone(&proxy);
            async move { proxy.pass(request).await }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        // Whoever breaks off has nobody to tell.
        tokio::spawn(async move { drop(connection.await) });
    }
}

impl Proxy {
    async fn pass(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.to.len();
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.to[next].clone());
        uri.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        strip(request.headers_mut());
        request.headers_mut().remove(header::HOST);
        let mut response = self.client.request(request).await?;
        strip(response.headers_mut());
        Ok(response)
    }
}

/// What is of one connection alone.
fn strip(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
}
