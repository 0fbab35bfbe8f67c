//! [`OpenAi`]: anything that speaks `OpenAI`'s API, passed through byte for byte; and the tools for
//! engines that speak it with an accent.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, Route};
//! use jairouter_openai::OpenAi;
//!
//! let chat = Route::new(Endpoint::ChatCompletions, "qwen3", true);
//! assert_eq!(OpenAi::new().path(&chat).as_deref(), Some("/v1/chat/completions"));
//! ```
//!
//! # The tools
//!
//! A crate for such an engine names its paths, and takes from here what it needs:
//!
//! | | for |
//! |---|---|
//! | [`habits`] | chats and completions with other names, usages nobody asked for, odd finish reasons, tool calls without ids of their own, errors in a 200 |
//! | [`embeddings`] | floats where base64 was asked for, and the other way round; usages that are missing |
//! | [`rerank`] | the five shapes of the field, as Jina's |
//! | [`tokens`] | text to tokens and back, in vLLM's form |
//! | [`transcript`] | vLLM's streams of transcripts |
//! | [`completion`], [`stops`] | completions of engines that have words of their own for them |
//! | [`fields`], [`ask`], [`form`] | requests with fields changed, and what has no word refused |
//! | [`read`], [`identity`] | requests read field by field, and answers of chats, where the engine has an API of its own |
//! | [`refusals`] | errors, with the statuses callers know |
//! | [`answer`] | bodies, with the headers that are still true |
//!
//! What needs no change is never copied, nor a byte of it changed.

pub mod answer;
pub mod ask;
pub mod completion;
pub mod embeddings;
pub mod fields;
pub mod form;
pub mod habits;
pub mod identity;
pub mod read;
pub mod refusals;
pub mod rerank;
pub mod stops;
pub mod tokens;
pub mod transcript;

use std::borrow::Cow;

use jairouter_core::{Backend, Route};

/// Anything compatible with `OpenAI`'s API, of which nothing else is known: `adapter: normal`.
///
/// Requests and answers pass untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenAi;

impl OpenAi {
    /// The backend; it has no settings.
    pub const fn new() -> Self {
        Self
    }
}

impl Backend for OpenAi {
    fn name(&self) -> &'static str {
        "normal"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        Some(route.endpoint.path().into())
    }

    // The API has no health path of its own; listing models runs no inference.
    fn health(&self) -> Cow<'static, str> {
        "/v1/models".into()
    }
}

#[cfg(test)]
mod tests {
    use jairouter_core::Endpoint;

    use super::*;

    #[test]
    fn every_endpoint_is_where_openai_has_it() {
        for &endpoint in Endpoint::ALL {
            let path = OpenAi::new().path(&Route::new(endpoint, "m", false));
            assert_eq!(path.as_deref(), Some(endpoint.path()));
        }
        assert_eq!(OpenAi::new().health(), "/v1/models");
    }
}
