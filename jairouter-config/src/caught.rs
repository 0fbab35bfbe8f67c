//! [`Caught`]: a defect on the way of a request costs that request, and is told like any other failure.
//!
//! Without it a panic would end the connection without a word, and the story of the request would be that its
//! caller left. It stands inside of what tells the story, and around everything that decides.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use jairouter_core::{Error, InferenceRequest};
use pin_project_lite::pin_project;
use tower::Service;

use crate::panics::{self, Panicked};

/// A service whose panics are errors.
#[derive(Debug, Clone)]
pub struct Caught<S>(S);

impl<S> Caught<S> {
    /// This service, and its panics as [`Kind::Internal`](jairouter_core::Kind::Internal).
    pub fn new(inner: S) -> Self {
        Self(inner)
    }
}

/// What is left of it is dropped, and never asked again: that it is whole is nobody's promise.
fn caught<T>(id: Option<&HeaderValue>, work: impl FnOnce() -> T) -> Result<T, Error> {
    panics::caught(work).map_err(|Panicked| {
        let id = id.and_then(|id| id.to_str().ok());
        tracing::error!(request_id = id, "a request has met a defect of the gateway");
        panics::error()
    })
}

impl<S, B> Service<InferenceRequest> for Caught<S>
where
    S: Service<InferenceRequest, Response = Response<B>, Error = Error>,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Response = Response<CaughtBody<B>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        let id = request.headers.get("x-request-id").cloned();
        match caught(id.as_ref(), || self.0.call(request)) {
            Ok(inner) => ResponseFuture { inner: Some(inner), error: None, id },
            Err(error) => ResponseFuture { inner: None, error: Some(error), id },
        }
    }
}

pin_project! {
    /// Future of [`Caught`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        error: Option<Error>,
        id: Option<HeaderValue>,
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Error>>,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Output = Result<Response<CaughtBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(this.error.take().expect("polled after completion")));
        };
        let answer = match caught(this.id.as_ref(), || inner.poll(cx)) {
            Ok(polled) => ready!(polled),
            Err(error) => Err(error),
        };
        this.inner.set(None);
        let id = this.id.take();
        Poll::Ready(answer.map(|answer| answer.map(|body| CaughtBody { inner: Some(body), id })))
    }
}

pin_project! {
    /// The body of an answer, whose panics are errors.
    #[derive(Debug)]
    pub struct CaughtBody<B> {
        #[pin]
        inner: Option<B>,
        id: Option<HeaderValue>,
    }
}

impl<B: HttpBody<Data = Bytes, Error = Error>> HttpBody for CaughtBody<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        caught(this.id.as_ref(), || inner.poll_frame(cx)).unwrap_or_else(|error| {
            this.inner.set(None);
            Poll::Ready(Some(Err(error)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::{Arc, Mutex};

    use http::HeaderMap;
    use http_body_util::BodyExt;
    use jairouter_core::observe::{Exchange, ObserveLayer};
    use jairouter_core::{Body, End, Endpoint, Kind};
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;

    fn request() -> InferenceRequest {
        let payload = Bytes::from_static(br#"{"model":"m"}"#);
        InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload).unwrap()
    }

    fn called(_: InferenceRequest) -> Ready<Result<Response<Body>, Error>> {
        panic!("a defect")
    }

    struct Broken;

    impl HttpBody for Broken {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            panic!("a defect")
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_that_request_wherever_it_happens() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let log = ObserveLayer::new(move |exchange: &Exchange| {
            let story = (exchange.status.as_u16(), exchange.error, exchange.end);
            tell.lock().unwrap().push(story);
        });
        let failed = log.layer(Caught::new(service_fn(called))).oneshot(request()).await;
        assert_eq!(failed.err().unwrap().kind(), Kind::Internal);

        let polled = service_fn(async |_| -> Result<Response<Body>, Error> { panic!("a defect") });
        let failed = log.layer(Caught::new(polled)).oneshot(request()).await;
        assert_eq!(failed.err().unwrap().kind(), Kind::Internal);

        let read = service_fn(|_| ready(Ok(Response::new(Broken))));
        let answer = log.layer(Caught::new(read)).oneshot(request()).await.unwrap();
        let mut body = answer.into_body();
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
        assert!(body.frame().await.is_none(), "what has broken is not asked again");
        drop(body);

        let internal = Kind::Internal;
        let broken = End::Broken(internal);
        let expected = [
            (500, Some(internal), broken),
            (500, Some(internal), broken),
            (200, Some(internal), broken),
        ];
        assert_eq!(*told.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn what_does_not_panic_passes_as_it_is() {
        let well = service_fn(|_| ready(Ok::<_, Error>(Response::new(Body::from("four")))));
        let answer = Caught::new(well).oneshot(request()).await.unwrap();
        assert_eq!(answer.body().size_hint().exact(), Some(4));
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "four");
    }
}
