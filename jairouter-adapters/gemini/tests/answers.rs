//! Answers that are not as they should be, and what is made of them.
#![cfg(test)]

use bytes::Bytes;
use http::Response;
use jairouter_core::{Backend, Endpoint, Error, Kind, envelope};
use jairouter_gemini::Gemini;
use serde_json::{Value, json};

mod support {
    pub(crate) mod play;
}
use support::play::{decoded, deltas, events, question};

fn whole_of(endpoint: Endpoint, ask: &Value, answer: &Value) -> Result<Value, Error> {
    let (said, error) = decoded(&question(endpoint, ask), &[answer.to_string().into()]);
    error.map_or_else(|| Ok(serde_json::from_str(&said).unwrap()), Err)
}

fn whole(answer: &Value) -> Result<Value, Error> {
    whole_of(Endpoint::ChatCompletions, &json!({}), answer)
}

fn embedded(ask: &Value, answer: &Value) -> Result<Value, Error> {
    whole_of(Endpoint::Embeddings, ask, answer)
}

fn stream_of(more: &Value, list: &[Value]) -> (String, Option<Error>) {
    let mut ask = more.clone();
    ask["stream"] = json!(true);
    let list: Vec<_> = list.iter().map(|event| format!("data: {event}\r\n\r\n").into()).collect();
    decoded(&question(Endpoint::ChatCompletions, &ask), &list)
}

fn stream(list: &[Value]) -> (String, Option<Error>) {
    stream_of(&json!({}), list)
}

fn parts(parts: &Value, finish: &Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish}]})
}

fn text(text: &str, finish: &Value) -> Value {
    parts(&json!([{"text": text}]), finish)
}

fn finishes(said: &str) -> Vec<(u64, String)> {
    let events = events(said);
    let choices = events.iter().filter_map(|event| event["choices"].as_array().cloned()).flatten();
    choices
        .filter_map(|choice| {
            let reason = choice["finish_reason"].as_str()?;
            Some((choice["index"].as_u64().unwrap(), reason.to_owned()))
        })
        .collect()
}

#[test]
fn every_reason_to_stop_is_one_of_openai_s() {
    for (native, expected) in [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("LANGUAGE", "stop"),
        ("OTHER", "stop"),
        ("SOMETHING_NEW", "stop"),
    ] {
        let answer = json!({"candidates": [{"finishReason": native}]});
        let choice = whole(&answer).unwrap()["choices"][0].take();
        assert_eq!(choice["finish_reason"], expected, "{native}");
        assert_eq!(choice["message"]["content"], "", "{native}");
        let (said, error) = stream(&[answer]);
        assert!(error.is_none());
        assert_eq!(finishes(&said), [(0, expected.to_owned())], "{native}");
        assert_eq!(deltas(&said)[0]["role"], "assistant");
    }
}

#[test]
fn a_prompt_that_was_blocked_is_filtered_content() {
    let blocked = json!({"promptFeedback": {"blockReason": "OTHER"}});
    let answer = whole(&blocked).unwrap();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 1);
    assert_eq!(answer["choices"][0]["finish_reason"], "content_filter");
    let filtered = [(0, "content_filter".to_owned())];
    for list in [vec![blocked.clone()], vec![text("half", &Value::Null), blocked]] {
        let (said, error) = stream(&list);
        assert!(error.is_none());
        assert_eq!(finishes(&said), filtered);
        assert!(said.ends_with("data: [DONE]\n\n"));
    }
    // Feedback alone says nothing.
    let rated = json!({"promptFeedback": {"safetyRatings": []}});
    assert_eq!(whole(&rated).unwrap_err().kind(), Kind::Broken);
    assert_eq!(stream(&[rated]).1.unwrap().kind(), Kind::Broken);
}

