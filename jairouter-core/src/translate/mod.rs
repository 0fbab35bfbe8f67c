//! Answers in another dialect, rewritten as they pass: [`stream()`] for SSE and NDJSON, [`edit()`] for
//! SSE of which most may stay as it is, [`whole()`] for bodies that must be complete to be understood.
//!
//! A [`Translate`] sees one message at a time, whatever the network did to the bytes:
//!
//! ```
//! use bytes::BytesMut;
//! use http_body_util::BodyExt;
//! use jairouter_core::translate::{self, Framing, Message, Translate};
//! use jairouter_core::{Body, Error};
//!
//! /// `{"text":"hi"}` lines to SSE events.
//! struct Lines;
//!
//! impl Translate for Lines {
//!     fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
//!         let value: serde_json::Value = translate::parse(message.data)?;
//!         translate::event(out, &value["text"]);
//!         Ok(())
//!     }
//!
//!     fn end(&mut self, out: &mut BytesMut) -> Result<(), Error> {
//!         translate::done(out);
//!         Ok(())
//!     }
//! }
//!
//! # futures::executor::block_on(async {
//! let upstream = Body::from("{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
//! let body = translate::stream(upstream, Framing::Ndjson, Lines);
//! let text = body.collect().await?.to_bytes();
//! assert_eq!(text, "data: \"a\"\n\ndata: \"b\"\n\ndata: [DONE]\n\n");
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```

mod edit;
mod lines;
mod sse;
mod stream;
mod whole;

use std::io::Write;

use bytes::{BufMut, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderValue, Response};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

pub use edit::{Edit, Edited, edit};
pub use lines::Lines;
pub use sse::Events;
pub(crate) use sse::{first_blank_line, is_break, last_blank_line};
pub use stream::stream;
pub use whole::{Whole, whole};

pub use crate::needle::Needle;

use crate::body::Body;
use crate::error::{Error, Kind};
use crate::peek;

/// The largest single message taken from an upstream, in bytes: 16 MiB.
pub const LARGEST_MESSAGE: usize = 16 << 20;

/// One message of a stream: an SSE event, or a line of NDJSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The SSE event's name; empty when it has none, and for NDJSON.
    pub name: &'a [u8],
    /// The SSE event's data (its lines joined by `\n`), or the line.
    pub data: &'a [u8],
}

/// How the upstream separates its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON text a line.
    Ndjson,
}

/// Rewrites the messages of one answer. It may keep state, and never awaits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not `Translate` messages",
    label = "rewrites no answers",
    note = "what sees whole events and changes few of them is an `Edit`"
)]
pub trait Translate: Send {
    /// Writes what this message means to the caller, which may be nothing.
    ///
    /// # Errors
    ///
    /// If the message is itself an error, or cannot be understood. The stream fails with it, after
    /// what has been written.
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error>;

    /// The upstream's body came to a proper end.
    ///
    /// # Errors
    ///
    /// If the answer is not complete: an upstream that closes early ends its body properly, too.
    fn end(&mut self, out: &mut BytesMut) -> Result<(), Error>;
}

/// A translated answer: this body, and the headers that were true of the old one removed.
pub fn replace(answer: Response<Body>, content_type: &'static str, body: Body) -> Response<Body> {
    let (mut parts, _) = answer.into_parts();
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, ETAG] {
        parts.headers.remove(name);
    }
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if content_type == "text/event-stream" {
        parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    Response::from_parts(parts, body)
}

/// Where these bytes stand in those, if they do. Of a text that is always the same a [`Needle`] finds it sooner.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

/// Parses a message.
///
/// # Errors
///
/// [`Kind::Broken`] if it is not what was expected.
pub fn parse<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(data).map_err(|error| {
        Error::new(Kind::Broken, "the instance sent a message that cannot be read")
            .with_source(error)
    })
}

/// Looks whether a message is JSON, and reads nothing of it.
///
/// # Errors
///
/// [`Kind::Broken`] if it is not.
pub fn check(data: &[u8]) -> Result<(), Error> {
    // What this does not take is rare, and may be taken all the same.
    if peek::is_json(data) { Ok(()) } else { parse::<IgnoredAny>(data).map(drop) }
}

/// Writes one SSE event with this value as its JSON.
pub fn event(out: &mut BytesMut, value: &impl Serialize) {
    out.put_slice(b"data: ");
    json(out, value);
    out.put_slice(b"\n\n");
}

/// Writes the event that ends an OpenAI stream.
pub fn done(out: &mut BytesMut) {
    out.put_slice(b"data: [DONE]\n\n");
}

/// Writes a value as JSON.
pub fn json(out: &mut BytesMut, value: &impl Serialize) {
    let start = out.len();
    // Memory does not refuse a write, and our own types have only string keys.
    if serde_json::to_writer(&mut out.writer(), value).is_err() {
        out.truncate(start);
        let _ = out.writer().write_all(b"null");
    }
}
