//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use jairouter_conformance::{Exchanges, check_refusals};
use jairouter_vllm::Vllm;

#[test]
fn recorded_exchanges_pass_in_both_directions_wherever_they_are_cut_and_end() {
    let exchanges = Exchanges::read("tests/fixtures").unwrap();
    exchanges.check(&Vllm::new()).assert(19);
}

#[test]
fn every_refusal_is_an_envelope() {
    check_refusals(&Vllm::new()).assert(150);
}
