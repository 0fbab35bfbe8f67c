//! Whether a [`Backend`] says what it should: recorded exchanges in, a verdict out.
//!
//! An exchange is what an engine was asked and what it answered, in its own words, and the same in
//! `OpenAI`'s. The kit plays each through [`Upstream`], with a client that has the recorded answer, and
//! compares what the engine would have seen and what the caller gets. Then it does what a network
//! does: it cuts the answer at every byte, delivers it byte by byte, and ends it early at every byte.
//!
//! ```no_run
//! # use std::borrow::Cow;
//! # use jairouter_core::{Backend, Route};
//! # #[derive(Clone)]
//! # struct Mine;
//! # impl Backend for Mine {
//! #     fn name(&self) -> &'static str { "mine" }
//! #     fn path(&self, _: &Route<'_>) -> Option<Cow<'static, str>> { None }
//! # }
//! use jairouter_conformance::{Exchanges, check_refusals};
//!
//! // In a test of the backend's crate.
//! let exchanges = Exchanges::read("tests/fixtures").unwrap();
//! exchanges.check(&Mine).assert(12); // at least so many
//! check_refusals(&Mine).assert(50);
//! ```
//!
//! # What lies in the folder
//!
//! `index.json` is a list of [`Exchange`]s, each with the names of its files: `request` and `response`
//! on the engine's side, `openai.request` and `openai.response` on the caller's. A row without the
//! caller's side is one that passes through: the same bytes in both directions.
//!
//! # What is compared
//!
//! | | must be |
//! |---|---|
//! | method, path and query | the recorded ones |
//! | the request | equal as JSON, null and absent alike; byte for byte if it passes through |
//! | an answer in one piece | all that the caller's side has; engines may say more |
//! | a stream | equal in text, reasoning, tool calls, finish reasons, usage and model when put together; the role first, one finish reason, usage only if recorded, `[DONE]` last or an error and no `[DONE]` |
//! | a refusal | the recorded status and `message`; what is said of the gateway's own key is not told |
//! | ids and times | there, and otherwise any |
//!
//! [`check_refusals`] needs no folder: it tries errors of every shape and status of the field, at every
//! endpoint that the backend offers.
//!
//! # What is a verdict
//!
//! A [`Verdict`] lists every failure, each with its case: one run shows all that is wrong.

mod check;
mod compare;
mod exchange;
mod play;
mod refusals;
mod stream;
mod verdict;

#[cfg(doc)]
use jairouter_core::{Backend, Upstream};

pub use exchange::{Caller, Engine, Exchange, Exchanges, ReadError};
pub use play::{Asked, Got};
pub use refusals::check_refusals;
pub use verdict::{Failure, Verdict};
