//! A client whose allocations are not counted, and what it is asked.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use allocation_counter::opt_out;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, SERVER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame};
use jairouter_core::Payload;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Route};
use tower::Service;

#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenAi;

impl Backend for OpenAi {
    fn name(&self) -> &'static str {
        "normal"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        Some(route.endpoint.path().into())
    }
}

/// A request with the headers of the official Python client.
pub(crate) fn request() -> InferenceRequest {
    let headers = [
        ("host", "gateway"),
        ("accept-encoding", "gzip, deflate"),
        ("connection", "keep-alive"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", "OpenAI/Python"),
        ("x-stainless-lang", "python"),
        ("x-stainless-async", "false"),
        ("x-stainless-retry-count", "0"),
        ("authorization", "Bearer caller"),
        ("content-length", "41"),
        ("x-request-id", "01JD8"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let pair = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let headers: HeaderMap = headers.into_iter().map(pair).collect();
    let payload = Bytes::from_static(br#"{"model":"m","stream":true,"messages":[]}"#);
    InferenceRequest::new(Endpoint::ChatCompletions, headers, payload).unwrap()
}

/// One event of a stream, with this text as content.
pub(crate) fn event(content: &str) -> String {
    let chunk = r#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":"#;
    format!("data: {chunk}{{\"content\":\"{content}\"}},\"finish_reason\":null}}]}}\n\n")
}

/// Answers every request alike.
#[derive(Debug, Clone)]
pub(crate) struct Lean(Arc<Recorded>);

#[derive(Debug)]
struct Recorded {
    headers: HeaderMap,
    frames: VecDeque<Bytes>,
}

impl Lean {
    /// Answers with these pieces, in memory as a socket's buffer leaves them.
    pub(crate) fn stream<P: AsRef<[u8]>>(pieces: &[P]) -> Self {
        let mut buffer: BytesMut = pieces.iter().flat_map(AsRef::as_ref).copied().collect();
        let frames = pieces.iter().map(|piece| buffer.split_to(piece.as_ref().len()).freeze());
        let mut headers = uvicorn("text/event-stream; charset=utf-8");
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        Self(Arc::new(Recorded { headers, frames: frames.collect() }))
    }

    /// The body of an answer, without the answer.
    pub(crate) fn body(&self) -> Frames {
        Frames(self.0.frames.clone())
    }

    /// Answers with a JSON text.
    pub(crate) fn json() -> Self {
        let mut headers = uvicorn("application/json");
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("14"));
        let frames = [Bytes::from_static(b"{\"choices\":[]}")].into();
        Self(Arc::new(Recorded { headers, frames }))
    }
}

/// The headers of an engine behind uvicorn.
fn uvicorn(content_type: &'static str) -> HeaderMap {
    let headers = [
        (DATE, "Tue, 24 Nov 2026 12:00:00 GMT"),
        (SERVER, "uvicorn"),
        (CONTENT_TYPE, content_type),
        (CONNECTION, "keep-alive"),
    ];
    headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

impl Service<Request<Payload>> for Lean {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Ready<Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Payload>) -> Self::Future {
        let mut answer = Response::new(Body::empty());
        opt_out(|| {
            *answer.body_mut() = Body::new(self.body());
            *answer.headers_mut() = self.0.headers.clone();
        });
        ready(Ok(answer))
    }
}

pub(crate) struct Frames(VecDeque<Bytes>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(self.0.pop_front().map(|frame| Ok(Frame::data(frame))))
    }
}
