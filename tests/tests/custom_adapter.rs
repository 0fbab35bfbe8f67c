//! A framework by configuration alone, and a model by another name, through the real program.

use jairouter_tests::client::{ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Send};
use jairouter_tests::upstream::{Upstream, event_stream, json};
use jairouter_tests::{chat, until};

const CHAT: &str = "/v1/chat/completions";

// fault: A7
#[tokio::test]
async fn an_engine_with_paths_names_and_a_place_for_keys_of_its_own_is_served() {
    let upstream = Upstream::serving(|_, asked| match asked.contains("x-token: Key s3cret\r\n") {
        true => vec![Send(json("200 OK", r#"{"choices":[]}"#))],
        false => vec![Send(json("401 Unauthorized", r#"{"error":"who are you?"}"#))],
    })
    .await;
    let model = format!(
        "  health-check: {{ interval: 300ms, timeout: 200ms }}
  adapter-definitions:
    ours:
      capabilities: [chat]
      auth: {{ header-name: X-Token, header-prefix: Key }}
      additional-headers: {{ X-Team: red }}
      paths: {{ chat/completions: /api/v3/chat, health: /ping }}
      models: {{ m: own-m }}
  services:
    chat:
      instances:
        - {{ name: m, adapter: ours, base-url: '{}', api-key: s3cret }}
",
        upstream.url()
    );
    let gateway = Gateway::start_with("", &model);
    let answer = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"choices":[]}"#));
    let asked = upstream.requests()[0].clone();
    assert!(asked.starts_with("POST /api/v3/chat HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("x-team: red\r\n") && asked.contains(r#""model":"own-m""#), "{asked}");
    assert!(!asked.contains("authorization"), "{asked}");
    until("it is probed", || upstream.requests().len() >= 2).await;
    let probe = upstream.requests()[1].clone();
    assert!(probe.starts_with("GET /ping ") && probe.contains("x-token: Key s3cret"), "{probe}");
    let embeddings = ask(gateway.address(), post("/v1/messages", &chat("m", false))).await;
    assert_eq!(embeddings.status, 200, "a chat model may do what chat models do");
}

#[tokio::test]
async fn an_answer_calls_the_model_as_the_engine_does_or_as_it_was_asked_for() {
    let stream = "data: {\"model\":\"own\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\\"model\\\":\\\"own\\\"\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let whole = r#"{"model": "own","choices":[]}"#;
    let upstream = Upstream::serving(move |_, asked| match asked.contains("\"stream\":true") {
        true => vec![event_stream(), Chunk(stream.into()), LastChunk],
        false => vec![Send(json("200 OK", whole))],
    })
    .await;
    for (policy, name) in [("instance", "own"), ("asked", "m")] {
        let lines = format!("  response-model: {policy}\n");
        let model = model(&lines, &[upstream.url()]).replace("name: m,", "name: m, model: own,");
        let gateway = Gateway::start_with("", &model);
        let say = |stream| ask(gateway.address(), post(CHAT, &chat("m", stream)));
        let answer = say(false).await;
        assert_eq!(answer.text(), whole.replace("own", name));
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        assert!(length.is_none_or(|length: usize| length == answer.text().len()));
        assert_eq!(say(true).await.text(), stream.replacen("own", name, 1));
        assert!(upstream.requests().pop().unwrap().contains(r#""model":"own""#));
    }
}
