//! The two bodies of the house: [`Body`], what an instance answers, and [`GuardedBody`], a body with
//! someone waiting for its end.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use pin_project_lite::pin_project;

use crate::error::{BoxError, Error, Kind};

/// The body of an answer: whole, straight from the wire, or somebody's own, boxed.
///
/// A passthrough answer stays on the wire variant, so that a frame costs no allocation and no
/// indirect call.
pub struct Body(Repr);

enum Repr {
    Full(Option<Bytes>),
    #[cfg(feature = "client")]
    Wire(crate::client::ResponseBody),
    Boxed(UnsyncBoxBody<Bytes, Error>),
}

impl Body {
    /// A body without a byte.
    pub const fn empty() -> Self {
        Self(Repr::Full(None))
    }

    /// Any body. Boxed once, and one that is a `Body` already not again; the `From` impls are
    /// cheaper where one fits.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        if let Some(own) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>() {
            return own.take().unwrap_or_default();
        }
        let Some(body) = body else { return Self::empty() };
        let body = body.map_err(|error| match error.into().downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::new(Kind::Broken, "the answer broke off").with_source(other),
        });
        Self(Repr::Boxed(UnsyncBoxBody::new(body)))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.0 {
            Repr::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            #[cfg(feature = "client")]
            Repr::Wire(body) => Pin::new(body).poll_frame(cx),
            Repr::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Repr::Full(bytes) => bytes.is_none(),
            #[cfg(feature = "client")]
            Repr::Wire(body) => body.is_end_stream(),
            Repr::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Repr::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            #[cfg(feature = "client")]
            Repr::Wire(body) => body.size_hint(),
            Repr::Boxed(body) => body.size_hint(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Repr::Full((!bytes.is_empty()).then_some(bytes)))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Full<Bytes>> for Body {
    fn from(body: Full<Bytes>) -> Self {
        Self::new(body)
    }
}

impl From<UnsyncBoxBody<Bytes, Error>> for Body {
    fn from(body: UnsyncBoxBody<Bytes, Error>) -> Self {
        Self(Repr::Boxed(body))
    }
}

#[cfg(feature = "client")]
impl From<crate::client::ResponseBody> for Body {
    fn from(body: crate::client::ResponseBody) -> Self {
        Self(Repr::Wire(body))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// To its last byte.
    Complete,
    /// With an error: the instance broke off, or a clock ran out.
    Broken(Kind),
    /// Dropped before its end: the caller left.
    Abandoned,
}

/// Someone who waits for the end of a body: an in-flight count, a breaker's permit, a log line.
///
/// A guard that is dropped without having been told an end must do what [`End::Abandoned`] asks.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `BodyGuard`",
    label = "waits for no body's end",
    note = "it is `fn end(self, end: End)`, called once"
)]
pub trait BodyGuard {
    /// A frame with this data passed. Keeping it costs a reference count, and the buffer it is in.
    fn data(&mut self, data: &Bytes) {
        let _ = data;
    }

    /// The body ended, in this way. Called exactly once.
    fn end(self, end: End);
}

/// Nobody waits, or this one does.
impl<G: BodyGuard> BodyGuard for Option<G> {
    fn data(&mut self, data: &Bytes) {
        if let Some(guard) = self {
            guard.data(data);
        }
    }

    fn end(self, end: End) {
        if let Some(guard) = self {
            guard.end(end);
        }
    }
}

pin_project! {
    /// A body with someone waiting for its end: the only body wrapper of the layers.
    ///
    /// A body is over when it yields its end, when it says after a frame that it has none left
    /// (hyper's server never polls a body of known length again), when it yields an error, or when
    /// it is dropped. Whichever comes first is told to the guard, once.
    pub struct GuardedBody<B, G: BodyGuard>
    where
        B: HttpBody,
    {
        #[pin]
        inner: B,
        guard: Option<G>,
    }

    impl<B: HttpBody, G: BodyGuard> PinnedDrop for GuardedBody<B, G> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(guard) = this.guard.take() {
                guard.end(if this.inner.is_end_stream() { End::Complete } else { End::Abandoned });
            }
        }
    }
}

