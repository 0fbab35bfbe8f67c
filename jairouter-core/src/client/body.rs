//! The body of an answer, which drives the connection it comes from.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

#[cfg(feature = "http2")]
use super::http2::Streamed;
use super::live::{Live, broken};
use super::pool::Pool;
use crate::error::{Error, Kind};

/// The body of an answer, straight from the wire.
///
/// The connection goes back to its pool with the last byte. Dropping the body before that closes it, or over
/// HTTP/2 its stream.
pub struct ResponseBody(Source);

enum Source {
    Driven(Driven),
    #[cfg(feature = "http2")]
    Stream(Box<Streamed>),
}

/// What comes on a connection of its own.
struct Driven {
    incoming: Incoming,
    live: Option<Box<Live>>,
    pool: Arc<Pool>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, live: Option<Live>, pool: Arc<Pool>) -> Self {
        Self(Source::Driven(Driven::new(incoming, live, pool)))
    }

    #[cfg(feature = "http2")]
    pub(super) fn of_stream(stream: Streamed) -> Self {
        Self(Source::Stream(Box::new(stream)))
    }
}

impl Driven {
    fn new(incoming: Incoming, live: Option<Live>, pool: Arc<Pool>) -> Self {
        let mut body = Self { incoming, live: live.map(Box::new), pool };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some(mut live) = self.live.take()
            && live.is_usable()
        {
            Arc::clone(&self.pool).put(live);
        }
    }
}

impl Driven {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self;
        // Asking for a frame lets the connection read one. No waker is left with the channel yet,
        // or the frame we fetch ourselves would wake us once more for nothing.
        let mut quiet = Context::from_waker(Waker::noop());
        let mut frame = Pin::new(&mut this.incoming).poll_frame(&mut quiet);
        if frame.is_pending() {
            if let Some(live) = &mut this.live
                && live.poll_drive(cx).is_ready()
            {
                this.live = None;
            }
            frame = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                if this.incoming.is_end_stream() {
                    this.give_back();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.live = None;
                Poll::Ready(Some(Err(broken(error))))
            }
            Poll::Ready(None) => {
                this.give_back();
                Poll::Ready(None)
            }
            Poll::Pending if this.live.is_none() => {
                Poll::Ready(Some(Err(Error::new(Kind::Broken, "the instance broke off"))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.0 {
            Source::Driven(driven) => driven.poll_frame(cx),
            #[cfg(feature = "http2")]
            Source::Stream(stream) => {
                stream.poll_data(cx).map(|data| data.map(|data| data.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Driven(driven) => driven.incoming.is_end_stream(),
            #[cfg(feature = "http2")]
            Source::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Driven(driven) => driven.incoming.size_hint(),
            #[cfg(feature = "http2")]
            Source::Stream(stream) => stream.size_hint(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_http_1_is_no_larger_for_the_other() {
        assert_eq!(
            size_of::<ResponseBody>(),
            size_of::<(Incoming, Option<Box<Live>>, Arc<Pool>)>()
        );
    }
}
