//! The inputs of a completion or an embedding: one or many, as texts or as tokens.

use serde::Deserialize;
use serde_json::Value;

use crate::text;

/// A text, or the tokens of one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Input {
    Text(String),
    Tokens(Vec<u64>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Inputs {
    One(Input),
    Many(Vec<Input>),
}

/// At least one input, none of them a list without a token; `None` if the value is no such thing.
pub(crate) fn read(value: &Value) -> Option<Vec<Input>> {
    let inputs = match Inputs::deserialize(value).ok()? {
        Inputs::One(input) => vec![input],
        Inputs::Many(inputs) => inputs,
    };
    let is_empty = |input: &Input| matches!(input, Input::Tokens(tokens) if tokens.is_empty());
    (!inputs.iter().any(is_empty)).then_some(inputs)
}

impl Input {
    pub(crate) fn tokens(&self) -> usize {
        match self {
            Self::Text(text) => text::count(text),
            Self::Tokens(tokens) => tokens.len(),
        }
    }

    /// The same for the same input, on every machine: FNV-1a.
    pub(crate) fn hash(&self) -> u64 {
        let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let seed = 0xcbf2_9ce4_8422_2325;
        match self {
            Self::Text(text) => text.bytes().fold(seed, add),
            Self::Tokens(tokens) => {
                tokens.iter().flat_map(|token| token.to_le_bytes()).fold(seed, add)
            }
        }
    }
}
