//! An exchange, played.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{Ready, ready};
use futures::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use jairouter_core::Payload;
use jairouter_core::upstream::Timeouts;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Upstream, envelope};
use tower::{Service, ServiceExt};

use crate::exchange::Exchange;

/// The boundary of recorded multipart bodies.
pub(crate) const BOUNDARY: &str = "----FixtureBoundary7MA4YWxkTrZu0gW";

/// What the engine was asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path and query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What the caller got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Got {
    /// The status.
    pub status: u16,
    /// The content type.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
    /// Whether the body broke off.
    pub broken: bool,
    /// The error instead of an answer, as a text to compare, where it is known.
    pub error: Option<String>,
}

/// A client that has the answer.
#[derive(Clone)]
struct Recorded {
    answer: Arc<Answer>,
    asked: Arc<Mutex<Option<Asked>>>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    pieces: Vec<Bytes>,
}

impl Service<Request<Payload>> for Recorded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let (head, body) = request.into_parts();
        // It is all there.
        let body = body.collect().now_or_never().and_then(Result::ok);
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let asked = Asked { method: head.method.to_string(), path, headers: head.headers, body };
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        let frames: Vec<_> =
            self.answer.pieces.iter().cloned().map(Frame::data).map(Ok::<_, Error>).collect();
        let mut answer = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
        *answer.status_mut() = self.answer.status;
        answer.headers_mut().clone_from(&self.answer.headers);
        ready(Ok(answer))
    }
}

/// The caller's question.
pub(crate) fn request(endpoint: Endpoint, payload: Bytes) -> Result<InferenceRequest, Error> {
    let mut headers = HeaderMap::new();
    let kind = match endpoint.is_multipart() {
        true => HeaderValue::try_from(format!("multipart/form-data; boundary={BOUNDARY}")),
        false => Ok(HeaderValue::from_static("application/json")),
    };
    headers.extend(kind.ok().map(|kind| (CONTENT_TYPE, kind)));
    InferenceRequest::new(endpoint, headers, payload)
}

/// Asks the backend's engine, which answers as recorded, in these pieces.
pub(crate) fn play<B: Backend + Clone + 'static>(
    backend: &B,
    request: InferenceRequest,
    row: &Exchange,
    pieces: Vec<Bytes>,
) -> (Option<Asked>, Got) {
    let mut headers = HeaderMap::new();
    for (name, value) in &row.upstream.response_headers {
        // Some rows have remarks instead of names.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            headers.insert(name, value);
        }
    }
    if let Ok(value) = row.upstream.content_type.parse() {
        headers.insert(CONTENT_TYPE, value);
    }
    let status = StatusCode::from_u16(row.upstream.status).unwrap_or_default();
    let answer = Arc::new(Answer { status, headers, pieces });
    let client = Recorded { answer, asked: Arc::default() };
    let asked = Arc::clone(&client.asked);
    let target = "http://engine:1".parse().expect("it is a target");
    // Nothing here waits; a clock that ran out would only hide what went wrong.
    let upstream =
        Upstream::new(backend.clone(), target, client).with_timeouts(Timeouts::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let got = runtime.expect("a runtime of one thread").block_on(async move {
        match upstream.oneshot(request).await {
            Ok(answer) => whole(answer).await,
            Err(error) => refused(&error),
        }
    });
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).take();
    (asked, got)
}

async fn whole<R>(answer: Response<R>) -> Got
where
    R: http_body::Body<Data = Bytes, Error = Error>,
{
    let (head, body) = answer.into_parts();
    let mut body = std::pin::pin!(body);
    let (mut bytes, mut broken) = (BytesMut::new(), false);
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(_) => broken = true,
        }
    }
    Got {
        status: head.status.as_u16(),
        content_type: content_type(&head.headers),
        body: bytes.freeze(),
        broken,
        error: None,
    }
}

/// What a caller is sent for this error.
pub(crate) fn refused(error: &Error) -> Got {
    let answer = envelope::response(error);
    Got {
        status: answer.status().as_u16(),
        content_type: content_type(answer.headers()),
        body: answer.into_body(),
        broken: false,
        error: Some(format!("{error:?}")),
    }
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
