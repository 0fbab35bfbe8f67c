//! What is said when there is nothing else.

mod chat;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use super::FALLBACK;
use crate::body::Body;
use crate::request::InferenceRequest;

/// An answer that is always there, decided on in advance.
///
/// Use [`text`](Self::text) when people read it: whatever was asked for, a stream or not, it comes as
/// an SDK expects it. Use [`raw`](Self::raw) for another endpoint, or for an error of your own words.
/// Without either the caller gets the error itself, which says more to a program.
///
/// ```
/// use http::StatusCode;
/// use jairouter_core::fallback::CannedAnswer;
///
/// let people = CannedAnswer::text("The model is being replaced. Please try again at ten.");
/// let programs = CannedAnswer::raw("application/json", r#"{"error":{"message":"At ten."}}"#)?
///     .with_status(StatusCode::SERVICE_UNAVAILABLE)?;
/// # Ok::<(), jairouter_core::fallback::InvalidAnswer>(())
/// ```
#[derive(Debug, Clone)]
pub struct CannedAnswer {
    status: StatusCode,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Text(Box<str>),
    Raw { content_type: HeaderValue, body: Bytes },
}

/// Why a canned answer could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAnswer {
    /// The status has no body, is a redirect, or is none of a text's, which is always a success.
    #[error("an answer cannot have this status")]
    Status,
    /// The content type is not one.
    #[error("the content type is not of the form type/subtype")]
    ContentType,
    /// The content type is JSON, the body is not.
    #[error("the body is not the JSON that its content type says it is")]
    Json,
}

impl CannedAnswer {
    /// This text as the assistant's, with status 200: a `chat.completion`, a `text_completion`, or a
    /// stream of their chunks that ends with `[DONE]`. The other endpoints do not answer in text, and
    /// their callers get the error.
    pub fn text(text: impl Into<Box<str>>) -> Self {
        Self { status: StatusCode::OK, content: Content::Text(text.into()) }
    }

    /// These bytes as they are, with status 200, at every endpoint and for streams too.
    ///
    /// # Errors
    ///
    /// If the content type is not one, or is `application/json` and the body is not.
    pub fn raw(content_type: &str, body: impl Into<Bytes>) -> Result<Self, InvalidAnswer> {
        let (body, media_type) = (body.into(), content_type.split(';').next().unwrap_or_default());
        let is_token =
            |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        let form = media_type.trim().split_once('/');
        if !form.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype)) {
            return Err(InvalidAnswer::ContentType);
        }
        let is_json = media_type.trim().eq_ignore_ascii_case("application/json");
        if is_json && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            return Err(InvalidAnswer::Json);
        }
        let content_type =
            HeaderValue::from_str(content_type).map_err(|_| InvalidAnswer::ContentType)?;
        Ok(Self { status: StatusCode::OK, content: Content::Raw { content_type, body } })
    }

    /// The same answer with another status.
    ///
    /// # Errors
    ///
    /// If it is not one of 200 to 299 or 400 to 599 that has a body, or for a text not a success.
    pub fn with_status(mut self, status: StatusCode) -> Result<Self, InvalidAnswer> {
        let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        let is_failure = status.is_client_error() || status.is_server_error();
        let is_fit = match self.content {
            Content::Text(_) => status.is_success(),
            Content::Raw { .. } => status.is_success() || is_failure,
        };
        if !has_body || !is_fit {
            return Err(InvalidAnswer::Status);
        }
        self.status = status;
        Ok(self)
    }

    /// The answer to this request, if it is one.
    pub(in crate::fallback) fn answer(&self, request: &InferenceRequest) -> Option<Response<Body>> {
        let (content_type, body) = match &self.content {
            Content::Raw { content_type, body } => (content_type.clone(), body.clone()),
            Content::Text(text) => {
                let body = chat::write(request, text)?;
                let stream = if request.stream { "text/event-stream" } else { "application/json" };
                (HeaderValue::from_static(stream), body)
            }
        };
        let is_stream = content_type.as_bytes().starts_with(b"text/event-stream");
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(FALLBACK, HeaderValue::from_static("default"));
        if is_stream {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        Some(answer)
    }
}
