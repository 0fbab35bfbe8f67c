//! The body of a committed answer: its clocks, and an honest end.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::marks::Marks;
use super::queue::Queue;
use super::tail::{Ending, Passed, Tail};
use super::timeouts::after;
use crate::body::Body;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::envelope;
use crate::error::{Error, Kind};

/// The body of an [`Upstream`](super::Upstream)'s answer.
///
/// If the instance breaks off or falls silent, a stream of events ends with one that holds the
/// error, and then with an error of the body, so that the transport does not end cleanly either.
pub struct UpstreamBody {
    body: Body,
    /// Held back until the commit point, not yet passed on.
    held: Queue,
    /// On their way to the caller.
    out: Queue,
    events: Option<Events>,
    clock: Clock,
    state: State,
}

struct Events {
    tail: Tail,
    end: Marker,
    endpoint: Endpoint,
}

/// What tells a whole stream from a cut one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// Nothing but the transport.
    None,
    /// The event that ends what has begun, if it has begun in words that know one.
    Begun,
    /// The reason it finished, or `[DONE]`: engines of the field leave out one or the other.
    Finished,
    /// The event the API ends with, or `[DONE]` since its transport ends in one way however it ends.
    Done,
}

/// How long an instance may take to end its answer once the last event has come. Its connection is
/// worth that to us.
const AFTER_DONE: Duration = Duration::from_secs(1);

enum State {
    Open,
    /// The caller is being told, or sent what came before. hyper would drop what it has not flushed,
    /// the head included, if the error followed at once.
    Telling(Error),
    Failed(Error),
    Ended,
}

/// How an answer is delimited, as the commit found it.
pub(super) struct Shape {
    /// The end of a stream of events, and what was asked; not there for other bodies.
    pub(super) events: Option<(Marker, Endpoint, Marks)>,
}

impl UpstreamBody {
    pub(super) fn new(
        body: Body,
        held: Queue,
        shape: &Shape,
        idle: Duration,
        end: Instant,
    ) -> Self {
        let events = shape.events.map(|(end, endpoint, marks)| Events {
            tail: Tail::new(marks),
            end,
            endpoint,
        });
        let clock = Clock { idle, end, waiting_since: None, sleep: None };
        Self { body, held, out: Queue::default(), events, clock, state: State::Open }
    }

    fn take(&mut self, data: Bytes) {
        match &mut self.events {
            Some(events) => {
                if let Passed::Error(event) = events.tail.push(data, &mut self.out) {
                    self.out.push(envelope::relayed(events.endpoint, &event));
                    self.told();
                } else if events.tail.marks().is_done() {
                    self.clock.idle = self.clock.idle.min(AFTER_DONE);
                }
            }
            None => self.out.push(data),
        }
    }

    /// The instance has told the caller itself that it failed.
    fn told(&mut self) {
        let message = "the instance reported an error in its stream";
        self.body = Body::empty();
        self.held.clear();
        self.state = State::Telling(Error::new(Kind::Broken, message));
    }

    /// Closes the connection and tells the caller, if there is a way to and something to tell.
    fn fail(&mut self, error: Error) {
        self.body = Body::empty();
        if let Some(events) = &mut self.events {
            events.tail.clear();
            if events.tail.marks().is_done() {
                self.state = State::Ended;
                return;
            }
            if events.tail.is_open() {
                self.out.push(Bytes::from_static(b"\n\n"));
            }
            let number = events.tail.marks().next_number();
            self.out.push(envelope::event_of(events.endpoint, number, &error));
        }
        self.state = State::Telling(error);
    }

