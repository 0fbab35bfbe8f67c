//! The operators' API: what it shows, what it changes, and whom it hears.

#![cfg(test)]

mod changes;
mod heard;
mod seen;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use futures::future::join_all;
use jairouter_tests::answer::Answer;
use jairouter_tests::client::{RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, UNPROBED};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Sleep};
use jairouter_tests::upstream::{Upstream, event_stream, json};
use jairouter_tests::{PATIENCE, chat, token};
use serde_json::{Value, json as value};
use tokio::time::timeout;

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;
const TOKEN: &str = "canary-operators-token";

fn file(management: &str, urls: &[String]) -> String {
    let mut yaml = format!(
        "# The lab's.\nserver: {{ port: 0, log: {{ format: json }} }}\nmanagement:\n  server: {{ port: 0{management} }}\n\
         model:\n{UNPROBED}  load-balance: {{ type: round-robin }}\n  services:\n    chat:  # all of it\n      instances:\n"
    );
    for (nth, url) in urls.iter().enumerate() {
        let instance = format!(
            "        - name: m  # number {nth}\n          instance-id: i{nth}\n          base-url: {url}\n          \
             headers: {{ x-secret: canary-upstream-secret }}\n"
        );
        yaml.push_str(&instance);
    }
    yaml
}

/// Asks the API, and returns the status and what it said.
async fn call(gateway: &Gateway, method: &str, path: &str, body: &str) -> (u16, Value) {
    call_with(gateway, method, path, body, "").await
}

async fn call_with(
    gateway: &Gateway,
    method: &str,
    path: &str,
    body: &str,
    headers: &str,
) -> (u16, Value) {
    let answer = raw(gateway, method, path, body, headers).await;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    assert_eq!(said["success"], value!(answer.status < 300), "{path}: {}", answer.text());
    assert_eq!(said["errorCode"].is_string(), answer.status >= 300, "{path}: {said}");
    assert!(said["message"].is_string() && said["timestamp"].is_string(), "{said}");
    (answer.status, said)
}

async fn raw(gateway: &Gateway, method: &str, path: &str, body: &str, headers: &str) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    ask(gateway.operators(), head).await
}

async fn ask_model(gateway: &Gateway, model: &str) -> u16 {
    ask(gateway.address(), post(CHAT, &chat(model, false))).await.status
}

async fn engine() -> Upstream {
    Upstream::answering(json("200 OK", ANSWER)).await
}
