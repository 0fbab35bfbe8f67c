//! [`Serving`]: what answers, as a service of HTTP requests.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use jairouter_core::gateway::{ClientAddr, request_id};
use jairouter_core::reload::Reloadable;
use jairouter_core::{Endpoint, Error, envelope};
use jiff::Timestamp;
use pin_project_lite::pin_project;
use tower::Service;
use tower::util::Oneshot;

use crate::keys::Keys;
use crate::stack::{App, Stack};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What answers for a [`Live`](crate::Live), by the configuration that it serves when a request comes, to the end of
/// that request.
///
/// Where the configuration has keys or takes tokens, it lets in only those who hold one; others are 401, 403 or 429. By
/// whose address strangers are counted it reads from [`ClientAddr`] in the request's extensions, where a host puts it.
/// A host that knows its callers itself takes it [`without_keys`](Self::without_keys). What a browser may send where
/// there are no keys, across sites or by another name of this machine, only the host can tell: nothing is refused for
/// it here.
///
/// # Errors
///
/// None: what fails is an answer.
#[derive(Clone)]
pub struct Serving {
    stack: Reloadable<Stack>,
    asks_for_keys: bool,
}

impl Serving {
    pub(crate) const fn new(stack: Reloadable<Stack>) -> Self {
        Self { stack, asks_for_keys: true }
    }

    /// The same for callers whom the host has let in: no key is looked at, none is taken out of the request, and no
    /// limit of one acts. A [`Principal`](jairouter_core::request::Principal) in the request's extensions says who they
    /// are to the log and to caches.
    #[must_use]
    pub fn without_keys(self) -> Self {
        Self { asks_for_keys: false, ..self }
    }

    /// What the keys of now say, and what answers now, which are of one configuration: for a server that answers at the
    /// door itself.
    pub fn ask<T>(&self, keys: impl FnOnce(&Keys) -> T) -> (T, App) {
        // The core's own: a count of the keys themselves would be one for all cores.
        let stack = self.stack.current();
        (keys(&stack.keys), stack.app.clone())
    }
}

impl<B, R> Service<Request<B>> for Serving
where
    App: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: HttpBody<Data = Bytes, Error = Error>,
{
    type Response = Response<ServingBody<R>>;
    type Error = Infallible;
    type Future = ResponseFuture<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (refused, app) = match self.asks_for_keys {
            true => self.ask(|keys| admit(keys, &mut request)),
            false => self.ask(|_| None),
        };
        let asked = refused.is_none().then(|| Oneshot::new(app, request));
        ResponseFuture { refused, asked }
    }
}

/// Lets the request in, if whoever sent it may ask anything; or why not.
fn admit<B>(keys: &Keys, request: &mut Request<B>) -> Option<Response<Bytes>> {
    // Pages of the web are the host's to know.
    if keys.are_none() {
        return None;
    }
    let id = request_id(request.headers_mut());
    let refused = keys.admit(request, Timestamp::now).err()?;
    let client = request.extensions().get().map(|ClientAddr(address)| *address);
    let mut response = keys.turn_away(request, refused, client, &id).response;
    response.headers_mut().insert(REQUEST_ID, id);
    Some(response)
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("asks_for_keys", &self.asks_for_keys)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// Future of [`Serving`].
    pub struct ResponseFuture<B>
    where
        App: Service<Request<B>>,
    {
        refused: Option<Response<Bytes>>,
        #[pin]
        asked: Option<Oneshot<App, Request<B>>>,
    }
}

impl<B, R> Future for ResponseFuture<B>
where
    App: Service<Request<B>, Response = Response<R>, Error = Infallible>,
{
    type Output = Result<Response<ServingBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.asked.as_pin_mut() {
            Some(asked) => asked.poll(cx).map_ok(|answer| answer.map(ServingBody::passed)),
            None => {
                let refused = this.refused.take().expect("polled after completion");
                Poll::Ready(Ok(refused.map(ServingBody::own)))
            }
        }
    }
}

pin_project! {
    /// The body of an answer.
    #[derive(Debug)]
    pub struct ServingBody<B> {
        // Of whoever was not let in; empty once it is read.
        own: Bytes,
        #[pin]
        passed: Option<B>,
    }
}

impl<B> ServingBody<B> {
    fn own(own: Bytes) -> Self {
        Self { own, passed: None }
    }

    fn passed(body: B) -> Self {
        Self { own: Bytes::new(), passed: Some(body) }
    }
}

impl<B: HttpBody<Data = Bytes, Error = Error>> HttpBody for ServingBody<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.project();
        match this.passed.as_pin_mut() {
            Some(passed) => passed.poll_frame(cx),
            None if this.own.is_empty() => Poll::Ready(None),
            None => Poll::Ready(Some(Ok(Frame::data(std::mem::take(this.own))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.passed.as_ref().map_or(self.own.is_empty(), HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let own = || SizeHint::with_exact(self.own.len() as u64);
        self.passed.as_ref().map_or_else(own, HttpBody::size_hint)
    }
}

/// What is asked by this path, if that is something the gateway does.
pub fn endpoint_of(path: &str) -> Option<Endpoint> {
    Endpoint::from_path(path.strip_prefix("/api").unwrap_or(path))
}

/// An error in the words of what was asked.
pub fn told(endpoint: Option<Endpoint>, error: &Error) -> Response<Bytes> {
    match endpoint {
        Some(endpoint) => envelope::response_to(endpoint, error),
        None => envelope::response(error),
    }
}
