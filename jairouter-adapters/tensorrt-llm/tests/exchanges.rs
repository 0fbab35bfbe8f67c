//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use jairouter_conformance::{Exchanges, check_refusals};
use jairouter_core::{Backend, Endpoint, Route};
use jairouter_tensorrt_llm::TensorRtLlm;

fn exchanges() -> Exchanges {
    Exchanges::read("tests/fixtures").unwrap()
}

#[test]
fn recorded_exchanges_pass_in_both_directions_wherever_they_are_cut_and_end() {
    exchanges().check(&TensorRtLlm::new()).assert(6);
}

#[test]
fn every_refusal_is_an_envelope() {
    check_refusals(&TensorRtLlm::new()).assert(150);
}

#[test]
fn it_is_well_where_it_says_so_and_lists_its_models() {
    let exchanges = exchanges().only(|row| row.service == "health");
    assert_eq!(exchanges.rows()[0].upstream.path, TensorRtLlm::new().health());
    assert_eq!(TensorRtLlm::new().models(), "/v1/models");
}

#[test]
fn what_it_does_not_offer_has_no_path() {
    use Endpoint::{ChatCompletions, Completions, Embeddings, Responses};
    for &endpoint in Endpoint::ALL {
        let path = TensorRtLlm::new().path(&Route::new(endpoint, "m", false));
        let known = matches!(endpoint, ChatCompletions | Completions | Embeddings | Responses);
        assert_eq!(path.is_some(), known, "{endpoint}");
    }
}
