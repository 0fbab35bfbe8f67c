//! The body of a request, read within its limits.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::memory::{Memory, Share};
use crate::error::{BoxError, Error, Kind};

/// The slowest body that is waited for, in bytes a second.
const SLOWEST: usize = 64 * 1024;

/// The most that is reserved on the word of a `Content-Length` alone.
const TRUSTED_LENGTH: usize = 256 * 1024;

pin_project! {
    /// A future of a request's whole body.
    pub(super) struct Collect<B> {
        #[pin]
        body: B,
        first: Bytes,
        rest: BytesMut,
        limit: usize,
        share: Option<Share>,
        clock: Clock,
    }
}

impl<B> Collect<B> {
    pub(super) fn new(body: B, limit: usize, timeout: Duration, memory: &Memory) -> Self {
        let clock = Clock { timeout, begun: None, waiting_since: None, sleep: None };
        let share = Some(memory.share());
        Self { body, first: Bytes::new(), rest: BytesMut::new(), limit, share, clock }
    }
}

impl<B> Future for Collect<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Bytes, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let share = this.share.as_mut().expect("polled after completion");
        loop {
            let held = this.first.len() + this.rest.len();
            let frame = match this.body.as_mut().poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return this.clock.poll(cx, held).map(Err),
            };
            this.clock.waiting_since = None;
            let data = match frame {
                None => break,
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(unreadable(error.into()))),
            };
            if data.is_empty() {
                continue;
            }
            let length = held + data.len();
            if length > *this.limit {
                return Poll::Ready(Err(too_large(*this.limit)));
            }
            if !share.grow_to(length) {
                return Poll::Ready(Err(overloaded()));
            }
            if held == 0 {
                *this.first = data;
                continue;
            }
            if this.rest.is_empty() {
                let expected = this.body.size_hint().lower() as usize;
                this.rest.reserve(length + expected.min(TRUSTED_LENGTH).min(*this.limit));
                this.rest.extend_from_slice(&std::mem::take(this.first));
            }
            this.rest.extend_from_slice(&data);
        }
        let body = match this.rest.is_empty() {
            true => std::mem::take(this.first),
            false => std::mem::take(this.rest).freeze(),
        };
        Poll::Ready(Ok(this.share.take().map_or(Bytes::new(), |share| share.keep_with(body))))
    }
}

/// The idle and the total clock of a body, on one timer that exists only once the body made us wait.
struct Clock {
    timeout: Duration,
    begun: Option<Instant>,
    waiting_since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    fn poll(&mut self, cx: &mut Context<'_>, held: usize) -> Poll<Error> {
        let now = Instant::now();
        let begun = *self.begun.get_or_insert(now);
        let since = *self.waiting_since.get_or_insert(now);
        let whole = self.timeout * 3 + Duration::from_secs((held / SLOWEST) as u64);
        let due = (since + self.timeout).min(begun + whole);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        sleep
            .as_mut()
            .poll(cx)
            .map(|()| Error::new(Kind::SlowRequest, "the request body did not arrive in time"))
    }
}

pub(super) fn too_large(limit: usize) -> Error {
    Error::new(Kind::TooLarge, format!("the request body is larger than {limit} bytes"))
}

fn overloaded() -> Error {
    Error::new(Kind::Overloaded, "the gateway is reading as many request bodies as it can hold")
        .with_retry_after(Duration::from_secs(1))
}

fn unreadable(error: BoxError) -> Error {
    Error::new(Kind::Invalid, "the request body cannot be read")
        .with_code("invalid_body")
        .with_source(error)
}
