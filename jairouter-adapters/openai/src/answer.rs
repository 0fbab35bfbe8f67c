//! Bodies of answers, with the headers that are still true of them.

use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use jairouter_core::translate::{self, Edit};
use jairouter_core::{Body, Error, Kind};

/// The largest answer in one piece, in bytes.
pub const LARGEST_ANSWER: usize = 256 << 20;

/// A successful answer whose events `edit` edits. Its headers stay, but for those of its length.
pub fn edited(answer: Response<Body>, edit: impl Edit + 'static) -> Response<Body> {
    replace(answer, |body| translate::edit(body, edit))
}

/// A successful answer in one piece that `rewrite` rewrites; it may give its bytes back.
pub fn whole(
    answer: Response<Body>,
    rewrite: impl FnOnce(Bytes) -> Result<Bytes, Error> + Send + 'static,
) -> Response<Body> {
    replace(answer, |body| translate::whole(body, LARGEST_ANSWER, rewrite))
}

fn replace(answer: Response<Body>, body: impl FnOnce(Body) -> Body) -> Response<Body> {
    // Nobody asked for a compressed answer, and what it says cannot be seen.
    if answer.headers().contains_key(CONTENT_ENCODING) {
        return answer;
    }
    let (mut parts, old) = answer.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(ETAG);
    Response::from_parts(parts, body(old))
}

/// Whether an answer is a stream of events.
pub fn is_event_stream(answer: &Response<Body>) -> bool {
    media_type(answer).eq_ignore_ascii_case("text/event-stream")
}

/// Whether an answer is JSON.
pub fn is_json(answer: &Response<Body>) -> bool {
    let kind = media_type(answer).to_ascii_lowercase();
    kind.ends_with("/json") || kind.ends_with("+json")
}

fn media_type(answer: &Response<Body>) -> &str {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim()
}

/// An id of this kind that nobody can foresee.
pub fn id(prefix: &str) -> String {
    format!("{prefix}{:016x}", random())
}

/// A number nobody can foresee, for ids.
pub fn random() -> u64 {
    // Each of these hashers is keyed by the operating system's randomness and a counter.
    RandomState::new().hash_one(0)
}

/// A stream that ends without saying so.
pub fn cut_off() -> Error {
    Error::new(Kind::Broken, "the instance's stream was cut off")
}
