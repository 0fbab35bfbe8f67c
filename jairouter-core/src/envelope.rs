//! [`Error`] in the words of the OpenAI API: as a response, and as an event in a stream.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Attempt, Error, Kind};
use crate::rate_limit;

/// Tells the official SDKs whether to ask again.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// When to come back if nobody has said: a caller that is told nothing comes back at once.
const LATER: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Envelope<'a> {
    error: Fields<'a>,
}

/// All four keys are always there: the official SDKs read them without asking.
#[derive(Serialize)]
struct Fields<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attempts: &'a [Attempted<'a>],
}

/// One of `error.attempts`.
#[derive(Serialize)]
struct Attempted<'a> {
    instance: &'a str,
    error: &'a str,
    milliseconds: u64,
}

impl<'a> Attempted<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        let milliseconds = attempt.took.as_millis() as u64;
        Self { instance: &attempt.instance, error: attempt.kind.code(), milliseconds }
    }
}

/// `{"error":{"message":…,"type":…,"param":…,"code":…}}` for this error, or the instance's own
/// envelope where that is what the caller gets: unchanged, unless it is to list the attempts.
pub fn body(error: &Error) -> Bytes {
    let attempts: Vec<_> = error.told_attempts().iter().map(Attempted::of).collect();
    match error.answer() {
        Some(envelope) => with_attempts(envelope, &attempts).unwrap_or_else(|| envelope.clone()),
        None => {
            let code = Some(error.code());
            envelope(error.message(), type_of(error), error.param(), code, &attempts)
        }
    }
}

