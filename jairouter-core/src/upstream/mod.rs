//! [`Upstream`]: one instance as a service. Encode, send, wait for the first content, decode.
//!
//! ```no_run
//! # #[cfg(feature = "client")]
//! # async fn example(request: jairouter_core::InferenceRequest) -> Result<(), Box<dyn std::error::Error>> {
//! use std::borrow::Cow;
//! use jairouter_core::upstream::Timeouts;
//! use jairouter_core::{Backend, Route, Upstream};
//! use tower::ServiceExt;
//!
//! struct Normal;
//!
//! impl Backend for Normal {
//!     fn name(&self) -> &'static str {
//!         "normal"
//!     }
//!     fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
//!         Some(route.endpoint.path().into())
//!     }
//! }
//!
//! let instance = Upstream::http(Normal, "http://127.0.0.1:8000")?;
//! let instance = instance.with_timeouts(Timeouts::default());
//! let answer = instance.oneshot(request).await?;
//! # Ok(())
//! # }
//! ```

mod body;
mod exchange;
mod first;
mod headers;
mod marks;
mod queue;
mod rename;
mod tail;
mod target;
mod timeouts;

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::payload::Payload;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Request, Response, Uri};
use tower::Service;

pub use body::UpstreamBody;
#[cfg(feature = "client")]
pub(crate) use exchange::CloseDelimited;
pub(crate) use first::filled;
#[cfg(feature = "client")]
pub(crate) use target::is_link_local;
pub use target::{InvalidTarget, Target};
pub use timeouts::Timeouts;

use crate::backend::{Backend, Route};
use crate::body::Body;
#[cfg(feature = "client")]
use crate::client::HttpClient;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::request::InferenceRequest;

/// One instance that can be called: a backend, where it is, and an HTTP client.
///
/// Its future resolves when the answer is *committed*: for a stream when the first event that
/// carries content is in hand, for any other body with its first frame. Before that everything that
/// goes wrong is an error, and another instance may still be asked; after it, a stream that breaks
/// ends with an error event and an abnormal close. What was held back is sent on unchanged.
///
/// Dropping the future or the body closes the connection, which tells the engine to stop.
///
/// The client is anything that takes HTTP requests, so tower-http's layers fit around it.
pub struct Upstream<B, C> {
    backend: Arc<B>,
    settings: Arc<Settings>,
    client: C,
}

#[derive(Clone)]
struct Settings {
    /// What traces call it.
    name: Arc<str>,
    target: Target,
    timeouts: Timeouts,
    /// The instance's own name for the model.
    model: Option<Box<str>>,
    /// Whether answers call it as the caller does.
    renames: bool,
    /// Where one endpoint is asked instead of at the backend's path, if that is a place.
    path: Option<(Endpoint, Option<Uri>)>,
    headers: HeaderMap,
    forward: Box<[HeaderName]>,
}

impl Settings {
    /// Whether the instance goes by the caller's own `authorization`.
    fn sends_the_caller_s_key(&self) -> bool {
        self.forward.contains(&AUTHORIZATION) && !self.headers.contains_key(AUTHORIZATION)
    }
}

impl<B: Backend, C> Upstream<B, C> {
    /// An instance of this framework at this target.
    pub fn new(backend: B, target: Target, client: C) -> Self {
        let settings = Settings {
            name: Arc::default(),
            target,
            timeouts: Timeouts::default(),
            model: None,
            renames: false,
            path: None,
            headers: backend.headers(),
            forward: Box::new([]),
        };
        Self { backend: Arc::new(backend), settings: Arc::new(settings), client }
    }

    /// Whether the instance can be asked this.
    pub fn offers(&self, endpoint: Endpoint) -> bool {
        let has_path = self.settings.path.as_ref().is_some_and(|(asked, _)| *asked == endpoint);
        has_path || self.backend.path(&Route::new(endpoint, "any", false)).is_some()
    }
}

