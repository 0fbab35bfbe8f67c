//! [`InferenceRequest`]: one question, parsed once and passed through every layer.

use std::fmt;
use std::net::IpAddr;
use std::ops::{Deref, Range};
use std::str;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap};
use serde::Serialize;
use tokio::time::Instant;

use crate::clock;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::payload::Payload;
use crate::peek::{self, Noted, Peek, Place};
use crate::trace::Trace;

/// Who asks, in a request's [extensions](Parts::extensions), as whoever let it in knows it: the name of a
/// key or of an account, and never a credential. It is in logs, and what is kept for a caller is kept for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    name: Arc<str>,
    id: u64,
}

impl Principal {
    /// Whoever is called this. Nobody else is.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), id: 0 }
    }

    /// The same where others may come to be called so: nothing is kept for one of them that was kept for
    /// another with another number.
    #[must_use]
    pub fn with_id(self, id: u64) -> Self {
        Self { id, ..self }
    }

    /// What it is called.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

/// One question, parsed. Immutable; cloning is a reference count, so retry and fallback are free.
///
/// ```
/// use bytes::Bytes;
/// use http::HeaderMap;
/// use jairouter_core::{Endpoint, InferenceRequest};
///
/// let payload = Bytes::from_static(br#"{"model":"qwen3", "seed": 18446744073709551616}"#);
/// let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload)?;
/// assert_eq!(&*request.model, "qwen3");
/// assert!(!request.stream);
///
/// let renamed = request.with_model("qwen3:1.7b");
/// assert_eq!(renamed.payload, br#"{"model":"qwen3:1.7b", "seed": 18446744073709551616}"#[..]);
/// # Ok::<(), jairouter_core::Error>(())
/// ```
#[derive(Clone)]
pub struct InferenceRequest(Arc<Parts>);

/// What is known of a request.
#[derive(Clone)]
#[non_exhaustive]
pub struct Parts {
    /// The endpoint that was asked.
    pub endpoint: Endpoint,
    /// The model that was named.
    pub model: Model,
    /// Whether the caller asked for a stream.
    pub stream: bool,
    /// The caller's headers, as they came.
    pub headers: HeaderMap,
    /// The body, exactly as it came. That of a form names the model it came for, whatever this one is
    /// for: see [`InferenceRequest::form`].
    pub payload: Bytes,
    /// The caller's address.
    pub client: Option<IpAddr>,
    /// When it was made: what a total timeout counts from, over all its attempts.
    pub received: Instant,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Its place in a trace, where requests are traced.
    pub trace: Option<Trace>,
    /// Anything a layer wants to tell a later one.
    pub extensions: Extensions,
    /// Where the model name stands in the payload: what [`InferenceRequest::with_model`] replaces.
    span: Range<usize>,
    /// What else was seen of the payload.
    noted: Noted,
    /// For how many tokens its text is taken, once somebody has asked.
    prompt: OnceLock<u64>,
}

// === impl InferenceRequest ===

impl InferenceRequest {
    /// Reads the model and the stream flag from the payload, and nothing else.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if the payload is not what the endpoint takes, or
    /// names no model, or names it in a way two parsers could read differently.
    pub fn new(endpoint: Endpoint, headers: HeaderMap, payload: Bytes) -> Result<Self, Error> {
        let received = clock::now();
        let Peek { model, stream, span, noted } = if endpoint.is_multipart() {
            peek::multipart(headers.get(CONTENT_TYPE), &payload)?
        } else {
            peek::json(&payload)?
        };
        let model = match model {
            Some(decoded) => Model(Bytes::from(decoded)),
            None if endpoint.is_multipart() => Model(payload.slice(span.clone())),
            // The span of a JSON string includes its quotes.
            None => Model(payload.slice(span.start + 1..span.end - 1)),
        };
        Ok(Self(Arc::new(Parts {
            endpoint,
            model,
            stream,
            headers,
            payload,
            client: None,
            received,
            deadline: None,
            trace: None,
            extensions: Extensions::new(),
            span,
            noted,
            prompt: OnceLock::new(),
        })))
    }

    /// A request with this as its payload, written as JSON, and without headers: what a program asks that
    /// has a stack of layers in its own process. [`Reply`](crate::Reply) reads the answer.
    ///
    /// ```
    /// use jairouter_core::{Endpoint, InferenceRequest};
    /// use serde_json::json;
    ///
    /// let messages = json!([{ "role": "user", "content": "Hello!" }]);
    /// let question = json!({ "model": "qwen3", "stream": true, "messages": messages });
    /// let request = InferenceRequest::json(Endpoint::ChatCompletions, &question)?;
    /// assert!(request.stream);
    /// # Ok::<(), jairouter_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if it cannot be written as JSON, as a map whose keys are no texts,
    /// or for what [`new`](Self::new) refuses, as a request that names no model or an endpoint that takes forms.
    pub fn json(endpoint: Endpoint, payload: &impl Serialize) -> Result<Self, Error> {
        if endpoint.is_multipart() {
            let message = format!("{endpoint} takes a form, and no JSON");
            return Err(Error::new(Kind::Invalid, message));
        }
        let payload = serde_json::to_vec(payload).map_err(|error| {
            Error::new(Kind::Invalid, "the request cannot be written as JSON").with_source(error)
        })?;
        Self::new(endpoint, HeaderMap::new(), payload.into())
    }

