mod budget;
mod chat;
mod embeddings;
mod failures;
mod pages;
mod schema;
mod streams;
mod upstream;
mod url;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use jairouter_core::Payload;
use jairouter_core::{Body, Error};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::Engine;

const CHAT: &str = "/v1/chat/completions";
const HOUR: Duration = Duration::from_secs(3600);

async fn post(engine: &Engine, path: &str, ask: &Value) -> Result<Response<Body>, Error> {
    let request = Request::post(path).body(Payload::from(Bytes::from(ask.to_string()))).unwrap();
    engine.clone().oneshot(request).await
}

/// A question of two words, with more fields.
fn question(more: &Value) -> Value {
    let mut ask = json!({"model": "m", "messages": [{"role": "user", "content": "two words"}]});
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask
}

async fn chat(engine: &Engine, more: &Value) -> Result<Response<Body>, Error> {
    post(engine, CHAT, &question(more)).await
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn value(response: Response<Body>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// The chunks of a stream, which ends properly.
fn chunks(stream: &str) -> Vec<Value> {
    let mut events: Vec<_> = stream.split_terminator("\n\n").collect();
    assert_eq!(events.pop(), Some("data: [DONE]"));
    let data = |event: &str| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
    events.into_iter().map(data).collect()
}

fn said(chunks: &[Value], pointer: &str) -> String {
    chunks.iter().filter_map(|chunk| chunk.pointer(pointer)?.as_str()).collect()
}
