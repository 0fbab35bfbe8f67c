mod clients;
mod composed;
mod held;
mod model;
#[cfg(jairouter_loom)]
mod orders;
mod rates;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::balance::tests_support::request;
use crate::request::InferenceRequest;

/// A request of the client with this number.
fn from(client: u32) -> InferenceRequest {
    let address = IpAddr::V4(Ipv4Addr::from_bits(client));
    request().with_client(Some(address))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
