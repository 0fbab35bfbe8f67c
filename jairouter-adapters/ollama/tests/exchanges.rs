//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use bytes::Bytes;
use http::Response;
use jairouter_core::{Backend, Endpoint, Error, InferenceRequest, Kind, Route, envelope};
use jairouter_ollama::Ollama;
use serde_json::{Value, json};

mod support {
    pub(crate) mod compare;
    pub(crate) mod fixtures;
    pub(crate) mod play;
}
use support::compare::{accumulate, same};
use support::fixtures::{fixture, rows};
use support::play;

/// The request of a row, or any that might have been answered like that.
fn request(row: &Value) -> InferenceRequest {
    let endpoint = Endpoint::from_path(row["client"]["path"].as_str().unwrap()).unwrap();
    match row["files"].get("openai.request") {
        Some(file) => play::request(endpoint, fixture(file)),
        None => play::question(endpoint, &json!({"stream": row["stream"]})),
    }
}

#[test]
fn every_request_is_said_in_ollama_s_words() {
    let mut checked = 0;
    for row in rows().iter().filter(|row| row["request_pair"] == true) {
        let request = request(row);
        let route = Route::new(request.endpoint, &request.model, request.stream);
        let path = Ollama::new().path(&route);
        assert_eq!(path.as_deref(), row["upstream"]["path"].as_str(), "{}", row["case"]);
        let native = Ollama::new().encode(&request).unwrap();
        let native: Value = serde_json::from_slice(&native).unwrap();
        let expected: Value = serde_json::from_slice(&fixture(&row["files"]["request"])).unwrap();
        same(&native, &expected, row["case"].as_str().unwrap());
        checked += 1;
    }
    assert!(checked >= 12, "{checked}");
}

/// What an answer means, whatever its ids and pieces.
fn meaning(row: &Value, pieces: Vec<Bytes>) -> (Value, Option<Kind>) {
    let (said, error) = play::decoded(&request(row), pieces);
    let meaning = if row["stream"] == true {
        assert_eq!(said.ends_with("data: [DONE]\n\n"), error.is_none(), "{}", row["case"]);
        accumulate(&said).0
    } else {
        let mut answer: Value = serde_json::from_str(&said).unwrap();
        assert!(answer.as_object_mut().unwrap().remove("id") != Some(json!("")));
        answer
    };
    (meaning, error.as_ref().map(Error::kind))
}

#[test]
fn every_answer_is_said_in_openai_s_words_wherever_it_is_cut() {
    let mut checked = 0;
    let answers = |row: &&Value| row["upstream"]["status"] == 200 && row["response_pair"] == true;
    for row in rows().iter().filter(answers) {
        let case = row["case"].as_str().unwrap();
        let native = fixture(&row["files"]["response"]);
        let expected = fixture(&row["files"]["openai.response"]);
        let whole = meaning(row, vec![native.clone()]);
        if row["stream"] == true {
            let (expected, fails) = accumulate(str::from_utf8(&expected).unwrap());
            same(&whole.0, &expected, case);
            assert_eq!(whole.1, fails.then_some(Kind::Broken), "{case}");
        } else {
            same(&whole.0, &serde_json::from_slice(&expected).unwrap(), case);
        }
        for cut in 0..=native.len() {
            let pieces = vec![native.slice(..cut), native.slice(cut..)];
            assert_eq!(meaning(row, pieces), whole, "{case} cut at {cut}");
        }
        let bytes = (0..native.len()).map(|at| native.slice(at..=at)).collect();
        assert_eq!(meaning(row, bytes), whole, "{case} byte by byte");
        checked += 1;
    }
    assert!(checked >= 12, "{checked}");
}

// fault: S4
#[test]
fn an_answer_that_ends_early_is_an_error_wherever_it_ends() {
    let mut checked = 0;
    for row in rows().iter().filter(|row| row["client"]["status"] == 200) {
        let native = fixture(&row["files"]["response"]);
        let native = native.slice(..native.trim_ascii_end().len());
        for end in 0..native.len() {
            let (said, error) = play::decoded(&request(row), vec![native.slice(..end)]);
            let error = error.unwrap_or_else(|| panic!("{} ends at {end}: {said}", row["case"]));
            assert_eq!(error.kind(), Kind::Broken);
            assert!(!said.contains("[DONE]"), "{} ends at {end}: {said}", row["case"]);
        }
        checked += 1;
    }
    assert!(checked >= 12, "{checked}");
}

#[test]
fn every_refusal_is_an_envelope() {
    let mut checked = 0;
    for row in rows().iter().filter(|row| row["upstream"]["status"] != 200) {
        let case = row["case"].as_str().unwrap();
        let status = row["upstream"]["status"].as_u64().unwrap() as u16;
        let refusal = Response::builder().status(status).body(fixture(&row["files"]["response"]));
        let error = Ollama::new().refusal(&request(row), &refusal.unwrap());
        assert_eq!(json!(error.status().as_u16()), row["client"]["status"], "{case}");
        let expected = serde_json::from_slice(&fixture(&row["files"]["openai.response"])).unwrap();
        same(&serde_json::from_slice(&envelope::body(&error)).unwrap(), &expected, case);
        checked += 1;
    }
    assert_eq!(checked, 4);
}

#[test]
fn it_is_well_where_it_tells_its_version() {
    let row = rows().into_iter().find(|row| row["case"] == "version").unwrap();
    assert_eq!(row["upstream"]["path"], *Ollama::new().health());
}

#[test]
fn models_are_listed_by_their_tags() {
    let tags = br#"{"models":[{"name":"a:latest","size":1},{"name":"b"}]}"#;
    assert_eq!(Ollama::new().models(), "/api/tags");
    assert_eq!(Ollama::new().model_names(tags).unwrap(), ["a:latest", "b"]);
    assert!(Ollama::new().model_names(b"{}").is_err());
}

#[test]
fn what_it_does_not_offer_has_no_path() {
    for endpoint in Endpoint::ALL {
        let path = Ollama::new().path(&Route::new(endpoint, "m", false));
        let known = matches!(
            endpoint,
            Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Embeddings
        );
        assert_eq!(path.is_some(), known, "{endpoint}");
    }
    let error = Ollama::new().encode(&play::question(Endpoint::Rerank, &json!({}))).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}
