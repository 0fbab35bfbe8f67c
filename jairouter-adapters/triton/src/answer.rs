//! What callers read: `OpenAI`'s objects, and the identity that all pieces of an answer share.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use jairouter_core::{Endpoint, Error, InferenceRequest, Kind};
use serde::Serialize;

/// What every piece of an answer says alike.
pub(crate) struct Identity {
    id: String,
    created: u64,
    model: String,
    is_chat: bool,
}

impl Identity {
    pub(crate) fn new(request: &InferenceRequest) -> Self {
        let is_chat = request.endpoint == Endpoint::ChatCompletions;
        let prefix = if is_chat { "chatcmpl" } else { "cmpl" };
        // Each of these hashers is keyed by the operating system's randomness and a counter.
        let id = format!("{prefix}-{:016x}", RandomState::new().hash_one(0));
        // Triton gives no time, and a clock before 1970 gives none either.
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { id, created, model: request.model.to_string(), is_chat }
    }

    /// The answer in one piece.
    pub(crate) fn whole<'a>(
        &'a self,
        choices: &'a [(String, &'static str)],
        usage: Usage,
    ) -> Answer<'a> {
        let choice = |(index, (text, reason)): (usize, &'a (String, &'static str))| {
            let choice = Choice { index, finish_reason: Some(reason), ..Choice::default() };
            if self.is_chat {
                let message = Some(Said { role: Some("assistant"), content: Some(text) });
                Choice { message, ..choice }
            } else {
                Choice { text: Some(text), ..choice }
            }
        };
        let object = if self.is_chat { "chat.completion" } else { "text_completion" };
        let choices = choices.iter().enumerate().map(choice).collect();
        self.answer(object, choices, Some(usage))
    }

    /// The piece that begins a stream, if one has to.
    pub(crate) fn first(&self) -> Option<Answer<'_>> {
        let delta = Some(Said { role: Some("assistant"), content: Some("") });
        self.is_chat.then(|| self.piece(Choice { delta, ..Choice::default() }))
    }

    /// The piece that says this.
    pub(crate) fn said<'a>(&'a self, text: &'a str) -> Answer<'a> {
        let delta = Said { role: None, content: Some(text) };
        self.piece(match self.is_chat {
            true => Choice { delta: Some(delta), ..Choice::default() },
            false => Choice { text: Some(text), ..Choice::default() },
        })
    }

    /// The piece that says why it ended.
    pub(crate) fn last(&self, reason: &'static str) -> Answer<'_> {
        let choice = Choice { finish_reason: Some(reason), ..Choice::default() };
        self.piece(match self.is_chat {
            true => Choice { delta: Some(Said::default()), ..choice },
            false => Choice { text: Some(""), ..choice },
        })
    }

    /// The piece that says what it took.
    pub(crate) fn usage(&self, usage: Usage) -> Answer<'_> {
        self.answer(self.streamed(), Vec::new(), Some(usage))
    }

    fn streamed(&self) -> &'static str {
        if self.is_chat { "chat.completion.chunk" } else { "text_completion" }
    }

    fn piece<'a>(&'a self, choice: Choice<'a>) -> Answer<'a> {
        self.answer(self.streamed(), vec![choice], None)
    }

    fn answer<'a>(
        &'a self,
        object: &'static str,
        choices: Vec<Choice<'a>>,
        usage: Option<Usage>,
    ) -> Answer<'a> {
        let Self { id, created, model, .. } = self;
        Answer { id, object, created: *created, model, choices, usage }
    }
}

#[derive(Serialize)]
pub(crate) struct Answer<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Serialize, Default)]
struct Choice<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Said<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Said<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// Always null: Triton tells none.
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize, Default)]
struct Said<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
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

/// Why an answer has ended, as far as it can be told: an ensemble does not say.
pub(crate) fn inferred(is_stopped: bool, tokens: Option<u64>, limit: u64) -> &'static str {
    match tokens {
        Some(tokens) if !is_stopped && tokens >= limit => "length",
        _ => "stop",
    }
}

/// An answer that ends without saying so.
pub(crate) fn cut_off() -> Error {
    Error::new(Kind::Broken, "the instance's stream was cut off")
}
