//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use jairouter_conformance::{Exchanges, check_refusals};
use jairouter_sglang::SgLang;

#[test]
fn recorded_exchanges_pass_in_both_directions_wherever_they_are_cut_and_end() {
    let exchanges = Exchanges::read("tests/fixtures").unwrap();
    exchanges.only(|row| row.upstream.path != "/generate").check(&SgLang::new()).assert(8);
}

#[test]
fn its_own_api_says_the_same_wherever_it_is_cut_and_ends() {
    let exchanges = Exchanges::read("tests/fixtures").unwrap();
    exchanges.only(|row| row.upstream.path == "/generate").check(&SgLang::native()).assert(1);
}

#[test]
fn every_refusal_is_an_envelope() {
    check_refusals(&SgLang::new()).assert(150);
}
