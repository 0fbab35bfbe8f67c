//! Recorded exchanges pass in both directions as they are, however the network cuts the answers.
#![cfg(test)]

use bytes::Bytes;
use futures::executor::block_on;
use futures::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use jairouter_conformance::{Exchanges, check_refusals};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route, envelope};
use jairouter_openai::OpenAi;
use serde_json::{Value, json};

fn fixture(file: &Value) -> Bytes {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/");
    std::fs::read(format!("{folder}{}", file.as_str().unwrap())).unwrap().into()
}

fn rows() -> Vec<Value> {
    serde_json::from_slice(&fixture(&json!("index.json"))).unwrap()
}

/// The request of a row, or any that might have been answered like that.
fn request(row: &Value) -> InferenceRequest {
    let path = row["upstream"]["path"].as_str().unwrap();
    let endpoint = Endpoint::from_path(path).unwrap_or(Endpoint::ChatCompletions);
    let mut headers = HeaderMap::new();
    let payload = match row["files"].get("request") {
        Some(file) => fixture(file),
        None => r#"{"model":"m"}"#.into(),
    };
    if endpoint.is_multipart() {
        let kind = "multipart/form-data; boundary=----FixtureBoundary7MA4YWxkTrZu0gW";
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    InferenceRequest::new(endpoint, headers, payload).unwrap()
}

#[test]
fn every_request_goes_to_the_same_path_with_the_caller_s_own_bytes() {
    let mut checked = 0;
    for row in rows().iter().filter(|row| row["files"].get("request").is_some()) {
        let request = request(row);
        let route = Route::new(request.endpoint, &request.model, request.stream);
        let path = OpenAi::new().path(&route);
        assert_eq!(path.as_deref(), row["upstream"]["path"].as_str(), "{}", row["case"]);
        let sent = OpenAi::new().encode(&request).unwrap();
        assert_eq!(sent.as_ptr(), request.payload.as_ptr(), "not even copied");
        assert_eq!(sent, request.payload);
        checked += 1;
    }
    assert_eq!(checked, 13);
}

fn answer(row: &Value, pieces: &[Bytes]) -> Response<Body> {
    let frames: Vec<_> = pieces.iter().cloned().map(Frame::data).map(Ok::<_, Error>).collect();
    Response::builder()
        .header(CONTENT_TYPE, row["upstream"]["content_type"].as_str().unwrap())
        .header(CONTENT_LENGTH, pieces.iter().map(Bytes::len).sum::<usize>())
        .header("x-engine", "its own")
        .body(Body::new(StreamBody::new(stream::iter(frames))))
        .unwrap()
}

/// What reaches the caller, frame by frame.
fn decoded(row: &Value, pieces: &[Bytes]) -> Vec<Bytes> {
    let answer = answer(row, pieces);
    let headers = answer.headers().clone();
    let answer = OpenAi::new().decode(&request(row), answer);
    assert_eq!(answer.headers(), &headers, "{}", row["case"]);
    let mut body = answer.into_body();
    let mut frames = Vec::new();
    while let Some(frame) = block_on(body.frame()) {
        frames.push(frame.unwrap().into_data().unwrap());
    }
    frames
}

// Also of a stream that fails midway: to see it is the part of who reads the events.
#[test]
fn every_answer_passes_frame_by_frame_wherever_it_is_cut() {
    let mut checked = 0;
    for row in rows().iter().filter(|row| row["upstream"]["status"] == 200) {
        let body = fixture(&row["files"]["response"]);
        for cut in 1..body.len() {
            let pieces = [body.slice(..cut), body.slice(cut..)];
            assert_eq!(decoded(row, &pieces), pieces, "{} cut at {cut}", row["case"]);
        }
        let bytes: Vec<_> = (0..body.len()).map(|at| body.slice(at..=at)).collect();
        assert_eq!(decoded(row, &bytes), bytes, "{} byte by byte", row["case"]);
        checked += 1;
    }
    assert_eq!(checked, 14);
}

#[test]
fn a_refusal_keeps_its_words_unless_they_are_about_our_key() {
    let mut checked = 0;
    for row in rows().iter().filter(|row| row["upstream"]["status"] != 200) {
        let status = row["upstream"]["status"].as_u64().unwrap() as u16;
        let body = fixture(&row["files"]["response"]);
        let refusal = Response::builder().status(status).body(body.clone()).unwrap();
        let error = OpenAi::new().refusal(&request(row), &refusal);
        if status == 401 {
            assert_eq!((error.kind(), error.status().as_u16()), (Kind::UpstreamAuth, 502));
            let said: Value = serde_json::from_slice(&envelope::body(&error)).unwrap();
            assert_eq!(said["error"]["code"], "upstream_auth_failed");
            assert!(!said.to_string().contains("sk-"), "{said}");
        } else {
            assert_eq!((error.kind(), error.status().as_u16()), (Kind::Busy, status));
            assert_eq!(envelope::body(&error), body, "{}", row["case"]);
        }
        checked += 1;
    }
    assert_eq!(checked, 3);
}

#[test]
fn recorded_exchanges_pass_wherever_they_are_cut_and_end() {
    let exchanges = Exchanges::read("tests/fixtures").unwrap();
    exchanges.check(&OpenAi::new()).and(check_refusals(&OpenAi::new())).assert(160);
}

#[test]
fn models_are_listed_by_their_ids() {
    let rows = rows();
    let row = rows.iter().find(|row| row["case"] == "models").unwrap();
    let backend = OpenAi::new();
    assert_eq!(backend.models(), row["upstream"]["path"].as_str().unwrap());
    let names = backend.model_names(&fixture(&row["files"]["response"])).unwrap();
    assert_eq!(names, ["gpt-4o-mini", "text-embedding-3-small"]);
    assert_eq!(backend.model_names(b"<html>").unwrap_err().kind(), Kind::Broken);
}
