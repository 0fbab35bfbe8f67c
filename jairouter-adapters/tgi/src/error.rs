//! Errors in a 200.

use bytes::Bytes;
use http::{Response, StatusCode};
use jairouter_core::{Error, refusal};
use jairouter_openai::refusals;
use serde::Deserialize;

/// `{"error":"text","error_type":"validation"}`, or `{"error":{"message","http_status_code"}}`: as if
/// it had come with the status it should have.
pub(crate) fn in_stream(data: &[u8]) -> Error {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Told {
        Native { error: String, error_type: String },
        OpenAi { error: Inner },
    }
    #[derive(Deserialize)]
    struct Inner {
        message: String,
        http_status_code: u16,
    }
    let (message, status) = match serde_json::from_slice(data) {
        Ok(Told::Native { error, error_type }) => (error, of_type(&error_type)),
        Ok(Told::OpenAi { error: Inner { message, http_status_code } }) => {
            (message, http_status_code)
        }
        Err(_) => return refusal::in_stream(data),
    };
    let body = Bytes::from(serde_json::json!({ "error": message }).to_string());
    let mut answer = Response::new(body);
    match StatusCode::from_u16(status) {
        Ok(status) if status.as_u16() >= 400 => *answer.status_mut() = status,
        _ => *answer.status_mut() = StatusCode::BAD_GATEWAY,
    }
    refusals::refusal(&answer)
}

/// The statuses that TGI gives these elsewhere.
fn of_type(error_type: &str) -> u16 {
    match error_type {
        "validation" | "template_error" | "tool_error" => 422,
        "generation" => 424,
        "overloaded" => 429,
        _ => 500,
    }
}
