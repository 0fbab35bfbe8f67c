//! A value that satisfies a JSON schema, in the simplest way.

use serde_json::{Map, Value, json};

/// How deep a schema is followed, references included.
const DEEPEST: u32 = 16;

/// How many values are made at most: references can ask for far more than their schema is long.
const MOST_VALUES: usize = 1024;

/// What counts as one value, of the bytes that are copied from the schema.
const COPIED: usize = 64;

/// A value for this schema: its required properties and items, and nothing else. Patterns, formats
/// and conditions are not looked at, and of alternatives the first is taken.
pub(crate) fn value(schema: &Value) -> Value {
    Example { root: schema, left: MOST_VALUES }.of(schema, DEEPEST)
}

struct Example<'a> {
    root: &'a Value,
    /// How many values may still be made.
    left: usize,
}

impl<'a> Example<'a> {
    fn of(&mut self, schema: &'a Value, depth: u32) -> Value {
        if depth == 0 || self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        if let Some(other) = self.elsewhere(schema) {
            return self.of(other, depth - 1);
        }
        if let Some(fixed) = schema.get("const").or_else(|| schema.get("enum")?.get(0)) {
            self.copied(fixed.to_string().len());
            return fixed.clone();
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
            kind => kind.and_then(Value::as_str),
        };
        match kind {
            Some("string") => string(schema),
            Some("integer") => match number(schema) {
                above if above > 0.0 => json!(above.ceil() as i64),
                below => json!(below.floor() as i64),
            },
            Some("number") => json!(number(schema)),
            Some("boolean") => json!(true),
            Some("null") => Value::Null,
            Some("array") => {
                let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
                let items = schema.get("items").unwrap_or(&Value::Null);
                (0..least.min(self.left as u64)).map(|_| self.of(items, depth - 1)).collect()
            }
            _ => Value::Object(self.object(schema, depth)),
        }
    }

    /// The schema that speaks for this one.
    fn elsewhere(&self, schema: &'a Value) -> Option<&'a Value> {
        if let Some(place) = schema.get("$ref") {
            return self.root.pointer(place.as_str()?.strip_prefix('#')?);
        }
        ["anyOf", "oneOf", "allOf"].into_iter().find_map(|key| schema.get(key)?.get(0))
    }

    fn object(&mut self, schema: &'a Value, depth: u32) -> Map<String, Value> {
        let mut object = Map::new();
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if self.left == 0 {
                break;
            }
            self.copied(name.len());
            let property = schema.get("properties").and_then(|all| all.get(name));
            let value = property.map_or_else(|| json!("simulated"), |of| self.of(of, depth - 1));
            object.insert(name.to_owned(), value);
        }
        object
    }

    fn copied(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes / COPIED);
    }
}

fn string(schema: &Value) -> Value {
    let length = |key: &str| schema.get(key).and_then(Value::as_u64).map(|length| length as usize);
    let least = length("minLength").unwrap_or(0).min(MOST_VALUES);
    let length = "simulated".len().max(least).min(length("maxLength").unwrap_or(usize::MAX));
    json!("simulated ".chars().cycle().take(length).collect::<String>())
}

/// The number nearest to 0, as far as whole bounds go.
fn number(schema: &Value) -> f64 {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let least = bound("minimum").or_else(|| Some(bound("exclusiveMinimum")? + 1.0));
    let most = bound("maximum").or_else(|| Some(bound("exclusiveMaximum")? - 1.0));
    0_f64.max(least.unwrap_or(f64::MIN)).min(most.unwrap_or(f64::MAX))
}
