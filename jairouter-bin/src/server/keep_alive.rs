//! Comments in a stream of events that is silent, for proxies and callers that take silence for the end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep};

/// A line that says nothing, and ends no event since there is none (HTML, section 9.2.6).
const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// When the next comment of a stream is due, and whether it may be sent.
pub(super) struct KeepAlive {
    every: Duration,
    since: Instant,
    /// Rings no later than it is due. It is not set anew for each event.
    clock: Pin<Box<Sleep>>,
    /// The last bytes of the stream.
    tail: [u8; 3],
}

impl KeepAlive {
    /// For a stream of which nothing has been sent.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, since: Instant::now(), clock: Box::pin(sleep(every)), tail: *b"\n\n\n" }
    }

    /// This much more of the stream is sent.
    pub(super) fn note(&mut self, data: &[u8]) {
        self.since = Instant::now();
        for byte in &data[data.len().saturating_sub(3)..] {
            self.tail = [self.tail[1], self.tail[2], *byte];
        }
    }

    /// The next comment, once the stream has been silent for long enough between two events.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            ready!(self.clock.as_mut().poll(cx));
            let due = self.since + self.every;
            if due > Instant::now() {
                self.clock.as_mut().reset(due);
                continue;
            }
            if !self.is_between_events() {
                // More of the event comes before there can be another comment, and asks again.
                return Poll::Pending;
            }
            self.since = Instant::now();
            self.clock.as_mut().reset(self.since + self.every);
            return Poll::Ready(COMMENT);
        }
    }

    /// Whether the last line is empty. A line ends with LF, CR or both; behind an LF, a CR may be half of both.
    fn is_between_events(&self) -> bool {
        matches!(self.tail, [_, b'\n', b'\n'] | [_, b'\r', b'\r'] | [b'\n', b'\r', b'\n'])
    }
}
