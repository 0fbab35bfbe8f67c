//! One question to one instance, from the typed request to the committed answer.

use std::sync::Arc;
use std::time::Duration;

use crate::payload::Payload;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tower::{Service, ServiceExt};

use super::body::{Marker, Shape, UpstreamBody};
use super::first::First;
use super::headers;
use super::marks::Marks;
use super::queue::Queue;
use super::{Settings, Timeouts, rename};
use crate::backend::{Backend, Route};
use crate::body::Body;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;
use crate::trace::{Attempt, SpanId, Trace};
use crate::translate::{self, Whole};

/// How much of a refusal is read.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// The largest answer that has to be whole before a byte of it may pass.
const LARGEST_ANSWER: usize = 256 << 20;

pub(super) async fn exchange<B, C, R>(
    backend: Arc<B>,
    settings: Arc<Settings>,
    client: C,
    request: InferenceRequest,
) -> Result<Response<UpstreamBody>, Error>
where
    B: Backend,
    C: Service<Request<Payload>, Response = Response<R>> + Clone,
    C::Error: Into<Error>,
    R: Into<Body>,
{
    let start = clock::now();
    let end = settings.timeouts.end(request.received, request.deadline);
    if end <= start {
        return Err(over().unsent());
    }
    let trace = request.trace.as_ref();
    let attempt = trace.map(|trace| trace.ask(&settings.name, settings.target.authority()));
    let outcome = answered(&*backend, &settings, client, request, attempt.as_ref(), (start, end));
    let outcome = outcome.await;
    if let (Some(attempt), Err(error)) = (&attempt, &outcome) {
        attempt.failed(error);
    }
    outcome
}

/// The committed answer, in the time from its start to its end.
async fn answered<B, C, R>(
    backend: &B,
    settings: &Settings,
    client: C,
    request: InferenceRequest,
    attempt: Option<&Attempt>,
    (start, end): (Instant, Instant),
) -> Result<Response<UpstreamBody>, Error>
where
    B: Backend,
    C: Service<Request<Payload>, Response = Response<R>> + Clone,
    C::Error: Into<Error>,
    R: Into<Body>,
{
    let first = settings.timeouts.first(start, end);
    let asked = request.clone();
    let request = match &settings.model {
        Some(model) => request.with_model(model),
        None => request,
    };
    let committed = async {
        let answer = ask(backend, settings, client, &request, attempt).await?;
        let is_close_delimited = answer.extensions().get::<CloseDelimited>().is_some();
        let answer = backend.decode(&request, answer);
        let answer = if settings.renames { called(&asked, &request, answer) } else { answer };
        commit(answer, &request, is_close_delimited).await
    };
    let (mut parts, committed) = match timeout_at(first, committed).await {
        Ok(committed) => committed?.into_parts(),
        Err(_) => return Err(late(&settings.timeouts, first - start)),
    };
    headers::inward(&mut parts.headers);
    // The body knows its length better; and which protocol the instance speaks is its own affair.
    parts.headers.remove(CONTENT_LENGTH);
    parts.version = Version::HTTP_11;
    let Committed { body, held, shape } = committed;
    let body = UpstreamBody::new(body, held, &shape, settings.timeouts.idle, end);
    Ok(Response::from_parts(parts, body))
}

/// The answer, in which the model is called as it was asked for.
fn called(
    asked: &InferenceRequest,
    request: &InferenceRequest,
    answer: Response<Body>,
) -> Response<Body> {
    let is_plain = !answer.headers().contains_key(CONTENT_ENCODING);
    let is_events = is_type(answer.headers(), "text/event-stream");
    let is_text = is_events || is_type(answer.headers(), "application/json");
    if *asked.model == *request.model || !is_plain || !is_text {
        return answer;
    }
    // Writing a string to memory cannot fail.
    let name = serde_json::to_string(&*asked.model).unwrap_or_default();
    let own = request.model.to_string();
    answer.map(|body| rename::renamed(body, is_events, own, name))
}

/// In an answer's extensions: its body ends where the connection does, so a cut looks like an end.
/// Set by [`HttpClient`](crate::client::HttpClient).
#[derive(Debug, Clone, Copy)]
pub(crate) struct CloseDelimited;

