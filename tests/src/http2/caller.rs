//! A caller that speaks HTTP/2, and sees how each stream ends.

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::tls::Authority;

/// A connection of a caller. It is closed when this is dropped.
pub struct Caller {
    sender: SendRequest<Bytes>,
    task: JoinHandle<Result<(), h2::Error>>,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// What came of its body.
    pub body: Vec<u8>,
    /// Why that is not all of it, if it is not.
    pub broken: Option<h2::Error>,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request with JSON to come.
///
/// # Panics
///
/// If the path is none.
pub fn post(path: &str) -> Request<()> {
    let uri = format!("https://localhost{path}");
    let request = Request::post(uri).header("content-type", "application/json");
    request.body(()).expect("it is a request")
}

impl Caller {
    /// Connects.
    ///
    /// # Panics
    ///
    /// If nobody there speaks HTTP/2 over a TLS of this authority's.
    pub async fn connect(authority: &Authority, address: SocketAddr) -> Self {
        // h2 itself bears only so many small pieces of a connection, which nobody has read: this many more.
        let mut how = Builder::new();
        Self::connect_as(authority, address, how.initial_connection_window_size(1 << 20)).await
    }

    /// Connects with these settings.
    ///
    /// # Panics
    ///
    /// If nobody there speaks HTTP/2 over a TLS of this authority's.
    pub async fn connect_as(authority: &Authority, address: SocketAddr, how: &Builder) -> Self {
        let stream = authority.connect_offering(address, None, &["h2"]).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = how.handshake(stream).await.expect("HTTP/2");
        Self { sender, task: tokio::spawn(connection) }
    }

    /// Begins a request, whose body is to be sent. Dropping both resets the stream.
    ///
    /// # Panics
    ///
    /// If the connection takes none.
    pub async fn begin(&self, request: Request<()>) -> (ResponseFuture, SendStream<Bytes>) {
        self.start(request, false).await
    }

    /// Sends a request and all of its body. Dropping both resets the stream.
    ///
    /// # Panics
    ///
    /// If the connection takes none.
    pub async fn send(
        &self,
        request: Request<()>,
        body: impl Into<Bytes>,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let body = body.into();
        let (answer, mut stream) = self.start(request, body.is_empty()).await;
        if !body.is_empty() {
            stream.send_data(body, true).expect("it is open");
        }
        (answer, stream)
    }

    async fn start(&self, request: Request<()>, ends: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let sender = self.sender.clone().ready();
        let mut sender = timeout(PATIENCE, sender).await.expect("in time").expect("it is open");
        sender.send_request(request, ends).expect("it is a request")
    }

    /// Asks, and reads to the end.
    ///
    /// # Panics
    ///
    /// If there is no answer in time.
    pub async fn ask(&self, request: Request<()>, body: impl Into<Bytes>) -> Reply {
        let (answer, _stream) = self.send(request, body).await;
        read(answer).await.expect("an answer")
    }

    /// Waits until the connection is closed, and says why it is.
    ///
    /// # Panics
    ///
    /// If it stays open.
    pub async fn closed(mut self) -> Result<(), h2::Error> {
        let ended = timeout(PATIENCE, &mut self.task).await.expect("it is closed in time");
        ended.expect("it does not panic")
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The head of an answer, and what is to be read of it.
///
/// # Errors
///
/// If the stream is reset before.
///
/// # Panics
///
/// If nothing comes in time.
pub async fn begun(answer: ResponseFuture) -> Result<http::Response<RecvStream>, h2::Error> {
    timeout(PATIENCE, answer).await.expect("it comes in time")
}

/// An answer, read to its end.
///
/// # Errors
///
/// If the stream is reset before there is any.
///
/// # Panics
///
/// If it does not come in time.
pub async fn read(answer: ResponseFuture) -> Result<Reply, h2::Error> {
    let (head, mut stream) = begun(answer).await?.into_parts();
    let mut reply =
        Reply { status: head.status.as_u16(), headers: head.headers, body: vec![], broken: None };
    while let Some(data) = next(&mut stream).await {
        match data {
            Ok(data) => reply.body.extend_from_slice(&data),
            Err(error) => reply.broken = Some(error),
        }
        if reply.broken.is_some() {
            break;
        }
    }
    Ok(reply)
}

/// What comes next on a stream.
///
/// # Panics
///
/// If nothing comes in time.
pub async fn next(stream: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
    let data = timeout(PATIENCE, poll_fn(|cx| stream.poll_data(cx))).await;
    let data = data.expect("it comes in time");
    if let Some(Ok(data)) = &data {
        stream.flow_control().release_capacity(data.len()).expect("it came");
    }
    data
}
