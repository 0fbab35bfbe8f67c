//! [`Gateway`]: HTTP in, OpenAI words out, and never a failure.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use jairouter_core::gateway::Gateway;
//! use jairouter_core::{Body, Error, InferenceRequest};
//! use tower::{ServiceExt, service_fn};
//!
//! # futures::executor::block_on(async {
//! let engine = service_fn(async |request: InferenceRequest| {
//!     Ok::<_, Error>(Response::new(Body::from(format!("{} was asked", request.model))))
//! });
//! let gateway = Gateway::new(engine).with_models(["qwen3"]);
//!
//! let request = Request::post("/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .body(Full::new(Bytes::from_static(br#"{"model":"qwen3"}"#)))?;
//! let answer = gateway.clone().oneshot(request).await?;
//! assert_eq!(answer.status(), 200);
//!
//! let nonsense = Request::post("/v1/chat/complete").body(Full::default())?;
//! let refused = gateway.oneshot(nonsense).await?;
//! assert_eq!(refused.status(), 404);
//! assert_eq!(refused.headers()["content-type"], "application/json");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod body;
mod collect;
mod future;
mod head;
mod memory;
mod models;
mod request_id;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower::Service;

pub use body::GatewayBody;
pub use future::ResponseFuture;
pub use request_id::request_id;

use crate::error::{BoxError, Error};
use crate::request::InferenceRequest;
use crate::trace::Tracing;
use memory::Memory;
use models::Models;

/// In a request's extensions: the caller's address, where the server knows it.
///
/// Behind a proxy this is what the proxy says of its caller, if the server trusts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

/// In a request's extensions: which models its caller may see, in a list of them, and as what stands in for
/// another one. Default all. Who may ask for a model it names is not decided by this.
#[derive(Clone)]
pub struct VisibleModels(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl VisibleModels {
    /// Those for whose names this is true.
    pub fn new(is_visible: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_visible))
    }

    /// Whether this is one of them.
    pub fn contains(&self, model: &str) -> bool {
        (self.0)(model)
    }
}

impl fmt::Debug for VisibleModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VisibleModels").finish_non_exhaustive()
    }
}

/// The OpenAI-compatible front of any `Service<InferenceRequest>`.
///
/// It takes `POST` for every [`Endpoint`](crate::Endpoint) and `GET` for `/v1/models` and
/// `/v1/models/{id}`, each under `/api` too. Paths are matched exactly. A request is read in full,
/// within its limits, before the service inside is called: nobody below waits for a slow caller.
///
/// It is always ready and never fails: every failure is a response in the OpenAI envelope. Each
/// response carries `x-request-id`: the caller's own if it is made of 1 to 128 letters, digits and
/// `._-`, and a new one otherwise. The same id goes to the engine.
///
/// Cloning is a reference count and a clone of the service.
#[derive(Clone)]
pub struct Gateway<S> {
    inner: S,
    settings: Arc<Settings>,
}

#[derive(Clone)]
pub(crate) struct Settings {
    max_body: usize,
    body_timeout: Duration,
    memory: Memory,
    models: Models,
    tracing: Option<Tracing>,
}

impl<S> Gateway<S> {
    /// A front of this service, with the default limits.
    pub fn new(inner: S) -> Self {
        let settings = Settings {
            max_body: 32 << 20,
            body_timeout: Duration::from_secs(10),
            memory: Memory::new(1 << 30),
            models: Models::default(),
            tracing: None,
        };
        Self { inner, settings: Arc::new(settings) }
    }

    /// The models to list, in this order, each once.
    #[must_use]
    pub fn with_models<M: Into<Box<str>>>(self, models: impl IntoIterator<Item = M>) -> Self {
        let models = Models::new(models.into_iter().map(Into::into));
        self.edit(|settings| settings.models = models)
    }

    /// The largest request body taken, in bytes. Default 32 MiB. A larger one is 413, before a byte
    /// of it is read if its length is declared.
    #[must_use]
    pub fn with_max_body(self, bytes: usize) -> Self {
        self.edit(|settings| settings.max_body = bytes)
    }

    /// The most memory that request bodies of all callers may take together, in bytes. Default
    /// 1 GiB. One that does not fit is 503. Bodies up to 16 KiB are not counted.
    #[must_use]
    pub fn with_max_body_memory(self, bytes: usize) -> Self {
        self.edit(|settings| settings.memory = Memory::new(bytes))
    }

    /// The longest silence of a caller in the middle of its body. Default 10 s. A body may take
    /// three times that altogether, and a second for every 64 KiB on top; a slower one is 408.
    #[must_use]
    pub fn with_body_timeout(self, timeout: Duration) -> Self {
        self.edit(|settings| settings.body_timeout = timeout)
    }

    /// Gives every request a [place in a trace](crate::trace): of its caller's, or of a new one. Default
    /// no: what a caller says of its trace is passed on as it is.
    #[must_use]
    pub fn with_tracing(self, tracing: Tracing) -> Self {
        self.edit(|settings| settings.tracing = Some(tracing))
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The same front of another service. Both count their bodies' memory together.
    #[must_use]
    pub fn map<T>(&self, service: impl FnOnce(&S) -> T) -> Gateway<T> {
        Gateway { inner: service(&self.inner), settings: Arc::clone(&self.settings) }
    }

    /// Copies the settings only if a clone holds them too.
    fn edit(mut self, edit: impl FnOnce(&mut Settings)) -> Self {
        edit(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S, B, R> Service<Request<B>> for Gateway<S>
where
    S: Service<InferenceRequest, Response = Response<R>, Error = Error> + Clone,
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes, Error = Error>,
{
    type Response = Response<GatewayBody<R>>;
    type Error = std::convert::Infallible;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The service inside is made ready in the call, when its request is known.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture::new(&self.inner, &self.settings, request)
    }
}

impl<S> fmt::Debug for Gateway<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("max_body", &self.settings.max_body)
            .field("models", &self.settings.models)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
