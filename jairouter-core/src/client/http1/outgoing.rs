//! A request on its way.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Method;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use tokio::io::AsyncWrite;

use crate::payload::Payload;

/// A payload that is copied behind the head, so that both are one piece, which costs less than to send two.
const COPIED: usize = 4 * 1024;

/// The most pieces that are sent at once.
const PIECES: usize = 8;

/// What is left to send of a request.
#[derive(Debug)]
pub(super) struct Outgoing {
    head: Bytes,
    payload: Payload,
}

impl Outgoing {
    pub(super) fn new(parts: &Parts, payload: Payload) -> Self {
        let length = payload.len();
        let copied = length <= COPIED;
        let values =
            parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        let room = values.sum::<usize>() + if copied { length } else { 0 };
        let mut head = Vec::with_capacity(room + 256);
        head.extend_from_slice(parts.method.as_str().as_bytes());
        head.push(b' ');
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        head.extend_from_slice(path.as_bytes());
        head.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in &parts.headers {
            // How it is delimited is known here alone.
            if name == CONTENT_LENGTH || name == TRANSFER_ENCODING {
                continue;
            }
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        if length > 0 || has_meaning(&parts.method) {
            // A vector takes all there is.
            let _ = write!(head, "content-length: {length}\r\n");
        }
        head.extend_from_slice(b"\r\n");
        if !copied {
            return Self { head: head.into(), payload };
        }
        payload.pieces().iter().for_each(|piece| head.extend_from_slice(piece));
        Self { head: head.into(), payload: Payload::default() }
    }

    /// Sends as much as is taken. Ready when all of it is.
    pub(super) fn poll_send<S>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        while !self.head.is_empty() || !self.payload.is_empty() {
            let sent = if self.payload.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(cx, &self.head))?
            } else {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let pieces = std::iter::once(&self.head).chain(self.payload.pieces());
                let mut count = 0;
                for (slice, piece) in
                    slices.iter_mut().zip(pieces.filter(|piece| !piece.is_empty()))
                {
                    *slice = IoSlice::new(piece);
                    count += 1;
                }
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]))?
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = sent.min(self.head.len());
            self.head.advance(of_head);
            self.payload.advance(sent - of_head);
        }
        // What is encrypted may lie in a buffer.
        Pin::new(stream).poll_flush(cx)
    }
}

/// Whether a server may take no length for one that was forgotten (RFC 9110, section 8.6).
fn has_meaning(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
