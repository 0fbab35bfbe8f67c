//! The field that asks for the usage of a stream.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::endpoint::Endpoint;
use crate::peek::Place;
use crate::request::InferenceRequest;

const OPTIONS: &str = r#""stream_options":{"include_usage":true},"#;

/// Where its value stands in it.
const VALUE: Range<usize> = r#""stream_options":"#.len()..OPTIONS.len() - 1;

/// The request with the field, unless it has it, or is none that takes it.
pub(super) fn for_usage(request: &InferenceRequest) -> Option<InferenceRequest> {
    let takes_it = matches!(request.endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
    if !request.stream || !takes_it {
        return None;
    }
    let options = match &request.noted().stream_options {
        Place::At(options) => options.clone(),
        Place::Nowhere => {
            let start = memchr::memchr(b'{', &request.payload)? + 1;
            let asked = request.spliced(start..start, OPTIONS.as_bytes());
            return Some(asked.with_options_at(start + VALUE.start..start + VALUE.end));
        }
        // What cannot be read is for the engine to refuse.
        Place::Twice => return None,
    };
    let mut fields = match serde_json::from_slice(&request.payload[options.clone()]).ok()? {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        _ => return None,
    };
    if !matches!(fields.get("include_usage"), Some(Value::Bool(false) | Value::Null) | None) {
        return None;
    }
    fields.insert("include_usage".into(), Value::Bool(true));
    let written = Value::Object(fields).to_string();
    let asked = request.spliced(options.clone(), written.as_bytes());
    Some(asked.with_options_at(options.start..options.start + written.len()))
}
