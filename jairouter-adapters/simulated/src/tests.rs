use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Full};
use jairouter_core::{Body, Error, Kind};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use super::*;

async fn post(engine: &Engine, path: &str, ask: &Value) -> Result<Response<Body>, Error> {
    let request = Request::post(path).body(Full::new(Bytes::from(ask.to_string()))).unwrap();
    engine.clone().oneshot(request).await
}

async fn chat(engine: &Engine, more: &Value) -> Result<Response<Body>, Error> {
    let mut ask = json!({"model": "m", "messages": [{"role": "user", "content": "two words"}]});
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(engine, "/v1/chat/completions", &ask).await
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

#[tokio::test(start_paused = true)]
async fn tokens_come_one_by_one_each_when_it_is_due() {
    let engine = Engine::builder().first_token(Duration::from_secs(1)).rate(10.0).length(5).build();
    let begun = Instant::now();
    let mut body = chat(&engine, &json!({"stream": true})).await.unwrap().into_body();
    let mut times = Vec::new();
    while let Some(frame) = body.frame().await {
        frame.unwrap();
        times.push(begun.elapsed().as_millis());
    }
    // The timer is exact to a millisecond.
    let due = [1000, 1100, 1200, 1300, 1400, 1500];
    assert!(times.iter().zip(due).all(|(time, due)| time.abs_diff(due) <= 5), "{times:?}");
    assert_eq!(times.len(), due.len());
    assert_eq!((engine.running(), engine.requests()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_what_the_whole_answer_says_and_takes_as_long() {
    let engine = Engine::builder().length(20).build();
    let begun = Instant::now();
    let stream = text(chat(&engine, &json!({"stream": true})).await.unwrap()).await;
    let streamed = begun.elapsed();
    let whole = value(chat(&engine, &json!({})).await.unwrap()).await;
    let took = begun.elapsed() - streamed;
    assert!(took.abs_diff(streamed) <= Duration::from_millis(5), "{took:?} and {streamed:?}");
    let content = whole["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(said(&chunks(&stream), "/choices/0/delta/content"), content);
    assert_eq!(content.split_whitespace().count(), 20);
    assert!(content.contains("no model"));
    assert_eq!(
        whole["usage"],
        json!({"prompt_tokens": 2, "completion_tokens": 20, "total_tokens": 22})
    );
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
}

#[tokio::test(start_paused = true)]
async fn limits_stops_choices_and_usage_are_what_was_asked_for() {
    let engine = Engine::default();
    let cut = value(chat(&engine, &json!({"max_tokens": 3})).await.unwrap()).await;
    assert_eq!(cut["choices"][0]["message"]["content"], "This is the");
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    let stopped = value(chat(&engine, &json!({"stop": [" simulated"]})).await.unwrap()).await;
    assert_eq!(stopped["choices"][0]["message"]["content"], "This is the");
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    let two =
        value(chat(&engine, &json!({"n": 2, "max_completion_tokens": 1})).await.unwrap()).await;
    assert_eq!(two["choices"].as_array().unwrap().len(), 2);
    assert_eq!(two["usage"]["completion_tokens"], 2);
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let stream = chunks(&text(chat(&engine, &more).await.unwrap()).await);
    assert_eq!(stream.last().unwrap()["usage"]["completion_tokens"], 64);
    assert_eq!(stream.last().unwrap()["choices"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_called_with_what_its_schema_requires_and_then_answered() {
    let engine = Engine::default();
    let schema = json!({"type": "object", "required": ["city", "days"], "properties": {
        "city": {"type": "string", "enum": ["Paris"]}, "days": {"type": "integer"}, "more": {},
    }});
    let tools = json!({"tools": [
        {"type": "function", "function": {"name": "get_weather", "parameters": schema}},
    ]});
    let whole = value(chat(&engine, &tools).await.unwrap()).await;
    let call = &whole["choices"][0]["message"]["tool_calls"][0]["function"];
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"city": "Paris", "days": 0}));
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    let mut streamed = tools.clone();
    streamed["stream"] = json!(true);
    let stream = chunks(&text(chat(&engine, &streamed).await.unwrap()).await);
    let pieces = said(&stream, "/choices/0/delta/tool_calls/0/function/arguments");
    assert_eq!(serde_json::from_str::<Value>(&pieces).unwrap(), arguments);
    let mut result = tools.clone();
    result["messages"] =
        json!([{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}]);
    let answered = value(chat(&engine, &result).await.unwrap()).await;
    assert!(answered["choices"][0]["message"]["content"].is_string());
    let mut refused = tools;
    refused["tool_choice"] = json!("none");
    let answered = value(chat(&engine, &refused).await.unwrap()).await;
    assert!(answered["choices"][0]["message"]["content"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_json_answer_is_json_of_its_schema() {
    let engine = Engine::default();
    for (format, expected) in [
        (json!({"type": "json_object"}), json!({"text": "simulated"})),
        (
            json!({"type": "json_schema", "json_schema": {"schema": {
                "type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}},
            }}}),
            json!({"ok": true}),
        ),
    ] {
        let answer = value(chat(&engine, &json!({"response_format": format})).await.unwrap()).await;
        let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(content).unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn completions_are_streamed_and_not() {
    let engine = Engine::default();
    let ask = json!({"model": "m", "prompt": "x", "max_tokens": 4});
    let whole = value(post(&engine, "/v1/completions", &ask).await.unwrap()).await;
    assert_eq!(whole["choices"][0]["text"], "This is the simulated");
    let mut ask = ask;
    ask["stream"] = json!(true);
    let stream = text(post(&engine, "/v1/completions", &ask).await.unwrap()).await;
    assert_eq!(said(&chunks(&stream), "/choices/0/text"), "This is the simulated");
}

#[tokio::test(start_paused = true)]
async fn embeddings_are_the_same_for_the_same_text_in_either_form() {
    use base64::Engine as _;
    let engine = Engine::default();
    let ask = |format: &str| json!({"model": "m", "input": ["a b", "c", "a b"], "encoding_format": format, "dimensions": 8});
    let floats = value(post(&engine, "/v1/embeddings", &ask("float")).await.unwrap()).await;
    let coded = value(post(&engine, "/v1/embeddings", &ask("base64")).await.unwrap()).await;
    assert_eq!(floats["data"][0]["embedding"], floats["data"][2]["embedding"]);
    assert_ne!(floats["data"][0]["embedding"], floats["data"][1]["embedding"]);
    assert_eq!(floats["usage"]["prompt_tokens"], 5);
    for index in 0..3 {
        let numbers: Vec<f32> =
            serde_json::from_value(floats["data"][index]["embedding"].clone()).unwrap();
        let bytes = base64::prelude::BASE64_STANDARD
            .decode(coded["data"][index]["embedding"].as_str().unwrap())
            .unwrap();
        let decoded: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        assert_eq!(numbers, decoded);
        let norm: f32 = numbers.iter().map(|number| number * number).sum();
        assert!((norm - 1.0).abs() < 1e-5);
    }
    let tokens = json!({"model": "m", "input": [[1, 2], [3]]});
    let answer = value(post(&engine, "/v1/embeddings", &tokens).await.unwrap()).await;
    assert_eq!(answer["data"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn every_failure_is_what_it_is_called() {
    let failing = |failure| Engine::builder().failure_rate(1.0).failure(failure).build();
    for stream in [false, true] {
        let more = json!({"stream": stream});
        let busy = chat(&failing(Failure::Status(429)), &more).await.unwrap();
        assert_eq!(
            (busy.status().as_u16(), &busy.headers()["retry-after"]),
            (429, &"1".parse().unwrap())
        );
        let refused = chat(&failing(Failure::Refuse), &more).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unreachable);
        let broken = chat(&failing(Failure::Break), &more).await.unwrap_err();
        assert_eq!(broken.kind(), Kind::Broken);
        let engine = failing(Failure::Silent);
        let hour = Duration::from_secs(3600);
        tokio::time::timeout(hour, chat(&engine, &more)).await.unwrap_err();
        assert_eq!(engine.running(), 0, "the caller left");
    }
    let midway = async |failure| {
        let engine = failing(failure);
        let mut body = chat(&engine, &json!({"stream": true})).await.unwrap().into_body();
        let mut seen = String::new();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(3600), body.frame());
            match next.await {
                Ok(Some(Ok(frame))) => {
                    seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap())
                }
                Ok(Some(Err(error))) => {
                    return (seen, format!("{:?}", error.kind()), engine.running());
                }
                Ok(None) => return (seen, "end".into(), engine.running()),
                Err(_) => {
                    let running = engine.running();
                    drop(body);
                    assert_eq!(engine.running(), 0);
                    return (seen, "silence".into(), running);
                }
            }
        }
    };
    let (seen, end, running) = midway(Failure::BreakMidway).await;
    assert!(seen.contains("content") && !seen.contains("[DONE]"));
    assert_eq!((end.as_str(), running), ("Broken", 0));
    let (_, end, running) = midway(Failure::Stall).await;
    assert_eq!((end.as_str(), running), ("silence", 1));
    let (seen, end, _) = midway(Failure::ErrorEvent).await;
    assert!(seen.contains("\"error\"") && !seen.contains("[DONE]") && end == "end");
}

#[tokio::test(start_paused = true)]
async fn which_requests_fail_is_decided_by_the_seed() {
    let outcomes = async |seed| {
        let engine = Engine::builder().failure_rate(0.5).seed(seed).build();
        let mut outcomes = Vec::new();
        for _ in 0..64 {
            outcomes.push(chat(&engine, &json!({})).await.unwrap().status().as_u16());
        }
        outcomes
    };
    let first = outcomes(7).await;
    assert_eq!(first, outcomes(7).await);
    assert_ne!(first, outcomes(8).await);
    let failed = first.iter().filter(|status| **status == 500).count();
    assert!((16..=48).contains(&failed), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn over_its_concurrency_it_is_busy() {
    let engine = Engine::builder().concurrency(1).build();
    let held = chat(&engine, &json!({"stream": true})).await.unwrap();
    assert_eq!(chat(&engine, &json!({})).await.unwrap().status(), 503);
    drop(held);
    assert_eq!(chat(&engine, &json!({})).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn bad_requests_are_refused_in_the_envelope() {
    let engine = Engine::default();
    let user = json!([{"role": "user", "content": "x"}]);
    for (path, ask, param) in [
        ("/v1/chat/completions", json!({"model": "m"}), "messages"),
        ("/v1/chat/completions", json!({"model": "m", "messages": []}), "messages"),
        ("/v1/chat/completions", json!({"model": "m", "messages": user, "n": 17}), "n"),
        (
            "/v1/chat/completions",
            json!({"model": "m", "messages": user, "max_tokens": 0}),
            "max_tokens",
        ),
        ("/v1/completions", json!({"model": "m"}), "prompt"),
        ("/v1/embeddings", json!({"model": "m", "input": 7}), "input"),
        ("/v1/embeddings", json!({"model": "m", "input": []}), "input"),
        ("/v1/embeddings", json!({"model": "m", "input": "x", "dimensions": 0}), "dimensions"),
    ] {
        let answer = post(&engine, path, &ask).await.unwrap();
        assert_eq!(answer.status(), 400, "{ask}");
        assert_eq!(value(answer).await["error"]["param"], param, "{ask}");
    }
    assert_eq!(post(&engine, "/v1/nothing", &json!({})).await.unwrap().status(), 404);
    assert_eq!(post(&engine, "/v1/models", &json!({})).await.unwrap().status(), 405);
    assert_eq!(engine.running(), 0);
}

#[tokio::test]
async fn its_models_are_listed_as_simulated() {
    let engine: Engine = "simulated://x?models=a,b".parse().unwrap();
    let get = Request::builder().method(Method::GET).uri("/v1/models").body(Full::default());
    let list = value(engine.oneshot(get.unwrap()).await.unwrap()).await;
    assert_eq!(list["data"][1]["id"], "b");
    assert_eq!(list["data"][1]["owned_by"], "simulated");
}

#[test]
fn a_url_holds_every_setting_and_a_wrong_one_is_named() {
    let url = "simulated://x?first-token=2s&rate=none&length=3&failure-rate=0.5&failure=stall&seed=7&concurrency=2&models=a";
    let settings = format!("{:?}", url.parse::<Engine>().unwrap());
    for part in [
        "first_token: 2s",
        "rate: None",
        "length: 3",
        "0.5",
        "Stall",
        "seed: 7",
        "concurrency: 2",
        "[\"a\"]",
    ] {
        assert!(settings.contains(part), "{part} in {settings}");
    }
    for (url, named) in [
        ("http://x", "simulated://"),
        ("simulated://x?first-token=soon", "first-token"),
        ("simulated://x?rate=-1", "rate"),
        ("simulated://x?length=0", "length"),
        ("simulated://x?failure-rate=2", "failure-rate"),
        ("simulated://x?failure=200", "200"),
        ("simulated://x?seed=a", "seed"),
        ("simulated://x?concurrency=0", "concurrency"),
        ("simulated://x?models=", "models"),
        ("simulated://x?speed=1", "speed"),
        ("simulated://x?seed=1&seed=2", "twice"),
    ] {
        let error = url.parse::<Engine>().unwrap_err().to_string();
        assert!(error.contains(named), "{url}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_dropped_at_any_token_is_not_running() {
    let engine = Engine::builder().length(4).build();
    for kept in 0..6 {
        let mut body = chat(&engine, &json!({"stream": true})).await.unwrap().into_body();
        for _ in 0..kept {
            if let Some(frame) = body.frame().await {
                frame.unwrap();
            }
        }
        assert_eq!(engine.running(), u32::from(!body.is_end_stream()), "after {kept}");
        drop(body);
        assert_eq!(engine.running(), 0);
    }
}