#[test]
fn the_last_reason_counts_and_is_told_once() {
    let stop = json!("STOP");
    let call = json!([{"functionCall": {"name": "f", "args": {}}}]);
    // Older models give a reason with every piece.
    let list = [text("a", &stop), parts(&call, &stop), text("b", &json!("MAX_TOKENS"))];
    assert_eq!(finishes(&stream(&list).0), [(0, "length".to_owned())]);
    assert_eq!(finishes(&stream(&list[..2]).0), [(0, "tool_calls".to_owned())]);
    assert_eq!(finishes(&stream(&list[..1]).0), [(0, "stop".to_owned())]);
}

#[test]
fn candidates_side_by_side_are_choices() {
    let candidate = |index: u32, text: &str, finish: Value| json!({"index": index, "content": {"parts": [{"text": text}]}, "finishReason": finish});
    let stop = json!("STOP");
    let (said, error) = stream(&[
        json!({"candidates": [candidate(0, "a", Value::Null), candidate(1, "b", Value::Null)]}),
        json!({"candidates": [candidate(1, "B", stop.clone())]}),
        json!({"candidates": [candidate(0, "A", json!("MAX_TOKENS"))]}),
    ]);
    assert!(error.is_none());
    assert_eq!(finishes(&said), [(0, "length".to_owned()), (1, "stop".to_owned())]);
    for (index, expected) in [(0, "aA"), (1, "bB")] {
        let events = events(&said);
        let own = events.iter().map(|event| &event["choices"][0]);
        let own: Vec<_> = own.filter(|choice| choice["index"] == index).collect();
        assert_eq!(own[0]["delta"]["role"], "assistant");
        let text: String = own.iter().filter_map(|it| it["delta"]["content"].as_str()).collect();
        assert_eq!(text, expected);
    }
    let two = json!({"candidates": [candidate(0, "a", stop.clone()), candidate(1, "b", stop)]});
    let answer = whole(&two).unwrap();
    assert_eq!(answer["choices"][1]["message"]["content"], "b");
    assert_eq!(answer["choices"][1]["index"], 1);
    let (said, error) = stream(&[two, json!({"candidates": [candidate(2, "c", Value::Null)]})]);
    assert_eq!(error.unwrap().kind(), Kind::Broken, "one of them has not ended");
    assert!(finishes(&said).is_empty() && !said.contains("[DONE]"));
}

#[test]
fn what_a_call_s_id_tells_comes_back_with_the_results() {
    let native = json!([
        {"functionCall": {"name": "f", "args": {"x": 1}, "id": "own/1"}, "thoughtSignature": "+/8="},
        {"functionCall": {"name": "f"}},
    ]);
    let answer = whole(&parts(&native, &json!("STOP"))).unwrap();
    let message = &answer["choices"][0]["message"];
    let calls = message["tool_calls"].as_array().unwrap();
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert_eq!(calls[1]["function"]["arguments"], "{}");
    assert_eq!(message["content"], Value::Null);

    let (said, _) = stream(&[parts(&native, &json!("STOP"))]);
    let streamed: Vec<_> = deltas(&said).iter().map(|it| it["tool_calls"][0].clone()).collect();
    assert_eq!((&streamed[1]["index"], &streamed[2]["index"]), (&json!(0), &json!(1)));

    for calls in [calls.clone(), streamed[1..3].to_vec()] {
        let result =
            |call: &Value| json!({"role": "tool", "tool_call_id": call["id"], "content": "1"});
        let ask = json!({"messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": calls},
            result(&calls[0]),
            result(&calls[1]),
        ]});
        let ask = question(Endpoint::ChatCompletions, &ask);
        let asked: Value = serde_json::from_slice(&Gemini::new().encode(&ask).unwrap()).unwrap();
        let mut expected = native.clone();
        expected[1]["functionCall"]["args"] = json!({});
        assert_eq!(asked["contents"][1]["parts"], expected);
        let results = &asked["contents"][2]["parts"];
        assert_eq!(results[0]["functionResponse"]["id"], "own/1");
        assert_eq!(results[1]["functionResponse"]["id"], Value::Null);
    }
}

