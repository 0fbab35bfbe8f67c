//! One request on a connection, and its answer.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::{Body, SizeHint};

use super::super::body::ResponseBody;
use super::link::Place;
use crate::error::{Error, Kind};
use crate::payload::Payload;

/// The most of a request that waits for the instance's window at a time.
const LARGEST_PIECE: usize = 64 * 1024;

/// What is the connection's own affair in HTTP/1 and not there in HTTP/2 (RFC 9113, section 8.2.2), beside what
/// `Connection` names.
const OF_CONNECTIONS: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Sends a request and waits for the head of its answer. Dropping it takes the request back.
pub(super) async fn ask(
    mut place: Place,
    request: Request<Payload>,
    host: &HeaderValue,
) -> Result<Response<ResponseBody>, Error> {
    let (parts, payload) = request.into_parts();
    let head = head(parts, &payload, host)?;
    let ends = payload.is_empty();
    let reads = place.reads();
    let (mut answer, stream) = place.sender.send_request(head, ends).map_err(|error| {
        place.retire();
        unprocessed("the instance is closing its connections", error)
    })?;
    let mut upload = (!ends).then(|| Upload { stream, payload, piece: Bytes::new() });
    let answer = poll_fn(|cx| {
        drive(&mut upload, cx);
        Pin::new(&mut answer).poll(cx)
    });
    match answer.await {
        Ok(answer) => {
            let length = answer.headers().get(CONTENT_LENGTH);
            let left = length.and_then(|length| length.to_str().ok()?.parse().ok());
            Ok(answer.map(|stream| {
                let place = (!stream.is_end_stream()).then_some(place);
                ResponseBody::of_stream(Streamed { stream, upload, place, left })
            }))
        }
        Err(error) => Err(failed(&place, reads, error)),
    }
}

/// The head as HTTP/2 has it: the target in it is whole, and nothing is the connection's.
fn head(parts: Parts, payload: &Payload, host: &HeaderValue) -> Result<Request<()>, Error> {
    let Parts { method, uri, mut headers, .. } = parts;
    let authority = headers.remove(HOST).unwrap_or_else(|| host.clone());
    let authority = Authority::try_from(authority.as_bytes());
    strip(&mut headers);
    if !payload.is_empty() || !matches!(method, Method::GET | Method::HEAD) {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| payload.len().into());
    }
    let mut target = uri.into_parts();
    target.scheme = Some(Scheme::HTTPS);
    let wrong = |error: http::Error| {
        Error::new(Kind::Internal, "the instance's Host is not one").with_source(error)
    };
    target.authority = Some(authority.map_err(|error| wrong(error.into()))?);
    target.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    let mut head = Request::new(());
    *head.method_mut() = method;
    *head.uri_mut() = Uri::from_parts(target).map_err(|error| wrong(error.into()))?;
    *head.version_mut() = Version::HTTP_2;
    *head.headers_mut() = headers;
    Ok(head)
}

fn strip(headers: &mut HeaderMap) {
    for list in headers.get_all(CONNECTION).iter().cloned().collect::<Vec<_>>() {
        for name in list.to_str().unwrap_or_default().split(',') {
            headers.remove(name.trim());
        }
    }
    for name in &OF_CONNECTIONS {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|value| value.as_bytes() != b"trailers") {
        headers.remove(TE);
    }
}

/// What an instance says it has not begun with may be asked again.
fn unprocessed(message: &'static str, error: h2::Error) -> Error {
    Error::new(Kind::Unreachable, message).with_source(error).stale()
}

/// What became of a request of which no answer came.
fn failed(place: &Place, before: u32, error: h2::Error) -> Error {
    let is_remote = error.is_remote();
    if is_remote && error.is_go_away() {
        // h2 says this of the requests behind the last one that the instance has begun with, and of no other.
        place.retire();
        return unprocessed("the instance is closing its connections", error);
    }
    if is_remote && error.reason() == Some(Reason::REFUSED_STREAM) {
        place.retire();
        let message = "the instance refuses to begin with the request";
        return Error::new(Kind::Busy, message).with_source(error).stale();
    }
    let is_dead = !error.is_reset();
    if is_dead {
        place.retire();
    }
    let is_stale = is_dead && place.is_reused && place.reads() == before && !place.is_lost();
    let error = broken(error);
    if is_stale { error.stale() } else { error }
}

fn broken(error: h2::Error) -> Error {
    let message = if error.is_library() {
        "the instance's answer is not valid HTTP"
    } else {
        "the instance broke off"
    };
    Error::new(Kind::Broken, message).with_source(error)
}

/// What is left of a request to send.
struct Upload {
    stream: SendStream<Bytes>,
    payload: Payload,
    piece: Bytes,
}

/// Sends what can be sent. It is over with the last byte, or when the instance wants no more: what it answers says
/// the rest.
fn drive(upload: &mut Option<Upload>, cx: &mut Context<'_>) {
    if upload.as_mut().is_some_and(|upload| upload.poll(cx).is_ready()) {
        *upload = None;
    }
}

impl Upload {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.piece.is_empty() {
                let Poll::Ready(Some(Ok(next))) = Pin::new(&mut self.payload).poll_frame(cx) else {
                    return Poll::Ready(());
                };
                self.piece = next.into_data().unwrap_or_default();
            }
            self.stream.reserve_capacity(self.piece.len().min(LARGEST_PIECE));
            while self.stream.capacity() == 0 {
                let Some(Ok(_)) = ready!(self.stream.poll_capacity(cx)) else {
                    return Poll::Ready(());
                };
            }
            let free = self.stream.capacity().min(self.piece.len());
            let sent = self.piece.split_to(free);
            let ends = self.piece.is_empty() && self.payload.is_empty();
            if self.stream.send_data(sent, ends).is_err() || ends {
                return Poll::Ready(());
            }
        }
    }
}

/// The body of an answer, one stream of a connection. Dropping it before its end resets that stream.
pub(in super::super) struct Streamed {
    stream: RecvStream,
    /// An instance may answer before it has read all.
    upload: Option<Upload>,
    /// Until the last byte is there.
    place: Option<Place>,
    left: Option<u64>,
}

impl Streamed {
    /// A stream that was reset is none that ended, whatever the reason that was given.
    pub(in super::super) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        drive(&mut self.upload, cx);
        let outcome = match ready!(self.stream.poll_data(cx)) {
            Some(Ok(data)) => {
                // It may send as much again. It cannot be refused: this much has come.
                let _ = self.stream.flow_control().release_capacity(data.len());
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                if !self.stream.is_end_stream() {
                    return Poll::Ready(Some(Ok(data)));
                }
                Some(Ok(data))
            }
            Some(Err(error)) => Some(Err(broken(error))),
            None => None,
        };
        (self.upload, self.place) = (None, None);
        Poll::Ready(outcome)
    }

    pub(in super::super) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}
