//! What callers read: chunks of OpenAI's streams, and the identity they share.

use std::hash::{BuildHasher, RandomState};

use jairouter_core::InferenceRequest;
use serde::{Deserialize, Serialize};

use crate::line::{Line, Usage};
use crate::time;

/// What every chunk of an answer says alike.
pub(crate) struct Identity {
    id: String,
    created: u64,
    model: String,
}

impl Identity {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { id: format!("{prefix}-{:016x}", random()), created: 0, model: String::new() }
    }

    /// Takes over what the first line says.
    pub(crate) fn learn(&mut self, line: &Line<'_>) {
        if self.model.is_empty() {
            self.created = time::seconds(&line.created_at);
            (*line.model).clone_into(&mut self.model);
        }
    }

    pub(crate) fn object<'a, C>(
        &'a self,
        object: &'static str,
        choices: &'a [C],
        usage: Option<Usage>,
    ) -> Object<'a, C> {
        let Self { id, created, model } = self;
        Object { id, object, created: *created, model, choices, usage }
    }
}

/// A number nobody can foresee, for ids.
pub(crate) fn random() -> u64 {
    // Each of these hashers is keyed by the operating system's randomness and a counter.
    RandomState::new().hash_one(0)
}

#[derive(Serialize)]
pub(crate) struct Object<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

/// Whether a stream's caller asked for its usage.
pub(crate) fn wants_usage(request: &InferenceRequest) -> bool {
    #[derive(Deserialize)]
    struct Asked {
        stream_options: Option<StreamOptions>,
    }
    #[derive(Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }
    let asked = serde_json::from_slice::<Asked>(&request.payload).ok();
    let options = asked.and_then(|asked| asked.stream_options);
    options.and_then(|options| options.include_usage).unwrap_or(false)
}