#[test]
fn an_error_in_a_200_is_an_error() {
    let error = |code: u16| json!({"error": {"code": code, "message": "boom", "status": "S"}});
    for (code, kind, status) in [
        (400, Kind::Rejected, 400),
        (403, Kind::UpstreamAuth, 502),
        (404, Kind::ModelAbsent, 404),
        (429, Kind::Busy, 429),
        (500, Kind::Broken, 502),
        (503, Kind::Failed, 503),
        (0, Kind::Broken, 502),
    ] {
        for error in [error(code), json!([error(code)])] {
            let found = whole(&error).unwrap_err();
            assert_eq!((found.kind(), found.status().as_u16()), (kind, status), "{error}");
            let list = [text("half", &json!("STOP")), error, text("late", &json!("STOP"))];
            let (said, found) = stream(&list);
            assert_eq!(found.unwrap().kind(), kind, "{code}");
            assert!(said.contains("half") && !said.contains("late") && !said.contains("[DONE]"));
        }
        assert_eq!(embedded(&json!({}), &error(code)).unwrap_err().kind(), kind);
    }
}

#[test]
fn what_is_no_answer_or_half_of_one_is_broken() {
    for answer in [
        json!({}),
        json!([]),
        json!(null),
        json!({"candidates": []}),
        text("x", &Value::Null),
        text("x", &json!("FINISH_REASON_UNSPECIFIED")),
        json!({"candidates": [{"content": {"parts": [{"text": 7}]}, "finishReason": "STOP"}]}),
    ] {
        assert_eq!(whole(&answer).unwrap_err().kind(), Kind::Broken, "{answer}");
        let (said, error) = stream(&[answer]);
        assert_eq!(error.unwrap().kind(), Kind::Broken, "{said}");
        assert!(!said.contains("[DONE]"));
    }
    assert_eq!(stream(&[]).1.unwrap().kind(), Kind::Broken, "an empty stream");
    for answer in [json!({}), json!([7]), json!({"embeddings": []}), json!({"embeddings": [{}]})] {
        let error = embedded(&json!({}), &answer).unwrap_err();
        assert_eq!(error.kind(), Kind::Broken, "{answer}");
    }
}

#[test]
fn usage_is_the_last_count_of_each_kind_and_comes_only_to_those_who_asked() {
    let with = |mut answer: Value, counts: Value| {
        answer["usageMetadata"] = counts;
        answer
    };
    let list = [
        with(text("a", &Value::Null), json!({"promptTokenCount": 3, "thoughtsTokenCount": 1})),
        with(
            text("b", &json!("STOP")),
            json!({"candidatesTokenCount": 4, "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 1, "totalTokenCount": 99}),
        ),
    ];
    for (options, is_told) in [
        (json!({"include_usage": true}), true),
        (json!({"include_usage": false}), false),
        (Value::Null, false),
    ] {
        let (said, _) = stream_of(&json!({"stream_options": options}), &list);
        let events = events(&said);
        assert_eq!(events.last().unwrap(), "[DONE]");
        let usage: Vec<_> = events.iter().filter(|event| event["usage"].is_object()).collect();
        assert_eq!(usage.len(), usize::from(is_told), "{options}");
        if is_told {
            assert_eq!(usage[0]["choices"], json!([]));
            assert_eq!(
                usage[0]["usage"],
                json!({
                    "prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9,
                    "prompt_tokens_details": {"cached_tokens": 1},
                    "completion_tokens_details": {"reasoning_tokens": 2},
                })
            );
        }
    }
}

#[test]
fn log_probabilities_and_pictures_are_passed_on() {
    let token = |token: &str| json!({"token": token, "logProbability": -0.5, "tokenId": 7});
    let mut answer = parts(
        &json!([{"inlineData": {"mimeType": "image/png", "data": "QUJD"}}, {"text": "é"}]),
        &json!("STOP"),
    );
    answer["candidates"][0]["logprobsResult"] = json!({
        "chosenCandidates": [token("é"), token("!")],
        "topCandidates": [{"candidates": [token("e")]}],
    });
    let said = |token: &str, bytes: &[u8]| json!({"token": token, "logprob": -0.5, "bytes": bytes});
    let (mut first, mut second) = (said("é", &[0xc3, 0xa9]), said("!", b"!"));
    first["top_logprobs"] = json!([said("e", b"e")]);
    second["top_logprobs"] = json!([]);
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}});

    let choice = whole(&answer).unwrap()["choices"][0].take();
    assert_eq!(choice["logprobs"]["content"], json!([first, second]));
    assert_eq!(choice["message"]["images"], json!([image]));
    let events = events(&stream(&[answer]).0);
    assert_eq!(events[1]["choices"][0]["logprobs"]["content"], json!([first, second]));
    assert_eq!(events[1]["choices"][0]["delta"]["images"], json!([image]));
    assert_eq!(events[2]["choices"][0]["logprobs"], Value::Null, "once");
}

