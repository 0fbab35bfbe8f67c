//! [`ObserveLayer`]: someone is told the story of each request, to the end of its body.
//!
//! ```
//! use jairouter_core::observe::{Exchange, ObserveLayer};
//! use tower::ServiceBuilder;
//!
//! let log = ObserveLayer::new(|exchange: &Exchange| {
//!     println!("{} {} {:?}", exchange.model, exchange.status, exchange.total);
//! });
//! let stack = ServiceBuilder::new().layer(log);
//! ```
//!
//! Use it outermost for the story as the caller saw it, and around one instance for its part.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::body::{BodyGuard, End, GuardedBody};
use crate::clock;
use crate::endpoint::Endpoint;
use crate::error::{Attempt, Error, Kind};
use crate::fallback::InVain;
use crate::request::{InferenceRequest, Principal};
use crate::trace::Trace;
use crate::usage::{Usage, Watch};

/// Someone who is told the story of each request.
///
/// `()` listens to nothing and costs nothing. A closure of `&`[`Exchange`] is told once, at the end.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not `Observe` requests",
    label = "is told no story",
    note = "a closure has to be `Clone` and take an `&Exchange`: `|exchange: &Exchange| …`"
)]
pub trait Observe {
    /// The story of one request, as it goes on.
    type Record: Record;

    /// A request has come.
    fn begin(&self, request: &InferenceRequest) -> Self::Record;
}

/// The story of one request. Its [`end`](BodyGuard::end) is told exactly once: with the body's end,
/// with an error, or when the caller leaves.
pub trait Record: BodyGuard {
    /// The answer is committed, or there will be none.
    fn answered(&mut self, answer: Result<&mut response::Parts, &Error>) {
        let _ = answer;
    }

    /// The service inside goes to work on the answer, which it has not committed yet.
    fn resumed(&mut self) {}

    /// It waits, or has committed the answer.
    fn paused(&mut self) {}
}

impl Observe for () {
    type Record = ();

    fn begin(&self, _: &InferenceRequest) {}
}

impl Record for () {}

impl BodyGuard for () {
    fn end(self, _: End) {}
}

/// A request that is over.
#[derive(Debug)]
#[non_exhaustive]
pub struct Exchange {
    /// What was asked.
    pub endpoint: Endpoint,
    /// The model the caller named.
    pub model: Box<str>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The caller's address.
    pub client: Option<IpAddr>,
    /// Who the caller is, if that is known.
    pub principal: Option<Arc<str>>,
    /// The request's id.
    pub request_id: Option<Box<str>>,
    /// Its place in a trace, where requests are traced, and which instances it was sent to.
    pub trace: Option<Trace>,
    /// The instance that answered, as it is called.
    pub instance: Option<Box<str>>,
    /// The status of the answer; 499 if the caller left before it.
    pub status: StatusCode,
    /// The kind of the error, if it was one.
    pub error: Option<Kind>,
    /// The instances that were asked in vain, if nobody answered or a fallback did.
    pub attempts: Vec<Attempt>,
    /// When the request came.
    pub begun: Instant,
    /// From the request to the commit point: for a stream, to its first token.
    pub first: Option<Duration>,
    /// How much of that the stack was at work on the request: what it waited for is not in it, be it a
    /// place, a connection or the instance. It begins where the request was made, so that a layer in
    /// between which waits counts as well.
    pub worked: Duration,
    /// From the request to the end of the body.
    pub total: Duration,
    /// How many bytes of the body were passed on.
    pub bytes: u64,
    /// What it took, if the engine has said so to whoever observes.
    pub usage: Option<Usage>,
    /// How it ended.
    pub end: End,
}

impl<F: Fn(&Exchange) + Clone> Observe for F {
    type Record = Recording<F>;

