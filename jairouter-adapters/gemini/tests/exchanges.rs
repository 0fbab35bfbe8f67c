//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use http::HeaderMap;
use jairouter_conformance::{Exchanges, check_refusals};
use jairouter_core::{Backend, Endpoint, InferenceRequest, Kind, Route};
use jairouter_gemini::Gemini;

// fault: S4
#[test]
fn recorded_exchanges_pass_in_both_directions_wherever_they_are_cut_and_end() {
    Exchanges::read("tests/fixtures").unwrap().check(&Gemini::new()).assert(13);
}

#[test]
fn every_refusal_is_an_envelope() {
    check_refusals(&Gemini::new()).assert(150);
}

#[test]
fn models_are_listed_without_their_collection() {
    let list = br#"{"models":[{"name":"models/a"},{"name":"tunedModels/b"},{"name":"c"}]}"#;
    let backend = Gemini::new();
    assert_eq!(backend.models(), "/v1beta/models?pageSize=1000");
    assert_eq!(backend.health(), "/v1beta/models?pageSize=1");
    assert_eq!(backend.model_names(list).unwrap(), ["a", "tunedModels/b", "c"]);
    assert_eq!(backend.model_names(b"{}").unwrap_err().kind(), Kind::Broken);
}

#[test]
fn the_path_names_the_model_and_what_is_done_with_it() {
    for &endpoint in Endpoint::ALL {
        for stream in [false, true] {
            let path = Gemini::new().path(&Route::new(endpoint, "a/b?c", stream));
            let method = match (endpoint, stream) {
                (Endpoint::ChatCompletions, false) => Some("generateContent"),
                (Endpoint::ChatCompletions, true) => Some("streamGenerateContent?alt=sse"),
                (Endpoint::Embeddings, _) => Some("batchEmbedContents"),
                _ => None,
            };
            let expected = method.map(|method| format!("/v1beta/models/a%2Fb%3Fc:{method}"));
            assert_eq!(path.as_deref(), expected.as_deref(), "{endpoint}");
        }
    }
    let payload = r#"{"model":"m"}"#.into();
    let rerank = InferenceRequest::new(Endpoint::Rerank, HeaderMap::new(), payload).unwrap();
    assert_eq!(Gemini::new().encode(&rerank).unwrap_err().kind(), Kind::Unsupported);
}
