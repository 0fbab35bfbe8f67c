//! Answers that are not as they should be, and what is made of them.
#![cfg(test)]

use bytes::Bytes;
use http::{Response, StatusCode};
use jairouter_core::{Backend, Endpoint, Error, InferenceRequest, Kind};
use jairouter_triton::{Dialect, Settings, StreamText, Triton};
use proptest::prelude::*;
use serde_json::{Value, json};

mod support;
use support::{DIALECTS, decoded, question, triton};

/// What a stream says: its text, why it ended, its usage; and its error.
fn streamed(triton: &Triton, more: &Value, events: &[Value]) -> (Value, Option<Error>) {
    let mut more = more.clone();
    more["stream"] = json!(true);
    let events: Vec<_> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let (said, error) = decoded(triton, &question(Endpoint::Completions, &more), &events);
    let is_done = said.ends_with("data: [DONE]\n\n");
    assert_eq!(is_done, error.is_none(), "an error is not followed by an end: {said}");
    let (mut text, mut finish, mut usage) = (String::new(), Vec::new(), Value::Null);
    for chunk in said.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()) {
        let Ok(chunk) = serde_json::from_str::<Value>(chunk) else { continue };
        text.push_str(chunk["choices"][0]["text"].as_str().unwrap_or_default());
        finish.extend(chunk["choices"][0]["finish_reason"].as_str().map(str::to_owned));
        if chunk["usage"].is_object() {
            assert_eq!(chunk["choices"], json!([]), "usage comes alone");
            usage = chunk["usage"].clone();
        }
    }
    (json!({"text": text, "finish": finish, "usage": usage}), error)
}

fn whole(triton: &Triton, more: &Value, answer: &Value) -> Result<Value, Error> {
    let request = question(Endpoint::Completions, more);
    let (said, error) = decoded(triton, &request, &[answer.to_string()]);
    error.map_or_else(|| Ok(serde_json::from_str(&said).unwrap()), Err)
}

#[test]
fn every_dialect_answers_chats_and_completions_in_one_piece_and_in_many() {
    for dialect in DIALECTS {
        let triton = triton(dialect);
        for (endpoint, whole_at, piece_at) in [
            (Endpoint::ChatCompletions, "/message/content", "/delta/content"),
            (Endpoint::Completions, "/text", "/text"),
        ] {
            let answer = json!({"text_output": "Hi there", "finish_reason": "stop"}).to_string();
            let (said, error) = decoded(&triton, &question(endpoint, &json!({})), &[answer]);
            assert!(error.is_none(), "{dialect:?}");
            let said: Value = serde_json::from_str(&said).unwrap();
            let text = said.pointer(&format!("/choices/0{whole_at}"));
            assert_eq!(text, Some(&json!("Hi there")), "{dialect:?}");

            let texts =
                if dialect == Dialect::LlmApi { ["Hi", "Hi there"] } else { ["Hi", " there"] };
            let reasons = [Value::Null, json!("stop")];
            let events = texts.into_iter().zip(reasons).map(|(text, reason)| {
                format!("data: {}\n\n", json!({"text_output": text, "finish_reason": reason}))
            });
            let request = question(endpoint, &json!({"stream": true}));
            let (said, error) = decoded(&triton, &request, &events.collect::<Vec<_>>());
            assert!(error.is_none() && said.ends_with("data: [DONE]\n\n"), "{dialect:?}: {said}");
            let events = said.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
            let chunks = events.filter_map(|event| serde_json::from_str::<Value>(event).ok());
            let pieces: Vec<_> = chunks
                .filter_map(|it| {
                    Some(it.pointer(&format!("/choices/0{piece_at}"))?.as_str()?.to_owned())
                })
                .collect();
            assert_eq!(pieces.concat(), "Hi there", "{dialect:?}");
        }
    }
}

