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
use crate::failure::Failure;

/// One token after the other, each when it is due. Whoever drops it ends the generation.
pub(crate) struct Stream {
    answer: Answer,
    next: usize,
    begun: Instant,
    rate: Option<f64>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// What happens in the middle.
    failure: Option<Failure>,
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
        let begun = Instant::now();
        Self { answer, next: 0, begun, rate, sleep: None, failure, running: Some(running) }
    }

    /// Waits for the next token's time.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(rate) = self.rate else { return Poll::Ready(()) };
        let due = self.begun + after(self.next, rate);
        if Instant::now() >= due {
            return Poll::Ready(());
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        sleep.as_mut().poll(cx)
    }

    fn poll_failure(&mut self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match failure {
            Failure::Stall => Poll::Pending,
            Failure::ErrorEvent => {
                self.running = None;
                let error =
                    Error::new(Kind::Failed, "the simulated engine fails as it was told to");
                Poll::Ready(Some(Ok(Frame::data(envelope::event(&error)))))
            }
            _ => {
                self.running = None;
                let message = "the simulated engine broke off as it was told to";
                Poll::Ready(Some(Err(Error::new(Kind::Broken, message))))
            }
        }
    }
}

/// So long after the first token comes the one of this number.
pub(crate) fn after(tokens: usize, rate: f64) -> Duration {
    Duration::try_from_secs_f64(tokens as f64 / rate).unwrap_or(Duration::MAX / 2)
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.running.is_none() {
            return Poll::Ready(None);
        }
        if let Some(failure) = this.failure
            && this.next >= this.answer.tokens().div_ceil(2)
        {
            return this.poll_failure(failure);
        }
        ready!(this.poll_due(cx));
        let frame = if this.next < this.answer.tokens() {
            this.answer.token(this.next)
        } else {
            this.running = None;
            this.answer.end()
        };
        this.next += 1;
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.running.is_none()
    }
}
