//! The layers of JAiRouter: an OpenAI-compatible gateway over inference engines, as tower services.
//!
//! Everything in the middle is one shape:
//!
//! ```text
//! Service<InferenceRequest, Response = http::Response<impl Body>, Error = Error>
//! ```
//!
//! HTTP lives at the two ends. [`Gateway`] turns an HTTP request into an [`InferenceRequest`] once,
//! [`Upstream`] turns it back into HTTP once, and any layer between knows the model, the endpoint and
//! whether a stream was asked for without parsing anything again.
//!
//! ```text
//! http::Request
//!      │
//!  Reloadable         what was there when a request came      [reload]
//!  Gateway            parse once, answer always               [gateway]
//!   Observe           the story as the caller saw it          [observe]
//!    EndpointRouter     endpoint → service                    [router]
//!     RateLimit           of the service and its callers      [rate_limit]
//!      Fallback             what answers when nobody can      [fallback]
//!       ModelRouter           model → its instances           [router]
//!        WaitingRoom            until one has a place         [waiting_room]
//!         LoadBalance             select, count, fail over    [balance]
//!          RateLimit                of the instance
//!           CircuitBreaker            not while it fails      [circuit_breaker]
//!            Upstream                   encode, send, decode  [upstream]
//!             │  └─ Backend               how engines speak   [backend]
//!      a client: Service<http::Request<Full<Bytes>>>          [client], or yours
//!      │
//! an inference engine
//! ```
//!
//! [`Router`] is the middle of that picture ready made; each part also works alone, around any
//! service of that shape, and a layer of your own fits between any two of them. Beside the requests,
//! [`health`] probes the instances.
//!
//! Four ideas carry it:
//!
//! * **A request ends when its body ends.** What must be undone then (an in-flight count, a log
//!   line) is a value that the response future owns first and the body afterwards
//!   ([`GuardedBody`]). Dropping is the only cancellation, and it closes the engine's connection.
//! * **The commit point is the first content.** Until the first event that says something is in
//!   hand, nothing has been sent to the caller and another instance may still be asked. After it
//!   only an honest error may follow, never a clean end.
//! * **Passing through changes nothing.** An OpenAI-compatible engine receives the caller's bytes,
//!   but for the model's name where it has another one there, and the caller receives the engine's.
//! * **One vocabulary of failure.** [`Kind`] says whose fault it was, whether another instance may
//!   be asked, and what the caller sees.
//!
//! # A gateway, whole
//!
//! ```
//! use std::borrow::Cow;
//! use jairouter_core::balance::LeastConnections;
//! use jairouter_core::router::Group;
//! use jairouter_core::{Backend, Route, Router, ServiceType, Upstream};
//!
//! struct OpenAi; // the crate `jairouter-openai` has this one ready
//!
//! impl Backend for OpenAi {
//!     fn name(&self) -> &'static str {
//!         "normal"
//!     }
//!     fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
//!         Some(route.endpoint.path().into())
//!     }
//! }
//!
//! # #[cfg(feature = "client")]
//! # fn example() -> Result<(), jairouter_core::upstream::InvalidTarget> {
//! let gateway = Router::builder()
//!     .service(
//!         ServiceType::Chat,
//!         Group::new(LeastConnections::new())
//!             .instance("qwen3", Upstream::http(OpenAi, "http://10.0.0.1:8000")?)
//!             .instance("qwen3", Upstream::http(OpenAi, "http://10.0.0.2:8000")?),
//!     )
//!     .build()
//!     .into_gateway();
//! // `gateway` is a tower service of HTTP requests: give it to hyper, or mount it in axum.
//! # Ok(())
//! # }
//! ```
//!
//! A program that asks in its own process needs no gateway: it asks the router, with
//! [`InferenceRequest::json`], and reads the answer as a [`Reply`].
//!
//! The [guide] has chapters on embedding, composing and extending it.
//!
//! # Features
//!
//! * `md5-sha1`: two more digests for [`IpHash`](balance::IpHash) and [`ConsistentHash`](balance::ConsistentHash).
//! * `http2`: that client over HTTP/2 as well, where TLS agrees on it, and with it h2.
//! * `tls`: that client over TLS, with rustls. Whom it trusts is given to it.
//! * `client` (default): the module `client`, an HTTP/1 client, and with it tokio's net. Without
//!   it, [`Upstream`] takes any client of yours.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backend;
pub mod balance;
pub mod body;
pub mod circuit_breaker;
#[cfg(feature = "client")]
pub mod client;
mod clock;
mod context_length;
pub mod doze;
pub mod endpoint;
pub mod envelope;
pub mod error;
pub mod fallback;
pub mod gateway;
pub mod guide;
pub mod health;
mod needle;
pub mod observe;
pub mod payload;
mod peek;
pub mod rate_limit;
pub mod refusal;
pub mod reload;
pub mod reply;
pub mod request;
pub mod router;
mod sync;
pub mod trace;
pub mod translate;
pub mod upstream;
pub mod usage;
pub mod waiting_room;

pub use backend::{Backend, Route};
pub use body::{Body, BodyGuard, End, GuardedBody};
pub use endpoint::{Endpoint, ServiceType};
pub use error::{Attempt, BoxError, Error, Kind};
pub use gateway::Gateway;
pub use payload::Payload;
pub use reply::{Piece, Reply};
pub use request::{InferenceRequest, Model};
pub use router::Router;
pub use upstream::Upstream;
