//! A layer of this program's own: how the answers to each model ended.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use http::Response;
use jairouter_core::{BodyGuard, End, Error, GuardedBody, InferenceRequest};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// How often what was asked ended how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// To the last byte.
    pub complete: u32,
    /// With an error, before or after it began.
    pub broken: u32,
    /// The caller left.
    pub abandoned: u32,
}

/// Counts how requests end. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct TallyLayer(Arc<Mutex<BTreeMap<String, Ends>>>);

impl TallyLayer {
    /// What was counted of this model.
    pub fn of(&self, model: &str) -> Ends {
        self.0.lock().unwrap().get(model).cloned().unwrap_or_default()
    }
}

impl<S> Layer<S> for TallyLayer {
    type Service = Tally<S>;

    fn layer(&self, inner: S) -> Tally<S> {
        Tally { inner, layer: self.clone() }
    }
}

/// A service whose requests are counted.
#[derive(Debug, Clone)]
pub struct Tally<S> {
    inner: S,
    layer: TallyLayer,
}

impl<S, B> Service<InferenceRequest> for Tally<S>
where
    S: Service<InferenceRequest, Response = Response<B>, Error = Error>,
    B: http_body::Body,
{
    type Response = Response<GuardedBody<B, Guard>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        let guard =
            Guard { layer: self.layer.clone(), model: request.model.to_string(), is_over: false };
        ResponseFuture { inner: self.inner.call(request), guard: Some(guard) }
    }
}

/// Waits for the end of one request.
#[derive(Debug)]
pub struct Guard {
    layer: TallyLayer,
    model: String,
    is_over: bool,
}

impl Guard {
    fn count(&mut self, end: End) {
        self.is_over = true;
        let mut all = self.layer.0.lock().unwrap();
        let ends = all.entry(self.model.clone()).or_default();
        match end {
            End::Complete => ends.complete += 1,
            End::Broken(_) => ends.broken += 1,
            End::Abandoned => ends.abandoned += 1,
        }
    }
}

impl BodyGuard for Guard {
    fn end(mut self, end: End) {
        self.count(end);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_over {
            self.count(End::Abandoned);
        }
    }
}

pin_project! {
    /// Future of [`Tally`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        guard: Option<Guard>,
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Error>>,
    B: http_body::Body,
{
    type Output = Result<Response<GuardedBody<B, Guard>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let guard = this.guard.take().expect("polled after completion");
        Poll::Ready(match answer {
            Ok(answer) => Ok(answer.map(|body| GuardedBody::new(body, guard))),
            Err(error) => {
                guard.end(End::Broken(error.kind()));
                Err(error)
            }
        })
    }
}
