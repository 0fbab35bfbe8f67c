//! The older names of `structured_outputs`, which vLLM ignores without a word.

use bytes::Bytes;
use jairouter_core::translate::Needle;
use jairouter_core::{Error, InferenceRequest};
use jairouter_openai::fields::{Fields, invalid};

/// What vLLM took, and where it takes it now.
const NAMES: [(&str, &str); 5] = [
    ("guided_json", "json"),
    ("guided_regex", "regex"),
    ("guided_choice", "choice"),
    ("guided_grammar", "grammar"),
    ("guided_whitespace_pattern", "whitespace_pattern"),
];

/// Which library did it. vLLM chooses that by itself now, and the answer's form is the same.
const BACKEND: &str = "guided_decoding_backend";

static GUIDED: Needle = Needle::new(b"\"guided_");

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    if !GUIDED.is_in(&request.payload) {
        return Ok(request.payload.clone());
    }
    let mut fields = Fields::of_request(request)?;
    let mut outputs = Fields::new();
    for (old, new) in NAMES {
        if let Some(value) = fields.take(old).filter(|value| value.get() != "null") {
            outputs.put(new, value);
        }
    }
    let had_backend = fields.take(BACKEND).is_some();
    if outputs.is_empty() {
        // The word was part of what somebody said.
        return Ok(if had_backend { fields.write() } else { request.payload.clone() });
    }
    if fields.given("structured_outputs").is_some() {
        let message = "'structured_outputs' and the older guided_* are given both: one is enough";
        return Err(invalid("structured_outputs", message));
    }
    fields.set("structured_outputs", &outputs);
    Ok(fields.write())
}
