//! What llama.cpp is asked, where, and what it says of its own.
#![cfg(test)]

use futures::executor::block_on;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route};
use jairouter_llamacpp::LlamaCpp;
use serde_json::{Value, json};

fn request(endpoint: Endpoint, payload: &str) -> InferenceRequest {
    InferenceRequest::new(endpoint, HeaderMap::new(), payload.to_owned().into()).unwrap()
}

fn asked(more: &Value) -> Result<Value, Error> {
    let mut payload = json!({"model": "m", "prompt": "p"});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let request = request(Endpoint::Completions, &payload.to_string());
    Ok(serde_json::from_slice(&LlamaCpp::native().encode(&request)?).unwrap())
}

#[test]
fn a_completion_is_asked_in_its_own_words() {
    for (more, expected) in [
        (json!({"max_tokens": 4, "stop": "a"}), json!({"n_predict": 4, "stop": ["a"]})),
        (json!({"max_tokens": 4, "max_completion_tokens": 5}), json!({"n_predict": 5})),
        (json!({"max_tokens": null, "stop": null, "n": 1, "best_of": 1}), json!({})),
        (
            json!({"top_k": 3, "mirostat": 2, "stop": ["a", "b"]}),
            json!({"top_k": 3, "mirostat": 2, "stop": ["a", "b"]}),
        ),
        (
            json!({"stream": true, "stream_options": {"include_usage": true}, "user": "u"}),
            json!({"stream": true}),
        ),
        (json!({"prompt": [1, 2, "x"], "echo": false}), json!({"prompt": [1, 2, "x"]})),
        (
            json!({"response_format": {"type": "json_object"}}),
            json!({"json_schema": {"type": "object"}}),
        ),
        (json!({"response_format": {"type": "text"}}), json!({})),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}}),
            json!({"json_schema": {"a": 1}}),
        ),
    ] {
        let mut all = json!({"prompt": "p"});
        all.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        let mut sent = asked(&more).unwrap();
        sent.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        assert_eq!(sent, all, "{more}");
    }
}

