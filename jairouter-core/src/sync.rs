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