#[test]
fn a_stop_word_at_the_end_is_not_told_and_is_why_it_ended() {
    let ensemble = triton(Dialect::Ensemble);
    let stop = json!({"stop": ["learn", "###"], "max_tokens": 3});
    let pieces = ["learning ", "to le", "arn"];
    let events = pieces.map(|text| json!({"text_output": text, "num_output_tokens": 1}));
    let (said, _) = streamed(&ensemble, &stop, &events);
    assert_eq!(said, json!({"text": "learning to ", "finish": ["stop"], "usage": null}));
    let answer = json!({"text_output": pieces.concat(), "num_output_tokens": 3});
    let answer = whole(&ensemble, &stop, &answer).unwrap();
    assert_eq!(answer["choices"][0]["text"], "learning to ");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    // The others take it out themselves: what is there is the model's.
    let answer = json!({"text_output": "to learn", "finish_reason": "length"});
    let answer = whole(&triton(Dialect::Vllm), &stop, &answer).unwrap();
    assert_eq!(answer["choices"][0]["text"], "to learn");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[test]
fn what_was_held_back_and_is_no_stop_word_is_told_at_last() {
    let stop = json!({"stop": "###"});
    let events = ["a #", "#"].map(|text| json!({"text_output": text}));
    let (said, _) = streamed(&triton(Dialect::Ensemble), &stop, &events);
    assert_eq!(said["text"], "a ##");
}

#[test]
fn an_answer_that_reached_its_limit_says_so() {
    let ensemble = triton(Dialect::Ensemble);
    let events = ["a", "b"].map(|text| json!({"text_output": text, "num_output_tokens": 1}));
    for (limit, reason) in [(2, "length"), (3, "stop")] {
        let limit = json!({"max_tokens": limit});
        let (said, _) = streamed(&ensemble, &limit, &events);
        assert_eq!(said["finish"], json!([reason]));
        // Where nobody counts, the probabilities do.
        let answer = json!({"text_output": "ab", "output_log_probs": [0.0, 0.0]});
        let answer = whole(&ensemble, &limit, &answer).unwrap();
        assert_eq!(answer["choices"][0]["finish_reason"], reason);
        assert_eq!(answer["usage"]["completion_tokens"], 2);
    }
    let (said, _) = streamed(&ensemble, &json!({}), &[json!({"text_output": "a"})]);
    assert_eq!(said["finish"], json!(["stop"]), "as far as anybody knows");
}

#[test]
fn counts_of_pieces_are_added_and_counts_of_all_are_not() {
    let ask = json!({"stream_options": {"include_usage": true}});
    let event = |text: &str, count: u64| json!({"text_output": text, "num_input_tokens": 7, "num_output_tokens": count});
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    let (said, _) = streamed(&triton(Dialect::Vllm), &ask, &[event("a", 1), event("b", 2)]);
    assert_eq!((&said["usage"], &said["text"]), (&usage, &json!("ab")));
    let settings = Settings::default().stream_text(StreamText::Cumulative);
    let (said, _) = streamed(&Triton::with(settings), &ask, &[event("a", 1), event("ab", 3)]);
    assert_eq!((&said["usage"], &said["text"]), (&usage, &json!("ab")));
    let (said, _) = streamed(&triton(Dialect::Vllm), &json!({}), &[event("a", 1)]);
    assert_eq!(said["usage"], Value::Null, "nobody asked");
}

#[test]
fn a_text_that_takes_back_what_it_said_is_an_error() {
    let llm_api = triton(Dialect::LlmApi);
    let event = |text: &str| json!({"text_output": text, "finish_reason": "None"});
    let (said, error) = streamed(&llm_api, &json!({}), &[event("ha"), event("x")]);
    assert_eq!((said["text"].as_str(), error.unwrap().kind()), (Some("ha"), Kind::Broken));
    // Half a character is none yet, and nothing is taken back by an empty text.
    let last = json!({"text_output": "aüb", "finish_reason": "stop"});
    let events = [event("a\u{fffd}"), event(""), json!({"text_output": []}), event("aü"), last];
    let (said, error) = streamed(&llm_api, &json!({}), &events);
    assert_eq!((said["text"].as_str(), error.is_none()), (Some("aüb"), true));
    let last = json!({"text_output": "a\u{fffd}", "finish_reason": "stop"});
    let (said, _) = streamed(&llm_api, &json!({}), &[last]);
    assert_eq!(said["text"], "a\u{fffd}", "it was all there is");
}

#[test]
fn an_engine_that_tells_why_it_ends_and_does_not_was_cut_off() {
    let event = json!({"text_output": "a", "finish_reason": "None"});
    for dialect in DIALECTS {
        let (said, error) = streamed(&triton(dialect), &json!({}), std::slice::from_ref(&event));
        assert_eq!((&said["finish"], error.unwrap().kind()), (&json!([]), Kind::Broken));
        let (_, error) = streamed(&triton(dialect), &json!({}), &[]);
        assert_eq!(error.unwrap().kind(), Kind::Broken, "nothing is no answer");
    }
    for reason in ["abort", "error", "cancelled", "timeout"] {
        let event = json!({"text_output": "a", "finish_reason": reason});
        let (_, error) = streamed(&triton(Dialect::Vllm), &json!({}), &[event]);
        assert_eq!(error.unwrap().kind(), Kind::Broken, "{reason}");
    }
}

#[test]
fn nothing_counts_behind_the_reason() {
    let last = json!({"text_output": "a", "finish_reason": "stop"});
    let events = [last.clone(), json!({"text_output": "late"}), last];
    let (said, error) = streamed(&triton(Dialect::Vllm), &json!({}), &events);
    assert!(error.is_none());
    assert_eq!(said, json!({"text": "a", "finish": ["stop"], "usage": null}));
}

#[test]
fn an_error_in_a_200_is_an_error_wherever_it_comes() {
    let text = "generate expects model to produce exactly 1 response, use generate stream";
    let error = json!({"error": text});
    for dialect in DIALECTS {
        let triton = triton(dialect);
        for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Embeddings] {
            let request = question(endpoint, &json!({}));
            let (said, failed) = decoded(&triton, &request, &[error.to_string()]);
            let failed = failed.unwrap();
            assert_eq!(
                (&*said, failed.kind(), failed.status()),
                ("", Kind::Broken, StatusCode::BAD_GATEWAY)
            );
            assert!(String::from_utf8_lossy(failed.answer().unwrap()).contains(text));
        }
        let half = json!({"text_output": "half", "finish_reason": "None"});
        let (said, failed) = streamed(&triton, &json!({}), &[half.clone(), error.clone(), half]);
        assert_eq!((&said["text"], &said["finish"]), (&json!("half"), &json!([])));
        assert!(String::from_utf8_lossy(failed.unwrap().answer().unwrap()).contains(text));
        // As one piece, where a stream was asked for.
        let request = question(Endpoint::Completions, &json!({"stream": true}));
        let (said, failed) = decoded(&triton, &request, &[error.to_string()]);
        assert!(String::from_utf8_lossy(failed.unwrap().answer().unwrap()).contains(text));
        assert_eq!(said, "");
    }
}

