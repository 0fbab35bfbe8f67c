//! An instance's refusal, in any of the shapes of the field, as an [`Error`] in OpenAI's words.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::envelope;
use crate::error::{Error, Kind};

/// The longest cool-down an instance can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The longest plain text taken over as a message, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// The default of [`Backend::refusal`](crate::Backend::refusal).
pub fn classify(answer: &Response<Bytes>) -> Error {
    let status = answer.status();
    let fields = Fields::read(answer.body());
    let mut kind = Kind::of_status(status).unwrap_or(Kind::Broken);
    if status == StatusCode::SERVICE_UNAVAILABLE
        && (answer.headers().contains_key(RETRY_AFTER) || fields.says_busy())
    {
        kind = Kind::Busy;
    }
    let error = match kind {
        // It is our key that is wrong, and the text may hold part of it.
        Kind::UpstreamAuth => {
            return Error::new(kind, "the instance refused the gateway's credentials");
        }
        Kind::Broken => return Error::new(kind, format!("the instance answered {status}")),
        Kind::ModelAbsent => Error::new(kind, "the instance does not have the model"),
        _ => Error::new(kind, format!("the instance answered {status}")),
    };
    let error = match retry_after(answer.headers()) {
        Some(after) => error.with_retry_after(after),
        None => error,
    };
    error.with_status(outward(status)).with_answer(fields.envelope(kind, status, answer.body()))
}

/// An error an instance sent as an event of a stream that had answered 200.
///
/// Some engines put the status that it would have been into `code`, and Anthropic's API a word for it
/// into `type`.
pub fn in_stream(data: &[u8]) -> Error {
    let body = Bytes::copy_from_slice(data);
    let fields = Fields::read(&body);
    let status = match fields.r#type.as_deref() {
        Some("overloaded_error") => StatusCode::from_u16(529).ok(),
        Some("rate_limit_error") => Some(StatusCode::TOO_MANY_REQUESTS),
        _ => fields.code.as_deref().and_then(|code| code.parse::<StatusCode>().ok()),
    };
    match status {
        Some(status) if status.is_client_error() || status.as_u16() == 529 => {
            let mut answer = Response::new(body);
            *answer.status_mut() = status;
            classify(&answer)
        }
        _ => Error::new(Kind::Broken, "the instance reported an error in its stream")
            .with_answer(fields.envelope(Kind::Broken, StatusCode::BAD_GATEWAY, &body)),
    }
}

/// Overloaded by any other number is still 503, and a dependency's failure is a bad gateway.
fn outward(status: StatusCode) -> StatusCode {
    match status.as_u16() {
        529 => StatusCode::SERVICE_UNAVAILABLE,
        424 | 499 => StatusCode::BAD_GATEWAY,
        _ => status,
    }
}

/// `Retry-After` in seconds (a fraction is allowed, as some engines send one) or as an HTTP date,
/// never longer than a minute; anything else is not there.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let after = if let Ok(seconds) = value.parse::<f64>() {
        if !seconds.is_finite() || seconds < 0.0 {
            return None;
        }
        Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_RETRY_AFTER)
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(std::time::SystemTime::now()).unwrap_or_default()
    };
    Some(after.min(LONGEST_RETRY_AFTER))
}

/// What could be read of a refusal.
#[derive(Default)]
struct Fields<'a> {
    message: Cow<'a, str>,
    r#type: Option<String>,
    param: Option<String>,
    code: Option<String>,
    /// Whether the body is the envelope already, so that its bytes may pass.
    exact: bool,
}

