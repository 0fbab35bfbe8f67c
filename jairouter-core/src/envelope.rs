//! [`Error`] in the words of the OpenAI API, or of Anthropic's where that is asked: as a response, and
//! as an event in a stream.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::endpoint::{Endpoint, Words};
use crate::error::{Attempt, Error, Kind};
use crate::translate::Events;
use crate::{rate_limit, refusal};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
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
            let (message, r#type) = (error.message(), type_of(error));
            let (param, code) = (error.param(), Some(error.code()));
            let request_id = error.request_id();
            envelope(Fields { message, r#type, param, code, request_id, attempts: &attempts })
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

/// `{"type":"error","error":{"type":…,"message":…}}` for this error.
fn anthropic(error: &Error) -> Bytes {
    let told: Option<Value> = error.answer().and_then(|answer| serde_json::from_slice(answer).ok());
    let message = told.as_ref().and_then(|told| told["error"]["message"].as_str());
    let r#type = match error.status().as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    };
    let error_id = error.request_id();
    let error = json!({"type": r#type, "message": message.unwrap_or(error.message())});
    let mut envelope = json!({"type": "error", "error": error});
    if let Some(id) = error_id {
        envelope["request_id"] = id.into();
    }
    envelope.to_string().into()
}

/// The response a caller gets for this error.
pub fn response(error: &Error) -> Response<Bytes> {
    with_body(error, body(error))
}

/// The same in the words of what was asked.
pub fn response_to(endpoint: Endpoint, error: &Error) -> Response<Bytes> {
    match endpoint.words() {
        Words::Anthropic => with_body(error, anthropic(error)),
        Words::OpenAi | Words::Responses => response(error),
    }
}

fn with_body(error: &Error, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
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
    rate_limit::quota_headers(headers, error.quota().into_iter());
    response
}

/// The last event of a stream that failed after its first token: `data: {"error":…}`.
pub fn event(error: &Error) -> Bytes {
    write_event(b"data: ", &body(error))
}

/// The same in the words of what was asked, and as the event of this number where they are numbered.
pub fn event_of(endpoint: Endpoint, number: u64, error: &Error) -> Bytes {
    match endpoint.words() {
        Words::OpenAi => event(error),
        Words::Anthropic => write_event(b"event: error\ndata: ", &anthropic(error)),
        Words::Responses => {
            let told: Value = serde_json::from_slice(&body(error)).unwrap_or_default();
            let [message, param, code] =
                ["message", "param", "code"].map(|key| &told["error"][key]);
            let event = json!({
                "type": "error", "message": message, "param": param, "code": code,
                "sequence_number": number,
            });
            write_event(b"event: error\ndata: ", event.to_string().as_bytes())
        }
    }
}

/// An engine's own error event, in the words of what was asked.
pub(crate) fn relayed(endpoint: Endpoint, event: &[u8]) -> Bytes {
    let mut told = None;
    if endpoint.words() == Words::OpenAi {
        let read = Events::default().push(event, |message| {
            if !message.data.is_empty() {
                told = Some(self::event(&refusal::in_stream(message.data)));
            }
            Ok(())
        });
        debug_assert!(read.is_ok(), "it has been read before");
    }
    told.unwrap_or_else(|| Bytes::copy_from_slice(event))
}

fn write_event(before: &[u8], body: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(before.len() + body.len() + 2);
    event.put_slice(before);
    // An instance's own envelope may be pretty-printed, and a line break would end the field.
    event.extend(body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    event.put_slice(b"\n\n");
    event.freeze()
}

/// Writes an envelope from its parts.
pub(crate) fn write(message: &str, r#type: &str, param: Option<&str>, code: Option<&str>) -> Bytes {
    envelope(Fields { message, r#type, param, code, request_id: None, attempts: &[] })
}

fn envelope(error: Fields<'_>) -> Bytes {
    // Writing strings to memory cannot fail.
    serde_json::to_vec(&Envelope { error }).map(Bytes::from).unwrap_or_default()
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
    fn a_request_s_id_is_in_the_gateway_s_own_words_and_never_put_into_an_instance_s() {
        let error = || Error::new(Kind::Busy, "x").with_request_id(HeaderValue::from_static("r1"));
        let said = |endpoint, error: &Error| -> Value {
            serde_json::from_slice(response_to(endpoint, error).body()).unwrap()
        };
        assert_eq!(said(Endpoint::ChatCompletions, &error())["error"]["request_id"], "r1");
        assert_eq!(said(Endpoint::Messages, &error())["request_id"], "r1");
        let own = r#"{"error":{"message":"m"}}"#;
        assert_eq!(body(&error().with_answer(own.into())), own);
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

    #[test]
    fn an_error_is_in_the_words_of_what_was_asked() {
        let error = Error::new(Kind::Busy, "later").with_retry_after(Duration::from_secs(2));
        let messages = response_to(Endpoint::Messages, &error);
        assert_eq!(
            (messages.status().as_u16(), &messages.headers()[RETRY_AFTER]),
            (503, &"2".parse().unwrap())
        );
        let said: Value = serde_json::from_slice(messages.body()).unwrap();
        let expected =
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "later"}});
        assert_eq!(said, expected);
        assert_eq!(response_to(Endpoint::Responses, &error).body(), &body(&error));
        let event = |endpoint| String::from_utf8(event_of(endpoint, 7, &error).to_vec()).unwrap();
        assert!(event(Endpoint::Messages).starts_with("event: error\ndata: {\"error\":{"));
        let response = event(Endpoint::Responses);
        assert!(
            response.contains(r#""type":"error""#) && response.contains(r#""message":"later""#)
        );
        assert_eq!(
            event(Endpoint::ChatCompletions),
            String::from_utf8_lossy(&super::event(&error))
        );
        let told = Error::new(Kind::Rejected, "x")
            .with_answer(r#"{"error":{"message":"too long"}}"#.into());
        let said = String::from_utf8_lossy(&anthropic(&told)).into_owned();
        assert!(said.contains("too long") && said.contains("invalid_request_error"), "{said}");
    }

    #[test]
    fn an_engine_s_own_error_event_is_an_envelope_whatever_it_was() {
        let relayed = |event: &str| {
            String::from_utf8(relayed(Endpoint::ChatCompletions, event.as_bytes()).to_vec())
                .unwrap()
        };
        let own =
            "data: {\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":null}}\n\n";
        assert_eq!(relayed(own), own);
        for other in
            ["data: {\"error\":\"m\"}\r\n\r\n", ": x\nevent: error\ndata: {\"message\":\"m\"}\n\n"]
        {
            let said: Value =
                serde_json::from_str(relayed(other).strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(
                (&said["error"]["message"], &said["error"]["type"]),
                (&json!("m"), &json!("server_error"))
            );
        }
        let event = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"t\",\"message\":\"m\"}}\n\n";
        assert_eq!(super::relayed(Endpoint::Messages, event.as_bytes()), event);
    }
}