#[test]
fn what_is_no_answer_is_an_error() {
    for nonsense in ["", "<html>", "[]", "{}", "null", r#"{"text_output":7}"#, r#"{"text_output":"#]
    {
        for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Embeddings] {
            let request = question(endpoint, &json!({}));
            let pieces = [nonsense.to_owned()];
            let (_, error) = decoded(&triton(Dialect::Vllm), &request, &pieces);
            assert_eq!(error.map(|it| it.kind()), Some(Kind::Broken), "{nonsense} of {endpoint}");
        }
        let request = question(Endpoint::Completions, &json!({"stream": true}));
        for pieces in [format!("data: {nonsense}\n\n"), format!("{nonsense}\n")] {
            let (_, error) = decoded(&triton(Dialect::Ensemble), &request, &[pieces]);
            assert_eq!(error.map(|it| it.kind()), Some(Kind::Broken), "{nonsense}");
        }
    }
    for vector in ["[]]", "none", "[\"a\"]", "{}"] {
        let answer = json!({"text_output": vector}).to_string();
        let request = question(Endpoint::Embeddings, &json!({}));
        let (_, error) = decoded(&triton(Dialect::Vllm), &request, &[answer]);
        assert_eq!(error.map(|it| it.kind()), Some(Kind::Broken), "{vector}");
    }
}

