//! Vectors of texts: the same for the same text, and of length 1.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ask::Fault;
use crate::input::{self, Input};
use crate::wire::{self, Usage};

/// How many numbers a vector has if the request does not say.
const DIMENSIONS: usize = 64;
const MOST_DIMENSIONS: usize = 4096;
const MOST_INPUTS: usize = 2048;

#[derive(Deserialize)]
struct Ask {
    model: Option<String>,
    input: Option<Value>,
    encoding_format: Option<String>,
    dimensions: Option<usize>,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Item>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Item {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Floats(Vec<f32>),
    Base64(String),
}

/// The answer, or what is wrong with the request and where.
pub(crate) fn answer(payload: &[u8]) -> Result<Bytes, Fault> {
    let Ok(ask) = serde_json::from_slice::<Ask>(payload) else {
        return Err(("this is not a request for embeddings in JSON", None));
    };
    let fault = |message, field| Err((message, Some(field)));
    let Some(model) = &ask.model else {
        return fault("'model' is missing", "model");
    };
    let Some(inputs) = ask.input.as_ref().and_then(input::read) else {
        return fault("'input' is a text, tokens, or a list of either", "input");
    };
    if inputs.is_empty() || inputs.len() > MOST_INPUTS {
        return fault("'input' has from 1 to 2048 texts", "input");
    }
    let dimensions = ask.dimensions.unwrap_or(DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return fault("'dimensions' must be from 1 to 4096", "dimensions");
    }
    let encode = match ask.encoding_format.as_deref() {
        None | Some("float") => Vector::Floats,
        Some("base64") => base64,
        Some(_) => return fault("'encoding_format' is float or base64", "encoding_format"),
    };
    let item = |(index, input): (usize, &Input)| Item {
        object: "embedding",
        index,
        embedding: encode(vector(input.hash(), dimensions)),
    };
    let tokens = inputs.iter().map(Input::tokens).sum();
    Ok(wire::whole(&List {
        object: "list",
        data: inputs.iter().enumerate().map(item).collect(),
        model,
        usage: Usage { prompt: tokens, completion: None, total: tokens },
    }))
}

/// The numbers as little-endian bytes.
fn base64(numbers: Vec<f32>) -> Vector {
    let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
    Vector::Base64(BASE64_STANDARD.encode(bytes))
}

fn vector(seed: u64, dimensions: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let raw: Vec<f32> = (0..dimensions).map(|_| random.f32() - 0.5).collect();
    let norm = raw.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.into_iter().map(|number| number / norm).collect()
}
