//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use jairouter_conformance::{Exchanges, check_refusals};
use jairouter_gpustack::GpuStack;

#[test]
fn recorded_exchanges_pass_in_both_directions_wherever_they_are_cut_and_end() {
    let exchanges = Exchanges::read("tests/fixtures").unwrap();
    exchanges.only(|row| row.case != "legacy-path").check(&GpuStack::new()).assert(6);
}

#[test]
fn an_older_one_is_asked_below_its_own_path() {
    let exchanges = Exchanges::read("tests/fixtures").unwrap();
    exchanges.only(|row| row.case == "legacy-path").check(&GpuStack::legacy()).assert(1);
}

#[test]
fn every_refusal_is_an_envelope() {
    check_refusals(&GpuStack::new()).and(check_refusals(&GpuStack::legacy())).assert(300);
}
