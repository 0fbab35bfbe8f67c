//! The backend, asked and answered.

use bytes::Bytes;
use futures::executor::block_on;
use futures::stream;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, StreamBody};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest};
use jairouter_ollama::Ollama;
use serde_json::Value;

pub(crate) fn request(endpoint: Endpoint, payload: impl Into<Bytes>) -> InferenceRequest {
    InferenceRequest::new(endpoint, HeaderMap::new(), payload.into()).unwrap()
}

/// A question of which only the model and whether it is streamed matter.
pub(crate) fn question(endpoint: Endpoint, more: &Value) -> InferenceRequest {
    let mut fields = more.as_object().unwrap().clone();
    fields.insert("model".into(), "m".into());
    request(endpoint, Value::from(fields).to_string())
}

/// The whole answer, and the error it ended with.
pub(crate) fn decoded(request: &InferenceRequest, pieces: Vec<Bytes>) -> (String, Option<Error>) {
    let kind = if request.stream { "application/x-ndjson" } else { "application/json" };
    let frames = pieces.into_iter().map(|piece| Ok::<_, Error>(http_body::Frame::data(piece)));
    let answer = Response::builder()
        .header("content-type", kind)
        .header("content-length", "7")
        .body(Body::new(StreamBody::new(stream::iter(frames))))
        .unwrap();
    let answer = Ollama::new().decode(request, answer);
    assert!(answer.headers().get("content-length").is_none(), "it was true of the old body");
    let kind = if request.stream { "text/event-stream" } else { "application/json" };
    assert_eq!(answer.headers()["content-type"], kind);
    let mut body = answer.into_body();
    let mut seen = Vec::new();
    let error = loop {
        match block_on(body.frame()) {
            None => break None,
            Some(Ok(frame)) => seen.extend_from_slice(frame.data_ref().unwrap()),
            Some(Err(error)) => break Some(error),
        }
    };
    assert!(block_on(body.frame()).is_none(), "an error is the end, too");
    (String::from_utf8(seen).unwrap(), error)
}