/// The request waited elsewhere, or its caller does not wait for long: no fault of this instance.
fn over() -> Error {
    Error::new(Kind::Deadline, "the instance did not answer before the deadline")
}

/// The first content did not come in the time the instance had for it.
fn late(timeouts: &Timeouts, had: Duration) -> Error {
    let Timeouts { first_token, total, .. } = *timeouts;
    // A little of a total of its own goes by before the instance is asked.
    if had < first_token && had < total.mul_f64(0.9) {
        return over();
    }
    let least = first_token.min(total);
    Error::new(Kind::Timeout, format!("the instance sent no first token within {least:?}"))
}

/// Sends the request, once more on a new connection if the old one was dead, and sorts the answer:
/// `Ok` is a success whose body has not been read.
async fn ask<B, C, R>(
    backend: &B,
    settings: &Settings,
    client: C,
    request: &InferenceRequest,
    attempt: Option<&Attempt>,
) -> Result<Response<Body>, Error>
where
    B: Backend,
    C: Service<Request<Payload>, Response = Response<R>> + Clone,
    C::Error: Into<Error>,
    R: Into<Body>,
{
    let payload = match request.endpoint.is_multipart() {
        true => backend.form(request),
        false => backend.encode(request).map(Payload::from),
    };
    let payload = payload.map_err(Error::unsent)?;
    let trace = request.trace.as_ref().zip(attempt.map(Attempt::span));
    let first = http(backend, settings, request, trace, payload.clone()).map_err(Error::unsent)?;
    let answer = match send(client.clone(), first).await {
        #[cfg(feature = "client")]
        Err(error) if error.is_stale() => {
            let mut again = http(backend, settings, request, trace, payload)?;
            again.extensions_mut().insert(crate::client::NewConnection);
            send(client, again).await?
        }
        answer => answer?,
    };
    if let Some(attempt) = attempt {
        attempt.answered(answer.status());
    }
    match answer.status() {
        status if status.is_success() => Ok(answer),
        status if status.is_client_error() || status.is_server_error() => {
            let error = refusal(backend, request, answer).await;
            Err(if settings.sends_the_caller_s_key() { caller_s(error, status) } else { error })
        }
        // Following a redirect would send a prompt where nobody configured it to go.
        status => Err(Error::new(Kind::Broken, format!("the instance answered {status}"))),
    }
}

async fn send<C, R>(client: C, request: Request<Payload>) -> Result<Response<Body>, Error>
where
    C: Service<Request<Payload>, Response = Response<R>>,
    C::Error: Into<Error>,
    R: Into<Body>,
{
    match client.oneshot(request).await {
        Ok(answer) => Ok(answer.map(Into::into)),
        Err(error) => Err(error.into()),
    }
}

/// The HTTP request for this instance.
fn http<B: Backend>(
    backend: &B,
    settings: &Settings,
    request: &InferenceRequest,
    trace: Option<(&Trace, SpanId)>,
    payload: Payload,
) -> Result<Request<Payload>, Error> {
    let uri = match &settings.path {
        Some((endpoint, uri)) if *endpoint == request.endpoint => uri.clone().ok_or_else(|| {
            Error::new(Kind::Internal, "the path configured for the instance is not one")
        })?,
        _ => {
            let route = Route::new(request.endpoint, &request.model, request.stream);
            let path = backend.path(&route).ok_or_else(|| {
                let name = backend.name();
                let message = format!("{name} does not offer {}", request.endpoint);
                Error::new(Kind::Unsupported, message)
            })?;
            settings.target.uri(path)?
        }
    };
    let mut http = Request::new(payload);
    *http.method_mut() = Method::POST;
    *http.uri_mut() = uri;
    let (forward, own) = (&settings.forward, &settings.headers);
    let host = settings.target.host_header();
    let mut headers = headers::outward(&request.headers, forward, own, host, trace);
    // Engines refuse what does not say what it is, and a caller in the same process has no headers.
    if !request.endpoint.is_multipart() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    *http.headers_mut() = headers;
    Ok(http)
}

