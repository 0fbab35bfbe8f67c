//! [`Engine`]: an inference engine in this process, for demos, for embedders' tests and for load.
//!
//! It takes the place of the *transport*: give it to an `Upstream` as its client, and everything
//! above is as it would be with an engine on the network. It is no model and never pretends to be
//! one: it streams a fixed text that says so. A token of its is a word.
//!
//! ```
//! use jairouter_core::{Endpoint, InferenceRequest, Upstream};
//! use jairouter_openai::OpenAi;
//! use jairouter_simulated::Engine;
//! use std::time::Duration;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder().first_token(Duration::from_millis(5)).rate(1000.0).build();
//! let instance = Upstream::new(OpenAi::new(), "simulated://demo".parse()?, engine.clone());
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
mod embeddings;
mod engine;
mod failure;
mod schema;
mod settings;
mod stream;
mod text;
mod url;

pub use engine::Engine;
pub use failure::Failure;
pub use settings::Builder;
pub use url::InvalidUrl;

#[cfg(test)]
mod tests;
