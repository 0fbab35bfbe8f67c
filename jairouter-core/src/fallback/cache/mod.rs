//! The last good answers, for the callers who got them.

mod builder;
mod key;
mod record;
mod store;
mod whole;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LANGUAGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::Body as HttpBody;
use tokio::time::Instant;

pub use builder::CacheBuilder;

use super::{FALLBACK, MODEL};
use crate::body::{Body, GuardedBody};
use crate::error::Error;
use crate::request::InferenceRequest;
use builder::Limits;
use key::Key;
use record::Recording;
use store::{Answer, Store};

/// What is kept of an answer's headers: what describes its bytes. The others told of an exchange
/// that is over: its date, its length on the wire, its connection, its request id, its instance.
const KEPT: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_DISPOSITION, CONTENT_LANGUAGE];

/// The last good answers, each for the caller who got it and the very bytes that were asked.
///
/// A handle: clones are one cache. It is asked only when everything live has failed, so a hit is an
/// answer instead of an error, and never an old answer instead of a new one; unless it is to come
/// [first](super::FallbackLayer::cache_first), and then never instead of the model's own.
///
/// # Whose answers
///
/// An answer is found again by a SHA-256 of the endpoint, the caller's `authorization` and
/// `x-api-key` or who it is [known](crate::request::Principal) to be, its address if it sent neither or an empty one, what else of its headers an engine may answer by
/// (`accept`, `content-type`), and the whole payload. Callers who share a key are one caller; of one
/// whom nothing tells from others, nothing is kept. No key and no prompt is stored, only the digest.
///
/// # Which answers
///
/// Those of the model that was asked for, with a status of 2xx, to their last byte: what broke off,
/// was abandoned by its caller, reported an error in its stream, or should have ended with `[DONE]`
/// and did not, is not kept. Nor is one in a `content-encoding`, one with a `cache-control` of
/// `no-store` on either side, or one that stood in for another already.
///
/// Of these only the ones that asking again would give, more or less: embeddings, rerankings,
/// transcriptions, translations and speech, and anything else in JSON with a `temperature` of 0 or a
/// `seed`. [`CacheBuilder::any`] keeps the others, too. The answer to a request over 1 MiB is not
/// kept: to hash it would hold up everybody else on its core.
///
/// # What it costs
///
/// The request is hashed once: when its answer's head is there, or when there will be none. A frame on
/// its way is not copied, its buffer is held on to; a whole answer is then copied once, into exactly
/// its bytes, since a slice would keep buffers alive of which nobody knows the size. The answers being
/// recorded take at most as much memory together as the ones that are stored.
///
/// It has a lock, which no request meets on its way to an answer: it is taken with the last byte of an
/// answer that is kept, and after the last failure of a request that nothing else can answer. It is
/// held for a few steps in a map, never over an await, a copy or a large deallocation. Concurrent
/// caches evict by estimates, admit by popularity and tell time by a clock of their own, so what was
/// stored last may not be there when it is needed. Here it is.
#[derive(Clone)]
pub struct Cache(Arc<Shared>);

struct Shared {
    limits: Limits,
    store: Mutex<Store>,
    /// Bytes of answers that are still coming.
    recording: AtomicUsize,
}

impl Cache {
    /// A cache to be configured.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::new()
    }

    fn new(limits: Limits) -> Self {
        let store = Mutex::new(Store::new(limits.entries, limits.bytes, limits.ttl));
        Self(Arc::new(Shared { limits, store, recording: AtomicUsize::new(0) }))
    }

    /// How many answers it holds, those included that have expired and not been missed yet.
    pub fn len(&self) -> usize {
        self.store().len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much memory its answers take, in bytes.
    pub fn bytes(&self) -> usize {
        self.store().bytes()
    }

    /// Forgets every answer.
    pub fn clear(&self) {
        let (limits, mut store) = (&self.0.limits, self.store());
        let old =
            std::mem::replace(&mut *store, Store::new(limits.entries, limits.bytes, limits.ttl));
        // The lock first: there may be much to free.
        drop(store);
        drop(old);
    }

    /// Passes an answer on, and keeps it once it is whole, if it is one to be kept.
    pub(super) fn remember<B>(
        &self,
        request: &InferenceRequest,
        answer: Response<B>,
    ) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error = Error> + Send + 'static,
    {
        match self.record(request, &answer) {
            Some(recording) => answer.map(|body| Body::new(GuardedBody::new(body, recording))),
            None => answer.map(Body::new),
        }
    }

    fn record<B>(&self, request: &InferenceRequest, answer: &Response<B>) -> Option<Recording> {
        let headers = answer.headers();
        let stands_in = headers.contains_key(FALLBACK);
        if !answer.status().is_success() || stands_in || is_encoded(headers) || no_store(headers) {
            return None;
        }
        if no_store(&request.headers) || !key::is_short(request) {
            return None;
        }
        if !self.0.limits.any && !key::is_repeatable(request) {
            return None;
        }
        let key = Key::of(request)?;
        Some(Recording::new(self.clone(), key, request.endpoint, answer.status(), headers))
    }

    /// The answer this caller got for these bytes, if it is still good.
    pub(super) fn recall(&self, request: &InferenceRequest) -> Option<Response<Body>> {
        let (key, now) = (Key::of(request)?, Instant::now());
        let (found, age) = self.store().get(&key, now)?;
        let mut answer = Response::new(Body::from(found.body.clone()));
        *answer.status_mut() = found.status;
        let headers = answer.headers_mut();
        *headers = found.headers.clone();
        headers.insert(FALLBACK, HeaderValue::from_static("cache"));
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
        if let Ok(model) = HeaderValue::from_bytes(request.model.as_bytes()) {
            headers.insert(MODEL, model);
        }
        Some(answer)
    }

    fn insert(&self, key: Key, answer: Answer) {
        let (answer, now) = (Arc::new(answer), Instant::now());
        let evicted = self.store().insert(key, answer, now);
        // Here, where the lock is free again.
        drop(evicted);
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // Nothing in there panics, and what a panic would leave is a cache all the same.
        self.0.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for so many bytes more of answers that are still coming. False if there is none.
    fn reserve(&self, bytes: usize) -> bool {
        let most = self.0.limits.bytes;
        let fits = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
        self.0.recording.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn release(&self, bytes: usize) {
        self.0.recording.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn recording(&self) -> usize {
        self.0.recording.load(Ordering::Relaxed)
    }
}

/// The cache with its default limits.
impl Default for Cache {
    fn default() -> Self {
        Self::builder().build()
    }
}

/// Never prints an answer.
impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let coding = headers.get(http::header::CONTENT_ENCODING);
    coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// RFC 9111, sections 5.2.1.5 and 5.2.2.5. It says no cache at all, and this is one.
fn no_store(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(CACHE_CONTROL).iter();
    lists.filter_map(|list| list.to_str().ok()).any(|list| {
        list.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-store"))
    })
}
