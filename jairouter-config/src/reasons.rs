//! Why an instance cannot be reached, once for each reason: the log of each request says only that it was
//! not.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use jairouter_core::{Error, Kind};

/// Of one instance.
#[derive(Debug)]
pub(crate) struct Reasons {
    instance: String,
    /// Whether there is a last one, for those who have good news.
    any: AtomicBool,
    last: Mutex<Option<String>>,
}

impl Reasons {
    pub(crate) fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned(), any: AtomicBool::new(false), last: Mutex::default() }
    }

    /// It has answered.
    pub(crate) fn worked(&self) {
        // Every answer comes by here: nothing is written where there is nothing to forget.
        if self.any.load(Ordering::Relaxed) && self.any.swap(false, Ordering::Relaxed) {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Why it could not be reached the last time, if it has not answered since.
    pub(crate) fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It was asked in vain.
    pub(crate) fn failed(&self, error: &Error) {
        if error.kind() != Kind::Unreachable {
            return;
        }
        let reason = chain(error);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(&reason) {
            tracing::warn!(instance = self.instance, reason, "the instance cannot be reached");
            *last = Some(reason);
            self.any.store(true, Ordering::Relaxed);
        }
    }
}

/// An error with all that is behind it, each after a colon.
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
