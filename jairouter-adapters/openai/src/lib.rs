//! [`OpenAi`]: anything that speaks `OpenAI`'s API, passed through byte for byte.
//!
//! ```
//! use jairouter_core::{Backend, Endpoint, Route};
//! use jairouter_openai::{Dialect, OpenAi};
//!
//! let chat = Route::new(Endpoint::ChatCompletions, "qwen3", true);
//! assert_eq!(OpenAi::new().path(&chat).as_deref(), Some("/v1/chat/completions"));
//!
//! let vllm = OpenAi::dialect(Dialect::Vllm);
//! assert_eq!(vllm.name(), "vllm");
//! let speech = Route::new(Endpoint::Speech, "qwen3", false);
//! assert_eq!(vllm.path(&speech), None, "vLLM does not speak");
//! ```

use std::borrow::Cow;

use jairouter_core::{Backend, Endpoint, Route};

/// A framework that is compatible with `OpenAI`'s API: requests and answers pass untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenAi {
    dialect: Dialect,
}

impl OpenAi {
    /// Anything compatible, of which nothing else is known: `adapter: normal`.
    pub const fn new() -> Self {
        Self { dialect: Dialect::Normal }
    }

    /// A framework whose name, health path and missing endpoints are known.
    pub const fn dialect(dialect: Dialect) -> Self {
        Self { dialect }
    }
}

/// The compatible frameworks of the field. What they add to the API passes as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// Any.
    #[default]
    Normal,
    /// `GPUStack`, since 2.0. Older servers have their paths below `/v1-openai`: give the instance's
    /// `path` for those.
    GpuStack,
    /// llama.cpp's server.
    LlamaCpp,
    /// `LocalAI`.
    LocalAi,
    /// `SGLang`.
    SgLang,
    /// The simulated engine of this project.
    Simulated,
    /// vLLM.
    Vllm,
    /// Xinference.
    Xinference,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 8] = [
        Self::Normal,
        Self::GpuStack,
        Self::LlamaCpp,
        Self::LocalAi,
        Self::SgLang,
        Self::Simulated,
        Self::Vllm,
        Self::Xinference,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::GpuStack => "gpustack",
            Self::LlamaCpp => "llamacpp",
            Self::LocalAi => "localai",
            Self::SgLang => "sglang",
            Self::Simulated => "simulated",
            Self::Vllm => "vllm",
            Self::Xinference => "xinference",
        }
    }

    const fn health(self) -> &'static str {
        match self {
            // The API has no health path of its own; listing models runs no inference.
            Self::Normal => "/v1/models",
            Self::GpuStack | Self::LocalAi => "/readyz",
            Self::LlamaCpp | Self::SgLang | Self::Simulated | Self::Vllm => "/health",
            Self::Xinference => "/status",
        }
    }

    /// Whether the framework has this endpoint.
    fn offers(self, endpoint: Endpoint) -> bool {
        use Endpoint::{
            CountTokens, Detokenize, ImageEdits, ImageGenerations, ImageVariations, Messages,
            Moderations, Rerank, Responses, Speech, Tokenize, Transcriptions, Translations,
        };
        match (self, endpoint) {
            (Self::Normal, _) => true,
            (_, Tokenize | Detokenize) => false,
            (Self::GpuStack, _) => true,
            (Self::Xinference, endpoint) => {
                !matches!(endpoint, Responses | CountTokens | Moderations)
            }
            (_, ImageVariations | ImageEdits) => false,
            (Self::LocalAi, endpoint) => !matches!(endpoint, Translations),
            (_, Speech | ImageGenerations | Moderations) => false,
            (Self::Vllm, _) => true,
            (Self::SgLang | Self::LlamaCpp, endpoint) => !matches!(endpoint, Translations),
            (Self::Simulated, endpoint) => !matches!(
                endpoint,
                Rerank | Transcriptions | Translations | Responses | Messages | CountTokens
            ),
        }
    }
}

impl Backend for OpenAi {
    fn name(&self) -> &'static str {
        self.dialect.name()
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        self.dialect.offers(route.endpoint).then(|| route.endpoint.path().into())
    }

    fn health(&self) -> Cow<'static, str> {
        self.dialect.health().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_chats_completes_and_embeds_where_openai_does() {
        for dialect in Dialect::ALL {
            let backend = OpenAi::dialect(dialect);
            for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Embeddings]
            {
                let path = backend.path(&Route::new(endpoint, "m", false));
                assert_eq!(path.as_deref(), Some(endpoint.path()), "{dialect:?}");
            }
        }
    }

    #[test]
    fn a_framework_says_where_it_is_well_and_what_it_does_not_have() {
        let offers = |dialect, endpoint| {
            OpenAi::dialect(dialect).path(&Route::new(endpoint, "m", false)).is_some()
        };
        for (dialect, health) in [
            (Dialect::Normal, "/v1/models"),
            (Dialect::GpuStack, "/readyz"),
            (Dialect::LlamaCpp, "/health"),
            (Dialect::Vllm, "/health"),
            (Dialect::Xinference, "/status"),
        ] {
            assert_eq!(OpenAi::dialect(dialect).health(), health, "{dialect:?}");
        }
        for &endpoint in Endpoint::ALL {
            assert!(offers(Dialect::Normal, endpoint), "{endpoint}");
        }
        assert!(offers(Dialect::Xinference, Endpoint::ImageVariations));
        assert!(!offers(Dialect::Vllm, Endpoint::Speech));
        assert!(offers(Dialect::Vllm, Endpoint::Translations));
        assert!(!offers(Dialect::SgLang, Endpoint::Translations));
        assert!(!offers(Dialect::Simulated, Endpoint::Rerank));
    }
}
