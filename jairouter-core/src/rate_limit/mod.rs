//! [`RateLimit`]: only so many requests, tokens, or requests at a time.
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{HeaderMap, Response};
//! use jairouter_core::rate_limit::{Limit, PerClient, RateLimitLayer, TokenBucket};
//! use jairouter_core::{Body, Endpoint, Error, InferenceRequest};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # futures::executor::block_on(async {
//! // A hundred a second for all, in bursts of up to a thousand; and one in ten seconds for each.
//! let all = Limit::new(TokenBucket::new(100.0, 1000)).named("the rate limit of the service");
//! let each = PerClient::new(TokenBucket::new(0.1, 1)).named("your rate limit");
//! let engine = service_fn(async |_: InferenceRequest| Ok::<_, Error>(Response::new(Body::empty())));
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(Arc::new((all, each))))
//!     .service(engine);
//!
//! let payload = Bytes::from_static(br#"{"model":"m"}"#);
//! let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload)?;
//! assert!(service.clone().oneshot(request.clone()).await.is_ok());
//! let error = service.oneshot(request).await.unwrap_err();
//! assert_eq!((error.status().as_u16(), error.message()), (429, "your rate limit is exceeded"));
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```
//!
//! # Choosing
//!
//! | to bound | use |
//! |---|---|
//! | requests a second | [`Limit`] for all, [`PerClient`], [`PerModel`], by an [`Algorithm`] |
//! | tokens a minute | [`TokensPerMinute`], for all or per client |
//! | requests at a time | [`Concurrency`], [`ClientConcurrency`] |
//! | several of these | a tuple or a `Vec` of them: a refusal by one spends nothing of the others |
//!
//! [`TokenBucket`] is the algorithm when in doubt. [`LeakyBucket`] says the same of requests that
//! flow out; [`SlidingWindow`] is for limits that are written as "so many in so many seconds";
//! [`WarmUp`] spares an engine that is cold.
//!
//! # What a decision costs, and when it is over
//!
//! A decision is one compare-and-swap on one word, on the core of the request: no lock, no task, no
//! timer. Time is counted in parts of a token, so fractions of a rate are neither lost nor rounded.
//!
//! A rate is spent when the request is admitted, unless it is refused further down before anybody
//! has seen it ([`Error::is_unsent`](crate::Error::is_unsent)). A place among the requests
//! that run, and a reservation of tokens, last until the answer's body ends; dropping the future or
//! the body ends them, too.
//!
//! Use tower's `limit::rate` instead to make callers wait rather than to refuse them, and its
//! `limit::concurrency` where a response is over with its head.

mod algorithm;
mod bucket;
mod clients;
mod concurrency;
mod future;
mod headers;
mod layer;
mod limit;
mod limiter;
mod rate;
mod service;
mod table;
mod tokens;
mod usage;
mod window;

pub use algorithm::Algorithm;
pub use bucket::{LeakyBucket, TokenBucket, WarmUp};
pub use clients::PerClient;
pub use concurrency::{ClientConcurrency, Concurrency};
pub use future::ResponseFuture;
pub(crate) use headers::{quotas as quota_headers, retry_after as retry_after_headers};
pub use layer::RateLimitLayer;
pub use limit::{Limit, PerModel};
pub use limiter::{Grant, Hold, Limiter, Quota, Refusal, Unit};
pub use service::RateLimit;
pub(crate) use service::error_type;
pub use tokens::TokensPerMinute;
pub use window::SlidingWindow;

#[cfg(test)]
mod tests;
