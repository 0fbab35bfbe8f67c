//! The body of a request as it comes, in whichever protocol.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use jairouter_core::BoxError;
use tokio::sync::oneshot;

/// The body of a request as it comes.
#[derive(Debug)]
pub struct Received(Protocol);

#[derive(Debug)]
enum Protocol {
    Http1(Incoming),
    // A box, so that requests of HTTP/1 are no larger for it.
    Http2(Box<Stream>),
}

/// One stream of a connection.
#[derive(Debug)]
struct Stream {
    /// There until it is dropped.
    stream: Option<RecvStream>,
    /// How much is still to come, if that was said. h2 sees to it that it is true.
    left: Option<u64>,
    unread: Option<oneshot::Sender<RecvStream>>,
}

impl Received {
    /// What comes on this stream, as much as was said if it was; and what has it if nobody reads it to its end.
    pub(super) fn stream(
        stream: RecvStream,
        left: Option<u64>,
    ) -> (Self, oneshot::Receiver<RecvStream>) {
        let (unread, rest) = oneshot::channel();
        let stream = Stream { stream: Some(stream), left, unread: Some(unread) };
        (Self(Protocol::Http2(Box::new(stream))), rest)
    }
}

impl From<Incoming> for Received {
    fn from(incoming: Incoming) -> Self {
        Self(Protocol::Http1(incoming))
    }
}

impl Stream {
    /// A stream that was reset is none that ended, whatever the reason that was given.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let data = match ready!(stream.poll_data(cx)) {
            Some(Ok(data)) => data,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        // The caller may send as much again. It cannot be refused: this much has come.
        let _ = stream.flow_control().release_capacity(data.len());
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        Poll::Ready(Some(Ok(data)))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let (Some(stream), Some(unread)) = (self.stream.take(), self.unread.take())
            && !stream.is_end_stream()
        {
            // Or nobody wants it.
            let _ = unread.send(stream);
        }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Protocol::Http1(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
            Protocol::Http2(stream) => {
                stream.poll_data(cx).map(|data| data.map(|data| data.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Protocol::Http1(incoming) => incoming.is_end_stream(),
            Protocol::Http2(body) => body.stream.as_ref().is_none_or(RecvStream::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Protocol::Http1(incoming) => incoming.size_hint(),
            Protocol::Http2(stream) => stream.left.map(SizeHint::with_exact).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_http_1_is_no_larger_for_the_other() {
        assert_eq!(size_of::<Received>(), size_of::<Incoming>());
    }
}