#[test]
fn what_it_has_no_word_for_is_refused_by_its_name() {
    for (param, value, kind) in [
        ("n", json!(2), Kind::Unsupported),
        ("best_of", json!(2), Kind::Unsupported),
        ("echo", json!(true), Kind::Unsupported),
        ("suffix", json!("x"), Kind::Unsupported),
        ("logprobs", json!(1), Kind::Unsupported),
        ("prompt", json!(["a", "b"]), Kind::Unsupported),
        ("prompt", json!([[1], [2]]), Kind::Unsupported),
        ("prompt", json!([]), Kind::Unsupported),
        ("prompt", json!(7), Kind::Unsupported),
        ("prompt", Value::Null, Kind::Invalid),
        ("stop", json!(7), Kind::Invalid),
        ("n", json!("x"), Kind::Invalid),
        ("response_format", json!({"type": "xml"}), Kind::Invalid),
        ("response_format", json!({"type": "json_schema"}), Kind::Invalid),
    ] {
        let error = asked(&json!({ param: value })).unwrap_err();
        assert_eq!((error.kind(), error.param()), (kind, Some(param)), "{param}: {value}");
    }
    let none = request(Endpoint::Completions, r#"{"model":"m"}"#);
    assert_eq!(LlamaCpp::native().encode(&none).unwrap_err().param(), Some("prompt"));
}

fn told(stream: bool, answer: &str) -> Result<String, Error> {
    let payload = json!({"model": "m", "prompt": "p", "stream": stream}).to_string();
    let request = request(Endpoint::Completions, &payload);
    let answer = Response::new(Body::from(answer.to_owned()));
    let body = LlamaCpp::native().decode(&request, answer).into_body();
    let bytes = block_on(body.collect())?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn its_own_completions_end_with_their_last_piece_or_are_broken() {
    let half = "data: {\"content\":\"a\",\"stop\":false}\n\n";
    for (end, kind) in [
        ("", Some(Kind::Broken)),
        ("data: {\"error\":{\"code\":500,\"message\":\"no\"}}\n\n", Some(Kind::Broken)),
        ("data: {\"error\":{\"code\":400,\"message\":\"no\"}}\n\n", Some(Kind::Rejected)),
        ("data: {\"con\n\n", Some(Kind::Broken)),
        ("data: {\"content\":\"\",\"stop\":true,\"stop_type\":\"word\"}\n\ndata: x\n\n", None),
    ] {
        let told = told(true, &format!("{half}{end}"));
        match kind {
            Some(kind) => assert_eq!(told.unwrap_err().kind(), kind, "{end}"),
            None => {
                let told = told.unwrap();
                assert!(told.ends_with("data: [DONE]\n\n") && !told.contains("usage"), "{told}");
                assert_eq!(told.matches(r#""finish_reason":"stop""#).count(), 1, "{told}");
            }
        }
    }
}

#[test]
fn an_answer_in_one_piece_is_whole_or_an_error() {
    let one = r#"{"content":"a","stop":true,"stop_type":"limit","tokens_evaluated":2,"tokens_predicted":3}"#;
    for answer in [one.to_owned(), format!("[{one}]")] {
        let told: Value = serde_json::from_str(&told(false, &answer).unwrap()).unwrap();
        assert_eq!(told["choices"][0]["finish_reason"], "length");
        assert_eq!(told["usage"]["total_tokens"], 5);
        assert!(told["id"].as_str().unwrap().starts_with("cmpl-"));
    }
    for wrong in ["", "{}", "[]", r#"{"content":"a","stop":false}"#, r#"{"error":{"code":500}}"#] {
        assert!(told(false, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn options_are_read_and_wrong_ones_named() {
    assert_eq!(LlamaCpp::from_options([]), Ok(LlamaCpp::new()));
    assert_eq!(LlamaCpp::from_options([("api", "openai")]), Ok(LlamaCpp::new()));
    assert_eq!(LlamaCpp::from_options([("api", "native")]), Ok(LlamaCpp::native()));
    let error = LlamaCpp::from_options([("api", "x")]).unwrap_err();
    assert_eq!(error.to_string(), "'api' must be openai or native");
    let error = LlamaCpp::from_options([("native", "true")]).unwrap_err();
    assert_eq!(error.to_string(), "'native' is no option of llamacpp, which has one: api");
}

#[test]
fn every_endpoint_is_where_it_has_it() {
    for &endpoint in Endpoint::ALL {
        let path =
            |backend: LlamaCpp| backend.path(&Route::new(endpoint, "m", true)).map(String::from);
        let expected = match endpoint {
            Endpoint::Tokenize => Some("/tokenize"),
            Endpoint::Detokenize => Some("/detokenize"),
            Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Responses
            | Endpoint::Messages
            | Endpoint::CountTokens
            | Endpoint::Embeddings
            | Endpoint::Rerank
            | Endpoint::Transcriptions => Some(endpoint.path()),
            _ => None,
        };
        assert_eq!(path(LlamaCpp::new()).as_deref(), expected, "{endpoint}");
        let own = if endpoint == Endpoint::Completions { Some("/completion") } else { expected };
        assert_eq!(path(LlamaCpp::native()).as_deref(), own, "{endpoint}");
    }
}

#[test]
fn chats_and_embeddings_are_sent_as_they_are() {
    for endpoint in [Endpoint::ChatCompletions, Endpoint::Embeddings, Endpoint::Completions] {
        let request = request(endpoint, r#"{ "model":"m", "n":2, "logprobs":3, "x":1.0 }"#);
        let sent = LlamaCpp::new().encode(&request).unwrap();
        assert_eq!(sent.as_ptr(), request.payload.as_ptr(), "{endpoint}");
    }
}

#[test]
fn what_it_was_not_started_for_is_no_failure_and_its_500_is_told() {
    let asked = request(Endpoint::Embeddings, r#"{"model":"m","input":"a"}"#);
    for (status, kind) in [(501, Kind::Unsupported), (500, Kind::Failed), (503, Kind::Failed)] {
        let said = r#"{"error":{"code":0,"message":"no","type":"t"}}"#;
        let answer = Response::builder().status(status).body(said.into()).unwrap();
        let error = LlamaCpp::new().refusal(&asked, &answer);
        assert_eq!((error.kind(), error.status().as_u16()), (kind, status));
    }
}

#[test]
fn tokens_are_asked_for_and_told_in_vllm_s_form() {
    for (endpoint, asked, sent, said, told) in [
        (
            Endpoint::Tokenize,
            r#"{"model":"m","prompt":"Hi"}"#,
            r#"{"model":"m","content":"Hi","add_special":true}"#,
            r#"{"tokens":[{"id":1,"piece":"Hi"},{"id":2,"piece":"!"}]}"#,
            r#"{"count":2,"max_model_len":null,"tokens":[1,2]}"#,
        ),
        (
            Endpoint::Detokenize,
            r#"{"model":"m","tokens":[1,2]}"#,
            r#"{"model":"m","tokens":[1,2]}"#,
            r#"{"content":"Hi!"}"#,
            r#"{"prompt":"Hi!"}"#,
        ),
    ] {
        let request = request(endpoint, asked);
        assert_eq!(LlamaCpp::new().encode(&request).unwrap(), sent);
        let answer = LlamaCpp::new().decode(&request, Response::new(Body::from(said)));
        assert_eq!(block_on(answer.into_body().collect()).unwrap().to_bytes(), told);
    }
}
