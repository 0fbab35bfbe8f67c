//! What `SGLang` is asked, where, and what it says of its own.
#![cfg(test)]

use futures::executor::block_on;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route};
use jairouter_sglang::SgLang;
use serde_json::{Value, json};

fn request(endpoint: Endpoint, payload: &str) -> InferenceRequest {
    InferenceRequest::new(endpoint, HeaderMap::new(), payload.to_owned().into()).unwrap()
}

fn asked(more: &Value) -> Result<Value, Error> {
    let mut payload = json!({"model": "m", "prompt": "p"});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let request = request(Endpoint::Completions, &payload.to_string());
    Ok(serde_json::from_slice(&SgLang::native().encode(&request)?).unwrap())
}

#[test]
fn a_completion_is_asked_in_its_own_words() {
    let sent = asked(&json!({
        "max_tokens": 4, "seed": 7, "stop": "a", "top_k": 3, "temperature": 0.5, "min_tokens": 1,
        "lora_path": "x", "user": "u", "stream": false, "logit_bias": {"1": -100},
    }));
    assert_eq!(
        sent.unwrap(),
        json!({"text": "p", "lora_path": "x", "sampling_params": {
            "max_new_tokens": 4, "sampling_seed": 7, "stop": "a", "top_k": 3, "temperature": 0.5,
            "min_new_tokens": 1, "logit_bias": {"1": -100},
        }})
    );
    let tokens = asked(&json!({"prompt": [1, 2], "max_tokens": 1, "max_completion_tokens": 2}));
    assert_eq!(
        tokens.unwrap(),
        json!({"input_ids": [1, 2], "sampling_params": {"max_new_tokens": 2}})
    );
    let listed = asked(&json!({"prompt": ["p"], "stream": true})).unwrap();
    assert_eq!(listed, json!({"text": "p", "sampling_params": {}, "stream": true}));
}