/// A key that was refused, if it is the caller's own: no fault of the instance or of the gateway.
fn caller_s(error: Error, status: StatusCode) -> Error {
    let message = "the instance refused the caller's credentials";
    match (error.kind(), status) {
        (Kind::UpstreamAuth, StatusCode::FORBIDDEN) => Error::new(Kind::Forbidden, message),
        (Kind::UpstreamAuth, _) => Error::new(Kind::Unauthorized, message),
        _ => error,
    }
}

async fn refusal<B: Backend>(
    backend: &B,
    request: &InferenceRequest,
    answer: Response<Body>,
) -> Error {
    let (parts, body) = answer.into_parts();
    // A refusal too long to read is still a refusal, of unknown text.
    let body = Whole::new(body, LARGEST_REFUSAL).await.unwrap_or_default();
    backend.refusal(request, &Response::from_parts(parts, body))
}

/// How many images are asked for, as far as that can be told.
fn images(request: &InferenceRequest) -> u32 {
    #[derive(Deserialize)]
    struct Asked {
        n: Option<u32>,
    }
    match request.endpoint {
        Endpoint::ImageGenerations => {
            let asked = serde_json::from_slice::<Asked>(&request.payload);
            asked.ok().and_then(|asked| asked.n).unwrap_or(1)
        }
        _ => 1,
    }
}

struct Committed {
    body: Body,
    held: Queue,
    shape: Shape,
}

/// Waits for the first content. Until then the stream is nobody's, and whatever ends it is an error.
async fn commit(
    answer: Response<Body>,
    request: &InferenceRequest,
    is_close_delimited: bool,
) -> Result<Response<Committed>, Error> {
    let endpoint = request.endpoint;
    let (parts, mut body) = answer.into_parts();
    let is_plain = !parts.headers.contains_key(CONTENT_ENCODING);
    let is_event_stream = is_plain && is_type(&parts.headers, "text/event-stream");
    if is_close_delimited && is_plain && may_be_json(&parts.headers, endpoint) {
        body = translate::whole(body, LARGEST_ANSWER, |bytes| {
            if !looks_like_json(&bytes) || translate::check(&bytes).is_ok() {
                Ok(bytes)
            } else {
                Err(Error::new(Kind::Broken, "the instance's answer was cut off"))
            }
        });
    }
    let mut held = Queue::default();
    let mut first = First::default();
    loop {
        match body.frame().await {
            Some(frame) => {
                let Ok(data) = frame?.into_data() else {
                    continue;
                };
                let committed = if is_event_stream { first.push(&data)? } else { !data.is_empty() };
                held.push(data);
                if committed {
                    break;
                }
            }
            None if is_event_stream => {
                return Err(Error::new(Kind::Broken, "the instance's stream was empty"));
            }
            None => break,
        }
    }
    let marker = match (endpoint, is_close_delimited) {
        (Endpoint::ChatCompletions | Endpoint::Completions, false) => Marker::Finished,
        (Endpoint::ChatCompletions | Endpoint::Completions, true)
        | (Endpoint::Messages | Endpoint::Responses, _) => Marker::Done,
        (
            Endpoint::Speech
            | Endpoint::Transcriptions
            | Endpoint::Translations
            | Endpoint::ImageGenerations
            | Endpoint::ImageEdits,
            _,
        ) => Marker::Begun,
        _ => Marker::None,
    };
    let events = is_event_stream.then(|| (marker, endpoint, Marks::of(endpoint, images(request))));
    let shape = Shape { events };
    Ok(Response::from_parts(parts, Committed { body, held, shape }))
}

fn is_type(headers: &HeaderMap, expected: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    value[..end].trim_ascii().eq_ignore_ascii_case(expected.as_bytes())
}

/// Whether the answer is JSON, or not known not to be.
fn may_be_json(headers: &HeaderMap, endpoint: Endpoint) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let media_type = value[..end].trim_ascii().to_ascii_lowercase();
    match &*media_type {
        b"" => endpoint != Endpoint::Speech,
        known => known.ends_with(b"/json") || known.ends_with(b"+json"),
    }
}

fn looks_like_json(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[') | None)
}
