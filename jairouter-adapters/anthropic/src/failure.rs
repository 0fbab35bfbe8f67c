//! Anthropic's errors, as an answer of their own and inside of others.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use jairouter_core::{Error, refusal};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Fields<'a>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

/// An answer that is an error.
pub(crate) fn refused(answer: &Response<Bytes>) -> Error {
    match answer.status().as_u16() {
        // Nobody pays for the gateway's key: no fault of the caller's.
        402 => with_status(answer, StatusCode::UNAUTHORIZED),
        404 => absent(answer),
        // Overloaded: busy, and not broken.
        529 => {
            let mut busy = answer.clone();
            *busy.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            busy.headers_mut().entry(RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
            refusal::classify(&busy)
        }
        _ => refusal::classify(answer),
    }
}

/// An error inside of an answer that had begun well. Its type is the status it would have had.
pub(crate) fn reported(data: &[u8]) -> Error {
    let status = serde_json::from_slice::<Envelope<'_>>(data).ok().and_then(|envelope| {
        Some(match &*envelope.error.r#type {
            "invalid_request_error" => 400,
            "authentication_error" => 401,
            "billing_error" => 402,
            "permission_error" => 403,
            "not_found_error" => 404,
            "request_too_large" => 413,
            "rate_limit_error" => 429,
            "timeout_error" => 504,
            "overloaded_error" => 529,
            _ => return None,
        })
    });
    match status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => refused(&with(status, Bytes::copy_from_slice(data))),
        None => refusal::in_stream(data),
    }
}

fn with(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

fn with_status(answer: &Response<Bytes>, status: StatusCode) -> Error {
    let mut answer = answer.clone();
    *answer.status_mut() = status;
    refusal::classify(&answer)
}

/// `OpenAI`'s callers know the type of a wrong request, whatever is wrong with it.
fn absent(answer: &Response<Bytes>) -> Error {
    #[derive(Serialize)]
    struct Untyped<'a> {
        error: Message<'a>,
    }
    #[derive(Serialize)]
    struct Message<'a> {
        message: &'a str,
    }
    match serde_json::from_slice::<Envelope<'_>>(answer.body()) {
        Ok(Envelope { error }) if error.r#type == "not_found_error" => {
            let untyped = Untyped { error: Message { message: &error.message } };
            let body = serde_json::to_vec(&untyped).unwrap_or_default();
            refusal::classify(&with(answer.status(), body.into()))
        }
        _ => refusal::classify(answer),
    }
}
