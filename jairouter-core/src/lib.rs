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
#![cfg_attr(feature = "client", doc = "```no_run")]
#![cfg_attr(not(feature = "client"), doc = "```ignore")]
//! use std::borrow::Cow;
//! use jairouter_core::balance::{Instance, LeastConnections};
//! use jairouter_core::client::HttpClient;
//! use jairouter_core::router::Group;
//! use jairouter_core::upstream::Target;
//! use jairouter_core::{Backend, Gateway, Route, Router, ServiceType, Upstream};
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
//! let mut chat = Group::new(LeastConnections::new());
//! for url in ["http://10.0.0.1:8000", "http://10.0.0.2:8000"] {
//!     let target: Target = url.parse()?;
//!     let client = HttpClient::new(target.authority());
//!     chat = chat.instance("qwen3", Instance::new(url, Upstream::new(OpenAi, target, client)));
//! }
//! let router = Router::builder().service(ServiceType::Chat, chat).build();
//! let gateway = Gateway::new(router).with_models(["qwen3"]);
//! // `gateway` is a tower service of HTTP requests: give it to hyper, or mount it in axum.
//! # Ok::<(), jairouter_core::upstream::InvalidTarget>(())
//! ```
//!
//! # Features
//!
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
pub mod health;
mod needle;
pub mod observe;
pub mod payload;
mod peek;
pub mod rate_limit;
pub mod refusal;
pub mod reload;
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
pub use request::{InferenceRequest, Model};
pub use router::Router;
pub use upstream::Upstream;
