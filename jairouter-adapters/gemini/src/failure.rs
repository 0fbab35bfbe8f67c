//! Gemini's errors, as an answer of their own and inside of others.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use jairouter_core::{Error, refusal};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::native::Text;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Status<'a>,
}

/// A status as all of Google's APIs have it (`google.rpc.Status`).
#[derive(Deserialize)]
struct Status<'a> {
    #[serde(default)]
    code: Option<u16>,
    #[serde(borrow, default)]
    message: Text<'a>,
    #[serde(borrow, default)]
    details: Option<Vec<&'a RawValue>>,
}

/// A detail of any type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    #[serde(borrow, default)]
    reason: Text<'a>,
    #[serde(borrow, default)]
    retry_delay: Text<'a>,
}

impl<'a> Status<'a> {
    /// Reads an envelope, or the list of one that some methods answer with.
    fn read(body: &'a [u8]) -> Option<Self> {
        let envelope = match body.trim_ascii_start().first() {
            Some(b'[') => serde_json::from_slice::<Vec<Envelope<'_>>>(body).ok()?.pop()?,
            _ => serde_json::from_slice::<Envelope<'_>>(body).ok()?,
        };
        Some(envelope.error)
    }

    fn details(&self) -> impl Iterator<Item = Detail<'a>> {
        let details = self.details.iter().flatten();
        details.filter_map(|detail| serde_json::from_str(detail.get()).ok())
    }

    /// A key that is none is a wrong request to Gemini.
    fn is_about_the_key(&self) -> bool {
        self.message.starts_with("API key")
            || self.details().any(|detail| detail.reason.starts_with("API_KEY_"))
    }

    /// When to come back: `"37s"`.
    fn retry_after(&self) -> Option<HeaderValue> {
        self.details().find_map(|detail| detail.retry_delay.strip_suffix('s')?.parse().ok())
    }
}

/// An answer that is an error.
pub(crate) fn refused(answer: &Response<Bytes>) -> Error {
    #[derive(Serialize)]
    struct Bare<'a> {
        error: Message<'a>,
    }
    // Without Google's number, which would be taken for a code.
    #[derive(Serialize)]
    struct Message<'a> {
        message: &'a str,
    }
    let Some(status) = Status::read(answer.body()) else { return refusal::classify(answer) };
    let bare = Bare { error: Message { message: &status.message } };
    let mut bare = Response::new(Bytes::from(serde_json::to_vec(&bare).unwrap_or_default()));
    *bare.status_mut() = match answer.status() {
        StatusCode::BAD_REQUEST if status.is_about_the_key() => StatusCode::UNAUTHORIZED,
        status => status,
    };
    let after = answer.headers().get(RETRY_AFTER).cloned().or_else(|| status.retry_after());
    bare.headers_mut().extend(after.map(|after| (RETRY_AFTER, after)));
    refusal::classify(&bare)
}

/// An error inside of an answer that had begun well. It says which status it would have had.
pub(crate) fn reported(data: &[u8]) -> Error {
    let code = Status::read(data).and_then(|status| status.code);
    match code.and_then(|code| StatusCode::from_u16(code).ok()) {
        Some(status) if status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE => {
            let mut answer = Response::new(Bytes::copy_from_slice(data));
            *answer.status_mut() = status;
            refused(&answer)
        }
        _ => refusal::in_stream(data),
    }
}
