//! One open connection, and an exchange on it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::payload::Payload;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::Wire;
use super::body::ResponseBody;
use super::heard::{Heard, Reads};
use super::pool::Pool;
use crate::error::{Error, Kind};
use crate::upstream::CloseDelimited;

/// The largest head taken, and the largest single read of a body. hyper's own default is 400 KiB.
const LARGEST_BUFFER: usize = 128 * 1024;
const MOST_HEADERS: usize = 128;

/// An open connection: both halves of hyper's, in one hand.
pub(super) struct Live {
    sender: http1::SendRequest<Payload>,
    connection: http1::Connection<TokioIo<Heard<Wire>>, Payload>,
    reads: Reads,
    reused: bool,
}

impl Live {
    pub(super) async fn open(stream: Wire) -> Result<Self, Error> {
        let reads = Reads::default();
        let io = TokioIo::new(Heard::new(stream, reads.clone()));
        let mut builder = http1::Builder::new();
        builder.max_buf_size(LARGEST_BUFFER).max_headers(MOST_HEADERS);
        let (sender, connection) = builder.handshake(io).await.map_err(broken)?;
        Ok(Self { sender, connection, reads, reused: false })
    }

    /// Sends a request and drives the connection until the answer's head is there.
    pub(super) async fn send(
        mut self,
        request: Request<Payload>,
        pool: Arc<Pool>,
    ) -> Result<Response<ResponseBody>, Error> {
        let before = self.reads.count();
        let mut answer = pin!(self.sender.send_request(request));
        let mut connection = Some(&mut self.connection);
        let answer = std::future::poll_fn(|cx| {
            if let Some(live) = &mut connection
                && Pin::new(live).poll(cx).is_ready()
            {
                connection = None;
            }
            answer.as_mut().poll(cx)
        });
        match answer.await {
            Ok(mut answer) => {
                check_framing(&mut answer)?;
                let live = connection.is_some().then_some(self);
                Ok(answer.map(|incoming| ResponseBody::new(incoming, live, pool)))
            }
            Err(error) => {
                let error = broken(error);
                let stale = self.reused && self.reads.count() == before;
                Err(if stale { error.stale() } else { error })
            }
        }
    }

    /// Drives the connection. Ready when it is over.
    pub(super) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.connection).poll(cx).map(drop)
    }

    /// Whether another request may be sent: the last exchange ended exactly, the server keeps the
    /// connection and has sent nothing since. A closed or chattering one is found by driving it.
    pub(super) fn is_usable(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_drive(&mut cx).is_pending() && self.sender.is_ready()
    }

    pub(super) fn reused(mut self) -> Self {
        self.reused = true;
        self
    }
}

/// A coding hyper does not know would be read up to the end of the connection, as if that were data;
/// and an answer that ends with its connection cannot be told from one that was cut.
fn check_framing(answer: &mut Response<Incoming>) -> Result<(), Error> {
    let sizes = answer.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    if sizes.sum::<usize>() > LARGEST_BUFFER {
        return Err(Error::new(Kind::Broken, "the head of the instance's answer is too large"));
    }
    let mut codings = answer.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {
            if answer.body().size_hint().exact().is_none() {
                answer.extensions_mut().insert(CloseDelimited);
            }
            Ok(())
        }
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            // RFC 9112, section 6.3: the coding goes before it, and it may not be passed on.
            answer.headers_mut().remove(CONTENT_LENGTH);
            Ok(())
        }
        _ => Err(Error::new(Kind::Broken, "the instance's answer has a coding we do not know")),
    }
}

pub(super) fn broken(error: hyper::Error) -> Error {
    let message = if error.is_parse() {
        "the instance's answer is not valid HTTP"
    } else {
        "the instance broke off"
    };
    Error::new(Kind::Broken, message).with_source(error)
}
