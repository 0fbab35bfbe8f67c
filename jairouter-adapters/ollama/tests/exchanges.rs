//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use http::HeaderMap;
use jairouter_conformance::{Exchanges, check_refusals};
use jairouter_core::{Backend, Endpoint, InferenceRequest, Kind, Route};
use jairouter_ollama::Ollama;
use serde_json::json;

fn exchanges() -> Exchanges {
    let all = Exchanges::read("tests/fixtures").unwrap();
    // Zero values that Ollama's own client writes out.
    let texts = ["suffix", "system", "template"].map(|field| (field, json!("")));
    let numbers = ["frequency_penalty", "presence_penalty"].map(|field| (field, json!(0)));
    let empty = texts.into_iter().chain(numbers);
    empty.fold(all, |all, (field, value)| all.says_nothing(field, value))
}

// fault: S4
#[test]
fn recorded_exchanges_pass_in_both_directions_wherever_they_are_cut_and_end() {
    exchanges().check(&Ollama::new()).assert(16);
}

#[test]
fn every_refusal_is_an_envelope() {
    check_refusals(&Ollama::new()).assert(150);
}

#[test]
fn it_is_well_where_it_tells_its_version() {
    let exchanges = exchanges().only(|row| row.case == "version");
    assert_eq!(exchanges.rows()[0].upstream.path, Ollama::new().health());
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
    for &endpoint in Endpoint::ALL {
        let path = Ollama::new().path(&Route::new(endpoint, "m", false));
        let known = matches!(
            endpoint,
            Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Embeddings
        );
        assert_eq!(path.is_some(), known, "{endpoint}");
    }
    let payload = r#"{"model":"m"}"#.into();
    let rerank = InferenceRequest::new(Endpoint::Rerank, HeaderMap::new(), payload).unwrap();
    let error = Ollama::new().encode(&rerank).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}