#[test]
fn vectors_are_numbers_or_base64_and_one_for_each_input() {
    let answer = json!({"embeddings": [{"values": [1, -2.5]}, {"values": []}]});
    let ask = json!({"input": ["a", "b"], "encoding_format": "float"});
    let list = embedded(&ask, &answer).unwrap();
    assert_eq!(list["data"][0]["embedding"], json!([1, -2.5]));
    assert_eq!(list["usage"], json!({"prompt_tokens": 0, "total_tokens": 0}));
    assert_eq!((&list["model"], &list["data"][1]["index"]), (&json!("m"), &json!(1)));
    let ask = json!({"input": ["a", "b"], "encoding_format": "base64"});
    let list = embedded(&ask, &answer).unwrap();
    assert_eq!(list["data"][0]["embedding"], "AACAPwAAIMA=");
    assert_eq!(list["data"][1]["embedding"], "");
    let error = embedded(&json!({"input": "a"}), &answer).unwrap_err();
    assert_eq!(error.kind(), Kind::Broken, "one too many");
}

#[test]
fn a_refusal_says_whose_fault_it_is_and_when_to_come_back() {
    let refused = |status: u16, body: &Value| {
        let answer = Response::builder().status(status);
        let answer = answer.body(Bytes::from(body.to_string())).unwrap();
        Gemini::new().refusal(&question(Endpoint::ChatCompletions, &json!({})), &answer)
    };
    let body = |message: &str, details: Value| json!({"error": {"code": 9, "message": message, "status": "S", "details": details}});
    let key = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]);
    let delay = |text: &str| {
        json!([{"@type": "type.googleapis.com/google.rpc.Help", "links": []},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": text}])
    };
    for (status, body, kind, outward) in [
        (400, body("bad", json!([])), Kind::Rejected, 400),
        (400, body("bad", key.clone()), Kind::UpstreamAuth, 502),
        (400, json!([body("bad", key)]), Kind::UpstreamAuth, 502),
        (400, body("API key expired. Renew it.", json!([])), Kind::UpstreamAuth, 502),
        (404, body("API key", json!([])), Kind::ModelAbsent, 404),
        (429, body("quota", json!(null)), Kind::Busy, 429),
        (500, body("boom", json!([])), Kind::Failed, 500),
        (503, body("The model is overloaded.", json!([])), Kind::Busy, 503),
        (503, body("down", json!([])), Kind::Failed, 503),
        (503, body("down", delay("2s")), Kind::Busy, 503),
        (504, body("late", json!([])), Kind::Timeout, 504),
    ] {
        let error = refused(status, &body);
        assert_eq!((error.kind(), error.status().as_u16()), (kind, outward), "{status} {body}");
        let told: Value = serde_json::from_slice(&envelope::body(&error)).unwrap();
        assert_ne!(told["error"]["code"], "9", "{told}");
        assert!(kind != Kind::UpstreamAuth || !told.to_string().contains("API key"), "{told}");
    }
    for (text, millis) in [
        ("37s", Some(37_000)),
        ("0.5s", Some(500)),
        ("1e9s", Some(60_000)),
        ("soon", None),
        ("", None),
        ("x\ns", None),
    ] {
        let after = refused(429, &body("quota", delay(text))).retry_after();
        assert_eq!(after.map(|after| after.as_millis()), millis, "{text}");
    }
}
