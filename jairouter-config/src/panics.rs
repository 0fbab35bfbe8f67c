//! Panics, each of which ends one request at most.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jairouter_core::{Error, Kind};

/// A panic, of which the process's hook was told where it happened.
#[derive(Debug)]
pub struct Panicked;

/// Does it, unless it panics. What it had in its hands is not to be used again, but dropped.
///
/// # Errors
///
/// If it panics.
pub fn caught<T>(act: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
        // Also what was thrown may have a drop that panics.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(payload)));
        Panicked
    })
}

/// What a caller is told of it.
pub fn error() -> Error {
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
