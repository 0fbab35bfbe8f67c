//! [`Engine`]: an inference engine in this process, for demos, for embedders' tests and for load.
//!
//! It takes the place of the *transport*: give it to an `Upstream` as its client, and everything
//! above is as it would be with an engine on the network. It is no model and never pretends to be
//! one: it says a fixed text that says so, its models are `owned_by` `simulated`, and so is their
//! `system_fingerprint`. The same request is given the same answer, but for the `id`.
//!
//! A simulated token is a word with the space behind it; in JSON and in the arguments of a tool it
//! is eight letters; in what the caller sent it is a word, or a token if the caller sent tokens.
//!
//! A stream sends a token at a time; any other answer takes as long and comes whole. Nothing runs
//! on its own: the body that is polled is the generation, and dropping it is its end. The clock is
//! tokio's, so tests that pause it do not wait.
//!
//! ```
//! use jairouter_core::{Endpoint, InferenceRequest, Upstream};
//! use jairouter_simulated::{Engine, Simulated};
//! use std::time::Duration;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder().first_token(Duration::from_millis(5)).rate(1000.0).build();
//! let instance = Upstream::new(Simulated::new(), "simulated://demo".parse()?, engine.clone());
//!
//! let question = r#"{"model":"demo","messages":[{"role":"user","content":"Hello!"}]}"#;
//! let request = InferenceRequest::new(
//!     Endpoint::ChatCompletions,
//!     http::HeaderMap::new(),
//!     question.into(),
//! )?;
//! let answer = instance.oneshot(request).await?;
//! assert_eq!(answer.status(), 200);
//! assert_eq!(engine.requests(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! A configuration names one by a base URL of its own scheme, with its settings as the query:
//! `simulated://demo?first-token=300ms&rate=20&length=100`. See [`Engine::from_str`].
//!
//! [`Engine::from_str`]: Engine#impl-FromStr-for-Engine

mod answer;
mod ask;
mod backend;
mod cut;
mod embeddings;
mod engine;
mod failure;
mod input;
mod reply;
mod schema;
mod serve;
mod settings;
mod stream;
mod text;
mod url;
mod wire;

pub use backend::Simulated;
pub use engine::Engine;
pub use failure::Failure;
pub use settings::Builder;
pub use url::InvalidUrl;

#[cfg(test)]
mod tests;
