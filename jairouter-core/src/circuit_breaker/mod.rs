//! [`CircuitBreaker`]: stops asking an instance that fails, and finds out when it is well again.
//!
//! An instance that is down costs every request that is sent to it a connect timeout, and an
//! instance that struggles is kept down by the requests it cannot serve. A breaker counts failures
//! and, past a bound, answers in the instance's place and at once.
//!
//! ```text
//!             failures in a row, or their rate
//!   Closed ──────────────────────────────────────► Open
//!     ▲                                            │  ▲
//!     │ enough probes pass        its time is over │  │ a probe fails:
//!     │                                            ▼  │ open for twice as long
//!     └───────────────────────────────────────── HalfOpen
//! ```
//!
//! * **Closed**: every request passes. So many failures in a row open it, or a share of the
//!   requests of a sliding window if a [failure rate](Settings::with_failure_rate) is set.
//! * **Open**: every request is refused with [`Kind::BreakerOpen`](crate::Kind::BreakerOpen) and a
//!   `Retry-After` until the next probe, so that a balancer asks another instance.
//! * **Half-open**: exactly as many requests pass as must succeed to close it. They are the probes:
//!   real requests, not pings, for an engine can answer `/health` and still have lost its GPU.
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{HeaderMap, Response};
//! use jairouter_core::circuit_breaker::{Breaker, CircuitBreakerLayer, Settings};
//! use jairouter_core::{Body, Endpoint, Error, InferenceRequest, Kind};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # futures::executor::block_on(async {
//! let breaker = Arc::new(Breaker::new(Settings::default().with_failure_threshold(2)));
//! let service = ServiceBuilder::new()
//!     .layer(CircuitBreakerLayer::new(Arc::clone(&breaker)))
//!     .service(service_fn(async |_: InferenceRequest| {
//!         Err::<Response<Body>, _>(Error::new(Kind::Unreachable, "connection refused"))
//!     }));
//!
//! let payload = Bytes::from_static(br#"{"model":"m"}"#);
//! let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload)?;
//! for expected in [Kind::Unreachable, Kind::Unreachable, Kind::BreakerOpen] {
//!     let error = service.clone().oneshot(request.clone()).await.unwrap_err();
//!     assert_eq!(error.kind(), expected);
//! }
//! assert_eq!(breaker.trips(), 1);
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```
//!
//! # What counts
//!
//! Only what the instance itself has shown moves a breaker.
//!
//! | outcome | counts as |
//! |---|---|
//! | not reached, broken off, stalled, timed out, answered 5xx ([`Kind::blames_instance`]) | failure |
//! | an answer | success |
//! | a refusal of the request (400, 404, 422), busy (429, or 503 with `Retry-After`), our key refused, the caller's own mistake, one of our own limits | nothing |
//! | the caller left before the answer began | nothing |
//!
//! A request counts **once, when its body is over**: a stream that breaks after its tenth token is a
//! failure and was no success before, or an engine that breaks every stream would never have two
//! failures in a row. A caller that leaves in the middle of an answer has seen the instance work.
//!
//! A probe does not wait for that, for a stream may take minutes: it **passes with the first data**
//! of its answer. Should it break later, while the breaker is still half-open, that fails it.
//!
//! # When it is over
//!
//! Each request admitted holds a [`Permit`]: its response future has it first, and then the body of
//! its answer. Dropping either is the neutral verdict, and gives a probe back to whoever comes next,
//! so no caller that leaves can make a breaker half-open for good. Every change of state begins a
//! new generation, and a verdict on an older one is ignored: a stream that was begun before the
//! breaker opened says nothing of the instance as it is now.
//!
//! A probe that nobody answers holds its place for as long as its caller waits. That it does not
//! wait for ever is for the clocks below to see to, such as an upstream's
//! [`Timeouts`](crate::upstream::Timeouts).
//!
//! # How long it stays open
//!
//! For [`open_for`](Settings::with_open_for) at first, and for twice as long each time a probe fails
//! or the breaker opens again soon after it had closed, up to
//! [`max_open_for`](Settings::with_max_open_for). It forgets as it learnt: being closed for as long
//! as it was last open takes one doubling back. The time is stretched or shortened by up to
//! [20 %](Settings::with_jitter), so that a fleet of gateways does not probe as one.
//!
//! # Where to put it
//!
//! Use it around one instance, below a balancer, when there are several: the others take over. Use
//! it around a whole service when what fails is shared by all instances, such as a storage or a
//! network. The state is the [`Breaker`], a handle that outlives any stack built around it and that
//! any number of clones and stacks share. Readiness is the inner service's: what fails before a
//! request is known is not judged.
//!
//! [`Kind::blames_instance`]: crate::Kind::blames_instance

mod breaker;
mod future;
mod layer;
mod permit;
mod service;
mod settings;
mod window;
mod word;

pub use breaker::{Breaker, Counts, Open, State};
pub use future::ResponseFuture;
pub use layer::CircuitBreakerLayer;
pub use permit::Permit;
pub use service::CircuitBreaker;
pub use settings::Settings;

#[cfg(test)]
#[cfg(jairouter_loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(jairouter_loom))]
mod tests;
