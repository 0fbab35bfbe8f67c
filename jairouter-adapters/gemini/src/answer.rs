//! What callers read: `OpenAI`'s objects, and the identity that all pieces of an answer share.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use jairouter_core::{Error, InferenceRequest, Kind};
use serde::{Deserialize, Serialize};

/// What every piece of an answer says alike.
pub(crate) struct Identity {
    id: String,
    created: u64,
    model: String,
}

impl Identity {
    /// The identity of an answer of which nothing has come yet.
    pub(crate) fn new(request: &InferenceRequest) -> Self {
        // The engine does not say when.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let created = now.map_or(0, |now| now.as_secs());
        let id = format!("chatcmpl-{:016x}", random());
        Self { id, created, model: request.model.to_string() }
    }

    /// Takes over what the answer calls itself and its model, as far as it does.
    pub(crate) fn learn(&mut self, id: &str, model: &str) {
        for (known, said) in [(&mut self.id, id), (&mut self.model, model)] {
            if !said.is_empty() {
                said.clone_into(known);
            }
        }
    }

    /// The answer, or a piece of it.
    pub(crate) fn answer<'a, C>(
        &'a self,
        object: &'static str,
        choices: &'a [C],
        usage: Option<Usage>,
    ) -> Answer<'a, C> {
        let Self { id, created, model } = self;
        Answer { id, object, created: *created, model, choices, usage }
    }
}

#[derive(Serialize)]
pub(crate) struct Answer<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

/// Tokens, as `OpenAI` counts them.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Usage {
    #[serde(rename = "prompt_tokens")]
    prompt: u64,
    #[serde(rename = "completion_tokens")]
    completion: u64,
    #[serde(rename = "total_tokens")]
    total: u64,
    #[serde(rename = "prompt_tokens_details", skip_serializing_if = "Option::is_none")]
    of_prompt: Option<OfPrompt>,
    #[serde(rename = "completion_tokens_details", skip_serializing_if = "Option::is_none")]
    of_completion: Option<OfCompletion>,
}

#[derive(Clone, Copy, Serialize)]
struct OfPrompt {
    cached_tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
struct OfCompletion {
    reasoning_tokens: u64,
}

impl Usage {
    /// These counts; of the prompt's some may have been cached, of the answer's some be thoughts.
    pub(crate) fn new(
        prompt: u64,
        completion: u64,
        cached: Option<u64>,
        reasoning: Option<u64>,
    ) -> Self {
        Self {
            prompt,
            completion,
            total: prompt.saturating_add(completion),
            of_prompt: cached.map(|cached_tokens| OfPrompt { cached_tokens }),
            of_completion: reasoning.map(|reasoning_tokens| OfCompletion { reasoning_tokens }),
        }
    }
}

/// A number nobody can foresee, for ids.
pub(crate) fn random() -> u64 {
    // Each of these hashers is keyed by the operating system's randomness and a counter.
    RandomState::new().hash_one(0)
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

/// A stream that ends without saying so.
pub(crate) fn cut_off() -> Error {
    Error::new(Kind::Broken, "the instance's stream was cut off")
}
