//! Answers that are not as they should be, and what is made of them.
#![cfg(test)]

use bytes::Bytes;
use http::StatusCode;
use jairouter_core::{Endpoint, Error, InferenceRequest, Kind};
use serde_json::{Value, json};

mod support {
    pub(crate) mod compare;
    pub(crate) mod play;
}
use support::compare::{accumulate, events, same};
use support::play::{decoded, question};

const CALL: &str = r#"{"function":{"name":"f","arguments":{}}}"#;

fn chat(stream: bool) -> InferenceRequest {
    question(Endpoint::ChatCompletions, &json!({"stream": stream}))
}

fn lines(request: &InferenceRequest, lines: &[&str]) -> (String, Option<Error>) {
    decoded(request, lines.iter().map(|line| Bytes::from(format!("{line}\n"))).collect())
}

fn whole(endpoint: Endpoint, answer: &str) -> Result<Value, Error> {
    let (said, error) = decoded(&question(endpoint, &json!({})), vec![answer.to_owned().into()]);
    error.map_or_else(|| Ok(serde_json::from_str(&said).unwrap()), Err)
}

#[test]
fn calls_without_an_id_get_one_each() {
    let message = format!(r#""message":{{"content":"","tool_calls":[{CALL},{CALL}]}}"#);
    let answer =
        whole(Endpoint::ChatCompletions, &format!(r#"{{{message},"done":true}}"#)).unwrap();
    let choice = &answer["choices"][0];
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert!(calls.iter().all(|call| call["id"].as_str().unwrap().starts_with("call_")));
    assert_eq!(choice["message"]["content"], Value::Null);
    assert_eq!(choice["finish_reason"], "tool_calls");

    let line = format!(r#"{{{message},"done":false}}"#);
    let (said, error) = lines(&chat(true), &[&line, &line, r#"{"done":true}"#]);
    assert!(error.is_none());
    let calls = accumulate(&said).0["calls"].take();
    let call = json!(["f", "{}"]);
    same(&calls, &json!({"0": call, "1": call, "2": call, "3": call}), "over all lines");
}

#[test]
fn an_error_in_the_middle_of_a_stream_is_an_error_of_the_body() {
    let first = r#"{"message":{"content":"half"},"done":false}"#;
    for (endpoint, first) in [
        (Endpoint::ChatCompletions, first),
        (Endpoint::Completions, r#"{"response":"half","done":false}"#),
    ] {
        let request = question(endpoint, &json!({"stream": true}));
        let (said, error) = lines(&request, &[first, r#"{"error":"it broke"}"#, first]);
        let error = error.unwrap();
        assert_eq!((error.kind(), error.status()), (Kind::Broken, StatusCode::BAD_GATEWAY));
        assert!(said.contains("half") && !said.contains("[DONE]"), "{said}");
        assert_eq!(said.matches("half").count(), 1, "nothing follows it");
    }
}

#[test]
fn an_error_in_a_200_is_an_error() {
    for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Embeddings] {
        let error = whole(endpoint, r#"{"error":"it broke"}"#).unwrap_err();
        assert_eq!((error.kind(), error.status()), (Kind::Broken, StatusCode::BAD_GATEWAY));
        for nonsense in ["<html>", "[]", "{}", "null", r#"{"message":7,"done":true}"#] {
            let error = whole(endpoint, nonsense).unwrap_err();
            assert_eq!(error.kind(), Kind::Broken, "{nonsense} of {endpoint}");
        }
    }
}

#[test]
fn a_model_that_was_only_loaded_has_not_answered() {
    for reason in ["load", "unload"] {
        let line = format!(
            r#"{{"model":"m","message":{{"role":"assistant","content":""}},"done_reason":"{reason}","done":true}}"#
        );
        let error = whole(Endpoint::ChatCompletions, &line).unwrap_err();
        assert_eq!(error.kind(), Kind::Broken, "{reason}");
        let (said, error) = lines(&chat(true), &[&line]);
        assert_eq!((said.as_str(), error.unwrap().kind()), ("", Kind::Broken), "{reason}");
    }
}

#[test]
fn counts_that_are_left_out_are_zero_and_so_is_a_time_that_is_none() {
    for (endpoint, answer, said) in [
        (
            Endpoint::ChatCompletions,
            r#"{"message":{"content":"hi"},"done":true}"#,
            "/choices/0/message/content",
        ),
        (Endpoint::Completions, r#"{"response":"hi","done":true}"#, "/choices/0/text"),
    ] {
        let answer = whole(endpoint, answer).unwrap();
        assert_eq!(answer.pointer(said), Some(&json!("hi")));
        let none = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
        assert_eq!(answer["usage"], none);
        assert_eq!(answer["created"], 0);
        assert_eq!(answer["model"], "m", "as it was asked");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
    let answer = whole(Endpoint::Embeddings, r#"{"embeddings":[[1,2.5]]}"#).unwrap();
    assert_eq!(answer["usage"], json!({"prompt_tokens": 0, "total_tokens": 0}));
    assert_eq!(answer["data"][0]["embedding"], json!([1, 2.5]));
    assert_eq!(answer["model"], "m");
}

#[test]
fn a_line_may_say_nothing_and_nothing_counts_behind_the_last() {
    let (said, error) = lines(
        &chat(true),
        &[
            r#"{"message":null,"done":false}"#.replace("null", "{}").as_str(),
            r#"{"message":{"content":null,"thinking":null,"tool_calls":null},"done":false}"#,
            "",
            r#"{"done":true,"done_reason":null}"#,
            r#"{"message":{"content":"late"},"done":false}"#,
            "nonsense",
        ],
    );
    assert!(error.is_none(), "{error:?}");
    let events = events(&said);
    assert_eq!(events.len(), 3, "the role, the end, and that it is over: {said}");
    assert_eq!(events[1]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn usage_comes_only_to_those_who_asked() {
    let done = r#"{"message":{"content":"hi"},"done":true,"prompt_eval_count":3,"eval_count":4}"#;
    for (options, total) in [
        (json!({"include_usage": true}), json!(7)),
        (json!({"include_usage": false}), Value::Null),
        (json!({}), Value::Null),
        (Value::Null, Value::Null),
    ] {
        let ask = json!({"stream": true, "stream_options": options});
        let (said, _) = lines(&question(Endpoint::ChatCompletions, &ask), &[done]);
        let (said, _) = accumulate(&said);
        assert_eq!(said["usage"]["total_tokens"], total, "{options}");
    }
}

#[test]
fn log_probabilities_of_text_that_is_held_back_are_passed_on() {
    let line = |text: &str, token: &str| {
        let logprobs = json!([{"token": token, "logprob": -0.5, "top_logprobs": []}]);
        json!({"message": {"content": text}, "response": text, "done": false, "logprobs": logprobs})
            .to_string()
    };
    let lines_of = [&*line("", "a"), &line("ab", "b"), r#"{"done":true,"logprobs":[]}"#];
    let (said, _) = lines(&chat(true), &lines_of);
    let logprobs = accumulate(&said).0["logprobs"].take();
    let tokens: Vec<_> = logprobs.as_array().unwrap().iter().map(|it| &it["token"]).collect();
    assert_eq!(tokens, ["a", "b"]);

    let request = question(Endpoint::Completions, &json!({"stream": true}));
    let (said, _) = lines(&request, &lines_of);
    let chunks = events(&said);
    assert_eq!(chunks[0]["choices"][0]["logprobs"]["tokens"], json!(["a"]));
    assert_eq!(chunks[1]["choices"][0]["logprobs"]["token_logprobs"], json!([-0.5]));
    assert_eq!(chunks[2]["choices"][0]["logprobs"], Value::Null);
}