#[test]
fn comments_and_other_line_ends_are_no_matter() {
    let request = question(Endpoint::Completions, &json!({"stream": true}));
    let pieces = [
        ": ping\r\n\r\nid: 1\r\nevent: x\r\n".to_owned(),
        "data:{\"text_output\":\"a\"}\r\n\r\n".to_owned(),
    ];
    let (said, error) = decoded(&triton(Dialect::Ensemble), &request, &pieces);
    assert!(error.is_none() && said.contains(r#""text":"a""#), "{said}");
}

#[test]
fn an_event_that_is_cut_off_is_not_the_end() {
    let event = "data: {\"text_output\":\"a\"}\n\n";
    let request = question(Endpoint::Completions, &json!({"stream": true}));
    for cut in 1..event.trim_end().len() {
        let pieces = [event.to_owned(), event[..cut].to_owned()];
        let (said, error) = decoded(&triton(Dialect::Ensemble), &request, &pieces);
        assert!(error.is_some() && !said.contains("[DONE]"), "cut at {cut}: {said}");
    }
}

#[test]
fn of_several_choices_all_have_to_be_there() {
    let two = json!({"n": 2, "max_tokens": 2});
    let texts = json!(["a", "b"]);
    let answer = json!({"text_output": texts, "finish_reason": ["stop", "length"]});
    let answer = whole(&triton(Dialect::Vllm), &two, &answer).unwrap();
    let reasons: Vec<_> =
        answer["choices"].as_array().unwrap().iter().map(|it| &it["finish_reason"]).collect();
    assert_eq!(reasons, ["stop", "length"]);
    for texts in [json!("a"), json!(["a"]), json!([])] {
        let error =
            whole(&triton(Dialect::Vllm), &two, &json!({"text_output": texts})).unwrap_err();
        assert_eq!((error.kind(), error.param()), (Kind::Unsupported, Some("n")));
    }
    // Of beams that nobody asked for, the first is the best.
    let answer = json!({"text_output": ["a", "b"], "num_output_tokens": [1, 1]});
    let answer = whole(&triton(Dialect::Ensemble), &json!({}), &answer).unwrap();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 1);
    let answer = whole(&triton(Dialect::Ensemble), &json!({}), &json!({"text_output": []}));
    assert_eq!(answer.unwrap()["choices"][0]["text"], "");
}

#[test]
fn a_repeated_prompt_is_not_told() {
    let ask = json!({"prompt": "Once upon a time there was"});
    for dialect in DIALECTS {
        let answer = json!({"text_output": "Once upon a time there was a king"});
        let answer = whole(&triton(dialect), &ask, &answer).unwrap();
        assert_eq!(answer["choices"][0]["text"], " a king");
        let events = ["Once upon", "Once upon a time there was a king"];
        let settings = Settings::new(dialect).stream_text(StreamText::Cumulative);
        let events = events.map(|text| json!({"text_output": text}));
        let (said, _) = streamed(&Triton::with(settings), &ask, &events);
        assert_eq!(said["text"], " a king");
    }
    let answer = json!({"text_output": "x-ray"});
    let answer = whole(&triton(Dialect::Ensemble), &json!({}), &answer).unwrap();
    assert_eq!(answer["choices"][0]["text"], "x-ray", "the model's own word");
}

#[test]
fn a_vector_comes_as_numbers_or_as_their_bytes() {
    let answer = json!({"text_output": "[0.250, -1e-3]", "num_input_tokens": 2}).to_string();
    let embed = |more: Value| {
        let request = question(Endpoint::Embeddings, &more);
        decoded(&triton(Dialect::Vllm), &request, std::slice::from_ref(&answer)).0
    };
    assert!(embed(json!({})).contains("[0.250, -1e-3]"), "to the last digit");
    let answer: Value = serde_json::from_str(&embed(json!({"encoding_format": "base64"}))).unwrap();
    assert_eq!(answer["data"][0]["embedding"], "AACAPm8Sg7o=");
    assert_eq!(answer["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));
}

#[test]
fn a_model_that_is_not_there_is_absent_whatever_the_status() {
    let refusal = |status: u16, text: &str| {
        let body = json!({"error": text}).to_string();
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        Triton::new().refusal(&question(Endpoint::Completions, &json!({})), &answer)
    };
    let unknown = "Request for unknown model: 'm' is not found";
    for status in [400, 404] {
        let error = refusal(status, unknown);
        assert_eq!((error.kind(), error.status()), (Kind::ModelAbsent, StatusCode::NOT_FOUND));
        assert!(String::from_utf8_lossy(error.answer().unwrap()).contains(unknown));
    }
    let none = "Request for unknown model: 'm' has no available versions";
    assert_eq!(refusal(400, none).kind(), Kind::ModelAbsent);
    let loading = "Request for unknown model: 'm' version 1 is not at ready state";
    for status in [400, 503] {
        let error = refusal(status, loading);
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!((error.kind(), error.status()), (Kind::Failed, unavailable));
    }
    assert_eq!(refusal(400, "parameter 'x' has invalid type").kind(), Kind::Rejected);
    assert_eq!(refusal(501, "unsupported").kind(), Kind::Failed);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        text in r#"data: ?\{"(text_output|finish_reason|error|num_output_tokens)":[a-z"\[\]0-9,#ü ]{0,24}\}"#,
        stream: bool,
    ) {
        for dialect in DIALECTS {
            let triton = triton(dialect);
            for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Embeddings] {
                let payload = [br#"{"model":"m","#, &*bytes].concat();
                let headers = http::HeaderMap::new();
                if let Ok(odd) = InferenceRequest::new(endpoint, headers, payload.into()) {
                    let _ = triton.encode(&odd);
                }
                let request = question(endpoint, &json!({"stream": stream, "stop": ["#", "ü#"]}));
                let bytes = String::from_utf8_lossy(&bytes).into_owned();
                let _ = decoded(&triton, &request, &[text.clone(), "\n\n".into(), bytes]);
            }
        }
    }
}
