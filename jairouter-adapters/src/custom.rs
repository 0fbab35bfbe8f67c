//! [`Custom`]: a framework that differs from a known one in what an address book holds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response};
use jairouter_core::{
    Backend, Body, Endpoint, Error, InferenceRequest, Payload, Route, ServiceType,
};

/// A framework in the words of another one: with paths, headers and a place for keys of its own, and
/// perhaps less to offer.
///
#[cfg_attr(feature = "openai", doc = "```")]
#[cfg_attr(not(feature = "openai"), doc = "```ignore")]
/// use std::sync::Arc;
///
/// use http::HeaderName;
/// use jairouter_adapters::Custom;
/// use jairouter_core::{Backend, Endpoint, Route, ServiceType};
///
/// let parent = jairouter_adapters::by_name("normal").expect("it is in `all`");
/// let mine = Custom::new("mine", parent)
///     .offering([ServiceType::Chat])
///     .with_path(Endpoint::ChatCompletions, "/api/v3/chat")
///     .with_key_header(HeaderName::from_static("x-token"), "");
/// let route = |endpoint| Route::new(endpoint, "m", false);
/// assert_eq!(mine.path(&route(Endpoint::ChatCompletions)).as_deref(), Some("/api/v3/chat"));
/// assert_eq!(mine.path(&route(Endpoint::Completions)).as_deref(), Some("/v1/completions"));
/// assert_eq!(mine.path(&route(Endpoint::Embeddings)), None);
/// ```
#[derive(Clone)]
pub struct Custom {
    name: Box<str>,
    parent: Arc<dyn Backend>,
    offers: Option<Vec<ServiceType>>,
    paths: HashMap<Endpoint, Box<str>>,
    headers: HeaderMap,
    key_header: Option<(HeaderName, Box<str>)>,
    health: Option<Box<str>>,
    models: Option<Box<str>>,
}

impl Custom {
    /// A framework of this name that is in everything like its parent.
    pub fn new(name: impl Into<Box<str>>, parent: Arc<dyn Backend>) -> Self {
        Self {
            name: name.into(),
            parent,
            offers: None,
            paths: HashMap::new(),
            headers: HeaderMap::new(),
            key_header: None,
            health: None,
            models: None,
        }
    }

    /// It offers what is of these services, and nothing else. Default all that the parent offers.
    #[must_use]
    pub fn offering(mut self, services: impl IntoIterator<Item = ServiceType>) -> Self {
        self.offers = Some(services.into_iter().collect());
        self
    }

    /// Where it answers this. It then offers it, whether the parent does or not.
    #[must_use]
    pub fn with_path(mut self, endpoint: Endpoint, path: impl Into<Box<str>>) -> Self {
        self.paths.insert(endpoint, path.into());
        self
    }

    /// Headers of every request, beside the parent's.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The header an instance's key goes into, and what stands before it.
    #[must_use]
    pub fn with_key_header(mut self, name: HeaderName, before: impl Into<Box<str>>) -> Self {
        self.key_header = Some((name, before.into()));
        self
    }

    /// A path that tells whether it is well.
    #[must_use]
    pub fn with_health(mut self, path: impl Into<Box<str>>) -> Self {
        self.health = Some(path.into());
        self
    }

    /// The path that lists its models.
    #[must_use]
    pub fn with_models(mut self, path: impl Into<Box<str>>) -> Self {
        self.models = Some(path.into());
        self
    }
}

impl Backend for Custom {
    fn name(&self) -> &str {
        &self.name
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        if let Some(path) = self.paths.get(&route.endpoint) {
            return Some(path.to_string().into());
        }
        let service = route.endpoint.service_type();
        let offered = self.offers.as_ref().is_none_or(|offers| offers.contains(&service));
        if offered { self.parent.path(route) } else { None }
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        self.parent.encode(request)
    }

    fn form(&self, request: &InferenceRequest) -> Result<Payload, Error> {
        self.parent.form(request)
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        self.parent.decode(request, answer)
    }

    fn refusal(&self, request: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        self.parent.refusal(request, answer)
    }

    fn health(&self) -> Cow<'static, str> {
        match &self.health {
            Some(path) => path.to_string().into(),
            None => self.parent.health(),
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = self.parent.headers();
        headers.extend(self.headers.clone());
        headers
    }

    fn key_header(&self) -> (HeaderName, Cow<'_, str>) {
        match &self.key_header {
            Some((name, before)) => (name.clone(), (&**before).into()),
            None => self.parent.key_header(),
        }
    }

    fn models(&self) -> Cow<'static, str> {
        match &self.models {
            Some(path) => path.to_string().into(),
            None => self.parent.models(),
        }
    }

    fn models_request(&self) -> Option<&'static str> {
        self.parent.models_request()
    }

    fn model_names(&self, body: &[u8]) -> Result<Vec<String>, Error> {
        self.parent.model_names(body)
    }
}

/// Never prints headers: they may hold a key.
impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom")
            .field("name", &self.name)
            .field("parent", &self.parent.name())
            .field("offers", &self.offers)
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}
