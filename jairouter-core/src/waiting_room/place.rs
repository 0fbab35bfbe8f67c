use std::cmp::Reverse;

use http::HeaderName;
use tokio::time::Instant;

use crate::request::InferenceRequest;

/// What the official SDKs send with each attempt: how many there were before it.
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// How urgent a request is, in its [extensions](crate::request::Parts::extensions): those of a higher
/// number are served first.
///
/// Without one it is 0, the lowest: what matters is marked, and nothing else needs to be. It is an
/// order and no share: as long as urgent requests fill the instances, others wait in vain.
///
/// ```
/// use bytes::Bytes;
/// use http::{Extensions, HeaderMap};
/// use jairouter_core::waiting_room::Priority;
/// use jairouter_core::{Endpoint, InferenceRequest};
///
/// let mut extensions = Extensions::new();
/// extensions.insert(Priority(7));
/// let payload = Bytes::from_static(br#"{"model":"m"}"#);
/// let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload)?
///     .with_extensions(extensions);
/// # Ok::<(), jairouter_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

/// Where in the line a request stands, for as long as it lives: the lesser is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) priority: Reverse<Priority>,
    pub(super) retried: bool,
    /// In nanoseconds after the room was made; those before are alike.
    pub(super) received: u64,
    /// No two are alike.
    pub(super) number: u64,
    /// The instances of which a free place is of no use to it, a bit for each: it has been to them.
    pub(super) avoids: u64,
}

impl Place {
    /// The place of this request, the `number`th that enters a room made at `epoch`.
    pub(super) fn of(request: &InferenceRequest, epoch: Instant, number: u64) -> Self {
        let priority = Reverse(request.extensions.get().copied().unwrap_or_default());
        let received = request.received.saturating_duration_since(epoch).as_nanos() as u64;
        let retried = is_retried(request);
        Self { priority, retried, received, number, avoids: 0 }
    }

    /// The same for one that has been to these.
    pub(super) fn avoiding(self, avoids: u64) -> Self {
        Self { avoids, ..self }
    }

    /// Whether not every instance will do.
    pub(super) fn is_choosy(&self) -> bool {
        self.avoids != 0
    }
}

/// Whether its caller has been turned away before. What is no number is somebody else's header.
fn is_retried(request: &InferenceRequest) -> bool {
    let count = request.headers.get(RETRY_COUNT).and_then(|count| count.to_str().ok());
    count.and_then(|count| count.trim().parse::<u32>().ok()).is_some_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::balance::tests_support::request;

    #[test]
    fn only_a_count_above_zero_is_a_retry() {
        let counts = [("0", false), ("1", true), (" 2", true), ("-1", false), ("x", false)];
        for (count, retried) in counts {
            let mut headers = request().headers.clone();
            headers.insert(RETRY_COUNT, HeaderValue::from_static(count));
            let payload = request().payload.clone();
            let asked = InferenceRequest::new(request().endpoint, headers, payload).unwrap();
            assert_eq!(is_retried(&asked), retried, "{count:?}");
        }
        assert!(!is_retried(&request()));
    }
}
