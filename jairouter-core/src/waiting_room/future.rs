use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;
use tower::util::Oneshot;

use super::room::{Room, Seat, Turn};
use super::stay::{Alarm, LastCall, TURNS};
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;

pin_project! {
    /// Future of [`WaitingRoom`](super::WaitingRoom).
    ///
    /// Its turn is by its first poll. Dropping it leaves the line at once; if it was called, the
    /// next is called in its place.
    #[project = Proj]
    pub struct ResponseFuture<S>
    where
        S: Service<InferenceRequest>,
    {
        inner: S,
        room: Arc<Room>,
        request: Option<InferenceRequest>,
        // Before the seat: what is dropped with it may free a place, which is for the next in line.
        #[pin]
        state: State<S>,
        seat: Option<Seat>,
        // What it is told if the last call is in vain, too.
        refusal: Option<Error>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S>
    where
        S: Service<InferenceRequest>,
    {
        Looking,
        Waiting { #[pin] alarm: Alarm },
        Asking { #[pin] response: Oneshot<S, InferenceRequest> },
    }
}

impl<S: Service<InferenceRequest>> ResponseFuture<S> {
    pub(super) fn new(inner: S, room: Arc<Room>, request: InferenceRequest) -> Self {
        Self {
            inner,
            room,
            request: Some(request),
            state: State::Looking,
            seat: None,
            refusal: None,
        }
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<InferenceRequest> + Clone,
    S::Error: Into<Error>,
{
    type Output = Result<S::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut turns = 0;
        let outcome = loop {
            let request = this.request.as_ref().expect("polled after completion");
            if let StateProj::Asking { response } = this.state.as_mut().project() {
                let Poll::Ready(outcome) = response.poll(cx) else {
                    this.seat.iter_mut().for_each(Seat::asked);
                    return Poll::Pending;
                };
                let outcome = outcome.map_err(Into::into);
                // Whatever the attempt held is given back before anybody is told.
                this.state.set(State::Looking);
                if let Some(refusal) = this.refusal.take() {
                    let in_vain = outcome.as_ref().is_err_and(Error::is_unsent);
                    break if in_vain { Err(refusal) } else { outcome };
                }
                let refusal = match outcome {
                    Err(error) if is_for_now(&error) && !this.room.is_closed() => error,
                    outcome => break outcome,
                };
                let waker = cx.waker().clone();
                let seated = match this.seat {
                    Some(seat) => seat.refused(refusal.retry_after(), waker),
                    None => this.room.enter(request, 0, waker).map(|seat| *this.seat = Some(seat)),
                };
                match seated {
                    Ok(()) => {}
                    Err(error) if !this.room.has_last_call() => break Err(error),
                    Err(error) => {
                        last_call(&mut this, error);
                        continue;
                    }
                }
            }
            let turn = match this.seat {
                Some(seat) => seat.look(cx.waker().clone()),
                None if this.room.waiting() == 0 => Turn::Ask,
                None => match this.room.enter(request, 0, cx.waker().clone()) {
                    Ok(seat) => {
                        *this.seat = Some(seat);
                        continue;
                    }
                    Err(error) => Turn::Refused(error),
                },
            };
            match turn {
                // Something inside makes room only by refusing: others get this thread's time.
                Turn::Ask if turns == TURNS => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Turn::Ask => {
                    turns += 1;
                    let response = Oneshot::new(this.inner.clone(), request.clone());
                    this.state.set(State::Asking { response });
                }
                Turn::Wait(until) => ready!(this.state.as_mut().wait(until, cx)),
                Turn::Refused(error) if !this.room.has_last_call() => break Err(error),
                Turn::Refused(error) => last_call(&mut this, error),
            }
        };
        this.request.take();
        if let Some(seat) = this.seat.take()
            && outcome.is_ok()
        {
            seat.served();
        }
        Poll::Ready(outcome)
    }
}

/// Asks whoever is left that nobody waits for.
fn last_call<S>(this: &mut Proj<'_, S>, refusal: Error)
where
    S: Service<InferenceRequest> + Clone,
{
    let request = this.request.take().expect("polled after completion").with_extension(LastCall);
    *this.request = Some(request.clone());
    *this.refusal = Some(refusal);
    let response = Oneshot::new(this.inner.clone(), request);
    this.state.set(State::Asking { response });
}

impl<S: Service<InferenceRequest>> State<S> {
    fn wait(mut self: Pin<&mut Self>, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.as_mut().project() {
                StateProj::Waiting { alarm } => return alarm.poll_until(until, cx),
                _ => self.set(Self::Waiting { alarm: Alarm::default() }),
            }
        }
    }
}

/// Whether an instance would have taken the request if it had been free.
fn is_for_now(error: &Error) -> bool {
    error.kind() == Kind::Busy && error.is_unsent() && error.limited_to().is_none()
}

impl<S: Service<InferenceRequest>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
