//! An answer in one piece that is cut off.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use jairouter_core::Error;

use crate::engine::Running;
use crate::failure::broken;
use crate::stream::Next;

/// The first half of an answer in one piece, and then no more.
pub(crate) struct Cut {
    left: Option<Bytes>,
    stalls: bool,
    /// Until it breaks.
    running: Option<Running>,
}

impl Cut {
    pub(crate) fn new(mut whole: Bytes, stalls: bool, running: Running) -> Self {
        whole.truncate(whole.len() / 2);
        Self { left: Some(whole), stalls, running: Some(running) }
    }
}

impl Body for Cut {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Next {
        if let Some(first) = self.left.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.stalls {
            return Poll::Pending;
        }
        Poll::Ready(self.running.take().map(|_| Err(broken())))
    }

    fn is_end_stream(&self) -> bool {
        self.running.is_none()
    }
}