#[test]
fn a_schema_is_a_text_of_its_own() {
    let schema = json!({"type": "json_schema", "json_schema": {"schema": {"a": 1}}});
    let sent = asked(&json!({"response_format": schema})).unwrap();
    assert_eq!(sent["sampling_params"]["json_schema"], r#"{"a":1}"#);
    let any = asked(&json!({"response_format": {"type": "json_object"}})).unwrap();
    assert_eq!(any["sampling_params"]["json_schema"], r#"{"type":"object"}"#);
    let text = asked(&json!({"response_format": {"type": "text"}})).unwrap();
    assert_eq!(text["sampling_params"], json!({}));
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
        ("prompt", Value::Null, Kind::Invalid),
        ("stop", json!(7), Kind::Invalid),
        ("response_format", json!({"type": "xml"}), Kind::Invalid),
    ] {
        let error = asked(&json!({ param: value })).unwrap_err();
        assert_eq!((error.kind(), error.param()), (kind, Some(param)), "{param}: {value}");
    }
}

fn told(backend: SgLang, endpoint: Endpoint, asked: &Value, answer: &str) -> Result<String, Error> {
    let request = request(endpoint, &asked.to_string());
    let answer = Response::new(Body::from(answer.to_owned()));
    let body = backend.decode(&request, answer).into_body();
    let bytes = block_on(body.collect())?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

fn generated(stream: bool, answer: &str) -> Result<String, Error> {
    let asked = json!({"model": "m", "prompt": "p", "stream": stream});
    told(SgLang::native(), Endpoint::Completions, &asked, answer)
}

fn event(text: &str, finish: &Value) -> String {
    let meta = json!({"finish_reason": finish, "prompt_tokens": 2, "completion_tokens": 3});
    format!("data: {}\n\n", json!({"text": text, "meta_info": meta}))
}

#[test]
fn text_that_grows_is_told_in_pieces_and_a_stop_text_taken_back_is_not_told() {
    let stop = json!({"type": "stop", "matched": 1});
    let text = [event("a", &Value::Null), event("aé", &Value::Null), event("a", &stop)].concat();
    let told = generated(true, &(text + "data: [DONE]\n\n")).unwrap();
    let pieces =
        [r#""text":"a""#, r#""text":"é""#, r#""finish_reason":"stop""#, "data: [DONE]\n\n"];
    let mut rest = &*told;
    for piece in pieces {
        let (_, behind) = rest.split_once(piece).unwrap_or_else(|| panic!("{piece} in {told}"));
        rest = behind;
    }
    assert!(!told.contains("usage"), "nobody asked: {told}");
}

#[test]
fn a_stream_that_is_not_whole_is_an_error() {
    let (half, stop) = (event("a", &Value::Null), json!({"type": "stop"}));
    let abort = json!({"type": "abort", "message": "no", "status_code": 400});
    for (end, kind) in [
        (String::new(), Kind::Broken),
        ("data: [DONE]\n\n".into(), Kind::Broken),
        (event("ab", &stop), Kind::Broken),
        (event("b", &Value::Null), Kind::Broken),
        (event("ab", &abort) + "data: [DONE]\n\n", Kind::Rejected),
        (event("ab", &json!({"type": "abort"})) + "data: [DONE]\n\n", Kind::Broken),
        ("data: {\"error\":{\"message\":\"no\",\"code\":500}}\n\n".into(), Kind::Broken),
        ("data: nothing\n\n".into(), Kind::Broken),
    ] {
        let error = generated(true, &format!("{half}{end}")).unwrap_err();
        assert_eq!(error.kind(), kind, "{end}");
    }
}

#[test]
fn an_answer_in_one_piece_is_whole_or_an_error() {
    let whole = event("a", &json!({"type": "length", "length": 3}));
    let told = generated(false, whole.trim().strip_prefix("data: ").unwrap()).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["choices"][0]["finish_reason"], "length");
    assert_eq!(told["usage"]["total_tokens"], 5);
    for wrong in ["", "[]", "{}", r#"{"text":"a","meta_info":{}}"#, r#"{"error":{"message":"no"}}"#]
    {
        assert!(generated(false, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn embeddings_and_texts_of_tokens_are_told_in_the_form_that_was_asked_for() {
    let asked = json!({"model": "m", "input": "a", "encoding_format": "base64"});
    let answer = r#"{"data":[{"index":0,"embedding":[1.0]}],"usage":{}}"#;
    let embedded = told(SgLang::new(), Endpoint::Embeddings, &asked, answer).unwrap();
    assert!(embedded.contains(r#""AACAPw==""#), "{embedded}");
    let tokens = json!({"model": "m", "tokens": [1]});
    let text = told(SgLang::new(), Endpoint::Detokenize, &tokens, r#"{"text":"a"}"#).unwrap();
    assert_eq!(text, r#"{"prompt":"a"}"#);
}

#[test]
fn options_are_read_and_wrong_ones_named() {
    assert_eq!(SgLang::from_options([("api", "openai")]), Ok(SgLang::new()));
    assert_eq!(SgLang::from_options([("api", "native")]), Ok(SgLang::native()));
    let error = SgLang::from_options([("api", "x")]).unwrap_err();
    assert_eq!(error.to_string(), "'api' must be openai or native");
    let error = SgLang::from_options([("x", "native")]).unwrap_err();
    assert_eq!(error.to_string(), "'x' is no option of sglang, which has one: api");
}

#[test]
fn every_endpoint_is_where_sglang_has_it() {
    for &endpoint in Endpoint::ALL {
        let path =
            |backend: SgLang| backend.path(&Route::new(endpoint, "m", true)).map(String::from);
        let lacks = matches!(
            endpoint,
            Endpoint::Speech
                | Endpoint::Translations
                | Endpoint::ImageGenerations
                | Endpoint::ImageEdits
                | Endpoint::ImageVariations
                | Endpoint::Moderations
        );
        let expected = (!lacks).then(|| endpoint.path());
        assert_eq!(path(SgLang::new()).as_deref(), expected, "{endpoint}");
        let own = if endpoint == Endpoint::Completions { Some("/generate") } else { expected };
        assert_eq!(path(SgLang::native()).as_deref(), own, "{endpoint}");
    }
}
