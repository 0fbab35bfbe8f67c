//! The backend, asked and answered.

use bytes::Bytes;
use futures::executor::block_on;
use futures::stream;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, StreamBody};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest};
use jairouter_triton::{Dialect, Settings, Template, Triton};
use serde_json::{Value, json};

pub(crate) const DIALECTS: [Dialect; 3] = [Dialect::Ensemble, Dialect::LlmApi, Dialect::Vllm];

pub(crate) fn triton(dialect: Dialect) -> Triton {
    Triton::with(Settings::new(dialect).template(Template::chatml()))
}

/// A question with a prompt or a message, and these fields.
pub(crate) fn question(endpoint: Endpoint, more: &Value) -> InferenceRequest {
    let usual = match endpoint {
        Endpoint::ChatCompletions => json!({"messages": [{"role": "user", "content": "x"}]}),
        Endpoint::Completions => json!({"prompt": "x"}),
        _ => json!({"input": "x"}),
    };
    let mut fields = usual.as_object().unwrap().clone();
    fields.insert("model".into(), "m".into());
    fields.extend(more.as_object().unwrap().clone());
    let payload = Value::from(fields).to_string();
    InferenceRequest::new(endpoint, HeaderMap::new(), payload.into()).unwrap()
}

/// The whole answer, and the error it ended with.
#[allow(dead_code, reason = "some only ask")]
pub(crate) fn decoded(
    triton: &Triton,
    request: &InferenceRequest,
    pieces: &[String],
) -> (String, Option<Error>) {
    let pieces: Vec<_> = pieces.iter().map(|piece| Bytes::from(piece.clone())).collect();
    let frames = pieces.into_iter().map(|piece| Ok::<_, Error>(http_body::Frame::data(piece)));
    let answer = Response::builder()
        .header("content-length", "7")
        .body(Body::new(StreamBody::new(stream::iter(frames))))
        .unwrap();
    let answer = triton.decode(request, answer);
    assert!(answer.headers().get("content-length").is_none(), "it was true of the old body");
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
