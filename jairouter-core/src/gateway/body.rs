use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::clock;
use crate::error::Error;

pin_project! {
    /// The body of a [`Gateway`](super::Gateway)'s response: the inner service's, or words of the
    /// gateway's own.
    #[derive(Debug)]
    pub struct GatewayBody<R> {
        #[pin]
        inner: Inner<R>,
    }
}

pin_project! {
    #[project = InnerProj]
    #[derive(Debug)]
    enum Inner<R> {
        Own { bytes: Bytes },
        Passed { #[pin] body: R },
    }
}

impl<R> GatewayBody<R> {
    pub(super) fn own(bytes: Bytes) -> Self {
        Self { inner: Inner::Own { bytes } }
    }

    pub(super) fn passed(body: R) -> Self {
        Self { inner: Inner::Passed { body } }
    }
}

/// Empty, for layers around the gateway that answer in its place.
impl<R> Default for GatewayBody<R> {
    fn default() -> Self {
        Self::own(Bytes::new())
    }
}

impl<R: HttpBody<Data = Bytes, Error = Error>> HttpBody for GatewayBody<R> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.project().inner.project() {
            InnerProj::Own { bytes } if bytes.is_empty() => Poll::Ready(None),
            InnerProj::Own { bytes } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            InnerProj::Passed { body } => clock::in_one_go(|| body.poll_frame(cx)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Own { bytes } => bytes.is_empty(),
            Inner::Passed { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Own { bytes } => SizeHint::with_exact(bytes.len() as u64),
            Inner::Passed { body } => body.size_hint(),
        }
    }
}
