//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use http::HeaderMap;
use jairouter_anthropic::Anthropic;
use jairouter_conformance::{Exchanges, check_refusals};
use jairouter_core::{Backend, Endpoint, InferenceRequest, Kind, Route};

// fault: S4
#[test]
fn recorded_exchanges_pass_in_both_directions_wherever_they_are_cut_and_end() {
    Exchanges::read("tests/fixtures").unwrap().check(&Anthropic::new()).assert(14);
}

#[test]
fn every_refusal_is_an_envelope() {
    check_refusals(&Anthropic::new()).assert(150);
}

#[test]
fn every_request_says_which_version_it_is_written_for() {
    assert_eq!(Anthropic::new().headers()["anthropic-version"], "2023-06-01");
}

#[test]
fn it_is_well_where_it_lists_its_models() {
    let backend = Anthropic::new();
    assert!(backend.models().starts_with("/v1/models?") && backend.health().contains("/v1/models"));
    assert_eq!(backend.model_names(br#"{"data":[{"id":"a","type":"model"}]}"#).unwrap(), ["a"]);
    assert!(backend.model_names(b"{}").is_err());
}

#[test]
fn what_it_does_not_offer_has_no_path() {
    for &endpoint in Endpoint::ALL {
        let path = Anthropic::new().path(&Route::new(endpoint, "m", false));
        let known = match endpoint {
            Endpoint::ChatCompletions | Endpoint::Messages => Some("/v1/messages"),
            Endpoint::CountTokens => Some("/v1/messages/count_tokens"),
            _ => None,
        };
        assert_eq!(path.as_deref(), known, "{endpoint}");
    }
    let payload = r#"{"model":"m"}"#.into();
    let rerank = InferenceRequest::new(Endpoint::Rerank, HeaderMap::new(), payload).unwrap();
    let error = Anthropic::new().encode(&rerank).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}
