//! Completions in OpenAI's words, of engines that have words of their own for them.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use jairouter_core::{InferenceRequest, translate};
use serde::Serialize;

use crate::answer;
use crate::ask::wants_usage;

/// What all pieces of one completion share.
#[derive(Debug, Clone)]
pub struct Completion {
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
}

/// How many tokens went in and came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the prompt.
    pub prompt: u64,
    /// Of the completion.
    pub completion: u64,
}

#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Counts>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    text: &'a str,
    logprobs: (),
    finish_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Counts {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl Completion {
    /// The answer to this request, which begins now.
    pub fn new(request: &InferenceRequest) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            id: answer::id("cmpl-"),
            created: now.map_or(0, |now| now.as_secs()),
            model: request.model.to_string(),
            include_usage: wants_usage(request),
        }
    }

    /// The whole of it.
    pub fn whole(&self, text: &str, finish_reason: &str, usage: Usage) -> Bytes {
        let mut out = BytesMut::with_capacity(text.len() + 256);
        let finish_reason = Some(finish_reason);
        let choice = Choice { index: 0, text, logprobs: (), finish_reason };
        translate::json(&mut out, &self.object(&[choice], Some(usage)));
        out.freeze()
    }

    /// Writes a piece of a stream, unless it has no text.
    pub fn piece(&self, text: &str, out: &mut BytesMut) {
        if !text.is_empty() {
            let choice = Choice { index: 0, text, logprobs: (), finish_reason: None };
            translate::event(out, &self.object(&[choice], None));
        }
    }

    /// Writes the end of a stream: why it ended, its usage if that was asked for, and `[DONE]`.
    pub fn finish(&self, finish_reason: &str, usage: Usage, out: &mut BytesMut) {
        let finish_reason = Some(finish_reason);
        let choice = Choice { index: 0, text: "", logprobs: (), finish_reason };
        translate::event(out, &self.object(&[choice], None));
        if self.include_usage {
            translate::event(out, &self.object(&[], Some(usage)));
        }
        translate::done(out);
    }

    fn object<'a>(&'a self, choices: &'a [Choice<'a>], usage: Option<Usage>) -> Object<'a> {
        Object {
            id: &self.id,
            object: "text_completion",
            created: self.created,
            model: &self.model,
            choices,
            usage: usage.map(|Usage { prompt, completion }| Counts {
                prompt_tokens: prompt,
                completion_tokens: completion,
                total_tokens: prompt.saturating_add(completion),
            }),
        }
    }
}
