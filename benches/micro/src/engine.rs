//! Engines in memory: clients that answer at once.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, SERVER};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame};
use jairouter_core::{Body, Error, InferenceRequest, Payload};
use tower::Service;

/// An answer in one piece.
pub(crate) const WHOLE: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1764150000,"model":"qwen3:1.7b","choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I help you today?"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}"#;

/// A token of a stream.
pub(crate) const EVENT: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1764150000,\"model\":\"qwen3:1.7b\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n";

/// The end of a stream.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// No end of a stream that could come.
pub(crate) const ENDLESS: usize = usize::MAX;

/// Answers every request alike.
#[derive(Debug, Clone)]
pub(crate) struct Engine(Arc<Answer>);

#[derive(Debug)]
struct Answer {
    headers: HeaderMap,
    body: Kind,
}

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    Stream(Stream),
}

impl Engine {
    /// With this JSON.
    pub(crate) fn whole(json: &'static str) -> Self {
        Self::new("application/json", Kind::Whole(Bytes::from_static(json.as_bytes())))
    }

    /// With a stream of so many tokens.
    pub(crate) fn stream(tokens: usize) -> Self {
        let stream = Stream::new("", EVENT, tokens, DONE);
        Self::new("text/event-stream; charset=utf-8", Kind::Stream(stream))
    }

    fn new(kind: &'static str, body: Kind) -> Self {
        let headers =
            [(DATE, "Thu, 26 Nov 2026 12:00:00 GMT"), (SERVER, "uvicorn"), (CONTENT_TYPE, kind)];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self(Arc::new(Answer { headers: headers.into_iter().collect(), body }))
    }

    /// The answer.
    pub(crate) fn answer(&self) -> Response<Body> {
        let body = match &self.0.body {
            Kind::Whole(bytes) => bytes.clone().into(),
            Kind::Stream(stream) => Body::new(stream.clone()),
        };
        let mut answer = Response::new(body);
        *answer.headers_mut() = self.0.headers.clone();
        answer
    }
}

impl Service<Request<Payload>> for Engine {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Ready<Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Payload>) -> Self::Future {
        ready(Ok(self.answer()))
    }
}

/// Answers every parsed request with a stream of this event that does not end, or with nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Says(pub(crate) &'static str);

impl Service<InferenceRequest> for Says {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Ready<Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: InferenceRequest) -> Self::Future {
        ready(Ok(Response::new(match self.0 {
            "" => Body::empty(),
            event => Body::new(Stream::new("", event, ENDLESS, "")),
        })))
    }
}

/// A body that says something, one thing many times, and something else.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    first: Option<Bytes>,
    each: Bytes,
    left: usize,
    last: Option<Bytes>,
}

impl Stream {
    /// These. What is empty is not said.
    pub(crate) fn new(
        first: &'static str,
        each: &'static str,
        times: usize,
        last: &'static str,
    ) -> Self {
        let bytes = |text: &'static str| Bytes::from(text.to_owned());
        let said = |text: &'static str| (!text.is_empty()).then(|| bytes(text));
        Self { first: said(first), each: bytes(each), left: times, last: said(last) }
    }
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match (self.first.take(), self.left) {
            (Some(first), _) => Some(first),
            (None, 0) => self.last.take(),
            (None, _) => {
                self.left -= 1;
                Some(self.each.clone())
            }
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// The next frame of a body that need not wait for it.
pub(crate) fn next<B>(body: &mut B) -> Option<Bytes>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: std::fmt::Debug,
{
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1000 {
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut cx) {
            return frame.map(|frame| frame.expect("a frame").into_data().unwrap_or_default());
        }
    }
    panic!("a body waits for somebody who is not there");
}
