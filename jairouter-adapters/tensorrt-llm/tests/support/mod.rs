//! The backend, asked and answered.

use bytes::Bytes;
use futures::executor::block_on;
use futures::stream;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, StreamBody};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest};
use jairouter_tensorrt_llm::TensorRtLlm;
use serde_json::Value;

pub(crate) fn request(endpoint: Endpoint, payload: impl Into<Bytes>) -> InferenceRequest {
    InferenceRequest::new(endpoint, HeaderMap::new(), payload.into()).unwrap()
}

/// A question of which only the model and these fields matter.
pub(crate) fn question(endpoint: Endpoint, more: &Value) -> InferenceRequest {
    let mut fields = more.as_object().unwrap().clone();
    fields.insert("model".into(), "m".into());
    request(endpoint, Value::from(fields).to_string())
}

/// The whole answer, and the error it ended with.
#[allow(dead_code, reason = "some only ask")]
pub(crate) fn decoded(request: &InferenceRequest, pieces: &[&str]) -> (String, Option<Error>) {
    let pieces: Vec<_> = pieces.iter().map(|piece| Bytes::from((*piece).to_owned())).collect();
    let frames = pieces.into_iter().map(|piece| Ok::<_, Error>(http_body::Frame::data(piece)));
    let answer = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
    let mut body = TensorRtLlm::new().decode(request, answer).into_body();
    let mut seen = Vec::new();
    let error = loop {
        match block_on(body.frame()) {
            None => break None,
            Some(Ok(frame)) => seen.extend_from_slice(frame.data_ref().unwrap()),
            Some(Err(error)) => break Some(error),
        }
    };
    (String::from_utf8(seen).unwrap(), error)
}
