//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use bytes::Bytes;
use futures::executor::block_on;
use futures::stream;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, envelope};
use jairouter_ollama::Ollama;
use serde_json::{Map, Value, json};

mod support;
use support::{accumulate, fixture, rows, same, text};

fn request(row: &Value) -> InferenceRequest {
    let path = row["client"]["path"].as_str().unwrap_or("/v1/chat/completions");
    let payload = match row["files"].get("openai.request") {
        Some(file) => fixture(file),
        None => json!({"model": "m", "stream": row["stream"], "messages": [{"role": "user", "content": "x"}]})
            .to_string()
            .into(),
    };
    InferenceRequest::new(Endpoint::from_path(path).unwrap(), HeaderMap::new(), payload).unwrap()
}

fn answer(row: &Value, pieces: Vec<Bytes>) -> Response<Body> {
    let frames = pieces.into_iter().map(|piece| Ok::<_, Error>(http_body::Frame::data(piece)));
    let body = Body::new(StreamBody::new(stream::iter(frames)));
    let kind = row["upstream"]["content_type"].as_str().unwrap();
    Response::builder()
        .header("content-type", kind)
        .header("content-length", "7")
        .body(body)
        .unwrap()
}

/// The whole answer, and the error it ended with.
fn decoded(row: &Value, pieces: Vec<Bytes>) -> (String, Option<Error>) {
    let response = Ollama::new().decode(&request(row), answer(row, pieces));
    assert!(response.headers().get("content-length").is_none(), "it was true of the old body");
    let mut body = response.into_body();
    let mut seen = Vec::new();
    loop {
        match block_on(body.frame()) {
            None => return (text(seen), None),
            Some(Ok(frame)) => seen.extend_from_slice(frame.data_ref().unwrap()),
            Some(Err(error)) => return (text(seen), Some(error)),
        }
    }
}

#[test]
fn every_request_is_said_in_ollama_s_words() {
    let mut checked = 0;
    for row in rows().iter().filter(|row| row["request_pair"] == true) {
        let native = Ollama::new().encode(&request(row)).unwrap();
        let native: Value = serde_json::from_slice(&native).unwrap();
        let expected: Value = serde_json::from_slice(&fixture(&row["files"]["request"])).unwrap();
        same(&native, &expected, row["case"].as_str().unwrap());
        checked += 1;
    }
    assert!(checked >= 12, "{checked}");
}

#[test]
fn every_answer_is_said_in_openai_s_words_wherever_it_is_cut() {
    let mut checked = 0;
    for row in
        rows().iter().filter(|row| row["upstream"]["status"] == 200 && row["response_pair"] == true)
    {
        let case = row["case"].as_str().unwrap();
        let native = fixture(&row["files"]["response"]);
        let (whole, error) = decoded(row, vec![native.clone()]);
        let expected = text(fixture(&row["files"]["openai.response"]).to_vec());
        if row["stream"] == true {
            let (expected, says_error) = accumulate(&expected);
            same(&accumulate(&whole).0, &expected, case);
            assert_eq!(error.is_some(), says_error, "{case}");
            assert_eq!(whole.ends_with("data: [DONE]\n\n"), error.is_none(), "{case}");
        } else {
            let whole: Value = serde_json::from_str(&whole).unwrap();
            same(&whole, &serde_json::from_str(&expected).unwrap(), case);
        }
        let stable =
            |text: &str| if row["stream"] == true { accumulate(text).0 } else { json!(text.len()) };
        for cut in 0..=native.len() {
            let pieces = vec![native.slice(..cut), native.slice(cut..)];
            assert_eq!(stable(&decoded(row, pieces).0), stable(&whole), "{case} cut at {cut}");
        }
        let bytes = (0..native.len()).map(|at| native.slice(at..=at)).collect();
        assert_eq!(stable(&decoded(row, bytes).0), stable(&whole), "{case} byte by byte");
        checked += 1;
    }
    assert!(checked >= 12, "{checked}");
}

#[test]
fn every_refusal_is_an_envelope() {
    let mut checked = 0;
    for row in rows().iter().filter(|row| row["upstream"]["status"].as_u64() > Some(399)) {
        let case = row["case"].as_str().unwrap();
        let status = row["upstream"]["status"].as_u64().unwrap() as u16;
        let refusal = Response::builder().status(status).body(fixture(&row["files"]["response"]));
        let error = Ollama::new().refusal(&request(row), &refusal.unwrap());
        assert_eq!(
            u64::from(error.status().as_u16()),
            row["client"]["status"].as_u64().unwrap(),
            "{case}"
        );
        let expected: Value =
            serde_json::from_slice(&fixture(&row["files"]["openai.response"])).unwrap();
        same(&serde_json::from_slice(&envelope::body(&error)).unwrap(), &expected, case);
        checked += 1;
    }
    assert!(checked >= 4, "{checked}");
}