    /// The same request, from a caller at this address.
    pub fn with_client(self, client: Option<IpAddr>) -> Self {
        self.edit(|parts| parts.client = client)
    }

    /// The same request, given up at this instant.
    pub fn with_deadline(self, deadline: Option<Instant>) -> Self {
        self.edit(|parts| parts.deadline = deadline)
    }

    /// The same request at this place of a trace.
    pub fn with_trace(self, trace: Option<Trace>) -> Self {
        self.edit(|parts| parts.trace = trace)
    }

    /// The same request with these extensions.
    pub fn with_extensions(self, extensions: Extensions) -> Self {
        self.edit(|parts| parts.extensions = extensions)
    }

    /// The same request for another model: one splice in the payload, every other byte untouched.
    pub fn with_model(&self, model: &str) -> Self {
        if *self.model == *model {
            return self.clone();
        }
        if self.endpoint.is_multipart() {
            // Of a form the file is not to be copied.
            let mut parts = Parts::clone(&self.0);
            parts.model = Model(Bytes::copy_from_slice(model.as_bytes()));
            return Self(Arc::new(parts));
        }
        let written = quoted(model);
        let renamed = self.spliced(self.span.clone(), written.as_bytes());
        renamed.edit(|parts| {
            parts.model = Model(Bytes::copy_from_slice(model.as_bytes()));
            parts.span = parts.span.start..parts.span.start + written.len();
        })
    }

    /// The body of a form, naming the model that the request is for. The file in it is not copied.
    pub fn form(&self) -> Payload {
        let (payload, span) = (&self.payload, &self.span);
        if payload[span.clone()] == *self.model.as_bytes() {
            return payload.clone().into();
        }
        let (before, behind) = (payload.slice(..span.start), payload.slice(span.end..));
        Payload::from_iter([before, self.model.shared(), behind])
    }

    /// The same request with this in the place of those bytes of its payload, which are none of the
    /// model's name, or all of it.
    pub(crate) fn spliced(&self, at: Range<usize>, written: &[u8]) -> Self {
        let mut payload = BytesMut::with_capacity(self.payload.len() - at.len() + written.len());
        payload.extend_from_slice(&self.payload[..at.start]);
        payload.extend_from_slice(written);
        payload.extend_from_slice(&self.payload[at.end..]);
        let mut parts = Parts::clone(&self.0);
        parts.payload = payload.freeze();
        parts.prompt = OnceLock::new();
        let shift = |range: &mut Range<usize>| {
            if at.end <= range.start {
                let moved = |offset: usize| offset - at.len() + written.len();
                *range = moved(range.start)..moved(range.end);
            }
        };
        shift(&mut parts.span);
        if let Place::At(options) = &mut parts.noted.stream_options {
            shift(options);
        }
        Self(Arc::new(parts))
    }

    /// The same request, whose `stream_options` now stand there.
    pub(crate) fn with_options_at(self, at: Range<usize>) -> Self {
        self.edit(|parts| parts.noted.stream_options = Place::At(at))
    }

    /// What was seen of its payload, if that is JSON.
    pub(crate) fn noted(&self) -> &Noted {
        &self.noted
    }

    /// For how many tokens its text is taken by this estimate, which is made once.
    pub(crate) fn prompt(&self, estimate: impl FnOnce(&Bytes) -> u64) -> u64 {
        *self.prompt.get_or_init(|| estimate(&self.payload))
    }

    /// The same request with this among its extensions.
    pub(crate) fn with_extension<T: Clone + Send + Sync + 'static>(self, extension: T) -> Self {
        self.edit(|parts| drop(parts.extensions.insert(extension)))
    }

    /// Copies the parts only if somebody else holds them too.
    fn edit(mut self, edit: impl FnOnce(&mut Parts)) -> Self {
        edit(Arc::make_mut(&mut self.0));
        self
    }
}

impl Deref for InferenceRequest {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Never prints headers or the payload: both hold secrets.
impl fmt::Debug for InferenceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InferenceRequest")
            .field("endpoint", &self.endpoint)
            .field("model", &self.model)
            .field("stream", &self.stream)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .finish_non_exhaustive()
    }
}

/// The name of a model: UTF-8, 1 to 256 bytes. Usually a slice of the payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Model(Bytes);

impl Model {
    /// The same bytes, shared.
    pub(crate) fn shared(&self) -> Bytes {
        self.0.clone()
    }
}

impl Deref for Model {
    type Target = str;

    fn deref(&self) -> &str {
        // Checked where it was made: a slice of validated JSON, of a validated field, or a `str`.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

fn quoted(model: &str) -> String {
    // Writing a string to memory cannot fail.
    serde_json::to_string(model).unwrap_or_default()
}
