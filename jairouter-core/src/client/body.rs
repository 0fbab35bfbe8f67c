//! The body of an answer, which drives the connection it comes from.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::live::{Live, broken};
use super::pool::Pool;
use crate::error::{Error, Kind};

/// The body of an answer, straight from the wire.
///
/// The connection goes back to its pool with the last byte. Dropping the body before that closes it.
pub struct ResponseBody {
    incoming: Incoming,
    live: Option<Box<Live>>,
    pool: Arc<Pool>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, live: Option<Live>, pool: Arc<Pool>) -> Self {
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

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
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

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