    fn begin(&self, request: &InferenceRequest) -> Recording<F> {
        // Copied: a slice would keep the whole payload for as long as the stream lasts.
        let exchange = Exchange {
            endpoint: request.endpoint,
            model: (*request.model).into(),
            stream: request.stream,
            client: request.client,
            principal: request.extensions.get().map(|who: &Principal| Arc::clone(who.name())),
            request_id: text(&request.headers, "x-request-id"),
            trace: request.trace.clone(),
            instance: None,
            status: StatusCode::from_u16(499).unwrap_or_default(),
            error: None,
            attempts: Vec::new(),
            begun: clock::now(),
            first: None,
            worked: Duration::ZERO,
            total: Duration::ZERO,
            bytes: 0,
            usage: None,
            end: End::Abandoned,
        };
        let story = Story { exchange, usage: None, resumed: Some(request.received) };
        Recording { told: self.clone(), story: Box::new(story) }
    }
}

/// The record of a closure.
#[derive(Debug)]
pub struct Recording<F> {
    told: F,
    story: Box<Story>,
}

#[derive(Debug)]
struct Story {
    exchange: Exchange,
    /// Once there is an answer.
    usage: Option<Watch>,
    /// Since when the stack is at work, if it is.
    resumed: Option<Instant>,
}

impl<F: Fn(&Exchange)> Record for Recording<F> {
    fn answered(&mut self, answer: Result<&mut response::Parts, &Error>) {
        self.story.exchange.first = Some(since(self.story.exchange.begun));
        match answer {
            Ok(parts) => {
                self.story.usage = Some(Watch::new(&mut parts.extensions, false));
                self.story.exchange.status = parts.status;
                self.story.exchange.instance = text(&parts.headers, "x-jairouter-instance");
                if let Some(InVain(attempts)) = parts.extensions.get() {
                    self.story.exchange.attempts.clone_from(attempts);
                }
            }
            Err(error) => {
                self.story.exchange.status = error.status();
                self.story.exchange.error = Some(error.kind());
                self.story.exchange.attempts = error.attempts().to_vec();
            }
        }
    }

    fn resumed(&mut self) {
        self.story.resumed = Some(clock::now());
    }

    fn paused(&mut self) {
        if let Some(resumed) = self.story.resumed.take() {
            self.story.exchange.worked += clock::read().saturating_duration_since(resumed);
        }
    }
}

impl<F: Fn(&Exchange)> BodyGuard for Recording<F> {
    fn data(&mut self, data: &Bytes) {
        self.story.exchange.bytes += data.len() as u64;
        if let Some(usage) = &self.story.usage {
            usage.data(data);
        }
    }

    fn end(mut self, end: End) {
        self.story.exchange.total = since(self.story.exchange.begun);
        self.story.exchange.end = end;
        self.story.exchange.usage = self.story.usage.as_ref().and_then(Watch::told);
        if let End::Broken(kind) = end {
            self.story.exchange.error = Some(kind);
        }
        (self.told)(&self.story.exchange);
    }
}

fn since(begun: Instant) -> Duration {
    clock::now().saturating_duration_since(begun)
}

fn text(headers: &HeaderMap, name: &str) -> Option<Box<str>> {
    headers.get(name)?.to_str().ok().map(Into::into)
}

/// Has every request observed.
#[derive(Debug, Clone, Copy, Default)]
pub struct ObserveLayer<O>(O);

impl<O: Observe> ObserveLayer<O> {
    /// Tells this observer.
    pub const fn new(observer: O) -> Self {
        Self(observer)
    }
}

impl<O: Clone, S> Layer<S> for ObserveLayer<O> {
    type Service = Observed<O, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed { observer: self.0.clone(), inner }
    }
}

/// A service whose requests are observed.
#[derive(Debug, Clone)]
pub struct Observed<O, S> {
    observer: O,
    inner: S,
}

impl<O, S> Observed<O, S> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<O, S, B> Service<InferenceRequest> for Observed<O, S>
where
    O: Observe,
    S: Service<InferenceRequest, Response = Response<B>, Error = Error>,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Response = Response<GuardedBody<B, O::Record>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, O::Record>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        let mut record = self.observer.begin(&request);
        let inner = self.inner.call(request);
        record.paused();
        ResponseFuture { inner, record: Some(record) }
    }
}

