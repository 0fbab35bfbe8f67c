//! Vectors of texts: the same for the same text, and of length 1.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::text;

/// How many numbers a vector has if the request does not say.
const DIMENSIONS: usize = 64;
const MOST_DIMENSIONS: usize = 4096;

#[derive(Debug, Deserialize)]
struct Ask {
    model: String,
    input: Value,
    encoding_format: Option<String>,
    dimensions: Option<usize>,
}

/// The answer, or what is wrong with the request and where.
pub(crate) fn answer(payload: &[u8]) -> Result<Bytes, (String, &'static str)> {
    let ask: Ask = serde_json::from_slice(payload).map_err(|error| (error.to_string(), "input"))?;
    let dimensions = ask.dimensions.unwrap_or(DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err((format!("'dimensions' must be from 1 to {MOST_DIMENSIONS}"), "dimensions"));
    }
    let as_base64 = match ask.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(("'encoding_format' is float or base64".into(), "encoding_format")),
    };
    let inputs = inputs(&ask.input).ok_or_else(|| {
        ("'input' is a text, some tokens, or a list of either".to_owned(), "input")
    })?;
    let item = |(index, input): (usize, &String)| {
        let vector = vector(input, dimensions);
        let embedding = if as_base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            json!(BASE64_STANDARD.encode(bytes))
        } else {
            json!(vector)
        };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    };
    let tokens: usize = inputs.iter().map(|input| text::count(input)).sum();
    let answer = json!({
        "object": "list",
        "data": inputs.iter().enumerate().map(item).collect::<Vec<_>>(),
        "model": ask.model,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    });
    Ok(answer.to_string().into())
}

/// Each input as a text; tokens as their numbers.
fn inputs(input: &Value) -> Option<Vec<String>> {
    match input {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) if items.iter().all(Value::is_u64) => Some(vec![tokens(items)]),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Some(text.clone()),
                Value::Array(inner) if inner.iter().all(Value::is_u64) => Some(tokens(inner)),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn tokens(items: &[Value]) -> String {
    items.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
}

fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    // FNV-1a: any hash that is the same everywhere would do.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut random = fastrand::Rng::with_seed(hash);
    let raw: Vec<f32> = (0..dimensions).map(|_| random.f32() - 0.5).collect();
    let norm = raw.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.into_iter().map(|number| number / norm).collect()
}
