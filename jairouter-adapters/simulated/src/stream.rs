//! A stream that takes its time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use jairouter_core::{Error, Kind, envelope};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::answer::Answer;
use crate::engine::Running;
use crate::failure::{AS_TOLD, Failure, broken};

/// What polling a body gives.
pub(crate) type Next = Poll<Option<Result<Frame<Bytes>, Error>>>;

/// One token after the other, each when it is due. Whoever drops it ends the generation.
pub(crate) struct Stream {
    answer: Answer,
    begun: Instant,
    rate: Option<f64>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether the role is out.
    opened: bool,
    /// Tokens that are out, and where the next one begins.
    tokens: usize,
    from: usize,
    /// What happens, before which token.
    failure: Option<(Failure, usize)>,
    /// Until the last event is out.
    running: Option<Running>,
}

impl Stream {
    /// A stream whose first token is due now.
    pub(crate) fn new(
        answer: Answer,
        rate: Option<f64>,
        failure: Option<Failure>,
        running: Running,
    ) -> Self {
        let middle = answer.tokens().div_ceil(2);
        let failure = failure.map(|failure| match failure {
            Failure::Break => (failure, 0),
            _ => (failure, middle),
        });
        Self {
            answer,
            begun: Instant::now(),
            rate,
            sleep: None,
            opened: false,
            tokens: 0,
            from: 0,
            failure,
            running: Some(running),
        }
    }

    /// Waits for the next token's time.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(rate) = self.rate else { return Poll::Ready(()) };
        let due = self.begun + after(self.tokens, rate);
        if Instant::now() >= due {
            return Poll::Ready(());
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        sleep.as_mut().poll(cx)
    }

    fn poll_failure(&mut self, failure: Failure) -> Next {
        if failure == Failure::Stall {
            return Poll::Pending;
        }
        self.running = None;
        Poll::Ready(Some(match failure {
            Failure::ErrorEvent => {
                Ok(Frame::data(envelope::event(&Error::new(Kind::Failed, AS_TOLD))))
            }
            _ => Err(broken()),
        }))
    }
}

/// So long after the first token comes the one of this number.
pub(crate) fn after(tokens: usize, rate: f64) -> Duration {
    Duration::from_secs_f64(tokens as f64 / rate)
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Next {
        let this = &mut *self;
        if this.running.is_none() {
            return Poll::Ready(None);
        }
        if !this.opened {
            this.opened = true;
            if let Some(role) = this.answer.role() {
                return Poll::Ready(Some(Ok(Frame::data(role))));
            }
        }
        ready!(this.poll_due(cx));
        if let Some((failure, at)) = this.failure
            && this.tokens == at
        {
            return this.poll_failure(failure);
        }
        let frame = if this.tokens < this.answer.tokens() {
            let (frame, next) = this.answer.token(this.from);
            this.from = next;
            this.tokens += 1;
            frame
        } else {
            this.running = None;
            this.answer.end()
        };
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.running.is_none()
    }
}