#[cfg(feature = "client")]
impl<B: Backend> Upstream<B, HttpClient> {
    /// An instance of this framework at this base URL, over an [`HttpClient`] of its own with the default
    /// settings: [`new`](Self::new) takes any other.
    ///
    /// # Errors
    ///
    /// If it is no base URL, or not of `http`: whom to trust over TLS is said with `client::Builder::tls`.
    pub fn http(backend: B, base_url: &str) -> Result<Self, InvalidTarget> {
        let target: Target = base_url.parse()?;
        if target.scheme() != "http" {
            return Err(InvalidTarget("a client with the default settings speaks http alone"));
        }
        let client = HttpClient::new(target.authority());
        Ok(Self::new(backend, target, client))
    }
}

impl<B, C> Upstream<B, C> {
    /// Its name, or else its base URL.
    pub(crate) fn label(&self) -> Box<str> {
        match &*self.settings.name {
            "" => self.settings.target.to_string().into(),
            name => name.into(),
        }
    }

    /// What the instance is called where a [trace](crate::trace) tells of it.
    #[must_use]
    pub fn with_name(self, name: impl Into<Arc<str>>) -> Self {
        self.edit(|settings| settings.name = name.into())
    }

    /// The clocks of every exchange.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        self.edit(|settings| settings.timeouts = timeouts)
    }

    /// The instance's own name for the model, where it differs from the one callers send.
    #[must_use]
    pub fn with_model(self, model: impl Into<Box<str>>) -> Self {
        self.edit(|settings| settings.model = Some(model.into()))
    }

    /// Whether answers call the model as the caller called it, where the instance has another name for
    /// it. Default no: they are passed on as they are.
    #[must_use]
    pub fn with_asked_name(self, asked: bool) -> Self {
        self.edit(|settings| settings.renames = asked)
    }

    /// Another path for this endpoint than the backend's. A request for it fails with
    /// [`Kind::Internal`](crate::Kind::Internal) if it is no path.
    #[must_use]
    pub fn with_path(self, endpoint: Endpoint, path: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|settings| {
            let uri = settings.target.uri(path.into());
            settings.path = Some((endpoint, uri.ok()));
        })
    }

    /// Headers every request to this instance carries, such as its key. They replace the caller's and
    /// the framework's.
    #[must_use]
    pub fn with_headers(self, headers: HeaderMap) -> Self {
        self.edit(|settings| settings.headers.extend(headers))
    }

    /// More of the caller's headers that are passed on, such as `authorization`. Only a short list
    /// is by default: content type, accept, user agent, trace context, request id, and the version and
    /// betas of Anthropic's API.
    #[must_use]
    pub fn with_forwarded(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.edit(|settings| settings.forward = names.into_iter().collect())
    }

    /// The same instance through another client, such as one whose connections belong to another
    /// core.
    #[must_use]
    pub fn map_client<D>(&self, client: impl FnOnce(&C) -> D) -> Upstream<B, D> {
        Upstream {
            backend: Arc::clone(&self.backend),
            settings: Arc::clone(&self.settings),
            client: client(&self.client),
        }
    }

    /// Copies the settings only if a clone of this instance holds them too.
    fn edit(mut self, edit: impl FnOnce(&mut Settings)) -> Self {
        edit(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<B, C, R> Service<InferenceRequest> for Upstream<B, C>
where
    B: Backend + 'static,
    C: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    C::Error: Into<Error>,
    C::Future: Send,
    R: Into<Body> + 'static,
{
    type Response = Response<UpstreamBody>;
    type Error = Error;
    // Boxed: the exchange is written as straight-line code, which has no name.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // The client is made ready inside the call, where its deadline is known.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        let (backend, settings) = (Arc::clone(&self.backend), Arc::clone(&self.settings));
        Box::pin(exchange::exchange(backend, settings, self.client.clone(), request))
    }
}

impl<B, C: Clone> Clone for Upstream<B, C> {
    fn clone(&self) -> Self {
        Self {
            backend: Arc::clone(&self.backend),
            settings: Arc::clone(&self.settings),
            client: self.client.clone(),
        }
    }
}

/// Never prints headers: they hold the instance's key.
impl<B: Backend, C> fmt::Debug for Upstream<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("backend", &self.backend.name())
            .field("target", &self.settings.target)
            .finish_non_exhaustive()
    }
}
