//! Defects that show as panics: each ends one request at most, is counted, and is logged with its place.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

use jairouter_core::{Error, Kind};
use prometheus_client::metrics::counter::Counter;

/// A panic, which was counted and logged where it happened.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Counts and logs every panic of the process from now on.
pub(crate) fn watch(count: Counter) {
    set_hook(Box::new(hook(count)));
}

/// What does that with one.
pub(crate) fn hook(count: Counter) -> impl Fn(&PanicHookInfo<'_>) {
    move |panic| {
        count.inc();
        log(panic);
    }
}

/// The usual hook writes to standard error itself, and waits there for whoever does not read. What is formatted
/// into a message may be anybody's: only what stands in the program is told.
fn log(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(tracing::field::display);
    let message = panic.payload().downcast_ref::<&'static str>();
    let thread = std::thread::current();
    tracing::error!(place, message, thread = thread.name(), "a defect of the gateway: it panicked");
}

/// Does it, unless it panics. What it had in its hands is not to be used again, but dropped.
pub(crate) fn caught<T>(act: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
        // Also what was thrown may have a drop that panics.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(payload)));
        Panicked
    })
}

/// What a caller is told of it.
pub(crate) fn error() -> Error {
    Error::new(Kind::Internal, "the gateway has failed at this request")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_even_if_what_it_throws_panics_when_it_is_dropped() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("twice");
            }
        }
        assert_eq!(caught(|| 1).unwrap(), 1);
        assert!(caught(|| panic!("once")).is_err());
        assert!(caught(|| std::panic::panic_any(Bomb)).is_err());
    }
}
