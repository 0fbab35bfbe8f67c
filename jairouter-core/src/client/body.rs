//! The body of an answer, whatever it comes on.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::http1::Driven;
#[cfg(feature = "http2")]
use super::http2::Streamed;
use crate::error::Error;

/// The body of an answer, straight from the wire. Trailers are not passed on.
///
/// The connection goes back to its pool with the last byte. Dropping the body before that closes it, or over
/// HTTP/2 its stream.
pub struct ResponseBody(Source);

enum Source {
    Driven(Driven),
    #[cfg(feature = "http2")]
    Stream(Box<Streamed>),
}

impl ResponseBody {
    pub(super) fn driven(body: Driven) -> Self {
        Self(Source::Driven(body))
    }

    #[cfg(feature = "http2")]
    pub(super) fn of_stream(stream: Streamed) -> Self {
        Self(Source::Stream(Box::new(stream)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let data = match &mut self.0 {
            Source::Driven(driven) => driven.poll_data(cx),
            #[cfg(feature = "http2")]
            Source::Stream(stream) => stream.poll_data(cx),
        };
        data.map(|data| data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Driven(driven) => driven.is_end_stream(),
            #[cfg(feature = "http2")]
            Source::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Driven(driven) => driven.size_hint(),
            #[cfg(feature = "http2")]
            Source::Stream(stream) => stream.size_hint(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_http_1_is_no_larger_for_the_other() {
        assert_eq!(size_of::<ResponseBody>(), size_of::<Driven>());
    }
}
