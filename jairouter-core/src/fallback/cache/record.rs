use std::mem;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};

use super::key::Key;
use super::store::Answer;
use super::{Cache, KEPT, whole};
use crate::body::{BodyGuard, End};
use crate::endpoint::Endpoint;

/// Holds on to the frames of an answer, and stores them if they turn out to be all of it.
///
/// Dropped in any other way it lets them go, and nothing is stored.
pub(super) struct Recording(Option<Box<Tape>>);

struct Tape {
    cache: Cache,
    key: Key,
    endpoint: Endpoint,
    status: StatusCode,
    headers: HeaderMap,
    /// What the head says of the length, which the body should keep to.
    declared: Option<usize>,
    frames: Vec<Bytes>,
    len: usize,
    /// How much of the cache's room for recordings this one takes.
    reserved: usize,
}

impl Recording {
    pub(super) fn new(
        cache: Cache,
        key: Key,
        endpoint: Endpoint,
        status: StatusCode,
        head: &HeaderMap,
    ) -> Self {
        let mut headers = HeaderMap::with_capacity(KEPT.len());
        for name in KEPT {
            if let Some(value) = head.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let declared = head.get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
        let (frames, len, reserved) = (Vec::new(), 0, 0);
        Self(Some(Box::new(Tape {
            cache,
            key,
            endpoint,
            status,
            headers,
            declared,
            frames,
            len,
            reserved,
        })))
    }
}

impl BodyGuard for Recording {
    fn data(&mut self, data: &Bytes) {
        if let Some(tape) = &mut self.0
            && !tape.take(data)
        {
            // Too long to be kept: what has been kept of it goes at once.
            self.0 = None;
        }
    }

    fn end(self, end: End) {
        if let Some(tape) = self.0
            && end == End::Complete
        {
            tape.store();
        }
    }
}

// === impl Tape ===

impl Tape {
    /// Takes the next frame. False if the answer gets too large, or all of them together do.
    fn take(&mut self, data: &Bytes) -> bool {
        if data.is_empty() {
            return true;
        }
        // An answer of many tiny frames takes more for the handles than for the bytes.
        let cost = data.len() + size_of::<Bytes>();
        if data.len() > self.cache.0.limits.largest - self.len || !self.cache.reserve(cost) {
            return false;
        }
        self.reserved += cost;
        self.len += data.len();
        self.frames.push(data.clone());
        true
    }

    fn store(mut self) {
        if self.declared.is_some_and(|declared| declared != self.len) {
            return;
        }
        let mut body = BytesMut::with_capacity(self.len);
        for frame in mem::take(&mut self.frames) {
            body.extend_from_slice(&frame);
        }
        if !whole::is_good(self.endpoint, &self.headers, &body) {
            return;
        }
        let headers = mem::take(&mut self.headers);
        let answer = Answer { status: self.status, headers, body: body.freeze() };
        self.cache.insert(self.key, answer);
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.cache.release(self.reserved);
    }
}
