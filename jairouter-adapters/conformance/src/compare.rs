//! What may differ between two texts that say the same.

use serde_json::{Map, Value};

/// What no two answers share: it has to be there where it is recorded, and may be anything.
const OF_ITS_OWN: [&str; 4] = ["id", "created", "system_fingerprint", "tool_call_id"];

/// What of `expected` is not so in `actual`, which may say more.
pub(crate) fn lacks(actual: &Value, expected: &Value, path: &str) -> Vec<String> {
    match (actual, expected) {
        (_, Value::Null) => match actual {
            Value::Null => Vec::new(),
            _ => vec![format!("{path} is {actual} and should say nothing")],
        },
        (Value::Object(actual), Value::Object(expected)) => {
            let mut wrong = Vec::new();
            for (key, expected) in expected {
                let path = format!("{path}.{key}");
                let actual = actual.get(key).unwrap_or(&Value::Null);
                if !OF_ITS_OWN.contains(&key.as_str()) {
                    wrong.extend(lacks(actual, expected, &path));
                } else if expected.is_string() && actual.as_str().is_none_or(str::is_empty) {
                    wrong.push(format!("{path} is {actual} and should be some text"));
                }
            }
            wrong
        }
        (Value::Array(some), Value::Array(all)) if some.len() == all.len() => {
            let pairs = some.iter().zip(all).enumerate();
            pairs.flat_map(|(at, (some, all))| lacks(some, all, &format!("{path}[{at}]"))).collect()
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => Vec::new(),
        _ if actual == expected => Vec::new(),
        // JSON in a text, as the arguments of a tool call.
        (Value::String(some), Value::String(all)) if is_same_json(some, all) => Vec::new(),
        _ => vec![format!("{path} is {actual} and should be {expected}")],
    }
}

/// Whether both are the same object, however it is written.
pub(crate) fn is_same_json(one: &str, other: &str) -> bool {
    let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).ok();
    object(one).is_some_and(|one| object(other) == Some(one))
}

/// Where two requests differ, null and absent alike.
pub(crate) fn differ(
    actual: &Value,
    expected: &Value,
    is_empty: &dyn Fn(&str, &Value) -> bool,
) -> Vec<String> {
    let (actual, expected) = (bare(actual, is_empty), bare(expected, is_empty));
    if actual == expected {
        Vec::new()
    } else {
        vec![format!("asked {actual}\n  instead of {expected}")]
    }
}

fn bare(value: &Value, is_empty: &dyn Fn(&str, &Value) -> bool) -> Value {
    match value {
        Value::Object(fields) => {
            let says = |(key, value): &(&String, &Value)| !value.is_null() && !is_empty(key, value);
            let fields = fields.iter().filter(says);
            Value::Object(
                fields
                    .map(|(key, value)| (key.clone(), bare(value, is_empty)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => items.iter().map(|item| bare(item, is_empty)).collect(),
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        other => other.clone(),
    }
}
