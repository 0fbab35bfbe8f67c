//! Answers that are not as they should be, and what is made of them.
#![cfg(test)]

use bytes::Bytes;
use futures::executor::block_on;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use jairouter_anthropic::Anthropic;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, envelope};
use serde_json::{Value, json};

mod support {
    pub(crate) mod play;
}
use support::play::{decoded, deltas, events, question};

fn whole(answer: &Value) -> Result<Value, Error> {
    let answer = answer.to_string();
    let (said, error) = decoded(&question(&json!({})), &[answer.into()]);
    error.map_or_else(|| Ok(serde_json::from_str(&said).unwrap()), Err)
}

fn message(content: &Value, stop_reason: &str) -> Value {
    json!({"type": "message", "content": content, "stop_reason": stop_reason})
}

/// The events, each named by its type, as an answer to a question with these fields.
fn stream_of(more: &Value, list: &[Value]) -> (String, Option<Error>) {
    let mut ask = more.clone();
    ask["stream"] = json!(true);
    let event =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    let list: String = list.iter().map(event).collect();
    decoded(&question(&ask), &[list.into()])
}

fn stream(list: &[Value]) -> (String, Option<Error>) {
    stream_of(&json!({}), list)
}

fn start(index: u32, block: &Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u32, delta: &Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn text(text: &str) -> Value {
    delta(0, &json!({"type": "text_delta", "text": text}))
}

fn ended(reason: &str) -> [Value; 2] {
    let delta = json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {}});
    [delta, json!({"type": "message_stop"})]
}

#[test]
fn every_reason_to_stop_is_one_of_openai_s() {
    for (native, expected) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ] {
        let answer = whole(&message(&json!([]), native)).unwrap();
        assert_eq!(answer["choices"][0]["finish_reason"], expected, "{native}");
        assert_eq!(answer["choices"][0]["message"]["content"], "", "{native}");
        let (said, error) = stream(&ended(native));
        assert!(error.is_none());
        let events = events(&said);
        assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], expected, "{native}");
        assert_eq!(deltas(&said)[0]["role"], "assistant");
    }
}

#[test]
fn an_error_in_a_200_is_an_error() {
    let error = |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "boom"}});
    for (native, kind, status) in [
        ("overloaded_error", Kind::Busy, 503),
        ("rate_limit_error", Kind::Busy, 429),
        ("invalid_request_error", Kind::Rejected, 400),
        ("not_found_error", Kind::ModelAbsent, 404),
        ("authentication_error", Kind::UpstreamAuth, 502),
        ("permission_error", Kind::UpstreamAuth, 502),
        ("billing_error", Kind::UpstreamAuth, 502),
        ("timeout_error", Kind::Timeout, 504),
        ("api_error", Kind::Broken, 502),
        ("something_new", Kind::Broken, 502),
    ] {
        let found = whole(&error(native)).unwrap_err();
        assert_eq!((found.kind(), found.status().as_u16()), (kind, status), "{native}");
        let (said, found) = stream(&[text("half"), error(native), text("late")]);
        let found = found.unwrap();
        assert_eq!((found.kind(), found.status().as_u16()), (kind, status), "{native}");
        assert!(said.contains("half") && !said.contains("late") && !said.contains("[DONE]"));
        let told = String::from_utf8(envelope::body(&found).to_vec()).unwrap();
        assert_eq!(told.contains("boom"), kind != Kind::UpstreamAuth, "{told}");
    }
    // By its type alone, or by its name alone.
    for event in ["data: {\"type\":\"error\"}\n\n", "event: error\ndata: what\n\n"] {
        let (_, error) = decoded(&question(&json!({"stream": true})), &[event.into()]);
        assert_eq!(error.unwrap().kind(), Kind::Broken, "{event}");
    }
}

#[test]
fn what_is_no_answer_or_half_of_one_is_broken() {
    for answer in [
        json!({}),
        json!([]),
        json!(null),
        json!({"type": "message", "content": [], "stop_reason": null}),
        json!({"type": "message", "content": "x", "stop_reason": "end_turn"}),
        json!({"type": "message", "content": [7], "stop_reason": "end_turn"}),
        json!({"type": "message", "content": [{"type": "text", "text": 7}], "stop_reason": "x"}),
    ] {
        assert_eq!(whole(&answer).unwrap_err().kind(), Kind::Broken, "{answer}");
    }
    let (said, error) = stream(&[text("half"), ended("end_turn")[0].clone()]);
    assert_eq!(error.unwrap().kind(), Kind::Broken, "message_stop has not come");
    assert!(!said.contains("finish_reason\":\"") && !said.contains("[DONE]"));
    for nonsense in
        ["data: <html>\n\n", "data: {\"type\":7}\n\n", "data: {\"type\":\"message_stop\"}"]
    {
        let (_, error) = decoded(&question(&json!({"stream": true})), &[nonsense.into()]);
        assert_eq!(error.unwrap().kind(), Kind::Broken, "{nonsense}");
    }
}

