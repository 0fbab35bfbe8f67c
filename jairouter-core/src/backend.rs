//! [`Backend`]: how one inference framework speaks HTTP, as an address book and pure functions.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Response};

use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::payload::Payload;
use crate::refusal;
use crate::request::InferenceRequest;

/// What a backend needs to know to name a path.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Route<'a> {
    /// The endpoint that was asked.
    pub endpoint: Endpoint,
    /// The model, as the instance calls it.
    pub model: &'a str,
    /// Whether the answer is to be streamed.
    pub stream: bool,
}

impl<'a> Route<'a> {
    /// A route to this endpoint.
    pub const fn new(endpoint: Endpoint, model: &'a str, stream: bool) -> Self {
        Self { endpoint, model, stream }
    }
}

/// How one inference framework speaks HTTP.
///
/// A backend never touches a socket and never awaits, so it can be tested with recorded bytes alone
/// and cannot block the gateway. What a framework shares with the OpenAI API it inherits: a
/// framework that is compatible in full only gives its [`name`](Backend::name) and
/// [`path`](Backend::path), and then requests and answers pass through untouched.
///
/// Object-safe: a program that picks frameworks at run time uses `Arc<dyn Backend>`.
///
/// ```
/// use std::borrow::Cow;
/// use jairouter_core::{Backend, Endpoint, Route};
///
/// struct Mine;
///
/// impl Backend for Mine {
///     fn name(&self) -> &'static str {
///         "mine"
///     }
///
///     fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
///         match route.endpoint {
///             Endpoint::ChatCompletions => Some("/api/chat-completions".into()),
///             _ => None,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Backend`",
    label = "does not say how a framework is spoken to",
    note = "`jairouter-openai`, `jairouter-ollama` and their siblings have one for each framework, and `Arc<dyn Backend>` is any of them"
)]
pub trait Backend: Send + Sync {
    /// The framework's name, as configuration and metrics spell it.
    fn name(&self) -> &str;

    /// Where the framework answers this, below the instance's base URL; `None` if it cannot.
    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>>;

    /// The request body in the framework's words, if it is JSON. By default the caller's own bytes.
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) or [`Kind::Invalid`](crate::Kind::Invalid)
    /// if the framework cannot be asked this.
    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        Ok(request.payload.clone())
    }

    /// A form (`multipart/form-data`) in the framework's words. By default the caller's own, with the
    /// instance's name of the model; files are large, and not to be copied.
    ///
    /// # Errors
    ///
    /// As [`encode`](Backend::encode).
    fn form(&self, request: &InferenceRequest) -> Result<Payload, Error> {
        Ok(request.form())
    }

    /// A successful (2xx) answer in OpenAI's words. By default the answer itself.
    ///
    /// `request` is the one that was encoded. A failure found in the body is an error of the body;
    /// see [`translate`](crate::translate) for bodies that rewrite.
    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        let _ = request;
        answer
    }

    /// An unsuccessful answer as an [`Error`]. The body is complete, or cut at 64 KiB.
    ///
    /// The default knows the shapes of the field: OpenAI's envelope, `{"error":"text"}`,
    /// `{"detail":…}`, `{"object":"error",…}`, and plain text.
    fn refusal(&self, request: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        let _ = request;
        refusal::classify(answer)
    }

    /// A path that tells whether the engine is well, without running inference.
    fn health(&self) -> Cow<'static, str> {
        "/health".into()
    }

    /// Headers that every request of the framework's API carries, such as the version it is written
    /// for. Not a key: that is the instance's own, and so is any header that replaces one of these.
    fn headers(&self) -> HeaderMap {
        HeaderMap::new()
    }

    /// The header an instance's key goes into, and what stands before the key.
    fn key_header(&self) -> (HeaderName, Cow<'_, str>) {
        (AUTHORIZATION, "Bearer ".into())
    }

    /// The path that lists the engine's models.
    fn models(&self) -> Cow<'static, str> {
        "/v1/models".into()
    }

    /// What is posted to that path. By default nothing: it is asked with `GET`.
    fn models_request(&self) -> Option<&'static str> {
        None
    }

    /// The model names in an answer of [`Backend::models`]. By default OpenAI's list.
    ///
    /// # Errors
    ///
    /// [`Kind::Broken`](crate::Kind::Broken) if the body is no such list.
    fn model_names(&self, body: &[u8]) -> Result<Vec<String>, Error> {
        refusal::model_names(body)
    }
}

/// An option that a backend does not have, or a value that one of its options cannot have.
///
/// ```
/// use jairouter_core::backend::InvalidOption;
///
/// let error = InvalidOption::new("api", "must be native or openai");
/// assert_eq!(error.to_string(), "'api' must be native or openai");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{key}' {expected}")]
pub struct InvalidOption {
    key: Box<str>,
    expected: Cow<'static, str>,
}

impl InvalidOption {
    /// This option is wrong, and this would be right: the rest of a sentence that begins with its
    /// name, such as "must be native or openai".
    pub fn new(key: &str, expected: impl Into<Cow<'static, str>>) -> Self {
        Self { key: key.into(), expected: expected.into() }
    }

    /// The option's name.
    pub fn key(&self) -> &str {
        &self.key
    }
}

macro_rules! forward {
    ($($pointer:ident)*) => {$(
        impl<B: Backend + ?Sized> Backend for $pointer<B> {
            fn name(&self) -> &str {
                (**self).name()
            }
            fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
                (**self).path(route)
            }
            fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
                (**self).encode(request)
            }
            fn form(&self, request: &InferenceRequest) -> Result<Payload, Error> {
                (**self).form(request)
            }
            fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
                (**self).decode(request, answer)
            }
            fn refusal(&self, request: &InferenceRequest, answer: &Response<Bytes>) -> Error {
                (**self).refusal(request, answer)
            }
            fn health(&self) -> Cow<'static, str> {
                (**self).health()
            }
            fn headers(&self) -> HeaderMap {
                (**self).headers()
            }
            fn key_header(&self) -> (HeaderName, Cow<'_, str>) {
                (**self).key_header()
            }
            fn models(&self) -> Cow<'static, str> {
                (**self).models()
            }
            fn models_request(&self) -> Option<&'static str> {
                (**self).models_request()
            }
            fn model_names(&self, body: &[u8]) -> Result<Vec<String>, Error> {
                (**self).model_names(body)
            }
        }
    )*};
}

forward!(Arc Box);
