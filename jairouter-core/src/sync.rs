//! The atomics behind every decision: the standard library's, or loom's where it tries every order.

#[cfg(not(jairouter_loom))]
pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering, fence},
};

#[cfg(jairouter_loom)]
pub(crate) use loom::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering, fence},
};

/// Changes a state that is one word, and says from what to what. Nothing is written where nothing
/// changes. Relaxed: the word says everything itself, and publishes nothing else.
pub(crate) fn change<W>(word: &AtomicU64, step: impl Fn(W) -> W) -> (W, W)
where
    W: Copy + PartialEq + From<u64> + Into<u64>,
{
    let mut bits = word.load(Ordering::Relaxed);
    loop {
        let before = W::from(bits);
        let after = step(before);
        if after == before {
            return (before, after);
        }
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        match word.compare_exchange_weak(bits, after.into(), success, failure) {
            Ok(_) => return (before, after),
            Err(current) => bits = current,
        }
    }
}