impl<B: HttpBody, G: BodyGuard> GuardedBody<B, G> {
    /// `inner`, with `guard` waiting for its end.
    pub fn new(inner: B, guard: G) -> Self {
        Self { inner, guard: Some(guard) }
    }
}

impl<B, G> HttpBody for GuardedBody<B, G>
where
    B: HttpBody<Data = Bytes, Error = Error>,
    G: BodyGuard,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let end = match &frame {
            Some(Ok(frame)) => {
                if let (Some(guard), Some(data)) = (this.guard.as_mut(), frame.data_ref()) {
                    guard.data(data);
                }
                this.inner.is_end_stream().then_some(End::Complete)
            }
            Some(Err(error)) => Some(End::Broken(error.kind())),
            None => Some(End::Complete),
        };
        if let Some(end) = end
            && let Some(guard) = this.guard.take()
        {
            guard.end(end);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: HttpBody, G: BodyGuard> fmt::Debug for GuardedBody<B, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody").field("ended", &self.guard.is_none()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use futures::executor::block_on;
    use http_body_util::StreamBody;

    use super::*;

    #[derive(Clone, Default)]
    struct Told(Rc<RefCell<(usize, Vec<End>)>>);

    impl BodyGuard for Told {
        fn data(&mut self, data: &Bytes) {
            self.0.borrow_mut().0 += data.len();
        }
        fn end(self, end: End) {
            self.0.borrow_mut().1.push(end);
        }
    }

    fn frames(
        frames: Vec<Result<&'static [u8], Kind>>,
    ) -> impl HttpBody<Data = Bytes, Error = Error> + Unpin {
        let frames = frames.into_iter().map(|frame| match frame {
            Ok(data) => Ok(Frame::data(Bytes::from_static(data))),
            Err(kind) => Err(Error::new(kind, "test")),
        });
        StreamBody::new(futures::stream::iter(frames))
    }

    #[test]
    fn a_body_is_boxed_once_however_often_it_is_erased() {
        let full = Body::new(Body::from("abc"));
        assert!(matches!(full.0, Repr::Full(Some(_))), "as it was");
        let boxed = Body::new(Body::new(frames(vec![Ok(b"ab")])));
        assert_eq!(block_on(boxed.collect()).unwrap().to_bytes(), "ab");
    }

    #[test]
    fn a_body_read_to_its_end_is_complete() {
        let told = Told::default();
        let body = GuardedBody::new(frames(vec![Ok(b"ab"), Ok(b"c")]), told.clone());
        block_on(body.collect()).unwrap();
        assert_eq!(*told.0.borrow(), (3, vec![End::Complete]));
    }

    #[test]
    fn a_body_of_known_length_is_complete_with_its_last_byte() {
        let told = Told::default();
        let mut body = GuardedBody::new(Body::from("abc"), told.clone());
        block_on(body.frame()).unwrap().unwrap();
        assert_eq!(told.0.borrow().1, [End::Complete]);
        drop(body);
        assert_eq!(told.0.borrow().1, [End::Complete], "told once");
    }

    #[test]
    fn an_empty_body_nobody_polls_is_complete() {
        let told = Told::default();
        drop(GuardedBody::new(Body::empty(), told.clone()));
        assert_eq!(told.0.borrow().1, [End::Complete]);
    }

    #[test]
    fn dropping_a_body_halfway_abandons_it() {
        let told = Told::default();
        let mut body = GuardedBody::new(frames(vec![Ok(b"ab"), Ok(b"c")]), told.clone());
        block_on(body.frame()).unwrap().unwrap();
        drop(body);
        assert_eq!(*told.0.borrow(), (2, vec![End::Abandoned]));
    }

    #[test]
    fn an_error_breaks_it_and_nothing_later_counts() {
        let told = Told::default();
        let mut body = GuardedBody::new(frames(vec![Ok(b"ab"), Err(Kind::Stalled)]), told.clone());
        block_on(body.frame()).unwrap().unwrap();
        block_on(body.frame()).unwrap().unwrap_err();
        drop(body);
        assert_eq!(told.0.borrow().1, [End::Broken(Kind::Stalled)]);
    }
}
