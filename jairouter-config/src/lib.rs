//! What a YAML file means: a gateway, in this process.
//!
//! ```text
//! text ─► Config::parse ─► Config ─► Live ─┬─► core()   Service<http::Request<B>>: what answers
//!                                          ├─► run()    health, discovery, keys, reloads: to be spawned
//!                                          └─► reload() another Config, while it serves
//! ```
//!
//! A program that has a server, a runtime, a log and metrics of its own has everything here that the program
//! `jairouter` makes of its file, and nothing that is the program's: no command line, no listener, no exporter, no
//! subscriber. What it wants to know of requests, instances and limits it is told by [`hooks`].
//!
//! ```
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use jairouter_config::{Config, Live};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::parse(
//!     "
//! model:
//!   services:
//!     chat:
//!       instances:
//!         - { name: demo, adapter: simulated, base-url: 'simulated://one?first-token=0&rate=none' }
//! ",
//! )?;
//! let mut live = Live::start(config).await?;
//! let gateway = live.core();
//! let reload = live.reload();
//! tokio::spawn(live.run());
//!
//! let chat = r#"{"model":"demo","messages":[{"role":"user","content":"Hello!"}]}"#;
//! let request = Request::post("/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .body(Full::from(chat))?;
//! let answer = gateway.clone().oneshot(request).await?;
//! assert_eq!(answer.status(), 200);
//! let json = answer.into_body().collect().await?.to_bytes();
//! assert!(json.starts_with(b"{"));
//!
//! // All that is wrong, each with its line.
//! let wrong = Config::parse("model: { services: { chat: { instances: [ { nmae: demo } ] } } }");
//! assert!(wrong.unwrap_err().diagnostics()[0].line == 1);
//! // And another one in the place of what serves, without losing a request.
//! reload.take(Config::parse("model: { services: { chat: { instances: [
//!     { name: other, adapter: simulated, base-url: 'simulated://one' } ] } } }")?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Source`] is the file that is read again when it changes. `server`, `management` and `tracing.otlp` say how a program
//! listens, logs and exports: they are read, and what acts of them here is what the gateway itself does: how large a body
//! may be, how long it may take, how much memory all of them may have, and which traces are sampled.
//!
//! Why it is cut like this: decision 0023.

pub mod authorize;
pub mod caught;
pub mod config;
pub mod discover;
mod govern;
pub mod hooks;
pub mod jwt;
mod kept;
pub mod keys;
mod live;
mod neighbours;
pub mod panics;
pub mod reasons;
pub mod schema;
pub mod served;
pub mod serving;
mod source;
pub mod stack;
pub mod transport;
mod watch;

pub use config::{Config, LoadError};
pub use discover::Known;
pub use live::{Live, NotServed, Reload};
pub use serving::Serving;
pub use source::Source;
