//! [`LoadBalance`]: one service out of many, and another one when it fails.
//!
//! It picks in `call`, where the request is known, so it works for any mix of them. It holds an
//! in-flight count for the instance until the answer's *body* ends: a stream of minutes counts for
//! minutes. Until the answer is committed it may ask another instance.
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderMap, Response};
//! use jairouter_core::balance::{Instance, LoadBalanceLayer, RoundRobin};
//! use jairouter_core::{Body, Endpoint, Error, InferenceRequest};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # futures::executor::block_on(async {
//! let instances = ["a", "b"].map(|name| {
//!     let answer = move |_: InferenceRequest| async move {
//!         Ok::<_, Error>(Response::new(Body::from(name)))
//!     };
//!     Instance::new(name, service_fn(answer))
//! });
//! let service = ServiceBuilder::new()
//!     .layer(LoadBalanceLayer::new(RoundRobin::new()))
//!     .service(instances);
//!
//! let payload = Bytes::from_static(br#"{"model":"m"}"#);
//! let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload)?;
//! let answer = service.oneshot(request).await?;
//! # assert!(answer.status().is_success());
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```
//!
//! Use tower's `balance::p2c` instead when every request may go to every service and readiness is
//! the load. It picks in `poll_ready`, before the model is known.

mod budget;
mod failure;
mod future;
mod headers;
mod layer;
mod retry_on;
mod service;
mod state;
mod strategy;
mod told;
mod tried;

pub use budget::RetryBudget;
pub use future::ResponseFuture;
pub use layer::LoadBalanceLayer;
pub(crate) use layer::Settings;
pub use retry_on::RetryOn;
pub(crate) use service::Ledger;
pub use service::{Instance, LoadBalance};
pub(crate) use state::Rooms;
pub use state::{InFlight, InstanceState};
pub use strategy::{
    Candidates, ConsistentHash, HashAlgorithm, IpHash, LeastConnections, PowerOfTwoChoices, Random,
    RoundRobin, Strategy,
};
pub use told::FailedAttempt;

#[cfg(test)]
pub(crate) use strategy::tests as tests_support;
#[cfg(test)]
#[cfg(not(jairouter_loom))]
mod tests;
