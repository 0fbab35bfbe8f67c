//! [`StreamUsageLayer`]: what a stream used is told to those who count it, and to no caller who did
//! not ask.
//!
//! An answer in one piece says how many tokens it took. A stream does so only if it was asked to
//! (`stream_options.include_usage`), and most callers do not ask. This layer asks in their place, and
//! takes out again what they did not ask for. Whoever counts tokens stands inside it:
//!
//! ```text
//! StreamUsage ─► RateLimit (tokens a minute) ─► … ─► Upstream
//! ```
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderMap, Response};
//! use http_body_util::BodyExt;
//! use jairouter_core::usage::StreamUsageLayer;
//! use jairouter_core::{Body, Endpoint, Error, InferenceRequest};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # futures::executor::block_on(async {
//! let engine = service_fn(async |request: InferenceRequest| {
//!     assert!(str::from_utf8(&request.payload).unwrap().contains("include_usage\":true"));
//!     let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\n\n";
//!     Ok::<_, Error>(Response::new(Body::from(format!("data: {{}}\n\n{usage}data: [DONE]\n\n"))))
//! });
//! let service = StreamUsageLayer::new(true).layer(engine);
//! let question = Bytes::from_static(br#"{"model":"m","stream":true}"#);
//! let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), question)?;
//! let answer = service.oneshot(request).await?.into_body().collect().await?.to_bytes();
//! assert_eq!(answer, "data: {}\n\ndata: [DONE]\n\n");
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```
//!
//! What is asked for is one field spliced into the request; every other byte of it is the caller's. Of
//! the answer one event is left out, the one without choices, and where an engine tells it beside a
//! choice, it is null; a stream that tells of none passes untouched.
//! Anything but a stream of chat or of completions passes in both directions as it is. Dropping the
//! future or the body drops what is inside.

mod ask;
mod hide;
mod meter;
mod told;
mod watch;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

pub use told::Usage;

pub(crate) use meter::BYTES_A_TOKEN;
pub(crate) use told::Told;
pub(crate) use watch::Watch;

use self::hide::Partial;
use crate::error::Error;
use crate::request::InferenceRequest;

/// Makes a [`StreamUsage`].
#[derive(Debug, Clone, Copy)]
pub struct StreamUsageLayer {
    wanted: bool,
}

impl StreamUsageLayer {
    /// A layer that asks for the usage of streams, or one that does nothing.
    pub const fn new(wanted: bool) -> Self {
        Self { wanted }
    }
}

impl<S> Layer<S> for StreamUsageLayer {
    type Service = StreamUsage<S>;

    fn layer(&self, inner: S) -> StreamUsage<S> {
        StreamUsage { inner, wanted: self.wanted }
    }
}

/// A service that is asked what its streams use. See the [module](self).
///
/// # Errors
///
/// The inner service's.
#[derive(Debug, Clone, Copy)]
pub struct StreamUsage<S> {
    inner: S,
    wanted: bool,
}

impl<S> StreamUsage<S> {
    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The same around another service.
    #[must_use]
    pub fn map<T>(&self, service: impl FnOnce(&S) -> T) -> StreamUsage<T> {
        StreamUsage { inner: service(&self.inner), wanted: self.wanted }
    }
}

impl<S, B> Service<InferenceRequest> for StreamUsage<S>
where
    S: Service<InferenceRequest, Response = Response<B>>,
{
    type Response = Response<StreamUsageBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        let asked = if self.wanted { ask::for_usage(&request) } else { None };
        let hides = asked.is_some();
        ResponseFuture { inner: self.inner.call(asked.unwrap_or(request)), hides }
    }
}

pin_project! {
    /// Future of [`StreamUsage`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        hides: bool,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<StreamUsageBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx))?;
        let (hides, partial) = (*this.hides, Partial::default());
        Poll::Ready(Ok(answer.map(|body| StreamUsageBody { body, hides, partial })))
    }
}

pin_project! {
    /// The body of an answer, without the usage that its caller did not ask for.
    #[derive(Debug, Default)]
    pub struct StreamUsageBody<B> {
        #[pin]
        body: B,
        hides: bool,
        partial: Partial,
    }
}

impl<B> HttpBody for StreamUsageBody<B>
where
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        loop {
            let frame = ready!(this.body.as_mut().poll_frame(cx));
            if !*this.hides {
                return Poll::Ready(frame);
            }
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => match this.partial.push(data) {
                    data if data.is_empty() => {}
                    data => return Poll::Ready(Some(Ok(Frame::data(data)))),
                },
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let left = this.partial.finish();
                    return Poll::Ready((!left.is_empty()).then(|| Ok(Frame::data(left))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.partial.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.hides { SizeHint::default() } else { self.body.size_hint() }
    }
}

#[cfg(test)]
#[cfg(not(jairouter_loom))]
mod tests;
