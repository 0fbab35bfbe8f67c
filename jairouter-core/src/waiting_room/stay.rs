use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::room::{Room, Seat, Turn};
use crate::error::Error;
use crate::request::InferenceRequest;

/// How often one asks in one poll. Something may make room only by refusing, and others get this
/// thread's time.
pub(super) const TURNS: u32 = 16;

pin_project! {
    /// The wait of a request that has been to some instances, for a place at one of the others.
    ///
    /// It stands where it would stand if it had waited from the beginning, and holds up nobody: what
    /// is of no use to it is for those behind. Dropping it leaves the line.
    pub(crate) struct Stay {
        seat: Option<Seat>,
        #[pin]
        alarm: Alarm,
    }
}

/// In the [extensions](crate::request::Parts::extensions) of a request that cannot wait any longer: it
/// is asked of an instance that rests, or else of none, for all others are for those in line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastCall;

/// What one finds whose turn it is.
#[derive(Debug)]
pub(crate) enum Find<T> {
    One(T),
    NotNow,
    /// There is nothing left to wait for.
    Never,
}

pin_project! {
    /// A timer that is set when it is first needed.
    #[derive(Default)]
    pub(super) struct Alarm {
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Stay {
    /// # Errors
    ///
    /// What the room says if it is full, or no place can be had in time.
    pub(crate) fn new(
        room: &Arc<Room>,
        request: &InferenceRequest,
        avoids: u64,
        cx: &Context<'_>,
    ) -> Result<Self, Error> {
        let seat = room.enter(request, avoids, cx.waker().clone())?;
        Ok(Self { seat: Some(seat), alarm: Alarm::default() })
    }

    /// What `ask` finds when it is this one's turn; it is not to be polled again then.
    ///
    /// # Errors
    ///
    /// What the room says if no place could be had in time; nothing if there is nothing to wait for.
    pub(crate) fn poll_turn<T>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut ask: impl FnMut() -> Find<T>,
    ) -> Poll<Result<T, Option<Error>>> {
        let mut this = self.project();
        let seat = this.seat.as_mut().expect("polled after completion");
        for _ in 0..TURNS {
            match seat.look(cx.waker().clone()) {
                Turn::Ask => match ask() {
                    Find::One(found) => {
                        this.seat.take().into_iter().for_each(Seat::served);
                        return Poll::Ready(Ok(found));
                    }
                    Find::NotNow => {
                        if let Err(error) = seat.refused(None, cx.waker().clone()) {
                            return Poll::Ready(Err(Some(error)));
                        }
                    }
                    Find::Never => {
                        this.seat.take();
                        return Poll::Ready(Err(None));
                    }
                },
                Turn::Wait(until) => ready!(this.alarm.as_mut().poll_until(until, cx)),
                Turn::Refused(error) => return Poll::Ready(Err(Some(error))),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Alarm {
    pub(super) fn poll_until(
        self: Pin<&mut Self>,
        until: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut sleep = self.project().sleep;
        loop {
            match sleep.as_mut().as_pin_mut() {
                Some(mut sleep) => {
                    if sleep.deadline() != until {
                        sleep.as_mut().reset(until);
                    }
                    return sleep.poll(cx);
                }
                None => sleep.set(Some(sleep_until(until))),
            }
        }
    }
}
