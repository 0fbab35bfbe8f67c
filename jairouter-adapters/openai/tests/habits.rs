//! Chats and completions of engines with habits, wherever the network cuts them.
#![cfg(test)]

use bytes::Bytes;
use futures::executor::block_on;
use futures::stream;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use jairouter_core::{Body, Endpoint, Error, InferenceRequest, Kind, refusal};
use jairouter_openai::habits::{End, Habits};
use serde_json::{Value, json};

const ALL: Habits = Habits::new()
    .reasoning()
    .unasked_usage()
    .reasoning_tokens_aside()
    .repeated_deltas()
    .shared_tool_ids()
    .stop_after_calls()
    .kept_stops()
    .end(End::Done);

fn request(more: &Value) -> InferenceRequest {
    let mut question = json!({"model": "m", "stream": true, "messages": []});
    question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let payload = question.to_string().into();
    InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload).unwrap()
}

/// What a caller gets, and the error it ends with.
fn told(habits: Habits, more: &Value, kind: &str, pieces: &[&[u8]]) -> (String, Option<Error>) {
    let frames: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, Error>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let body = Body::new(StreamBody::new(stream::iter(frames)));
    let answer = Response::builder().header(CONTENT_TYPE, kind).body(body).unwrap();
    let answer = habits.decode(&request(more), answer);
    assert_eq!(answer.headers()[CONTENT_TYPE], kind);
    let (mut body, mut bytes, mut error) = (answer.into_body(), Vec::new(), None);
    while let Some(frame) = block_on(body.frame()) {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Err(told) => error = Some(told),
        }
    }
    (String::from_utf8_lossy(&bytes).into_owned(), error)
}

fn streamed(habits: Habits, more: &Value, text: &str) -> (String, Option<Error>) {
    let whole = told(habits, more, "text/event-stream", &[text.as_bytes()]);
    for cut in 0..text.len() {
        let (a, b) = text.as_bytes().split_at(cut);
        let (cut, error) = told(habits, more, "text/event-stream; charset=utf-8", &[a, b]);
        assert_eq!(without_ids(&cut), without_ids(&whole.0));
        assert_eq!(error.map(|error| error.kind()), whole.1.as_ref().map(Error::kind));
    }
    whole
}

/// Ids of ours are other ones each time.
fn without_ids(text: &str) -> String {
    let mut pieces = text.split("call_");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |all, piece| all + "call_" + piece.get(16..).unwrap_or(piece))
}

fn whole(habits: Habits, text: &str) -> Result<Value, Error> {
    let (told, error) = told(habits, &json!({}), "application/json", &[text.as_bytes()]);
    match error {
        Some(error) => Err(error),
        None => Ok(serde_json::from_str(&told).unwrap()),
    }
}

/// The chunks of a stream.
fn chunks(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|event| event.trim().strip_prefix("data: {"));
    data.map(|data| serde_json::from_str(&format!("{{{data}")).unwrap()).collect()
}

#[test]
fn what_needs_no_change_keeps_its_bytes_in_any_framing() {
    let text = ": ping\r\n\r\nevent: x\r\ndata: {\"a\":1}\r\n\r\n\
        data: { \"choices\" : [{\"index\":0,\"delta\":{\"content\":\"an \\\"error\\\" [DONE]\"}}] }\n\n\
        data: {\"choices\":[{\"delta\":{\"reasoning\":null,\"role\":\"assistant\"}}],\"usage\":null}\r\r\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}],\"n\":18446744073709551616}\n\n\
        data: [DONE]\n\n: bye\n\n";
    assert_eq!(streamed(ALL, &json!({}), text).0, text);
    let answer =
        r#"{ "choices":[{"message":{"reasoning":null},"finish_reason":"stop"}], "n":1.0 }"#;
    let (same, _) = told(ALL, &json!({}), "application/json; charset=utf-8", &[answer.as_bytes()]);
    assert_eq!(same, answer);
}

#[test]
fn what_is_changed_leaves_the_rest_of_its_event_alone() {
    let text = "data: {\"n\":18446744073709551616,\"choices\":[{\"x\":1.0,\"delta\":{\"reasoning\":\"a\"}}]}\n\ndata: [DONE]\n\n";
    let expected = text.replace("\"reasoning\"", "\"reasoning_content\"");
    assert_eq!(streamed(ALL, &json!({}), text).0, expected);
}