impl<'a> Fields<'a> {
    fn read(body: &'a [u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(mut root)) => {
                if let Some(Value::Object(error)) =
                    root.get("response").and_then(|response| response.get("error"))
                {
                    return Self::of(error);
                }
                if let Some(Value::Object(error)) = root.get("error") {
                    let exact = error.get("message").is_some_and(Value::is_string)
                        && error.get("type").is_some_and(Value::is_string)
                        && ["param", "code"].map(|key| error.get(key)).iter().all(|value| {
                            value.is_some_and(|value| value.is_string() || value.is_null())
                        });
                    return Self { exact, ..Self::of(error) };
                }
                match root.remove("error").or_else(|| root.remove("detail")) {
                    Some(Value::String(text)) => Self::text(text.into()),
                    Some(other) => Self::text(other.to_string().into()),
                    None => Self::of(&root),
                }
            }
            _ => Self::text(String::from_utf8_lossy(body)),
        }
    }

    fn of(object: &serde_json::Map<String, Value>) -> Self {
        let text = |key: &str| match object.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        Self {
            message: text("message").unwrap_or_default().into(),
            r#type: text("type"),
            param: text("param"),
            code: text("code"),
            exact: false,
        }
    }

    fn text(text: Cow<'a, str>) -> Self {
        let end = text.floor_char_boundary(LONGEST_MESSAGE);
        let message = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text[..end].trim()),
            Cow::Owned(text) => Cow::Owned(text[..end].trim().to_owned()),
        };
        Self { message, ..Self::default() }
    }

    fn says_busy(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        ["busy", "overloaded", "too many", "queue is full"]
            .iter()
            .any(|word| message.contains(word))
    }

    fn envelope(&self, kind: Kind, status: StatusCode, body: &Bytes) -> Bytes {
        // Whatever an engine calls it, callers know it by one name.
        let is_absent = kind == Kind::ModelAbsent;
        if self.exact && (!is_absent || self.code.as_deref() == Some(kind.code())) {
            return body.clone();
        }
        let message = match &*self.message {
            "" => Cow::Owned(format!("the instance answered {status}")),
            message => Cow::Borrowed(message),
        };
        let fallback_type = envelope::type_of_status(kind, outward(status));
        let code = match kind {
            Kind::ModelAbsent => Some(kind.code()),
            Kind::Busy => self.code.as_deref().or(Some(kind.code())),
            _ => self.code.as_deref(),
        };
        envelope::write(
            &message,
            self.r#type.as_deref().unwrap_or(fallback_type),
            self.param.as_deref(),
            code,
        )
    }
}

/// The default of [`Backend::model_names`](crate::Backend::model_names).
pub(crate) fn model_names(body: &[u8]) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        id: String,
    }
    let list: List = serde_json::from_slice(body).map_err(|error| {
        Error::new(Kind::Broken, "the instance's model list is not a list of models")
            .with_source(error)
    })?;
    Ok(list.data.into_iter().map(|model| model.id).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(status: u16, body: &str) -> Error {
        let answer = Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap();
        classify(&answer)
    }

    fn envelope(error: &Error) -> Value {
        serde_json::from_slice::<Value>(&envelope::body(error)).unwrap()["error"].take()
    }

    // fault: U20
    #[test]
    fn an_envelope_passes_byte_for_byte() {
        let body = r#"{ "error": {"message":"no","type":"t","param":null,"code":"c","x":1.0} }"#;
        let error = refusal(422, body);
        assert_eq!(error.kind(), Kind::Rejected);
        assert_eq!(error.status(), 422);
        assert_eq!(envelope::body(&error), body);
    }

    #[test]
    fn every_shape_of_the_field_becomes_the_envelope() {
        let shapes = [
            r#"{"error":"text"}"#,
            r#"{"detail":"text"}"#,
            r#"{"object":"error","message":"text","type":"","param":null,"code":400}"#,
            r#"{"error":{"message":"text","code":400}}"#,
            "text\n",
        ];
        for shape in shapes {
            let envelope = envelope(&refusal(400, shape));
            assert_eq!(envelope["message"], "text", "{shape}");
            assert_eq!(envelope["type"], "invalid_request_error", "{shape}");
            assert!(envelope["code"].is_string() || envelope["code"].is_null(), "{shape}");
        }
        assert_eq!(
            envelope(&refusal(500, "")),
            json!({
                "message": "the instance answered 500 Internal Server Error",
                "type": "server_error", "param": null, "code": null,
            })
        );
    }

    // fault: U18
    #[test]
    fn an_instance_that_refuses_our_key_is_a_bad_gateway_and_its_text_stays_here() {
        for status in [401, 403] {
            let error = refusal(status, r#"{"error":{"message":"Incorrect key sk-secret"}}"#);
            assert_eq!(error.status(), 502);
            assert_eq!(error.code(), "upstream_auth_failed");
            assert!(!String::from_utf8_lossy(&envelope::body(&error)).contains("secret"));
        }
    }

    #[test]
    fn a_server_that_says_busy_is_busy_and_not_broken() {
        let ollama =
            r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#;
        assert_eq!(refusal(503, ollama).kind(), Kind::Busy);
        assert_eq!(refusal(503, "loading model").kind(), Kind::Failed);
        assert_eq!(refusal(429, "{}").kind(), Kind::Busy);
        assert_eq!(refusal(429, "{}").status(), 429);
        assert_eq!(refusal(529, "{}").status(), 503);
    }

    // fault: U17
    #[test]
    fn retry_after_is_bounded_and_nonsense_is_absent() {
        let parse = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers)
        };
        let table = [
            ("0", Some(0)),
            ("7", Some(7)),
            ("1000000000", Some(60)),
            ("1e300", Some(60)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(60)),
        ];
        for (value, seconds) in table {
            assert_eq!(parse(value), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(parse("1.5"), Some(Duration::from_millis(1500)));
        for nonsense in ["", "-1", "NaN", "inf", "soon", "0x10"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}
