//! [`Fallback`]: what answers when no instance of a model can.
//!
//! The balancer asks every instance that may have an answer. When it gives up, something can still be
//! better than an error, and three things are tried, each if it is configured:
//!
//! 1. **Another model** ([`ModelChain`]): a smaller one of your own says something now.
//! 2. **The last good answer** ([`Cache`]): what this caller got for these very bytes before.
//! 3. **A canned answer** ([`CannedAnswer`]): words for people to read.
//!
//! The first two may change places ([`FallbackLayer::cache_first`]). If none of them has anything, the caller gets the error of the model it asked, as it was.
//!
//! ```
//! use http::{HeaderMap, Response};
//! use jairouter_core::fallback::{CannedAnswer, FallbackLayer, ModelChain};
//! use jairouter_core::{Body, Endpoint, Error, InferenceRequest, Kind};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # futures::executor::block_on(async {
//! let models = service_fn(async |request: InferenceRequest| match &*request.model {
//!     "small" => Ok(Response::new(Body::from("{}"))),
//!     _ => Err(Error::new(Kind::NoInstance, "no instance of the model is up")),
//! });
//! let service = ServiceBuilder::new()
//!     .layer(
//!         FallbackLayer::new()
//!             .models(ModelChain::new(["medium", "small"]).on_context_length(true))
//!             .answer(CannedAnswer::text("Nobody is in. Please try again in a minute.")),
//!     )
//!     .service(models);
//!
//! let payload = r#"{"model":"large","messages":[]}"#.into();
//! let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload)?;
//! let answer = service.oneshot(request).await?;
//! assert_eq!(answer.headers()["x-jairouter-fallback"], "model");
//! assert_eq!(answer.headers()["x-jairouter-model"], "small");
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```
//!
//! # When
//!
//! On a failure that [`Kind::may_fall_back`](crate::Kind::may_fall_back) knows, and before the commit
//! point: the service inside must have failed, with an error or, if it is not ours, with a status that
//! means one ([`Kind::of_status`](crate::Kind::of_status)). A stream that breaks after its first
//! content has been sent is over: whoever went on would be putting words into another model's mouth.
//!
//! A mistake of the caller's is the caller's. Replacing it by something that looks like an answer
//! hides it from the only one who can mend it, and asking another model about it costs that one, too:
//!
//! ```text
//! 400 "temperature must be at most 2"
//!   ├─ ask `small`     400 again: two instances have worked for nothing
//!   ├─ ask the cache   no: these bytes have never been answered
//!   └─ canned, 200     the caller believes in its own mistake
//! ```
//!
//! Two refusals may be cured by another model, and a chain can be told so: a prompt longer than the
//! model's context ([`ModelChain::on_context_length`]), and a model that is not there
//! ([`ModelChain::on_missing_model`]). Neither is ever answered from memory.
//!
//! # Why three options and no trait
//!
//! Only one order makes sense: a live answer is to this question now, an old one was to it then, a
//! canned one is to none. And they are not of one kind: the first changes the request and needs the
//! service, the others need neither and answer at once. A trait for all three would have to be
//! asynchronous for the sake of one, and put in order by its user for the sake of none. What else
//! should happen is a layer of yours, around this one: `examples/custom_fallback.rs` asks somewhere else altogether.
//!
//! # How the caller knows
//!
//! `x-jairouter-fallback` says who answered: `model`, `cache` or `default`. `x-jairouter-model` names
//! the model that did, and an answer from memory has its `age` in seconds (RFC 9111, section 5.1).
//! Bodies are never rewritten: the `model` in them is what the engine wrote.
//!
//! # What it costs
//!
//! An answer that comes as asked costs one allocation: its body is boxed, here and only here, since an
//! answer of the stack and one from memory have to be of one type. With a cache, see there.

mod cache;
mod canned;
mod chain;
mod future;
mod layer;
mod service;
mod standing_in;

use http::HeaderName;

pub use cache::{Cache, CacheBuilder};
pub use canned::{CannedAnswer, InvalidAnswer};
pub use chain::ModelChain;
pub use future::ResponseFuture;
pub use layer::FallbackLayer;
pub use service::Fallback;
pub(crate) use standing_in::InVain;

/// Tells that this is not what was asked for, and what it is instead.
const FALLBACK: HeaderName = HeaderName::from_static("x-jairouter-fallback");

/// Tells which model answered.
const MODEL: HeaderName = HeaderName::from_static("x-jairouter-model");

#[cfg(test)]
mod tests;
