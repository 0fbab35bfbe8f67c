//! Services that panic, behind the connections that the program serves.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{set_hook, take_hook};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use super::received::Received;
use bytes::Bytes;
use futures::future::Either;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use jairouter_config::config;
use jairouter_config::keys::Keys;
use jairouter_core::Error;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::Service;

use super::{Phase, Serve, Settings, Status, connection};
use crate::panics;

/// Panics where the path says.
#[derive(Clone, Default)]
struct Panicking {
    held: Arc<AtomicUsize>,
}

/// What is held for a request and its answer, as a permit is.
struct Held(Arc<AtomicUsize>);

impl Held {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Panics when it is polled, or when it is dropped as well.
struct Failing {
    _held: Held,
    again: bool,
}

impl Future for Failing {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        panic!("a request's future, with {}", "sk-secret");
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        assert!(!self.again, "its drop, too");
    }
}

/// One frame, and then a panic or the end.
struct Body {
    _held: Held,
    first: Option<Bytes>,
    panics: bool,
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None if self.panics => panic!("a body's poll"),
            None => Poll::Ready(None),
        }
    }
}

impl Service<Request<Received>> for Panicking {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Failing, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Received>) -> Self::Future {
        let held = Held::new(&self.held);
        let how = request.headers().get("panic").map_or("", |how| how.to_str().unwrap());
        let stream = how == "in a stream";
        match how {
            "in call" => panic!("a service's call"),
            "in the future" => Either::Left(Failing { _held: held, again: false }),
            "in the future and its drop" => Either::Left(Failing { _held: held, again: true }),
            _ => {
                let first = Some(Bytes::from_static(b"data: 1\n\n"));
                let body = Body { _held: held, first, panics: how.starts_with("in a") };
                let mut response = Response::new(body);
                let media_type = if stream { "text/event-stream" } else { "text/plain" };
                response.headers_mut().insert("content-type", media_type.parse().unwrap());
                Either::Right(ready(Ok(response)))
            }
        }
    }
}

/// Answers with that, or panics before anything does.
#[derive(Clone)]
struct Serving(Panicking);

impl Serve for Serving {
    type Service = Panicking;

    fn ask<T>(&self, keys: impl FnOnce(&Keys) -> T) -> (T, Panicking) {
        (keys(&Keys::default()), self.0.clone())
    }
}

async fn serve() -> (std::net::SocketAddr, Panicking, Arc<Status>, watch::Sender<Phase>) {
    let settings = Settings::of(&config::Config::default().server);
    let status = Arc::new(Status::new(settings, Vec::new()));
    let (phase, watched) = watch::channel(Phase::Serving);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = Panicking::default();
    let (serving, shared) = (Serving(service.clone()), Arc::clone(&status));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let (serving, settings) = (serving.clone(), shared.settings());
            let (status, watched) = (Arc::clone(&shared), watched.clone());
            tokio::spawn(connection::serve(stream, peer, serving, settings, status, watched));
        }
    });
    (address, service, status, phase)
}

async fn ask(address: std::net::SocketAddr, path: &str, how: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: g\r\npanic: {how}\r\nconnection: close\r\n\
         content-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // An answer that breaks off may end with a reset.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

// fault: O17 O18
#[tokio::test]
async fn a_panic_ends_one_request_at_most_and_is_counted() {
    let (address, service, _status, _phase) = serve().await;
    let count = Counter::default();
    let (before, ours) = (take_hook(), panics::hook(count.clone()));
    set_hook(Box::new(move |panic| {
        ours(panic);
        before(panic);
    }));
    let chat = "/v1/chat/completions";

    let mut seen = 0;
    for how in ["in call", "in the future", "in the future and its drop"] {
        for (path, words) in
            [(chat, r#"{"error":{"message":"#), ("/v1/messages", r#""type":"api_error"}"#)]
        {
            let answer = ask(address, path, how).await;
            assert!(answer.starts_with("HTTP/1.1 500 "), "{how}: {answer}");
            assert!(answer.contains(words), "{how}: {answer}");
            assert!(answer.contains("x-request-id: "), "{how}: {answer}");
            assert!(!answer.contains("secret"), "{how}: {answer}");
            assert_eq!(service.held.load(Ordering::Relaxed), 0, "{how}");
            assert!(count.get() > seen, "{how}");
            seen = count.get();
        }
        assert!(ask(address, chat, "").await.ends_with("data: 1\n\n\r\n0\r\n\r\n"), "{how}");
    }
    assert!(ask(address, chat, "in call").await.contains(r#""code":"internal_error""#));

    for how in ["in a body", "in a stream"] {
        seen = count.get();
        let answer = ask(address, chat, how).await;
        assert!(!answer.ends_with("0\r\n\r\n"), "it looks complete: {answer}");
        let told = "data: {\"error\":{\"message\":";
        // What hyper has not sent when a body breaks off it does not send any more.
        assert_eq!(answer.contains(told), how == "in a stream", "{answer}");
        assert_eq!(service.held.load(Ordering::Relaxed), 0, "{how}");
        assert!(count.get() > seen, "{how}");
    }
    assert!(ask(address, chat, "").await.ends_with("data: 1\n\n\r\n0\r\n\r\n"));
}
