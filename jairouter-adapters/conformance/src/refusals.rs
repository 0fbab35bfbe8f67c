//! Errors in all shapes of the field, and what is no error at all.

use bytes::Bytes;
use http::{Response, StatusCode};
use jairouter_core::{Backend, Endpoint, Kind, Route, envelope};
use serde_json::Value;

use crate::check::any_form;
use crate::play::request;
use crate::verdict::Verdict;

/// What engines, their frameworks and the proxies before them send with an error.
const SHAPES: [(&str, &str); 13] = [
    ("envelope", r#"{"error":{"message":"boom","type":"t","param":null,"code":"c"}}"#),
    ("envelope with a number", r#"{"error":{"message":"boom","type":"t","code":500}}"#),
    ("text in error", r#"{"error":"boom","error_type":"t"}"#),
    ("flat", r#"{"object":"error","message":"boom","type":"t","param":null,"code":400}"#),
    ("detail", r#"{"detail":"boom"}"#),
    ("list of details", r#"{"detail":[{"loc":["body"],"msg":"boom","type":"missing"}]}"#),
    ("reason", r#"{"code":401,"reason":"Unauthorized","message":"boom"}"#),
    ("typed", r#"{"type":"error","error":{"type":"t","message":"boom"},"request_id":"r"}"#),
    ("text", "boom"),
    ("page", "<html><body>502 Bad Gateway</body></html>"),
    ("nothing", ""),
    ("half", r#"{"error":{"mess"#),
    ("no text", "\u{0}\u{1}\u{fffd}"),
];

const STATUSES: [(u16, Option<Kind>); 12] = [
    (400, Some(Kind::Rejected)),
    (401, Some(Kind::UpstreamAuth)),
    (403, Some(Kind::UpstreamAuth)),
    (404, Some(Kind::ModelAbsent)),
    (413, None),
    (422, None),
    (424, None),
    (429, Some(Kind::Busy)),
    (500, None),
    (502, None),
    (503, None),
    (529, None),
];

/// Whether every shape of error, with every status, is of every endpoint that the backend offers an
/// envelope with a status of 400 or above that blames nobody who is not to blame.
pub fn check_refusals(backend: &impl Backend) -> Verdict {
    let mut verdict = Verdict::default();
    for &endpoint in Endpoint::ALL {
        if backend.path(&Route::new(endpoint, "m", false)).is_some() {
            check_endpoint(backend, endpoint, &mut verdict);
        }
    }
    verdict
}

fn check_endpoint(backend: &impl Backend, endpoint: Endpoint, verdict: &mut Verdict) {
    let payload = match endpoint.is_multipart() {
        true => any_form(false),
        false => Bytes::from_static(br#"{"model":"m","messages":[],"input":"","prompt":""}"#),
    };
    let asked = request(endpoint, payload).expect("it names a model");
    for (status, kind) in STATUSES {
        for (shape, body) in SHAPES {
            let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            let error = backend.refusal(&asked, &answer);
            let mut wrong = Vec::new();
            // What a message says may make it more exact, as of a model that is absent.
            if let Some(kind) = kind
                && error.kind() != kind
                && error.kind() != Kind::ModelAbsent
            {
                wrong.push(format!("it is {:?} and should be {kind:?}", error.kind()));
            }
            if error.status().as_u16() < 400 {
                wrong.push(format!("its status is {}", error.status()));
            }
            let said: Value =
                serde_json::from_slice(&envelope::body(&error)).unwrap_or(Value::Null);
            let is_text = |key: &str| said["error"][key].as_str().is_some_and(|it| !it.is_empty());
            let has =
                |key: &str| said["error"].get(key).is_some_and(|it| it.is_null() || is_text(key));
            if !(is_text("message") && is_text("type") && has("param") && has("code")) {
                wrong.push(format!("it is no envelope: {said}"));
            }
            verdict.add(&format!("{endpoint}: {status} with {shape}"), wrong);
        }
    }
}
