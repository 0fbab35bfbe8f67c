//! What becomes of a request's attempts, for whoever tells its story.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use http::StatusCode;
use http::uri::Authority;
use tokio::time::Instant;

use super::ids::SpanId;
use crate::clock;
use crate::error::{Error, Kind};

/// How many attempts are noted: those of two models, at the most that each may have.
const MOST: usize = 16;

/// Written by whoever asks, read when it is over: each part of it once, so that there is no lock.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    begun: AtomicUsize,
    noted: [Noted; MOST],
}

#[derive(Debug, Default)]
struct Noted {
    begun: OnceLock<Begun>,
    /// 0 until there is one.
    status: AtomicU16,
    over: OnceLock<Over>,
}

#[derive(Debug)]
struct Begun {
    span: SpanId,
    instance: Arc<str>,
    authority: Authority,
    at: Instant,
}

#[derive(Debug)]
struct Over {
    at: Instant,
    kind: Kind,
    unsent: bool,
}

impl Attempts {
    /// The number of the attempt, if there is room for it.
    pub(super) fn begin(
        &self,
        span: SpanId,
        instance: &Arc<str>,
        authority: &Authority,
    ) -> Option<usize> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let (instance, authority) = (Arc::clone(instance), authority.clone());
        let begun = Begun { span, instance, authority, at: clock::now() };
        self.noted.get(number)?.begun.set(begun).ok().map(|()| number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Asked<'_>> {
        self.noted.iter().filter_map(|noted| {
            let Begun { span, instance, authority, at } = noted.begun.get()?;
            let over = noted.over.get();
            let status = StatusCode::from_u16(noted.status.load(Ordering::Relaxed)).ok();
            over.is_none_or(|over| !over.unsent).then(|| Asked {
                span: *span,
                instance,
                authority,
                begun: *at,
                status,
                failed: over.map(|over| (over.at, over.kind)),
            })
        })
    }
}

/// One instance that a request was sent to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Asked<'a> {
    /// The attempt's own span: what the instance was told as its parent.
    pub span: SpanId,
    /// What the instance is called; nothing, if it has no name.
    pub instance: &'a str,
    /// Where it is.
    pub authority: &'a Authority,
    /// When it was asked.
    pub begun: Instant,
    /// What its answer's head said.
    pub status: Option<StatusCode>,
    /// When it failed, and how. One that has not failed is over when its request is.
    pub failed: Option<(Instant, Kind)>,
}

/// An attempt that runs.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(super) span: SpanId,
    pub(super) place: Option<(Arc<Attempts>, usize)>,
}

impl Attempt {
    pub(crate) const fn span(&self) -> SpanId {
        self.span
    }

    /// The head of an answer is there.
    pub(crate) fn answered(&self, status: StatusCode) {
        if let Some(noted) = self.noted() {
            noted.status.store(status.as_u16(), Ordering::Relaxed);
        }
    }

    pub(crate) fn failed(&self, error: &Error) {
        if let Some(noted) = self.noted() {
            let (kind, unsent) = (error.kind(), error.is_unsent());
            // It fails once.
            let _ = noted.over.set(Over { at: clock::now(), kind, unsent });
        }
    }

    fn noted(&self) -> Option<&Noted> {
        let (attempts, number) = self.place.as_ref()?;
        attempts.noted.get(*number)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::super::Tracing;
    use super::*;

    #[test]
    fn what_was_sent_is_told_in_order_with_what_became_of_it() {
        let trace = Tracing::new().recorded(true).begin(&HeaderMap::new());
        let authority = Authority::from_static("a:1");
        let ask = |name: &str| trace.ask(&name.into(), &authority);
        ask("unsent").failed(&Error::new(Kind::Unsupported, "x").unsent());
        let failed = ask("failed");
        failed.answered(StatusCode::INTERNAL_SERVER_ERROR);
        failed.failed(&Error::new(Kind::Failed, "x"));
        let well = ask("well");
        well.answered(StatusCode::OK);
        let told: Vec<_> = trace
            .asked()
            .map(|one| (one.span, one.instance, one.status.unwrap().as_u16(), one.failed.is_some()))
            .collect();
        assert_eq!(told, [(failed.span(), "failed", 500, true), (well.span(), "well", 200, false)]);
        for _ in 0..100 {
            ask("another").answered(StatusCode::OK);
        }
        assert_eq!(trace.asked().count(), MOST - 1, "no more than there is room for");
    }
}