pin_project! {
    /// Future of [`Observed`].
    pub struct ResponseFuture<F, R: Record> {
        #[pin]
        inner: F,
        record: Option<R>,
    }

    impl<F, R: Record> PinnedDrop for ResponseFuture<F, R> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(record) = this.project().record.take() {
                record.end(End::Abandoned);
            }
        }
    }
}

impl<F, R, B> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<B>, Error>>,
    R: Record,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Output = Result<Response<GuardedBody<B, R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let record = this.record.as_mut().expect("polled after completion");
        record.resumed();
        let outcome = this.inner.poll(cx);
        record.paused();
        let outcome = ready!(outcome);
        let mut record = this.record.take().expect("polled after completion");
        Poll::Ready(match outcome {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                record.answered(Ok(&mut parts));
                Ok(Response::from_parts(parts, GuardedBody::new(body, record)))
            }
            Err(error) => {
                record.answered(Err(&error));
                record.end(End::Broken(error.kind()));
                Err(error)
            }
        })
    }
}

impl<F, R: Record> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http_body_util::BodyExt;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::balance::tests_support::request;
    use crate::body::Body;

    type Story = (u16, Option<Kind>, u64, End);

    type Stories = Arc<Mutex<Vec<Story>>>;

    fn observed() -> (ObserveLayer<impl Fn(&Exchange) + Clone>, Stories) {
        let stories = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&stories);
        let layer = ObserveLayer::new(move |exchange: &Exchange| {
            let story = (exchange.status.as_u16(), exchange.error, exchange.bytes, exchange.end);
            told.lock().unwrap().push(story);
        });
        (layer, stories)
    }

    #[tokio::test]
    async fn a_story_ends_with_the_body() {
        let (layer, stories) = observed();
        let inner = service_fn(async |_| Ok::<_, Error>(Response::new(Body::from("four"))));
        let answer = layer.layer(inner).oneshot(request()).await.unwrap();
        assert!(stories.lock().unwrap().is_empty());
        answer.into_body().collect().await.unwrap();
        assert_eq!(*stories.lock().unwrap(), [(200, None, 4, End::Complete)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_no_work() {
        let worked = Arc::new(Mutex::new(None));
        let told = Arc::clone(&worked);
        let layer = ObserveLayer::new(move |exchange: &Exchange| {
            *told.lock().unwrap() = Some((exchange.worked, exchange.first.unwrap()));
        });
        let (long, short) = (Duration::from_secs(5), Duration::from_millis(7));
        // The clock moves on without a wait only where it is told to: that is the work.
        let inner = service_fn(move |_| async move {
            tokio::time::sleep(long).await;
            tokio::time::advance(short).await;
            tokio::time::sleep(long).await;
            Ok::<_, Error>(Response::new(Body::from("x")))
        });
        let answer = layer.layer(inner).oneshot(request()).await.unwrap();
        drop(answer);
        let (worked, first) = worked.lock().unwrap().unwrap();
        assert_eq!(first, long + short + long);
        assert_eq!(worked, short);
    }

    #[tokio::test]
    async fn an_error_is_a_story_too() {
        let (layer, stories) = observed();
        let error = async |_| Err::<Response<Body>, _>(Error::new(Kind::NoModel, "x"));
        layer.layer(service_fn(error)).oneshot(request()).await.unwrap_err();
        let expected = (404, Some(Kind::NoModel), 0, End::Broken(Kind::NoModel));
        assert_eq!(*stories.lock().unwrap(), [expected]);
    }

    #[tokio::test]
    async fn a_caller_that_leaves_before_the_answer_is_told_as_499() {
        let (layer, stories) = observed();
        let silent = service_fn(|_| std::future::pending::<Result<Response<Body>, Error>>());
        drop(layer.layer(silent).oneshot(request()));
        assert!(stories.lock().unwrap().is_empty(), "it was never sent");
        let (layer, stories) = observed();
        let mut service = layer.layer(silent);
        drop(service.call(request()));
        assert_eq!(*stories.lock().unwrap(), [(499, None, 0, End::Abandoned)]);
    }
}
