//! A value that satisfies a JSON schema, in the simplest way.

use serde_json::{Map, Value, json};

/// How deep a schema is followed.
const DEEPEST: u32 = 8;

/// A value for this schema: its required properties, and nothing else.
pub(crate) fn value(schema: &Value) -> Value {
    satisfy(schema, DEEPEST)
}

fn satisfy(schema: &Value, depth: u32) -> Value {
    if let Some(fixed) = schema.get("const").or_else(|| schema.get("enum")?.get(0)) {
        return fixed.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    match kind {
        Some("string") => json!("simulated"),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(0)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ if depth == 0 => json!({}),
        _ => {
            let required = schema.get("required").and_then(Value::as_array);
            let names = required.into_iter().flatten().filter_map(Value::as_str);
            let property = |name: &str| {
                let schema = schema.get("properties").and_then(|all| all.get(name));
                (name.to_owned(), schema.map_or(json!("simulated"), |s| satisfy(s, depth - 1)))
            };
            Value::Object(names.map(property).collect::<Map<_, _>>())
        }
    }
}
