//! Choices of a completion, as `OpenAI` writes them.

use std::collections::BTreeMap;

use jairouter_core::{Error, translate};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Serialize)]
pub(super) struct Choice<'a> {
    pub(super) index: u32,
    pub(super) text: &'a str,
    pub(super) logprobs: Option<Logprobs>,
    pub(super) finish_reason: Option<&'static str>,
}

/// Log probabilities in their older form, which completions have kept.
#[derive(Serialize, Default)]
pub(super) struct Logprobs {
    tokens: Vec<String>,
    #[serde(rename = "token_logprobs")]
    likelihoods: Vec<f64>,
    #[serde(rename = "top_logprobs")]
    alternatives: Vec<BTreeMap<String, f64>>,
    text_offset: Vec<usize>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(rename = "token")]
    text: String,
    logprob: f64,
    #[serde(default, rename = "top_logprobs")]
    alternatives: Vec<Token>,
}

impl Logprobs {
    /// Those of a text that begins `offset` characters into the answer.
    pub(super) fn new(native: &RawValue, mut offset: usize) -> Result<Self, Error> {
        let mut logprobs = Self::default();
        for token in translate::parse::<Vec<Token>>(native.get().as_bytes())? {
            logprobs.text_offset.push(offset);
            offset += token.text.chars().count();
            logprobs.tokens.push(token.text);
            logprobs.likelihoods.push(token.logprob);
            let alternatives = token.alternatives.into_iter();
            logprobs.alternatives.push(alternatives.map(|it| (it.text, it.logprob)).collect());
        }
        Ok(logprobs)
    }
}
