//! [`Identity`]: what all pieces of an answer say alike, for engines whose own words say it otherwise.

use std::time::{SystemTime, UNIX_EPOCH};

use jairouter_core::InferenceRequest;
use serde::Serialize;

use crate::answer;

/// What every piece of an answer says alike.
#[derive(Debug)]
pub struct Identity {
    id: String,
    created: u64,
    model: String,
}

impl Identity {
    /// The identity of an answer of which nothing has come yet.
    pub fn new(request: &InferenceRequest) -> Self {
        // The engine does not say when.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let created = now.map_or(0, |now| now.as_secs());
        let id = answer::id("chatcmpl-");
        Self { id, created, model: request.model.to_string() }
    }

    /// Takes over what the answer calls itself and its model, as far as it does.
    pub fn learn(&mut self, id: &str, model: &str) {
        for (known, said) in [(&mut self.id, id), (&mut self.model, model)] {
            if !said.is_empty() {
                said.clone_into(known);
            }
        }
    }

    /// The answer, or a piece of it.
    pub fn answer<'a, C>(
        &'a self,
        object: &'static str,
        choices: &'a [C],
        usage: Option<Usage>,
    ) -> Answer<'a, C> {
        let Self { id, created, model } = self;
        Answer { id, object, created: *created, model, choices, usage }
    }
}

/// An answer of a chat, or a piece of it.
#[derive(Debug, Serialize)]
pub struct Answer<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

/// Tokens, as `OpenAI` counts them.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Usage {
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

#[derive(Debug, Clone, Copy, Serialize)]
struct OfPrompt {
    cached_tokens: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct OfCompletion {
    reasoning_tokens: u64,
}

impl Usage {
    /// These counts; of the prompt's some may have been cached, of the answer's some be thoughts.
    pub fn new(prompt: u64, completion: u64, cached: Option<u64>, reasoning: Option<u64>) -> Self {
        Self {
            prompt,
            completion,
            total: prompt.saturating_add(completion),
            of_prompt: cached.map(|cached_tokens| OfPrompt { cached_tokens }),
            of_completion: reasoning.map(|reasoning_tokens| OfCompletion { reasoning_tokens }),
        }
    }
}