    fn end(&mut self) {
        let Some(events) = &mut self.events else {
            self.state = State::Ended;
            return;
        };
        let mut rest = Queue::default();
        let is_whole = match events.tail.finish(&mut rest) {
            Ending::Whole => match events.end {
                Marker::None => true,
                Marker::Begun => !events.tail.marks().is_unfinished(),
                Marker::Finished => events.tail.marks().is_finished(),
                Marker::Done => events.tail.marks().is_done(),
            },
            Ending::Error(event) => {
                self.out.push(envelope::relayed(events.endpoint, &event));
                return self.told();
            }
            Ending::Cut => false,
        };
        if !is_whole {
            return self.fail(Error::new(Kind::Broken, "the instance's stream was cut off"));
        }
        self.out = rest;
        self.state = State::Ended;
    }
}

impl HttpBody for UpstreamBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        loop {
            if let Some(data) = this.out.pop() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            match std::mem::replace(&mut this.state, State::Ended) {
                State::Open => this.state = State::Open,
                State::Telling(error) => {
                    this.state = State::Failed(error);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Failed(error) => return Poll::Ready(Some(Err(error))),
                State::Ended => return Poll::Ready(None),
            }
            if let Some(data) = this.held.pop() {
                this.take(data);
                continue;
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(frame) => {
                    this.clock.waiting_since = None;
                    match frame {
                        Some(Ok(frame)) => {
                            // Trailers end here: no engine's mean anything to a caller.
                            if let Ok(data) = frame.into_data() {
                                this.take(data);
                            }
                        }
                        Some(Err(error)) => this.fail(error),
                        None => this.end(),
                    }
                }
                Poll::Pending => match this.clock.poll(cx) {
                    Poll::Ready(error) => this.fail(error),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Ended => self.out.len() == 0,
            // A body of known length is over with its last byte: nobody polls it again.
            State::Open => {
                self.events.is_none()
                    && self.held.len() + self.out.len() == 0
                    && self.body.is_end_stream()
            }
            State::Telling(_) | State::Failed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.size_hint().exact() {
            // A stream of events may grow by one that tells of its failure.
            Some(rest) if self.events.is_none() => {
                SizeHint::with_exact(rest + (self.held.len() + self.out.len()) as u64)
            }
            _ => SizeHint::default(),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody")
            .field("is_event_stream", &self.events.is_some())
            .finish_non_exhaustive()
    }
}

/// The idle and the total clock, on one timer. A frame only notes that it came; the timer looks at
/// that when it rings, so that a frame never touches the timer wheel.
struct Clock {
    idle: Duration,
    end: Instant,
    /// Since when the instance owes a frame.
    waiting_since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// Ready with what ran out, while a frame is owed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let since = *self.waiting_since.get_or_insert_with(clock::now);
        let due = after(since, self.idle).min(self.end);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if due < sleep.deadline() {
            // Behind the last event less is waited for.
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            let now = clock::read();
            if now >= self.end {
                let message = "the instance did not finish its answer in time";
                return Poll::Ready(Error::new(Kind::Timeout, message));
            }
            if now >= due {
                let message = "the instance fell silent in the middle of its answer";
                return Poll::Ready(Error::new(Kind::Stalled, message));
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_stays_open_behind_the_last_event_is_waited_for_a_second() {
        let events = ["data: {\"choices\":[]}\n\n", "data: {}\n\n", "data: [DONE]\n\n"];
        let frames = stream::iter(events).then(async |event| {
            sleep(Duration::from_millis(100)).await;
            Ok::<_, Error>(Frame::data(Bytes::from(event)))
        });
        let body = Body::new(StreamBody::new(Box::pin(frames.chain(stream::pending()))));
        let marks = Marks::of(Endpoint::ChatCompletions, 1);
        let shape = Shape { events: Some((Marker::Finished, Endpoint::ChatCompletions, marks)) };
        let (begun, minute) = (Instant::now(), Duration::from_secs(60));
        let body = UpstreamBody::new(body, Queue::default(), &shape, minute, begun + 9 * minute);
        let answer = body.collect().await.unwrap().to_bytes();
        assert_eq!(answer, events.concat());
        assert_eq!(begun.elapsed(), Duration::from_millis(300) + AFTER_DONE);
    }
}
