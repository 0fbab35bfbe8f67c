//! [`Trace`]: which trace a request belongs to, in the words of W3C Trace Context.
//!
//! ```
//! use http::HeaderMap;
//! use jairouter_core::trace::Tracing;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?);
//! let trace = Tracing::new().begin(&headers);
//! assert_eq!(trace.id().to_string(), "0af7651916cd43dd8448eb211c80319c");
//! assert_eq!(trace.parent().unwrap().to_string(), "b7ad6b7169203331");
//! assert!(trace.is_sampled());
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```
//!
//! A [`Gateway`](crate::Gateway) that is [told to](crate::Gateway::with_tracing) begins a trace, or goes on
//! with the caller's; [`Upstream`](crate::Upstream) then sends each instance a `traceparent` of that trace
//! with a span of its own, and the caller's `tracestate` as it came. Without it, what the caller sends of
//! either goes to the instance untouched.
//!
//! # What it costs
//!
//! Ids are two numbers of a generator of the thread's own. A request has no allocation more for its trace,
//! and one for the header of each attempt. One that is [recorded](Tracing::recorded) has another, for what
//! becomes of its attempts.

mod attempts;
mod context;
mod ids;

use std::fmt;
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use attempts::Asked;
pub(crate) use context::write_hex;
pub(crate) use ids::random;
pub use ids::{SpanId, TraceId};

pub(crate) use attempts::Attempt;
use attempts::Attempts;
use context::Context;

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How traces begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tracing {
    /// Of the lower half of an id without its first bit, those below this are sampled.
    below: u64,
    recorded: bool,
}

impl Tracing {
    /// Every trace that begins here is sampled, and none is recorded.
    pub const fn new() -> Self {
        Self { below: 1 << 63, recorded: false }
    }

    /// How many of the traces that begin here are sampled, from 0, none, to 1, all. By the trace's id, as
    /// `OpenTelemetry`'s `TraceIdRatioBased` has it, so that whoever else samples so keeps the same ones.
    /// One that a caller has begun is sampled if the caller says so.
    #[must_use]
    pub const fn sampling(self, ratio: f64) -> Self {
        Self { below: (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64, ..self }
    }

    /// Whether a sampled request notes which instances it was sent to, for [`Trace::asked`]. Default no.
    #[must_use]
    pub const fn recorded(self, recorded: bool) -> Self {
        Self { recorded, ..self }
    }

    /// The place of a request with these headers.
    pub fn begin(self, headers: &HeaderMap) -> Trace {
        let (id, parent, sampled, state) = match Context::of(headers) {
            Some(Context { id, parent, sampled, state }) => (id, Some(parent), sampled, state),
            None => {
                let id = TraceId::new();
                (id, None, id.to_u128() as u64 >> 1 < self.below, false)
            }
        };
        let attempts = (sampled && self.recorded).then(Arc::default);
        Trace { id, span: SpanId::new(), parent, sampled, state, attempts }
    }
}

impl Default for Tracing {
    fn default() -> Self {
        Self::new()
    }
}

/// The place of one request in a trace. Cloning is a reference count at most.
#[derive(Clone)]
pub struct Trace {
    id: TraceId,
    span: SpanId,
    parent: Option<SpanId>,
    sampled: bool,
    /// Whether the caller's `tracestate` is passed on.
    state: bool,
    attempts: Option<Arc<Attempts>>,
}

impl Trace {
    /// The trace.
    pub const fn id(&self) -> TraceId {
        self.id
    }

    /// The request's own span.
    pub const fn span(&self) -> SpanId {
        self.span
    }

    /// The caller's span, if the caller has begun the trace.
    pub const fn parent(&self) -> Option<SpanId> {
        self.parent
    }

    /// Whether it is sampled: by the caller, or else by [`Tracing::sampling`].
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The instances that the request was sent to, in order; the first 16, if it is
    /// [recorded](Tracing::recorded).
    pub fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        self.attempts.iter().flat_map(|attempts| attempts.iter())
    }

    /// Whether [`Trace::asked`] knows them.
    pub const fn is_recorded(&self) -> bool {
        self.attempts.is_some()
    }

    /// Another instance is about to be asked.
    pub(crate) fn ask(&self, instance: &Arc<str>, authority: &Authority) -> Attempt {
        let span = SpanId::new();
        let place = self.attempts.as_ref().and_then(|attempts| {
            let number = attempts.begin(span, instance, authority)?;
            Some((Arc::clone(attempts), number))
        });
        Attempt { span, place }
    }

    /// What an instance is told in `traceparent`.
    pub(crate) fn traceparent(&self, span: SpanId) -> HeaderValue {
        context::traceparent(self.id, span, self.sampled)
    }

    /// Whether the caller's `tracestate` is fit to be passed on.
    pub(crate) const fn has_state(&self) -> bool {
        self.state
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("id", &self.id)
            .field("span", &self.span)
            .field("parent", &self.parent)
            .field("sampled", &self.sampled)
            .finish_non_exhaustive()
    }
}

/// The trace that a request with these headers belongs to, if its caller has begun one that is fit.
pub fn trace_id(headers: &HeaderMap) -> Option<TraceId> {
    Context::of(headers).map(|context| context.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_traces_that_begin_here_the_ratio_is_sampled() {
        let sampled = |ratio| {
            let tracing = Tracing::new().sampling(ratio);
            let begun = (0..10_000).map(|_| tracing.begin(&HeaderMap::new()));
            begun.filter(Trace::is_sampled).count()
        };
        assert_eq!((sampled(0.0), sampled(-1.0)), (0, 0));
        assert_eq!((sampled(1.0), sampled(7.0)), (10_000, 10_000));
        let quarter = sampled(0.25);
        assert!((2000..3000).contains(&quarter), "{quarter}");
    }

    #[test]
    fn a_caller_s_decision_goes_before_the_ratio() {
        for (flags, ratio) in [("01", 0.0), ("00", 1.0)] {
            let mut headers = HeaderMap::new();
            let given = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            headers.insert(TRACEPARENT, given.parse().unwrap());
            let trace = Tracing::new().sampling(ratio).recorded(true).begin(&headers);
            assert_eq!(trace.is_sampled(), flags == "01");
            assert_eq!(trace.is_recorded(), flags == "01", "what is not sampled is not noted");
        }
    }
}
