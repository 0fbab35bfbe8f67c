//! [`Doze`] and [`doze()`]: what is polled only once it has woken its task.
//!
//! Whoever polls a task polls all of its parts, whichever of them has woken it, and some polls are repeated to be sure.
//! A part that waits looks at its sockets and clocks each time and says again whom they are to wake. One that dozes has a
//! waker of its own, which notes that it was used; until then nothing can have changed, and nothing is looked at.
//!
//! ```
//! use std::future::{pending, poll_fn};
//! use std::time::Duration;
//!
//! use jairouter_core::doze::doze;
//! use tokio::time::sleep;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let mut polls = 0;
//! let counted = doze(poll_fn(|_| {
//!     polls += 1;
//!     std::task::Poll::<()>::Pending
//! }));
//! let another = async {
//!     for _ in 0..3 {
//!         sleep(Duration::from_millis(1)).await;
//!     }
//! };
//! tokio::select! {
//!     () = another => {}
//!     () = counted => {}
//! }
//! assert_eq!(polls, 1);
//! # });
//! ```

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

/// Polls a part of a task only once that has woken the task, whatever else has.
///
/// It is for one part, which wakes nobody but by the context it is given, and is not for one that counts on being
/// polled at other times. What panics is not polled again until it wakes.
#[derive(Debug)]
pub struct Doze {
    bell: Arc<Bell>,
    /// The bell's.
    waker: Waker,
    /// Whom the bell wakes.
    task: Option<Waker>,
}

#[derive(Debug)]
struct Bell {
    has_rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Default for Doze {
    fn default() -> Self {
        Self::new()
    }
}

impl Doze {
    /// For a part that has not been polled: it will be.
    #[must_use]
    pub fn new() -> Self {
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(true), task: Mutex::new(None) });
        Self { waker: Waker::from(Arc::clone(&bell)), bell, task: None }
    }

    /// What `part` says, if it has been woken since it was last pending.
    pub fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        part: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Before the look at the bell: who rings it afterwards wakes this task.
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            let before = self.bell.set(self.task.clone());
            drop(before);
        }
        if !self.bell.has_rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // Before it is polled: what rings meanwhile is for the next time. What was done before it rang is seen.
        self.bell.has_rung.swap(false, Ordering::AcqRel);
        let polled = part(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.bell.has_rung.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl Bell {
    /// Who was woken before.
    fn set(&self, task: Option<Waker>) -> Option<Waker> {
        let mut slot = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut slot, task)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        // Nobody is woken under the lock.
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

pin_project! {
    /// Future of [`doze()`].
    #[derive(Debug)]
    pub struct Dozing<F> {
        #[pin]
        future: F,
        doze: Doze,
    }
}

/// This future, which is polled only once it has woken its task.
pub fn doze<F: Future>(future: F) -> Dozing<F> {
    Dozing { future, doze: Doze::new() }
}

impl<F: Future> Future for Dozing<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.doze.poll(cx, |cx| this.future.poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::{Instant, sleep};
    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready};

    use super::*;

    /// A part that counts its polls, and what it was given last to wake its task.
    #[derive(Default)]
    struct Part {
        polls: Cell<u32>,
        waker: RefCell<Option<Waker>>,
        is_ready: Cell<bool>,
    }

    impl Part {
        fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
            self.polls.set(self.polls.get() + 1);
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            if self.is_ready.get() { Poll::Ready(()) } else { Poll::Pending }
        }

        fn wake(&self) {
            self.waker.borrow().as_ref().unwrap().wake_by_ref();
        }
    }

    #[test]
    fn it_is_polled_once_for_each_time_it_wakes_its_task() {
        let part = Part::default();
        let mut task = spawn(doze(poll_fn(|cx| part.poll(cx))));
        for polls in 1..4 {
            for _ in 0..3 {
                assert_pending!(task.poll());
                assert_eq!(part.polls.get(), polls, "until it wakes it is left alone");
            }
            part.wake();
            assert!(task.is_woken());
        }
        part.is_ready.set(true);
        assert_ready!(task.poll());
    }

    #[test]
    fn what_wakes_it_while_it_is_polled_counts() {
        let part = Part::default();
        let mut task = spawn(doze(poll_fn(|cx| {
            let polled = part.poll(cx);
            if part.polls.get() < 3 {
                part.wake();
            }
            polled
        })));
        for polls in [1, 2, 3, 3] {
            assert_pending!(task.poll());
            assert_eq!(part.polls.get(), polls);
        }
    }

    #[test]
    fn after_it_was_ready_it_is_polled_at_once() {
        let (part, mut doze) = (Part::default(), Doze::new());
        part.is_ready.set(true);
        let mut task = spawn(poll_fn(|cx| doze.poll(cx, |cx| part.poll(cx))));
        for polls in 1..4 {
            assert_ready!(task.poll());
            assert_eq!(part.polls.get(), polls);
        }
    }

    #[test]
    fn who_polled_it_last_is_woken_and_nobody_else() {
        let (part, doze) = (Part::default(), RefCell::new(Doze::new()));
        let poll = |cx: &mut Context<'_>| doze.borrow_mut().poll(cx, |cx| part.poll(cx));
        let (mut one, mut other) = (spawn(poll_fn(poll)), spawn(poll_fn(poll)));
        assert_pending!(one.poll());
        assert_pending!(other.poll());
        assert_eq!(part.polls.get(), 1, "the second had nothing to look at");
        part.wake();
        assert!(other.is_woken() && !one.is_woken());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_rings_at_its_time() {
        let begun = Instant::now();
        let mut often = std::pin::pin!(async {
            loop {
                sleep(Duration::from_millis(1)).await;
            }
        });
        tokio::select! {
            () = doze(sleep(Duration::from_secs(1))) => {}
            () = &mut often => {}
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
    }

    #[test]
    fn nothing_is_missed_that_another_thread_sends() {
        use futures::executor::block_on;
        use futures::{SinkExt, StreamExt};

        let (mut sender, mut receiver) = futures::channel::mpsc::channel(0);
        let sent = std::thread::spawn(move || {
            for number in 0..10_000 {
                block_on(sender.send(number)).unwrap();
            }
        });
        for number in 0..10_000 {
            assert_eq!(block_on(doze(receiver.next())), Some(number));
        }
        sent.join().unwrap();
    }
}
