//! The body of an answer on its way out, which the end of the process can cut off.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use jairouter_config::panics::{self, caught};
use jairouter_core::doze::Doze;
use jairouter_core::{Error, envelope};
use pin_project_lite::pin_project;

use super::connection::Answering;
use super::front::shutting_down;
use super::keep_alive::KeepAlive;

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
        // Of a stream of events, if it has any.
        keep_alive: Option<KeepAlive>,
        // The same: hyper polls it several times for an event.
        doze: Option<Doze>,
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
            keep_alive: None,
            doze: None,
            last_words: LastWords::None,
        }
    }

    pub(super) fn guarded(mut self, answering: Answering, is_event_stream: bool) -> Self {
        self.answering = Some(answering);
        self.is_event_stream = is_event_stream;
        self.doze = is_event_stream.then(Doze::new);
        self
    }

    pub(super) fn close_delimited(mut self, is_close_delimited: bool) -> Self {
        self.is_close_delimited = is_close_delimited;
        self
    }
}

impl<B: HttpBody<Data = Bytes, Error = Error>> Served<B> {
    /// With a comment where it is silent for so long, which is to be a stream of events of no known length.
    pub(super) fn kept_alive(mut self, every: Option<Duration>) -> Self {
        let is_exact = self.size_hint().exact().is_some();
        self.keep_alive = every.filter(|_| !is_exact).map(KeepAlive::new);
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
        let Some(mut passed) = this.passed.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let is_cut = this.answering.as_ref().is_some_and(Answering::is_cut);
        let polled = match is_cut && !passed.is_end_stream() {
            true => Err(shutting_down as fn() -> Error),
            false => {
                let mut poll =
                    |cx: &mut Context<'_>| poll_passed(passed.as_mut(), this.keep_alive, cx);
                caught(|| match this.doze {
                    Some(doze) => doze.poll(cx, poll),
                    None => poll(cx),
                })
                .map_err(|_| panics::error as fn() -> Error)
            }
        };
        let frame = match polled {
            Ok(Poll::Ready(frame)) => frame,
            Ok(Poll::Pending) => return Poll::Pending,
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

/// The next frame, or a comment in its place.
fn poll_passed<B: HttpBody<Data = Bytes, Error = Error>>(
    passed: Pin<&mut B>,
    keep_alive: &mut Option<KeepAlive>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
    let polled = passed.poll_frame(cx);
    let Some(keep_alive) = keep_alive else { return polled };
    match &polled {
        Poll::Ready(Some(Ok(frame))) => {
            if let Some(data) = frame.data_ref() {
                keep_alive.note(data);
            }
            polled
        }
        Poll::Ready(_) => polled,
        Poll::Pending => keep_alive.poll(cx).map(|comment| Some(Ok(Frame::data(comment)))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::{Instant, sleep};

    use super::super::connection::Shared;
    use super::*;

    const EVERY: Duration = Duration::from_secs(15);

    /// A stream of events, each piece a minute after the one before.
    fn slow(pieces: Vec<Bytes>) -> impl HttpBody<Data = Bytes, Error = Error> + Unpin {
        let slowly = stream::iter(pieces).then(|piece| async move {
            sleep(Duration::from_secs(60)).await;
            Ok(Frame::data(piece))
        });
        StreamBody::new(Box::pin(slowly))
    }

    async fn read(
        body: impl HttpBody<Data = Bytes, Error = Error>,
        every: Option<Duration>,
    ) -> Vec<u8> {
        let answering = Arc::new(Shared::default()).answer();
        let body = Served::passed(body).kept_alive(every).guarded(answering, true);
        body.collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_has_a_comment_for_each_interval_and_none_behind_its_end() {
        let comments = ": keep-alive\n\n".repeat(3);
        let pieces = ["data: a\n\n", "data: [DONE]\n\n"].map(Bytes::from).to_vec();
        let begun = Instant::now();
        let text = read(slow(pieces.clone()), Some(EVERY)).await;
        let told = format!("{comments}data: a\n\n{comments}data: [DONE]\n\n");
        assert_eq!(String::from_utf8(text).unwrap(), told);
        assert_eq!(begun.elapsed(), Duration::from_secs(120), "it takes no longer for them");
        let text = read(slow(pieces), None).await;
        assert_eq!(text, b"data: a\n\ndata: [DONE]\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn wherever_a_stream_is_cut_a_comment_is_in_no_event() {
        for end in ["\n", "\r\n", "\r"] {
            let event = |name: &str| format!("event: {name}{end}data: 1{end}: note{end}{end}");
            let whole = event("a") + &event("b");
            for cut in 1..whole.len() {
                let (first, second) = whole.split_at(cut);
                let pieces = [first, second].map(|piece| Bytes::from(piece.to_owned())).to_vec();
                let text = String::from_utf8(read(slow(pieces), Some(EVERY)).await).unwrap();
                let (before, after) = text.split_at(3 * ": keep-alive\n\n".len());
                assert_eq!(before.replace(": keep-alive\n\n", ""), "");
                let is_between = after.contains(": keep-alive");
                assert_eq!(is_between, cut == event("a").len(), "{end:?} at {cut}: {after:?}");
                assert_eq!(after.replace(": keep-alive\n\n", ""), whole);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_whose_length_is_known_has_no_comments() {
        let body = http_body_util::Full::new(Bytes::from_static(b"data: a\n\n"));
        let body = Served::passed(body.map_err(|never| match never {})).kept_alive(Some(EVERY));
        assert!(body.keep_alive.is_none());
    }
}