#[test]
fn calls_side_by_side_keep_their_places_ids_and_arguments() {
    let call = |id: &str, input: &Value| json!({"type": "tool_use", "id": id, "name": "f", "input": input});
    let json_delta = |index, json: &str| {
        delta(index, &json!({"type": "input_json_delta", "partial_json": json}))
    };
    let none = json!({});
    let mut list = vec![
        start(0, &json!({"type": "text", "text": ""})),
        text("so"),
        stop(0),
        start(1, &call("a", &none)),
        json_delta(1, ""),
        json_delta(1, "{\"x\":"),
        json_delta(1, "18446744073709551616}"),
        stop(1),
        start(2, &call("b", &none)),
        stop(2),
        // Of another engine of the language: all at once, without an end, and with an id twice.
        start(3, &call("b", &json!({"y": 1}))),
        start(4, &call("", &none)),
        json_delta(9, "lost"),
    ];
    list.extend(ended("end_turn"));
    let (said, error) = stream(&list);
    assert!(error.is_none());
    let mut calls: Vec<(String, String)> = Vec::new();
    for piece in
        deltas(&said).iter().filter_map(|delta| delta["tool_calls"].as_array().cloned()).flatten()
    {
        let at = piece["index"].as_u64().unwrap() as usize;
        if at == calls.len() {
            assert_eq!(
                (&piece["type"], &piece["function"]["name"]),
                (&json!("function"), &json!("f"))
            );
            calls.push((piece["id"].as_str().unwrap().to_owned(), String::new()));
        }
        calls[at].1.push_str(piece["function"]["arguments"].as_str().unwrap());
    }
    let arguments: Vec<_> = calls.iter().map(|(_, arguments)| arguments.as_str()).collect();
    assert_eq!(arguments, [r#"{"x":18446744073709551616}"#, "{}", r#"{"y":1}"#, "{}"]);
    let ids: std::collections::BTreeSet<_> = calls.iter().map(|(id, _)| id).collect();
    assert_eq!((ids.len(), &*calls[0].0, &*calls[1].0), (4, "a", "b"));
    assert!(said.contains(r#""finish_reason":"tool_calls""#), "it called a tool, whatever it says");

    let calls = json!([call("b", &none), call("b", &json!({"y": 1.10})), call("", &Value::Null)]);
    let answer = whole(&message(&calls, "tool_use")).unwrap();
    let said = &answer["choices"][0]["message"];
    assert_eq!(said["content"], Value::Null);
    let ids: std::collections::BTreeSet<_> =
        said["tool_calls"].as_array().unwrap().iter().map(|call| call["id"].to_string()).collect();
    assert_eq!((ids.len(), &said["tool_calls"][2]["function"]["arguments"]), (3, &json!("{}")));
}

#[test]
fn thoughts_are_told_and_given_to_be_handed_back() {
    let thought = json!({"type": "thinking", "thinking": "", "signature": ""});
    let hidden = json!({"type": "redacted_thinking", "data": "eA=="});
    let mut list = vec![
        start(0, &thought),
        delta(0, &json!({"type": "thinking_delta", "thinking": "h"})),
        delta(0, &json!({"type": "thinking_delta", "thinking": "m"})),
        delta(0, &json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(0),
        start(1, &hidden),
        stop(1),
        // Unsigned, it would not be taken back.
        start(2, &json!({"type": "thinking", "thinking": "!"})),
        stop(2),
    ];
    list.extend(ended("end_turn"));
    let (said, _) = stream(&list);
    let deltas = deltas(&said);
    let thoughts: String =
        deltas.iter().filter_map(|delta| delta["reasoning_content"].as_str()).collect();
    assert_eq!(thoughts, "hm!");
    let blocks: Vec<_> = deltas
        .iter()
        .filter_map(|delta| delta["thinking_blocks"].as_array().cloned())
        .flatten()
        .collect();
    let signed = json!({"type": "thinking", "thinking": "hm", "signature": "c2ln"});
    assert_eq!(blocks, [signed.clone(), hidden.clone()]);

    let answer = whole(&message(&json!([signed, hidden]), "end_turn")).unwrap();
    let said = &answer["choices"][0]["message"];
    assert_eq!(said["reasoning_content"], "hm");
    assert_eq!(said["thinking_blocks"], json!([signed, hidden]));
}

#[test]
fn usage_is_the_last_count_of_each_kind_and_comes_only_to_those_who_asked() {
    let head = json!({"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 1});
    let tail = json!({"cache_creation_input_tokens": 5, "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 2}});
    let list = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "own", "usage": head}}),
        json!({"type": "ping"}),
        json!({"type": "something_new", "index": 3}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": tail}),
        json!({"type": "message_stop"}),
        json!({"type": "message_delta", "usage": {"output_tokens": 99}}),
    ];
    for (options, is_told) in [
        (json!({"include_usage": true}), true),
        (json!({"include_usage": false}), false),
        (json!({}), false),
        (Value::Null, false),
    ] {
        let (said, error) = stream_of(&json!({"stream_options": options}), &list);
        assert!(error.is_none());
        let events = events(&said);
        assert_eq!(events.last().unwrap(), "[DONE]");
        let usage: Vec<_> = events.iter().filter(|event| event["usage"].is_object()).collect();
        assert_eq!(usage.len(), usize::from(is_told), "{options}");
        if is_told {
            assert_eq!((&usage[0]["choices"], &usage[0]["model"]), (&json!([]), &json!("own")));
            assert_eq!(
                usage[0]["usage"],
                json!({
                    "prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21,
                    "prompt_tokens_details": {"cached_tokens": 4},
                    "completion_tokens_details": {"reasoning_tokens": 2},
                })
            );
        }
        assert!(events[..events.len() - 1].iter().all(|event| event["id"] == "msg_1"));
    }
}

#[test]
fn a_refusal_says_whose_fault_it_is() {
    let refused = |status: u16, body: &str, after: Option<&str>| {
        let mut answer = Response::builder().status(status);
        if let Some(after) = after {
            answer = answer.header("retry-after", after);
        }
        let answer = answer.body(Bytes::from(body.to_owned())).unwrap();
        Anthropic::new().refusal(&question(&json!({})), &answer)
    };
    let body = r#"{"type":"error","error":{"type":"t","message":"boom"}}"#;
    for (status, kind, outward) in [
        (400, Kind::Rejected, 400),
        (401, Kind::UpstreamAuth, 502),
        (402, Kind::UpstreamAuth, 502),
        (404, Kind::ModelAbsent, 404),
        (413, Kind::Rejected, 413),
        (429, Kind::Busy, 429),
        (500, Kind::Failed, 500),
        (529, Kind::Busy, 503),
    ] {
        for body in [body, "", "[]", "overloaded"] {
            let error = refused(status, body, None);
            assert_eq!((error.kind(), error.status().as_u16()), (kind, outward), "{status} {body}");
        }
    }
    let seconds = |status, after| refused(status, body, after).retry_after().map(|it| it.as_secs());
    assert_eq!((seconds(429, Some("15")), seconds(529, Some("7"))), (Some(15), Some(7)));
    assert_eq!(seconds(529, None), Some(1));
    let absent = r#"{"type":"error","error":{"type":"not_found_error","message":"model: x"}}"#;
    let told: Value = serde_json::from_slice(&envelope::body(&refused(404, absent, None))).unwrap();
    let error = json!({"message": "model: x", "type": "invalid_request_error", "param": null,
        "code": "model_not_found"});
    assert_eq!(told["error"], error);
}

#[test]
fn an_answer_to_anthropic_s_words_is_left_alone() {
    for endpoint in [Endpoint::Messages, Endpoint::CountTokens] {
        let payload = r#"{"model":"m","stream":true}"#.into();
        let request = InferenceRequest::new(endpoint, HeaderMap::new(), payload).unwrap();
        let answer = Response::builder().header("content-length", "2");
        let answer = answer.body(Body::from("x\n")).unwrap();
        let answer = Anthropic::new().decode(&request, answer);
        assert_eq!(answer.headers()["content-length"], "2");
        assert_eq!(block_on(answer.into_body().collect()).unwrap().to_bytes(), "x\n");
    }
}
