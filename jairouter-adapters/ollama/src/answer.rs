//! What callers read: `OpenAI`'s objects, and the identity that all pieces of an answer share.

use jairouter_core::InferenceRequest;
use jairouter_openai::answer::random;
use serde::Serialize;

use crate::line::Line;
use crate::time;

/// What every piece of an answer says alike.
pub(crate) struct Identity {
    id: String,
    created: u64,
    model: String,
}

impl Identity {
    /// The identity of an answer of which nothing has come yet.
    pub(crate) fn new(request: &InferenceRequest, prefix: &str) -> Self {
        let id = format!("{prefix}-{:016x}", random());
        Self { id, created: 0, model: request.model.to_string() }
    }

    /// The identity of an answer that begins with this line.
    pub(crate) fn of(request: &InferenceRequest, prefix: &str, line: &Line<'_>) -> Self {
        let mut identity = Self::new(request, prefix);
        identity.learn(line);
        identity
    }

    /// Takes over what the first line says.
    pub(crate) fn learn(&mut self, line: &Line<'_>) {
        self.created = time::seconds(&line.created_at);
        if !line.model.is_empty() {
            (*line.model).clone_into(&mut self.model);
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

#[derive(Clone, Copy, Serialize)]
pub(crate) struct Usage {
    #[serde(rename = "prompt_tokens")]
    prompt: u64,
    #[serde(rename = "completion_tokens")]
    completion: u64,
    #[serde(rename = "total_tokens")]
    total: u64,
}

impl Usage {
    pub(crate) fn new(prompt: u64, completion: u64) -> Self {
        Self { prompt, completion, total: prompt.saturating_add(completion) }
    }
}
