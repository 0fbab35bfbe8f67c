//! What is answered: always in one envelope, and always with an honest status.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

/// The envelope of every answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RouterResponse<T> {
    /// Whether it was done.
    success: bool,
    /// For people.
    message: String,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
    /// What went wrong, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    /// When, in RFC 3339.
    timestamp: String,
}

/// An answer that was asked for.
pub(crate) type Answer<T> = Result<Json<RouterResponse<T>>, Problem>;

/// Nothing beside the message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Nothing {}

/// What is wrong with a configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Errors {
    /// Each with its line and column in the file as it would have been.
    errors: Vec<String>,
}

/// Why something was not done.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    errors: Vec<String>,
}

/// What may be answered instead, anywhere.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it is there for the document that is made of it")]
pub(crate) enum Refusals {
    /// The request, or the configuration that it would make, is wrong.
    #[response(status = 400)]
    Wrong(RouterResponse<Errors>),
    /// The token is not there, or not right.
    #[response(status = 401)]
    Unauthorized(RouterResponse<Errors>),
    /// Nobody but this machine is heard without a token.
    #[response(status = 403)]
    Forbidden(RouterResponse<Errors>),
    /// There is no such thing.
    #[response(status = 404)]
    Unknown(RouterResponse<Errors>),
    /// The file has been changed, or cannot be.
    #[response(status = 409)]
    Conflict(RouterResponse<Errors>),
    /// The body is larger than 1 MiB.
    #[response(status = 413)]
    TooLarge(RouterResponse<Errors>),
    /// Something is wrong with the program.
    #[response(status = 500)]
    Internal(RouterResponse<Errors>),
    /// The program is about to end, or as many watch as may.
    #[response(status = 503)]
    Unavailable(RouterResponse<Errors>),
}

impl<T> RouterResponse<T> {
    pub(crate) fn new(data: T, message: impl Into<String>) -> Self {
        let timestamp = Timestamp::now().to_string();
        let (success, data, error_code) = (true, Some(data), None);
        Self { success, message: message.into(), data, error_code, timestamp }
    }
}

/// This was asked for.
#[allow(clippy::unnecessary_wraps, reason = "a handler ends with it")]
pub(crate) fn answer<T>(data: T, message: impl Into<String>) -> Answer<T> {
    Ok(Json(RouterResponse::new(data, message)))
}

// === impl Problem ===

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), errors: Vec::new() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn no_version(number: u64) -> Self {
        Self::unknown(format!("no version {number} is kept"))
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    /// The configuration would be wrong in these places.
    pub(crate) fn invalid(errors: Vec<String>) -> Self {
        let first = errors.first().map_or(String::new(), |first| format!(": {first}"));
        let message = format!("the configuration would be wrong{first}");
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "invalid_configuration", message) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let data = (!self.errors.is_empty()).then_some(Errors { errors: self.errors });
        let body = RouterResponse {
            success: false,
            message: self.message,
            data,
            error_code: Some(self.code),
            timestamp: Timestamp::now().to_string(),
        };
        let response = (self.status, Json(body));
        match self.status {
            StatusCode::UNAUTHORIZED => ([(WWW_AUTHENTICATE, "Bearer")], response).into_response(),
            _ => response.into_response(),
        }
    }
}
