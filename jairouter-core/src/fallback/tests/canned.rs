use http::StatusCode;
use serde_json::{Value, json};

use super::*;

async fn answer(canned: CannedAnswer, endpoint: Endpoint, payload: &'static str) -> Outcome {
    let models = Models::new([("large", down as Does)]);
    let request = InferenceRequest::new(endpoint, HeaderMap::new(), payload.into()).unwrap();
    through(&FallbackLayer::new().answer(canned), &models, request).await
}

/// The events of a stream, but for the id and the time of each.
async fn events(answer: Response<Body>) -> Vec<Value> {
    assert_eq!(answer.headers()[CONTENT_TYPE], SSE);
    let text = text(answer).await;
    let events = text.strip_suffix("data: [DONE]\n\n").expect("a stream ends with [DONE]");
    let data = events.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    let mut events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let id = events[0]["id"].clone();
    for event in &mut events {
        assert_eq!(event["id"], id, "one answer");
        assert!(event["created"].as_u64().unwrap() > 1_700_000_000);
        assert_eq!(event["model"], "large");
    }
    events
}

#[tokio::test(start_paused = true)]
async fn a_text_is_a_chat_completion() {
    let canned = CannedAnswer::text("say \"later\"\n");
    let answer = answer(canned, Endpoint::ChatCompletions, r#"{"model":"large"}"#).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(told(&answer), (Some("default"), None));
    assert_eq!(answer.headers()[CONTENT_TYPE], JSON);
    let value: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(value["object"], "chat.completion");
    assert_eq!(value["model"], "large");
    assert!(value["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(
        value["choices"],
        json!([{
            "index": 0, "logprobs": null, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "say \"later\"\n", "refusal": null},
        }])
    );
    assert_eq!(value["usage"]["total_tokens"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_text_is_a_stream_of_role_content_and_reason_where_one_was_asked_for() {
    let payload = r#"{"model":"large","stream":true}"#;
    let canned = CannedAnswer::text("later");
    let answer = answer(canned, Endpoint::ChatCompletions, payload).await.unwrap();
    assert_eq!(told(&answer), (Some("default"), None));
    let events = events(answer).await;
    let said = |delta: Value, finish: Option<&str>| {
        let mut choice = json!({"index": 0, "logprobs": null, "finish_reason": finish});
        choice["delta"] = delta;
        json!([choice])
    };
    let choices: Vec<_> = events.iter().map(|event| event["choices"].clone()).collect();
    assert_eq!(
        choices,
        [
            said(json!({"role": "assistant", "content": ""}), None),
            said(json!({"content": "later"}), None),
            said(json!({}), Some("stop")),
        ]
    );
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_its_usage_where_it_is_waited_for() {
    let payload = r#"{"model":"large","stream":true,"stream_options":{"include_usage":true}}"#;
    let canned = CannedAnswer::text("later");
    let events = events(answer(canned, Endpoint::ChatCompletions, payload).await.unwrap()).await;
    assert_eq!(events.len(), 4);
    assert_eq!(events[3]["choices"], json!([]));
    assert_eq!(events[3]["usage"]["prompt_tokens"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_text_completes_a_prompt_too() {
    let canned = CannedAnswer::text("later");
    let whole = answer(canned.clone(), Endpoint::Completions, r#"{"model":"large"}"#).await;
    let value: Value = serde_json::from_str(&text(whole.unwrap()).await).unwrap();
    assert_eq!(value["object"], "text_completion");
    assert_eq!(value["choices"][0]["text"], "later");
    let payload = r#"{"model":"large","stream":true}"#;
    let events = events(answer(canned, Endpoint::Completions, payload).await.unwrap()).await;
    let texts: Vec<_> = events.iter().map(|event| &event["choices"][0]["text"]).collect();
    assert_eq!(texts, ["later", ""]);
}

#[tokio::test(start_paused = true)]
async fn where_a_text_is_no_answer_the_error_is() {
    for endpoint in [Endpoint::Embeddings, Endpoint::Rerank, Endpoint::Speech] {
        let canned = CannedAnswer::text("later");
        let error = answer(canned, endpoint, r#"{"model":"large"}"#).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NoInstance, "{endpoint}");
    }
}

#[tokio::test(start_paused = true)]
async fn raw_bytes_are_sent_as_they_are_to_everyone() {
    let body = "{ \"error\": {\"message\":\"later\"} }";
    let canned = CannedAnswer::raw("application/json; charset=utf-8", body).unwrap();
    let canned = canned.with_status(StatusCode::SERVICE_UNAVAILABLE).unwrap();
    for (endpoint, payload) in [
        (Endpoint::Embeddings, r#"{"model":"large"}"#),
        (Endpoint::ChatCompletions, r#"{"model":"large","stream":true}"#),
    ] {
        let answer = answer(canned.clone(), endpoint, payload).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(told(&answer), (Some("default"), None));
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
        assert_eq!(text(answer).await, body);
    }
}

#[test]
fn what_could_not_be_sent_is_refused_when_it_is_made() {
    for content_type in ["", "text", "/plain", "text/", "a b/c", "text/plain; a=\n", "téxt/plain"]
    {
        let refused = CannedAnswer::raw(content_type, "x").unwrap_err();
        assert_eq!(refused, InvalidAnswer::ContentType, "{content_type:?}");
    }
    for json in ["", "{", "later"] {
        let refused = CannedAnswer::raw("application/json", json).unwrap_err();
        assert_eq!(refused, InvalidAnswer::Json, "{json:?}");
    }
    let raw = CannedAnswer::raw("text/plain", "x").unwrap();
    let text = CannedAnswer::text("x");
    for (status, raw_may, text_may) in [
        (200, true, true),
        (203, true, true),
        (503, true, false),
        (404, true, false),
        (100, false, false),
        (204, false, false),
        (304, false, false),
        (302, false, false),
        (600, false, false),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(raw.clone().with_status(status).is_ok(), raw_may, "{status}");
        assert_eq!(text.clone().with_status(status).is_ok(), text_may, "{status}");
    }
}
