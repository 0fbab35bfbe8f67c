//! The body of an answer, which drives the connection it comes on.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::SizeHint;

use super::Fault;
use super::live::Live;
use crate::error::Error;

/// What comes on a connection of its own.
pub(in crate::client) struct Driven {
    /// Until the answer is over, or has broken off.
    live: Option<Box<Live>>,
    /// What came with the head.
    first: Bytes,
    is_over: bool,
}

impl Driven {
    pub(super) fn new(live: Box<Live>, first: Bytes) -> Self {
        let mut body = Self { live: Some(live), first, is_over: false };
        body.look_for_the_end();
        body
    }

    fn look_for_the_end(&mut self) {
        if let Some(live) = self.live.take_if(|live| live.framing().is_over()) {
            self.is_over = true;
            live.give_back();
        }
    }

    pub(in crate::client) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if !self.first.is_empty() {
                return Poll::Ready(Some(Ok(std::mem::take(&mut self.first))));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            let Some(live) = &mut self.live else {
                return Poll::Ready(Some(Err(Fault::Cut.into())));
            };
            match live.poll_data(cx) {
                Poll::Ready(Ok(data)) => self.first = data,
                Poll::Ready(Err(error)) => {
                    self.live = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending => return Poll::Pending,
            }
            self.look_for_the_end();
        }
    }

    pub(in crate::client) fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.is_over
    }

    pub(in crate::client) fn size_hint(&self) -> SizeHint {
        let left = match &self.live {
            Some(live) => live.framing().left(),
            None => self.is_over.then_some(0),
        };
        match left {
            Some(left) => SizeHint::with_exact(self.first.len() as u64 + left),
            None => SizeHint::default(),
        }
    }
}