/// An instance's own envelope with these attempts, if there are any and it has a place for them.
fn with_attempts(envelope: &[u8], attempts: &[Attempted<'_>]) -> Option<Bytes> {
    if attempts.is_empty() {
        return None;
    }
    let mut root: Map<String, Value> = serde_json::from_slice(envelope).ok()?;
    let error = root.get_mut("error")?.as_object_mut()?;
    error.insert("attempts".into(), serde_json::to_value(attempts).ok()?);
    serde_json::to_vec(&root).ok().map(Bytes::from)
}

/// The response a caller gets for this error.
pub fn response(error: &Error) -> Response<Bytes> {
    let mut response = Response::new(body(error));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let is_for_later =
        matches!(error.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if let Some(after) = error.retry_after().or(is_for_later.then_some(LATER)) {
        rate_limit::retry_after_headers(headers, after);
    }
    // What was asked of several in vain, the official SDKs would ask of as many again for each of
    // their own retries.
    if error.attempts().len() > 1 {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(quota) = error.quota() {
        rate_limit::quota_headers(headers, quota);
    }
    response
}

/// The last event of a stream that failed after its first token: `data: {"error":…}`.
pub fn event(error: &Error) -> Bytes {
    let body = body(error);
    let mut event = BytesMut::with_capacity(body.len() + 8);
    event.put_slice(b"data: ");
    // An instance's own envelope may be pretty-printed, and a line break would end the field.
    event.extend(body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    event.put_slice(b"\n\n");
    event.freeze()
}

/// Writes an envelope from its parts.
pub(crate) fn write(message: &str, r#type: &str, param: Option<&str>, code: Option<&str>) -> Bytes {
    envelope(message, r#type, param, code, &[])
}

fn envelope(
    message: &str,
    r#type: &str,
    param: Option<&str>,
    code: Option<&str>,
    attempts: &[Attempted<'_>],
) -> Bytes {
    let envelope = Envelope { error: Fields { message, r#type, param, code, attempts } };
    // Writing strings to memory cannot fail.
    serde_json::to_vec(&envelope).map(Bytes::from).unwrap_or_default()
}

/// `error.type`, which the SDKs print and some callers switch on.
fn type_of(error: &Error) -> &'static str {
    match error.quota() {
        Some(quota) => rate_limit::error_type(quota.unit),
        None => type_of_status(error.kind(), error.status()),
    }
}

pub(crate) fn type_of_status(kind: Kind, status: StatusCode) -> &'static str {
    match kind {
        Kind::RateLimited => "requests",
        _ if status == StatusCode::TOO_MANY_REQUESTS => "requests",
        _ if status.is_client_error() => "invalid_request_error",
        _ => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;
    use serde_json::json;

    use super::*;

    #[test]
    fn all_four_keys_are_always_there() {
        let error = Error::new(Kind::NoModel, "no model \"x\"").with_param("model");
        let value: Value = serde_json::from_slice(&body(&error)).unwrap();
        let expected = json!({"error": {
            "message": "no model \"x\"", "type": "invalid_request_error",
            "param": "model", "code": "model_not_found",
        }});
        assert_eq!(value, expected);
        let value: Value =
            serde_json::from_slice(&body(&Error::new(Kind::Internal, "oops"))).unwrap();
        assert_eq!(value["error"]["param"], Value::Null);
    }

    #[test]
    fn retry_after_is_whole_seconds_rounded_up_and_never_zero() {
        for (millis, seconds) in [(1, "1"), (1000, "1"), (1001, "2"), (0, "1")] {
            let error =
                Error::new(Kind::Busy, "busy").with_retry_after(Duration::from_millis(millis));
            assert_eq!(response(&error).headers()[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn an_answer_for_later_says_when() {
        let bare = Error::new(Kind::Busy, "busy").with_status(StatusCode::TOO_MANY_REQUESTS);
        for (error, millis) in [
            (bare, Some("1000")),
            (Error::new(Kind::Busy, "x"), Some("1000")),
            (Error::new(Kind::NoInstance, "x"), Some("1000")),
            (
                Error::new(Kind::Failed, "x").with_status(StatusCode::SERVICE_UNAVAILABLE),
                Some("1000"),
            ),
            (Error::new(Kind::Busy, "x").with_retry_after(Duration::from_secs(7)), Some("7000")),
            (Error::new(Kind::Failed, "x"), None),
        ] {
            let response = response(&error);
            let headers = response.headers();
            let after = headers.get("retry-after-ms").map(|value| value.to_str().unwrap());
            assert_eq!(after, millis, "{error:?}");
            assert_eq!(headers.contains_key(RETRY_AFTER), millis.is_some());
        }
    }

    #[test]
    fn an_instance_s_own_envelope_lists_the_attempts_if_they_are_told() {
        let attempts = || vec![Attempt::new("a", Kind::Failed, Duration::from_millis(3))];
        let own = r#"{ "error":{"message":"boom","type":"t","param":null,"code":"c"} }"#;
        let answered = |answer: &'static str, told| {
            let error = Error::new(Kind::Failed, "x").with_answer(answer.into());
            body(&error.with_attempts(attempts(), told))
        };
        assert_eq!(answered(own, false), own, "its very bytes");
        let value: Value = serde_json::from_slice(&answered(own, true)).unwrap();
        let list = json!([{"instance": "a", "error": "upstream_broken", "milliseconds": 3}]);
        let expected = json!({"error": {
            "message": "boom", "type": "t", "param": null, "code": "c", "attempts": list,
        }});
        assert_eq!(value, expected);
        for other in [r#"{"error":"boom"}"#, r#"{"sorry":{}}"#, "[1]", "boom", ""] {
            assert_eq!(answered(other, true), other, "no place for them");
        }
    }

    #[test]
    fn what_was_asked_of_several_in_vain_is_not_to_be_asked_again() {
        let tried = |kind, count: usize| {
            let attempt = Attempt::new("a", kind, Duration::ZERO);
            let error = Error::new(kind, "x").with_attempts(vec![attempt; count], false);
            response(&error).headers().contains_key(SHOULD_RETRY)
        };
        for kind in [Kind::Failed, Kind::Busy, Kind::UpstreamAuth] {
            assert_eq!([0, 1, 2].map(|count| tried(kind, count)), [false, false, true], "{kind:?}");
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_the_instance_wrote() {
        let error = Error::new(Kind::Failed, "x")
            .with_answer(Bytes::from_static(b"{\n  \"error\": {\r\n\"message\": \"m\"}}"));
        let event = event(&error);
        assert!(event.ends_with(b"}\n\n"));
        assert_eq!(event.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count(), 2);
    }
}
