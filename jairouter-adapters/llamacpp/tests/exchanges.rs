//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use jairouter_conformance::{Exchanges, check_refusals};
use jairouter_llamacpp::LlamaCpp;

#[test]
fn recorded_exchanges_pass_in_both_directions_wherever_they_are_cut_and_end() {
    let exchanges = Exchanges::read("tests/fixtures").unwrap();
    exchanges.only(|row| row.upstream.path != "/completion").check(&LlamaCpp::new()).assert(8);
}

#[test]
fn its_own_api_says_the_same_wherever_it_is_cut_and_ends() {
    let exchanges = Exchanges::read("tests/fixtures").unwrap();
    exchanges.only(|row| row.upstream.path == "/completion").check(&LlamaCpp::native()).assert(2);
}

#[test]
fn every_refusal_is_an_envelope() {
    check_refusals(&LlamaCpp::new()).assert(150);
}
