//! Completions: `/api/generate`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use jairouter_core::translate::{self, Message, Translate};
use jairouter_core::{Error, InferenceRequest, Kind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::passed;
use crate::chunk::{Identity, wants_usage};
use crate::line::Line;
use crate::options::{Extra, Options, field, given, options};
use crate::{invalid, parse, unsupported};

const OBJECT: &str = "text_completion";

#[derive(Serialize)]
struct Asking<'a> {
    model: &'a str,
    prompt: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<Cow<'a, str>>,
    stream: bool,
    #[serde(flatten)]
    passed: BTreeMap<Cow<'a, str>, Cow<'a, RawValue>>,
    options: Options<'a>,
}

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let extra: Extra<'_> = parse(request)?;
    for name in ["n", "best_of"] {
        let choices: Option<u64> = field(&extra, name, "this must be a number")?;
        if choices.is_some_and(|choices| choices != 1) {
            return Err(unsupported(name, "ollama gives one choice: this must be 1"));
        }
    }
    if field::<bool>(&extra, "echo", "'echo' must be true or false")? == Some(true) {
        return Err(unsupported("echo", "ollama does not repeat the prompt"));
    }
    if given(&extra, "logit_bias").is_some_and(|bias| bias.get() != "{}") {
        return Err(unsupported("logit_bias", "ollama has no logit_bias"));
    }
    let mut passed: BTreeMap<_, _> =
        passed(&extra).into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
    passed.remove("top_logprobs");
    if let Some(count) = passed.remove("logprobs")
        && let Ok(wanted) = RawValue::from_string("true".into())
    {
        passed.insert("logprobs".into(), Cow::Owned(wanted));
        passed.insert("top_logprobs".into(), count);
    }
    let asking = Asking {
        model: &request.model,
        prompt: prompt(&extra)?,
        suffix: field(&extra, "suffix", "'suffix' must be a text")?,
        stream: request.stream,
        passed,
        options: options(&extra)?,
    };
    let mut out = BytesMut::with_capacity(request.payload.len() + 128);
    translate::json(&mut out, &asking);
    Ok(out.freeze())
}

/// A text, or a list of one.
fn prompt<'a>(extra: &Extra<'a>) -> Result<Cow<'a, str>, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Prompt<'a> {
        One(#[serde(borrow)] Cow<'a, str>),
        List([Cow<'a, str>; 1]),
    }
    let Some(given) = given(extra, "prompt") else {
        return Err(invalid("prompt", "you must provide a 'prompt' parameter"));
    };
    match serde_json::from_str(given.get()) {
        Ok(Prompt::One(prompt) | Prompt::List([prompt])) => Ok(prompt),
        Err(_) => Err(unsupported("prompt", "ollama takes one prompt, and as a text")),
    }
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    text: &'a str,
    logprobs: Option<Logprobs>,
    finish_reason: Option<&'static str>,
}

/// The older form of log probabilities, which completions have kept.
#[derive(Serialize, Default)]
struct Logprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f64>,
    top_logprobs: Vec<BTreeMap<String, f64>>,
    text_offset: Vec<usize>,
}

impl Logprobs {
    fn new(native: &RawValue, mut offset: usize) -> Option<Self> {
        #[derive(Deserialize)]
        struct Token {
            token: String,
            logprob: f64,
            #[serde(default)]
            top_logprobs: Vec<Token>,
        }
        let native: Vec<Token> = serde_json::from_str(native.get()).ok()?;
        let mut logprobs = Self::default();
        for Token { token, logprob, top_logprobs } in native {
            logprobs.text_offset.push(offset);
            offset += token.chars().count();
            logprobs.tokens.push(token);
            logprobs.token_logprobs.push(logprob);
            let top = top_logprobs.into_iter().map(|other| (other.token, other.logprob));
            logprobs.top_logprobs.push(top.collect());
        }
        Some(logprobs)
    }
}

/// Rewrites the lines of one answer.
pub(crate) struct Stream {
    identity: Identity,
    include_usage: bool,
    /// How many characters have passed.
    offset: usize,
    done: bool,
}

impl Stream {
    pub(crate) fn new(request: &InferenceRequest) -> Self {
        let include_usage = wants_usage(request);
        Self { identity: Identity::new("cmpl"), include_usage, offset: 0, done: false }
    }

    /// Rewrites an answer in one piece.
    pub(crate) fn whole(bytes: Bytes) -> Result<Bytes, Error> {
        let line = Line::read(&bytes)?;
        if !line.done {
            return Err(Error::new(Kind::Broken, "the instance's answer is not complete"));
        }
        let mut identity = Identity::new("cmpl");
        identity.learn(&line);
        let choice = Choice {
            index: 0,
            text: &line.response,
            logprobs: line.logprobs.and_then(|native| Logprobs::new(native, 0)),
            finish_reason: Some(line.finish_reason(false)),
        };
        let mut out = BytesMut::with_capacity(bytes.len() + 256);
        translate::json(&mut out, &identity.object(OBJECT, &[choice], Some(line.usage())));
        Ok(out.freeze())
    }
}

impl Translate for Stream {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        let line = Line::read(message.data)?;
        if self.done {
            return Ok(());
        }
        self.identity.learn(&line);
        if !line.response.is_empty() {
            let logprobs = line.logprobs.and_then(|native| Logprobs::new(native, self.offset));
            self.offset += line.response.chars().count();
            let choice = Choice { index: 0, text: &line.response, logprobs, finish_reason: None };
            translate::event(out, &self.identity.object(OBJECT, &[choice], None));
        }
        if line.done {
            self.done = true;
            let finish_reason = Some(line.finish_reason(false));
            let choice = Choice { index: 0, text: "", logprobs: None, finish_reason };
            translate::event(out, &self.identity.object(OBJECT, &[choice], None));
            if self.include_usage {
                let usage = Some(line.usage());
                translate::event(out, &self.identity.object::<Choice<'_>>(OBJECT, &[], usage));
            }
            translate::done(out);
        }
        Ok(())
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        match self.done {
            true => Ok(()),
            false => Err(Error::new(Kind::Broken, "the instance's stream was cut off")),
        }
    }
}