#[test]
fn thoughts_have_one_name_and_are_told_once() {
    for (said, expected) in [
        (json!({"reasoning": "a"}), json!({"reasoning_content": "a"})),
        (json!({"reasoning": "a", "reasoning_content": "a"}), json!({"reasoning_content": "a"})),
        (json!({"reasoning": "a", "reasoning_content": null}), json!({"reasoning_content": "a"})),
        (json!({"reasoning_content": "a"}), json!({"reasoning_content": "a"})),
        (json!({"reasoning": {"effort": 1}}), json!({"reasoning": {"effort": 1}})),
    ] {
        let answer = whole(ALL, &json!({"choices": [{"message": said}]}).to_string()).unwrap();
        assert_eq!(answer["choices"][0]["message"], expected);
        let chunk = json!({"choices": [{"delta": said}]});
        let (text, _) = streamed(ALL, &json!({}), &format!("data: {chunk}\n\ndata: [DONE]\n\n"));
        assert_eq!(chunks(&text)[0]["choices"][0]["delta"], expected);
    }
}

#[test]
fn a_usage_is_told_to_who_asked_for_it() {
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"n\":1}}\n\n\
        data: {\"choices\":[],\"usage\":{\"n\":2}}\n\ndata: [DONE]\n\n";
    let asked = json!({"stream_options": {"include_usage": true}});
    assert_eq!(streamed(ALL, &asked, text).0, text);
    for unasked in [json!({}), json!({"stream_options": {"include_usage": false}})] {
        let (told, _) = streamed(ALL, &unasked, text);
        assert!(told.contains("\"n\":1") && !told.contains("\"n\":2"), "{told}");
        assert!(told.ends_with("data: [DONE]\n\n"));
        assert_eq!(streamed(Habits::new(), &unasked, text).0, text, "without the habit");
    }
}

