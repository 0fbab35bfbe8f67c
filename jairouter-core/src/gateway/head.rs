//! What a request's head asks for, decided before a byte of its body is read.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, HeaderValue, Method, StatusCode, request};

use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// An answer of an engine.
    Inference(Endpoint),
    /// The list of models.
    Models,
    /// One of them, as the path writes it.
    Model(&'a str),
}

/// The endpoint at this path, whatever is wrong with the request.
pub(super) fn asked(head: &request::Parts) -> Option<Endpoint> {
    Endpoint::from_path(path(head))
}

fn path(head: &request::Parts) -> &str {
    let path = head.uri.path();
    path.strip_prefix("/api").filter(|rest| rest.starts_with("/v1/")).unwrap_or(path)
}

/// Reads the head.
///
/// # Errors
///
/// The reason, and the method that is allowed if it was the wrong one.
pub(super) fn wanted(head: &request::Parts) -> Result<Wanted<'_>, (Error, Option<Method>)> {
    let path = path(head);
    let (wanted, method) = match path {
        "/v1/models" => (Wanted::Models, Method::GET),
        _ => match (Endpoint::from_path(path), path.strip_prefix("/v1/models/")) {
            (Some(endpoint), _) => (Wanted::Inference(endpoint), Method::POST),
            (None, Some(name)) if !name.is_empty() => (Wanted::Model(name), Method::GET),
            _ => return Err((no_endpoint(&head.method, head.uri.path()), None)),
        },
    };
    if head.method != method {
        let message = format!("this path takes {method}");
        return Err((Error::new(Kind::BadMethod, message), Some(method)));
    }
    check(&wanted, &head.headers).map_err(|error| (error, None))?;
    Ok(wanted)
}

fn check(wanted: &Wanted<'_>, headers: &HeaderMap) -> Result<(), Error> {
    if let Wanted::Inference(endpoint) = wanted {
        media_type(*endpoint, headers)?;
    }
    match headers.get(EXPECT) {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            let message = "the only expectation that can be met is 100-continue";
            let error = Error::new(Kind::Invalid, message).with_code("expectation_failed");
            Err(error.with_status(StatusCode::EXPECTATION_FAILED))
        }
        _ => Ok(()),
    }
}

fn no_endpoint(method: &Method, path: &str) -> Error {
    let path: String = path.chars().take(256).collect();
    Error::new(Kind::NoEndpoint, format!("there is nothing at {method} {path}"))
}

/// Strict on purpose: it is what a browser's cross-site form cannot send unasked.
fn media_type(endpoint: Endpoint, headers: &HeaderMap) -> Result<(), Error> {
    let expected = if endpoint.is_multipart() { "multipart/form-data" } else { "application/json" };
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    if !value[..end].trim_ascii().eq_ignore_ascii_case(expected.as_bytes()) {
        let message = format!("{endpoint} takes a body of type {expected}");
        return Err(Error::new(Kind::BadMediaType, message));
    }
    match headers.get(CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Error::new(Kind::BadMediaType, "a compressed request body is not taken"))
        }
        _ => Ok(()),
    }
}
