//! What `LocalAI` is asked, and where.
#![cfg(test)]

use futures::executor::block_on;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use jairouter_core::{Backend, Body, Endpoint, InferenceRequest, Route};
use jairouter_localai::LocalAi;
use serde_json::{Value, json};

fn form(endpoint: Endpoint, more: &str) -> InferenceRequest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "multipart/form-data; boundary=X".parse().unwrap());
    let part =
        |name: &str| format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nm\r\n");
    let more = if more.is_empty() { String::new() } else { part(more) };
    let payload = format!("{}{more}{}--X--\r\n", part("model"), part("file")).into();
    InferenceRequest::new(endpoint, headers, payload).unwrap()
}

fn field(name: &str, value: &str) -> String {
    format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

#[test]
fn a_transcription_is_asked_for_in_openai_s_default_form() {
    let asked = form(Endpoint::Transcriptions, "");
    let sent = LocalAi::new().form(&asked).unwrap().to_bytes();
    let expected = [field("response_format", "json").as_bytes(), &asked.payload].concat();
    assert_eq!(sent, expected);
    let said = form(Endpoint::Transcriptions, "response_format");
    assert_eq!(LocalAi::new().form(&said).unwrap().to_bytes().as_ptr(), said.payload.as_ptr());
}

#[test]
fn a_translation_is_a_transcription_that_translates() {
    let asked = form(Endpoint::Translations, "response_format");
    let sent = LocalAi::new().form(&asked).unwrap().to_bytes();
    assert_eq!(sent, [field("translate", "true").as_bytes(), &asked.payload].concat());
    let path = LocalAi::new().path(&Route::new(Endpoint::Translations, "m", false));
    assert_eq!(path.as_deref(), Some("/v1/audio/transcriptions"));
}

fn told(endpoint: Endpoint, question: &str, answer: &str) -> Value {
    let payload = question.to_owned().into();
    let request = InferenceRequest::new(endpoint, HeaderMap::new(), payload).unwrap();
    let answer = Response::new(Body::from(answer.to_owned()));
    let body = LocalAi::new().decode(&request, answer).into_body();
    serde_json::from_slice(&block_on(body.collect()).unwrap().to_bytes()).unwrap()
}

#[test]
fn embeddings_are_counted_and_in_the_form_the_sdks_ask_for() {
    let answer = r#"{"id":"x","object":"list","data":[{"index":0,"embedding":[1.0]}]}"#;
    let asked = r#"{"model":"m","input":"a","encoding_format":"base64"}"#;
    let answer = told(Endpoint::Embeddings, asked, answer);
    assert_eq!(answer["data"][0]["embedding"], "AACAPw==");
    assert_eq!(answer["usage"], json!({"prompt_tokens": 0, "total_tokens": 0}));
}

#[test]
fn tokens_are_told_in_vllm_s_form() {
    let payload = r#"{"model":"m","prompt":"Hi"}"#;
    let request =
        InferenceRequest::new(Endpoint::Tokenize, HeaderMap::new(), payload.into()).unwrap();
    let sent: Value = serde_json::from_slice(&LocalAi::new().encode(&request).unwrap()).unwrap();
    assert_eq!((&sent["content"], &sent["model"]), (&json!("Hi"), &json!("m")));
    let answer = told(Endpoint::Tokenize, payload, r#"{"tokens":[1,2]}"#);
    assert_eq!(answer, json!({"count": 2, "max_model_len": null, "tokens": [1, 2]}));
    let text = told(Endpoint::Detokenize, r#"{"model":"m","tokens":[1]}"#, r#"{"content":"Hi"}"#);
    assert_eq!(text, json!({"prompt": "Hi"}));
}

#[test]
fn documents_are_sent_as_texts() {
    let payload = r#"{"model":"m","query":"q","documents":[{"text":"a"},"b"]}"#;
    let request =
        InferenceRequest::new(Endpoint::Rerank, HeaderMap::new(), payload.into()).unwrap();
    let sent = LocalAi::new().encode(&request).unwrap();
    assert_eq!(sent, r#"{"model":"m","query":"q","documents":["a","b"]}"#);
}

#[test]
fn every_endpoint_is_where_localai_has_it() {
    for &endpoint in Endpoint::ALL {
        let path = LocalAi::new().path(&Route::new(endpoint, "m", false));
        let expected = match endpoint {
            Endpoint::CountTokens | Endpoint::ImageEdits | Endpoint::ImageVariations => None,
            Endpoint::Translations => Some("/v1/audio/transcriptions"),
            other => Some(other.path()),
        };
        assert_eq!(path.as_deref(), expected, "{endpoint}");
    }
    assert_eq!((LocalAi::new().name(), &*LocalAi::new().health()), ("localai", "/readyz"));
}