fn chat(more: &Value) -> Result<Value, Error> {
    let mut ask: Map<String, Value> =
        json!({"model": "m", "messages": [{"role": "user", "content": "x"}]})
            .as_object()
            .unwrap()
            .clone();
    ask.extend(more.as_object().unwrap().clone());
    let payload = Value::Object(ask).to_string();
    let request =
        InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload.into())?;
    Ok(serde_json::from_slice(&Ollama::new().encode(&request)?).unwrap())
}

#[test]
fn what_ollama_has_no_word_for_is_refused_by_name() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]);
    let call = json!([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}]);
    for (more, param, kind) in [
        (json!({"n": 2}), "n", Kind::Unsupported),
        (json!({"logit_bias": {"1": 2}}), "logit_bias", Kind::Unsupported),
        (json!({"tools": tools, "tool_choice": "required"}), "tool_choice", Kind::Unsupported),
        (
            json!({"tools": tools, "parallel_tool_calls": false}),
            "parallel_tool_calls",
            Kind::Unsupported,
        ),
        (json!({"functions": [{"name": "f"}]}), "functions", Kind::Unsupported),
        (json!({"messages": image}), "messages", Kind::Unsupported),
        (json!({"messages": []}), "messages", Kind::Invalid),
        (json!({"messages": "x"}), "messages", Kind::Invalid),
        (json!({"messages": call}), "messages", Kind::Invalid),
        (json!({"reasoning_effort": "some"}), "reasoning_effort", Kind::Invalid),
        (json!({"response_format": {"type": "xml"}}), "response_format", Kind::Invalid),
        (json!({"response_format": {"type": "json_schema"}}), "response_format", Kind::Invalid),
        (json!({"options": 7}), "options", Kind::Invalid),
    ] {
        let error = chat(&more).unwrap_err();
        assert_eq!((error.param(), error.kind()), (Some(param), kind), "{more}");
        assert!(!error.message().contains("https://x"), "no value is repeated: {error}");
    }
}

#[test]
fn what_means_nothing_is_no_obstacle() {
    for more in [
        json!({"n": 1, "logit_bias": {}, "tool_choice": "auto", "parallel_tool_calls": true}),
        json!({"n": null, "tools": [], "stop": null, "response_format": {"type": "text"}}),
        json!({"user": "u", "metadata": {"a": "b"}, "store": false, "service_tier": "auto"}),
    ] {
        let native = chat(&more).unwrap();
        assert!(native.get("tools").is_none() && native.get("format").is_none(), "{native}");
    }
    let none = chat(&json!({"tools": [{"type": "function"}], "tool_choice": "none"})).unwrap();
    assert!(none.get("tools").is_none(), "none of them may be called");
}

#[test]
fn an_option_by_openai_s_name_goes_before_one_of_ollama_s() {
    let native = chat(&json!({"temperature": 0.1, "options": {"temperature": 0.9, "top_p": 0.3}}));
    let options = native.unwrap()["options"].take();
    assert_eq!(options, json!({"temperature": 0.1, "top_p": 0.3}));
}

#[test]
fn calls_without_an_id_get_one_each_and_a_truncated_answer_is_an_error() {
    let row =
        json!({"stream": false, "files": {}, "upstream": {"content_type": "application/json"}});
    let call = r#"{"function":{"name":"f","arguments":{}}}"#;
    let body = format!(
        r#"{{"model":"m","message":{{"content":"","tool_calls":[{call},{call}]}},"done":true}}"#
    );
    let (whole, _) = decoded(&row, vec![body.clone().into()]);
    let whole: Value = serde_json::from_str(&whole).unwrap();
    let calls = whole["choices"][0]["message"]["tool_calls"].as_array().unwrap();
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert!(calls.iter().all(|call| call["id"].as_str().unwrap().starts_with("call_")));
    for cut in 0..body.len() {
        let (_, error) = decoded(&row, vec![Bytes::copy_from_slice(&body.as_bytes()[..cut])]);
        assert!(error.is_some(), "cut at {cut}");
    }
    let in_200 = decoded(&row, vec![Bytes::from_static(br#"{"error":"it broke"}"#)]).1.unwrap();
    assert_eq!(in_200.status(), StatusCode::BAD_GATEWAY);
}

#[test]
fn models_are_listed_by_their_tags() {
    let tags = br#"{"models":[{"name":"a:latest","size":1},{"name":"b"}]}"#;
    assert_eq!(Ollama::new().model_names(tags).unwrap(), ["a:latest", "b"]);
    assert!(Ollama::new().model_names(b"{}").is_err());
}
