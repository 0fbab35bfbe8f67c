//! The field that asks for the usage of a stream.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::endpoint::Endpoint;
use crate::request::InferenceRequest;

const OPTIONS: &str = r#""stream_options":{"include_usage":true},"#;

#[derive(Deserialize)]
struct Options<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    stream_options: Option<&'a RawValue>,
}

/// The value, null or not.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// The request with the field, unless it has it, or is none that takes it.
pub(super) fn for_usage(request: &InferenceRequest) -> Option<InferenceRequest> {
    let takes_it = matches!(request.endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
    if !request.stream || !takes_it {
        return None;
    }
    // What cannot be read is for the engine to refuse.
    let options: Options<'_> = serde_json::from_slice(&request.payload).ok()?;
    let Some(options) = options.stream_options else {
        let start = memchr::memchr(b'{', &request.payload)? + 1;
        return Some(request.spliced(start..start, OPTIONS.as_bytes()));
    };
    let mut fields = match serde_json::from_str(options.get()).ok()? {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        _ => return None,
    };
    if !matches!(fields.get("include_usage"), Some(Value::Bool(false) | Value::Null) | None) {
        return None;
    }
    fields.insert("include_usage".into(), Value::Bool(true));
    // Where it stands in the payload it was read from.
    let start = options.get().as_ptr() as usize - request.payload.as_ptr() as usize;
    let written = Value::Object(fields).to_string();
    Some(request.spliced(start..start + options.get().len(), written.as_bytes()))
}