#[test]
fn tokens_of_reasoning_are_counted_in_their_place() {
    for (usage, expected) in [
        (r#"{"reasoning_tokens":5,"completion_tokens_details":null}"#, Some(5)),
        (r#"{"reasoning_tokens":5,"completion_tokens_details":{"reasoning_tokens":4}}"#, Some(4)),
        (r#"{"reasoning_tokens":0}"#, None),
    ] {
        let answer = whole(ALL, &format!(r#"{{"choices":[],"usage":{usage}}}"#)).unwrap();
        let details = &answer["usage"]["completion_tokens_details"];
        assert_eq!(details["reasoning_tokens"].as_u64(), expected, "{answer}");
    }
}

#[test]
fn a_reason_is_one_of_openai_s_and_an_answer_given_up_is_an_error() {
    for (reason, expected) in [
        ("stop_sequence", "stop"),
        ("eos_token", "stop"),
        ("repetition", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("content_filter", "content_filter"),
        ("its_own", "its_own"),
    ] {
        let choice = json!({"delta": {}, "message": {}, "finish_reason": reason});
        let answer = whole(Habits::new(), &json!({"choices": [choice]}).to_string()).unwrap();
        assert_eq!(answer["choices"][0]["finish_reason"], expected);
        let text = format!("data: {}\n\n", json!({"choices": [choice]}));
        let (text, _) = streamed(Habits::new(), &json!({}), &text);
        assert_eq!(chunks(&text)[0]["choices"][0]["finish_reason"], expected);
    }
    for reason in ["abort", "error"] {
        let choice = json!({"delta": {"content": "half"}, "finish_reason": reason});
        let chunk = json!({"choices": [choice]}).to_string();
        assert_eq!(whole(ALL, &chunk).unwrap_err().kind(), Kind::Broken);
        let text = format!("data: {{\"choices\":[]}}\n\ndata: {chunk}\n\ndata: [DONE]\n\n");
        let (told, error) = streamed(ALL, &json!({}), &text);
        assert_eq!(told, "data: {\"choices\":[]}\n\n");
        assert_eq!(error.unwrap().kind(), Kind::Broken);
    }
}

#[test]
fn an_empty_reason_is_none_until_the_answer_ends() {
    let text = r#"data: {"choices":[{"text":"a","finish_reason":""}]}"#.to_owned() + "\n\n";
    let (told, _) = streamed(Habits::new(), &json!({}), &text);
    assert_eq!(chunks(&told)[0]["choices"][0]["finish_reason"], Value::Null);
    let answer = whole(Habits::new(), r#"{"choices":[{"text":"a","finish_reason":""}]}"#);
    assert_eq!(answer.unwrap()["choices"][0]["finish_reason"], "stop");
}

#[test]
fn tool_calls_have_ids_of_their_own_that_are_said_once() {
    let piece = |index: u64, name: Option<&str>, arguments: &str| {
        let call = json!({"index": index, "id": "0", "type": "function",
            "function": {"name": name, "arguments": arguments, "description": null}});
        let delta = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        format!(
            "data: {}\n\n",
            json!({"created": 7, "model": "e", "choices": [{"index": 0, "delta": delta}]})
        )
    };
    let usage = "data: {\"choices\":[],\"usage\":{\"n\":2}}\n\n";
    let text = [
        &*piece(0, Some("a"), "{"),
        &piece(0, None, "}"),
        &piece(1, Some("b"), "{}"),
        usage,
        "data: [DONE]\n\n",
    ]
    .concat();
    let asked = json!({"stream_options": {"include_usage": true}});
    let (told, error) = streamed(ALL, &asked, &text);
    assert!(error.is_none() && told.ends_with(&format!("{usage}data: [DONE]\n\n")), "{told}");
    let chunks = chunks(&told);
    let delta = |at: usize| &chunks[at]["choices"][0]["delta"];
    assert_eq!((&delta(0)["role"], delta(1).get("role")), (&json!("assistant"), None));
    let calls: Vec<_> = (0..3).map(|at| delta(at)["tool_calls"][0].clone()).collect();
    let ids = [calls[0]["id"].as_str().unwrap(), calls[2]["id"].as_str().unwrap()];
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.starts_with("call_")), "{ids:?}");
    assert_eq!(calls[1], json!({"index": 0, "function": {"arguments": "}"}}));
    assert!(calls[0]["function"].get("description").is_none());
    // The engine never says that it has finished.
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!((&chunks[3]["created"], &chunks[3]["model"]), (&json!(7), &json!("e")));
    assert_eq!(chunks.len(), 5);
}

#[test]
fn a_stop_behind_a_call_is_told_as_one_only_of_engines_that_say_it() {
    let choice = json!({"message": {"tool_calls": [{"id": "x", "function": {}}]},
        "delta": {"tool_calls": [{"index": 0, "id": "x", "function": {}}]}, "finish_reason": "stop"});
    let text = json!({"choices": [choice]}).to_string();
    let reason = |answer: &Value| answer["choices"][0]["finish_reason"].clone();
    assert_eq!(reason(&whole(ALL, &text).unwrap()), "tool_calls");
    assert_eq!(reason(&whole(Habits::new(), &text).unwrap()), "stop");
    let events = format!("data: {text}\n\ndata: [DONE]\n\n");
    let (told, _) = streamed(ALL, &json!({}), &events);
    assert_eq!(reason(&chunks(&told)[0]), "tool_calls");
    assert_eq!(chunks(&told).len(), 1, "it has finished already");
    assert_eq!(streamed(Habits::new(), &json!({}), &events).0, events);
}

#[test]
fn the_text_it_stopped_at_is_not_told() {
    let event = |content: &str, reason: Option<&str>| {
        let choice = json!({"index": 0, "delta": {"content": content}, "finish_reason": reason});
        format!("data: {}\n\n", json!({"choices": [choice]}))
    };
    let text = event("one E", None) + &event("lse EN", None) + &event("D", Some("stop_sequence"));
    let (told, _) = streamed(ALL, &json!({"stop": ["END"]}), &(text + "data: [DONE]\n\n"));
    let said = chunks(&told);
    let content =
        |chunk: &Value| chunk["choices"][0]["delta"]["content"].as_str().unwrap().to_owned();
    assert_eq!(said.iter().map(content).collect::<String>(), "one Else ");
    assert_eq!(said[2]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_stream_ends_as_its_engine_ends_one() {
    let unfinished = "data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":null}]}\n\n";
    let finished = "data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}\r\n\r\n";
    let done = format!("{finished}data: [DONE]\n\n");
    let (any, one, other) =
        (Habits::new(), Habits::new().end(End::Done), Habits::new().end(End::Finished));
    for (habits, text, added) in [
        (any, unfinished, Some("")),
        (one, finished, None),
        (one, &done, Some("")),
        (other, unfinished, None),
        (other, finished, Some("data: [DONE]\n\n")),
        (other, finished.trim_end(), Some("\n\ndata: [DONE]\n\n")),
        (other, &done, Some("")),
        (other, &finished[..finished.len() - 7], None),
        (one, "", None),
    ] {
        let (told, error) = streamed(habits, &json!({}), text);
        match added {
            Some(added) => assert_eq!((told, error.is_none()), (format!("{text}{added}"), true)),
            None => assert_eq!(error.unwrap().kind(), Kind::Broken, "{text}"),
        }
    }
}

#[test]
fn an_error_in_a_200_is_one() {
    for error in [r#"{"error":{"message":"no","code":500}}"#, r#"{"error":"no"}"#] {
        for habits in [ALL, Habits::new()] {
            assert_eq!(whole(habits, error).unwrap_err().kind(), Kind::Broken);
            let text = format!("data: {{\"choices\":[]}}\n\ndata: {error}\n\ndata: [DONE]\n\n");
            let (told, error) = streamed(habits, &json!({}), &text);
            assert_eq!(told, "data: {\"choices\":[]}\n\n");
            let answer = error.unwrap().answer().cloned().unwrap();
            let envelope: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(envelope["error"]["message"], "no");
            assert!(envelope["error"]["type"].is_string());
        }
    }
    let named = "event: error\ndata: {\"message\":\"no\"}\n\n";
    assert_eq!(streamed(ALL, &json!({}), named).1.unwrap().kind(), Kind::Broken);
    let other = "event: ids\ndata: not \"error\" at all\n\ndata: [DONE]\n\n";
    assert_eq!(streamed(ALL, &json!({}), other).0, other);
    let own = Habits::new().errors(|_| refusal::in_stream(br#"{"error":"ours","code":1}"#));
    assert!(
        whole(own, r#"{"error":"no"}"#).unwrap_err().answer().unwrap().starts_with(b"{\"error")
    );
    assert!(whole(ALL, r#"{"error":null,"choices":[]}"#).is_ok());
}

#[test]
fn what_is_no_answer_is_an_error_and_no_panic() {
    for wrong in ["", "{", "nothing", "{\"error\":", "[1,\"error\"]", "\"reasoning\""] {
        assert!(whole(ALL, wrong).is_err(), "{wrong}");
    }
    let odd = [
        r#"{"choices":7,"error":null}"#,
        r#"{"choices":[7],"usage":"\"reasoning\""}"#,
        r#"{"choices":[{"delta":7,"finish_reason":7,"index":-1,"x":"\"tool_calls\""}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[7]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":"x","function":7}],"role":7}}]}"#,
        r#"{"usage":{"reasoning_tokens":-1},"choices":[]}"#,
    ];
    for text in odd {
        assert!(whole(ALL, text).is_ok(), "{text}");
        let (_, error) = streamed(ALL, &json!({}), &format!("data: {text}\n\ndata: [DONE]\n\n"));
        assert!(error.is_none(), "{text}");
    }
    let (_, error) = streamed(ALL, &json!({}), "data: \"reasoning\" \"error\"\n\ndata: [DONE]\n\n");
    assert_eq!(error.unwrap().kind(), Kind::Broken);
}

#[test]
fn no_bytes_make_it_panic() {
    const TEXT: &[u8] = b"data: {\"id\":\"\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\
        \"reasoning\":\"a\",\"content\":\"b\",\"tool_calls\":[{\"index\":1,\"id\":\"0\",\"function\":{\"name\":null}}]},\
        \"finish_reason\":\"stop_sequence\"}],\"usage\":{\"reasoning_tokens\":1}}\r\n\r\ndata: [DONE]\n\n";
    let mut seed = 1_u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as usize
    };
    for _ in 0..5_000 {
        let mut bytes = TEXT.to_vec();
        for _ in 0..=random() % 3 {
            let (at, other) = (random() % bytes.len(), b"\"\\{}[]:,\r\n0n\xff"[random() % 13]);
            match random() % 3 {
                0 => bytes[at] = other,
                1 => bytes.insert(at, other),
                _ => drop(bytes.remove(at)),
            }
        }
        let cut = random() % bytes.len();
        let stops = json!({"stop": ["b", "\u{fffd}"]});
        told(ALL, &stops, "text/event-stream", &[&bytes[..cut], &bytes[cut..]]);
        told(ALL, &stops, "application/json", &[&bytes[6..]]);
    }
}

#[test]
fn what_cannot_be_read_passes() {
    let answer = Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_ENCODING, "gzip")
        .body(Body::from("\u{1f}gz"))
        .unwrap();
    let answer = ALL.decode(&request(&json!({})), answer);
    let bytes = block_on(answer.into_body().collect()).unwrap().to_bytes();
    assert_eq!(bytes, "\u{1f}gz");
    let words = "data: {\"choices\":[{\"delta\":{\"reasoning\":\"a\"}}]}\n\n";
    for kind in ["text/plain", "application/octet-stream"] {
        assert_eq!(told(ALL, &json!({}), kind, &[words.as_bytes()]).0, words);
    }
}
