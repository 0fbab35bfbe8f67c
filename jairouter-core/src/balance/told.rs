//! Who is told of instances that were asked in vain, as it happens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::state::InstanceState;
use crate::error::Kind;
use crate::request::InferenceRequest;

/// An instance that a request was sent to in vain. Whether another one is asked is not known yet.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedAttempt<'a> {
    /// What was asked.
    pub request: &'a InferenceRequest,
    /// Who was asked. Its breaker has been told already.
    pub instance: &'a InstanceState,
    /// What went wrong.
    pub kind: Kind,
    /// How long it took.
    pub took: Duration,
}

type Tell = dyn Fn(&FailedAttempt<'_>) + Send + Sync;

/// The one who is told, if anybody is.
#[derive(Clone, Default)]
pub(crate) struct Told(Option<Arc<Tell>>);

impl Told {
    pub(super) fn new(tell: impl Fn(&FailedAttempt<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(super) fn tell(&self, failed: &FailedAttempt<'_>) {
        if let Some(tell) = &self.0 {
            tell(failed);
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.0.is_some()).finish()
    }
}
