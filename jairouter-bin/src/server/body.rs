//! The body of an answer on its way out, which the end of the process can cut off.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use jairouter_core::{Error, envelope};
use pin_project_lite::pin_project;

use super::connection::Answering;
use super::front::shutting_down;
use crate::panics::{self, caught};

pin_project! {
    /// A body that is cut off when its connection is: a stream of events with one that says why.
    pub(super) struct Served<B> {
        own: Bytes,
        #[pin]
        passed: Option<B>,
        answering: Option<Answering>,
        is_event_stream: bool,
        // Whether nothing but a reset tells that it broke off.
        is_close_delimited: bool,
        last_words: LastWords,
    }
}

/// How far the caller has been told, and of what.
#[derive(Clone, Copy)]
enum LastWords {
    None,
    /// The event is out. hyper would drop it if the error followed at once.
    Said(fn() -> Error),
    Flushed(fn() -> Error),
}

impl<B> Served<B> {
    pub(super) fn own(bytes: Bytes) -> Self {
        Self { own: bytes, ..Self::new(None) }
    }

    pub(super) fn passed(body: B) -> Self {
        Self::new(Some(body))
    }

    fn new(passed: Option<B>) -> Self {
        Self {
            own: Bytes::new(),
            passed,
            answering: None,
            is_event_stream: false,
            is_close_delimited: false,
            last_words: LastWords::None,
        }
    }

    pub(super) fn guarded(mut self, answering: Answering, is_event_stream: bool) -> Self {
        self.answering = Some(answering);
        self.is_event_stream = is_event_stream;
        self
    }

    pub(super) fn close_delimited(mut self, is_close_delimited: bool) -> Self {
        self.is_close_delimited = is_close_delimited;
        self
    }
}

impl<B: HttpBody<Data = Bytes, Error = Error>> HttpBody for Served<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        if !this.own.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(this.own)))));
        }
        match *this.last_words {
            LastWords::None => {}
            LastWords::Said(why) => {
                *this.last_words = LastWords::Flushed(why);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            LastWords::Flushed(why) => return Poll::Ready(Some(Err(why()))),
        }
        let Some(passed) = this.passed.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let is_cut = this.answering.as_ref().is_some_and(Answering::is_cut);
        let polled = match is_cut && !passed.is_end_stream() {
            true => Err(shutting_down as fn() -> Error),
            false => caught(|| passed.poll_frame(cx)).map_err(|_| panics::error as fn() -> Error),
        };
        let frame = match polled {
            Ok(frame) => ready!(frame),
            Err(why) => {
                // The engine is let go of before the caller is told.
                let _ = caught(|| this.passed.set(None));
                *this.last_words = LastWords::Flushed(why);
                match *this.is_event_stream {
                    true => {
                        *this.last_words = LastWords::Said(why);
                        Some(Ok(Frame::data(envelope::event(&why()))))
                    }
                    false => Some(Err(why())),
                }
            }
        };
        if let (Some(Err(_)), true) = (&frame, *this.is_close_delimited)
            && let Some(answering) = this.answering
        {
            answering.shared().reset();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.own.is_empty()
            && matches!(self.last_words, LastWords::None)
            && self.passed.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.passed {
            Some(passed) => passed.size_hint(),
            None => SizeHint::with_exact(self.own.len() as u64),
        }
    }
}
