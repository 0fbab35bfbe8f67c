//! The backend, asked and answered.

use bytes::Bytes;
use futures::executor::block_on;
use futures::stream;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, StreamBody};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest};
use jairouter_gemini::Gemini;
use serde_json::{Value, json};

/// A question with these fields, beside the model and something to answer.
pub(crate) fn question(endpoint: Endpoint, more: &Value) -> InferenceRequest {
    let messages = json!([{"role": "user", "content": "x"}]);
    let mut ask = json!({"model": "m", "messages": messages, "input": "x"});
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    InferenceRequest::new(endpoint, HeaderMap::new(), ask.to_string().into()).unwrap()
}

/// The whole answer, and the error it ended with.
pub(crate) fn decoded(request: &InferenceRequest, pieces: &[Bytes]) -> (String, Option<Error>) {
    let kind = if request.stream { "text/event-stream" } else { "application/json" };
    let frames: Vec<_> =
        pieces.iter().cloned().map(http_body::Frame::data).map(Ok::<_, Error>).collect();
    let answer = Response::builder()
        .header("content-type", kind)
        .header("content-length", "7")
        .body(Body::new(StreamBody::new(stream::iter(frames))))
        .unwrap();
    let answer = Gemini::new().decode(request, answer);
    assert!(answer.headers().get("content-length").is_none(), "it was true of the old body");
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

/// The events of a stream; the last may be `[DONE]`, which is a text.
pub(crate) fn events(stream: &str) -> Vec<Value> {
    let events = stream.split_terminator("\n\n").map(|event| {
        let data = event.strip_prefix("data: ").unwrap();
        assert!(!data.contains('\n'), "one line each: {event}");
        if data == "[DONE]" { json!(data) } else { serde_json::from_str(data).unwrap() }
    });
    events.collect()
}

/// The deltas of a stream's first choice.
pub(crate) fn deltas(stream: &str) -> Vec<Value> {
    let chunks = events(stream).into_iter().filter(|chunk| chunk["choices"][0].is_object());
    chunks.map(|mut chunk| chunk["choices"][0]["delta"].take()).collect()
}
