//! What Xinference is asked, and where.
#![cfg(test)]

use bytes::Bytes;
use futures::executor::block_on;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route};
use jairouter_xinference::Xinference;
use serde_json::{Value, json};

fn request(endpoint: Endpoint, payload: &str) -> InferenceRequest {
    InferenceRequest::new(endpoint, HeaderMap::new(), payload.to_owned().into()).unwrap()
}

fn asked(endpoint: Endpoint, payload: &str) -> Result<Bytes, Error> {
    Xinference::new().encode(&request(endpoint, payload))
}

#[test]
fn what_it_would_drop_or_fail_at_is_refused_by_its_name() {
    for (field, param) in [(r#""n":2"#, "n"), (r#""logit_bias":{"1":2}"#, "logit_bias")] {
        for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions] {
            let error = asked(endpoint, &format!(r#"{{"model":"m",{field}}}"#)).unwrap_err();
            assert_eq!((error.kind(), error.param()), (Kind::Unsupported, Some(param)));
        }
    }
    let wrong = asked(Endpoint::ChatCompletions, r#"{"model":"m","n":"x"}"#).unwrap_err();
    assert_eq!((wrong.kind(), wrong.param()), (Kind::Invalid, Some("n")));
}

#[test]
fn what_needs_no_change_is_not_even_copied() {
    for payload in [
        r#"{ "model":"m", "n":1, "logit_bias":{}, "max_tokens":18446744073709551616 }"#,
        r#"{"model":"m","unknown":1.0}"#,
    ] {
        let request = request(Endpoint::ChatCompletions, payload);
        let sent = Xinference::new().encode(&request).unwrap();
        assert_eq!(sent.as_ptr(), request.payload.as_ptr(), "{payload}");
    }
    let both = r#"{"model":"m","max_tokens":1,"max_completion_tokens":2}"#;
    assert_eq!(asked(Endpoint::ChatCompletions, both).unwrap(), r#"{"model":"m","max_tokens":2}"#);
}

#[test]
fn a_reranking_is_told_in_jina_s_shape_with_the_tokens_it_took() {
    let asked = r#"{"model":"m","query":"q","documents":["a","b"],"top_n":1}"#;
    let said = r#"{"id":"x","results":[{"index":0,"relevance_score":0.1,"document":null},
        {"index":1,"relevance_score":0.9,"document":null}],
        "meta":{"tokens":{"input_tokens":7,"output_tokens":0}}}"#;
    let request = request(Endpoint::Rerank, asked);
    let answer = Xinference::new().decode(&request, Response::new(Body::from(said)));
    let told = block_on(answer.into_body().collect()).unwrap().to_bytes();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let best = json!({"index": 1, "relevance_score": 0.9, "document": {"text": "b"}});
    assert_eq!((&told["results"], &told["model"]), (&json!([best]), &json!("m")));
    assert_eq!(told["usage"], json!({"prompt_tokens": 7, "total_tokens": 7}));
}

#[test]
fn a_reranking_asks_for_the_count_unless_it_says_otherwise() {
    let sent = asked(Endpoint::Rerank, r#"{"model":"m","query":"q","documents":[]}"#).unwrap();
    assert_eq!(sent, r#"{"model":"m","query":"q","documents":[],"return_len":true}"#);
    let said = r#"{"model":"m","return_len":false}"#;
    assert_eq!(asked(Endpoint::Rerank, said).unwrap(), said);
}

#[test]
fn a_request_that_is_wrong_is_no_failure_of_the_instance() {
    for (text, kind, status) in [
        (
            "Internal Server Error: 1 validation error for CreateChatCompletion\nmax_tokens\n  \
             value is not a valid integer (type=type_error.integer)",
            Kind::Rejected,
            400,
        ),
        (
            "Internal Server Error: 2 validation errors for RerankRequest\nquery\n",
            Kind::Rejected,
            400,
        ),
        ("Internal Server Error: 1 validation error for LlamaConfig\nx\n", Kind::Failed, 502),
        ("Internal Server Error: division by zero", Kind::Failed, 502),
    ] {
        let answer = Response::builder().status(500).body(Bytes::from(text)).unwrap();
        let asked = request(Endpoint::ChatCompletions, r#"{"model":"m"}"#);
        let error = Xinference::new().refusal(&asked, &answer);
        assert_eq!((error.kind(), error.status().as_u16()), (kind, status), "{text}");
        let told = error.answer().map(|told| String::from_utf8_lossy(told).into_owned());
        let first = text.lines().next().unwrap();
        assert!(told.is_some_and(|told| told.contains(first)), "{text}");
    }
}

fn image(more: &Value) -> Result<Value, Error> {
    let mut payload = json!({"model": "m", "prompt": "p"});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let sent = asked(Endpoint::ImageGenerations, &payload.to_string())?;
    Ok(serde_json::from_slice(&sent).unwrap())
}

#[test]
fn options_of_an_image_go_into_a_text_of_their_own() {
    let sent =
        image(&json!({"steps": 4, "size": "8x8", "kwargs": "{\"seed\":1,\"steps\":2}"})).unwrap();
    assert_eq!(sent["size"], "8*8");
    let options: Value = serde_json::from_str(sent["kwargs"].as_str().unwrap()).unwrap();
    assert_eq!(options, json!({"seed": 1, "steps": 4}));
    assert!(sent.get("steps").is_none());
    let plain = json!({"quality": "auto", "style": null, "user": "u", "stream": false, "n": 1});
    assert_eq!(image(&plain).unwrap(), json!({"model": "m", "prompt": "p", "n": 1}));
}

#[test]
fn what_its_images_do_not_know_is_refused_by_its_name() {
    for (param, value) in [
        ("quality", json!("hd")),
        ("style", json!("vivid")),
        ("background", json!("transparent")),
        ("output_format", json!("webp")),
        ("stream", json!(true)),
    ] {
        let error = image(&json!({ param: value })).unwrap_err();
        assert_eq!((error.kind(), error.param()), (Kind::Unsupported, Some(param)));
    }
    let error = image(&json!({"kwargs": "no"})).unwrap_err();
    assert_eq!((error.kind(), error.param()), (Kind::Invalid, Some("kwargs")));
}

#[test]
fn every_endpoint_is_where_xinference_has_it() {
    for &endpoint in Endpoint::ALL {
        let path = Xinference::new().path(&Route::new(endpoint, "m", false));
        let lacks = matches!(
            endpoint,
            Endpoint::Responses
                | Endpoint::CountTokens
                | Endpoint::Tokenize
                | Endpoint::Detokenize
                | Endpoint::Moderations
        );
        assert_eq!(path.as_deref(), (!lacks).then(|| endpoint.path()), "{endpoint}");
    }
    assert_eq!(Xinference::new().health(), "/status");
}
