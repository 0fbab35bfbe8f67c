//! The time, which is read once for all that is done in one go.
//!
//! A request meets a dozen layers that ask for the time, most of them within the same few microseconds, and each
//! reading costs as much as what it is for.

use std::cell::Cell;

use tokio::time::Instant;

thread_local! {
    static GO: Cell<Go> = const { Cell::new(Go::Outside) };
}

#[derive(Clone, Copy)]
enum Go {
    /// The time is read whenever somebody asks.
    Outside,
    /// Nobody has asked yet.
    Unread,
    Read(Instant),
}

/// Now, or when it was last read in this go.
pub(crate) fn now() -> Instant {
    match GO.get() {
        Go::Outside => Instant::now(),
        Go::Unread => read(),
        Go::Read(at) => at,
    }
}

/// Now, for whoever measures, and for what is done from here on.
pub(crate) fn read() -> Instant {
    let now = Instant::now();
    if !matches!(GO.get(), Go::Outside) {
        GO.set(Go::Read(now));
    }
    now
}

/// Does this in one go.
pub(crate) fn in_one_go<T>(work: impl FnOnce() -> T) -> T {
    // It may be in one already, and it may panic.
    struct Restore(Go);
    impl Drop for Restore {
        fn drop(&mut self) {
            GO.set(self.0);
        }
    }
    let _restore = Restore(GO.replace(Go::Unread));
    work()
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_stands_still_in_one_go_and_nowhere_else() {
        let second = Duration::from_secs(1);
        let first = now();
        // It is moved on at once, and then waited for others.
        let forward = || {
            let _ = advance(second).now_or_never();
        };
        forward();
        assert_eq!(now(), first + second);
        in_one_go(|| {
            assert_eq!(now(), first + second);
            forward();
            assert_eq!(now(), first + second);
            in_one_go(|| assert_eq!(now(), first + 2 * second, "a go in a go is one of its own"));
            assert_eq!(read(), first + 2 * second);
            assert_eq!(now(), first + 2 * second);
        });
        forward();
        assert_eq!(now(), first + 3 * second);
        let _ = catch_unwind(|| in_one_go(|| panic!("{:?}", now())));
        forward();
        assert_eq!(now(), first + 4 * second);
    }
}
