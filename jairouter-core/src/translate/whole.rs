//! A body that must be complete to be understood.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::body::Body;
use crate::error::{Error, Kind};

/// `body`, collected up to `limit` bytes and then rewritten at once.
///
/// The body yields [`Kind::Broken`] if the limit is passed, and what `rewrite` returns.
pub fn whole<F>(body: Body, limit: usize, rewrite: F) -> Body
where
    F: FnOnce(Bytes) -> Result<Bytes, Error> + Send + 'static,
{
    Body::new(Rewritten { whole: Whole::new(body, limit), rewrite: Some(rewrite) })
}

pin_project! {
    /// A future of all bytes of a body, up to a limit. A body in one frame is not copied.
    #[must_use = "futures do nothing unless polled"]
    pub struct Whole<B> {
        #[pin]
        body: B,
        limit: usize,
        first: Bytes,
        rest: BytesMut,
    }
}

impl<B> Whole<B> {
    /// Collects `body`, up to `limit` bytes.
    pub fn new(body: B, limit: usize) -> Self {
        Self { body, limit, first: Bytes::new(), rest: BytesMut::new() }
    }
}

impl<B> Whole<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<Error>,
{
    fn poll_bytes(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        let mut this = self.project();
        while let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) {
            let Ok(data) = frame.map_err(Into::into)?.into_data() else {
                continue;
            };
            let held = this.first.len() + this.rest.len();
            if held + data.len() > *this.limit {
                return Poll::Ready(Err(Error::new(Kind::Broken, "the answer is too large")));
            }
            if held == 0 {
                *this.first = data;
            } else {
                if this.rest.is_empty() {
                    let expected = this.body.size_hint().lower() as usize;
                    this.rest.reserve(held + data.len() + expected.min(*this.limit));
                    this.rest.extend_from_slice(&std::mem::take(this.first));
                }
                this.rest.extend_from_slice(&data);
            }
        }
        let whole = if this.rest.is_empty() {
            std::mem::take(this.first)
        } else {
            std::mem::take(this.rest).freeze()
        };
        Poll::Ready(Ok(whole))
    }
}

impl<B> Future for Whole<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<Error>,
{
    type Output = Result<Bytes, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_bytes(cx)
    }
}

pin_project! {
    struct Rewritten<F> {
        #[pin]
        whole: Whole<Body>,
        rewrite: Option<F>,
    }
}

impl<F> HttpBody for Rewritten<F>
where
    F: FnOnce(Bytes) -> Result<Bytes, Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.project();
        if this.rewrite.is_none() {
            return Poll::Ready(None);
        }
        let whole = ready!(this.whole.poll_bytes(cx));
        let rewrite = this.rewrite.take();
        Poll::Ready(rewrite.map(|rewrite| whole.and_then(rewrite).map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.rewrite.is_none()
    }

    /// What is to be rewritten is of any length, and nothing follows it.
    fn size_hint(&self) -> SizeHint {
        match self.rewrite {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(0),
        }
    }
}
