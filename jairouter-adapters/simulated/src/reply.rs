//! Replies in one piece.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use jairouter_core::Body;
use serde_json::json;

use crate::ask::Fault;

pub(crate) fn json(body: impl Into<Bytes>) -> Response<Body> {
    of_type("application/json", body.into().into())
}

pub(crate) fn of_type(media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The request is at fault.
pub(crate) fn fault((message, param): Fault) -> Response<Body> {
    refusal(400, message, param, None)
}

pub(crate) fn wrong_method(allowed: &'static str) -> Response<Body> {
    let mut response = refusal(405, "the simulated engine takes another method here", None, None);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// A refusal, in the envelope the API has for it.
pub(crate) fn refusal(
    status: u16,
    message: &str,
    param: Option<&str>,
    code: Option<&str>,
) -> Response<Body> {
    let r#type = match status {
        429 => "requests",
        400..500 => "invalid_request_error",
        _ => "server_error",
    };
    let error = json!({ "message": message, "type": r#type, "param": param, "code": code });
    let mut response = json(json!({ "error": error }).to_string());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == 429 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
