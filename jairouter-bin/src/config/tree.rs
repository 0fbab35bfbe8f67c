//! What a configuration says, as JSON: for those who look at it, and compare it, from outside.

use serde_json::{Map, Number, Value as Json};

use super::Diagnostic;
use super::names::fold;
use super::node::{self, Node, Value};

/// What stands for a secret.
pub(crate) const MASK: &str = "***";

/// What this configuration says, with its `${…}` as they are written.
///
/// # Errors
///
/// If it is no YAML.
pub(crate) fn tree(text: &str) -> Result<Json, Diagnostic> {
    node::parse(text).map(|root| json(&root))
}

/// What is written there. Words without quotes are numbers and truths if they read as such.
pub(super) fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => Json::Null,
        Value::Scalar { text, plain: true } => match text.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            _ => number(text).map_or_else(|| Json::from(text.as_str()), Json::Number),
        },
        Value::Scalar { text, plain: false } => Json::from(text.as_str()),
        Value::Sequence(nodes) => nodes.iter().map(json).collect(),
        Value::Mapping(entries) => {
            let pairs = entries.iter().map(|(key, value)| (word(key).to_owned(), json(value)));
            Json::Object(pairs.collect())
        }
    }
}

/// A key's text.
pub(super) fn word(key: &Node) -> &str {
    match &key.value {
        Value::Scalar { text, .. } => text,
        Value::Sequence(_) | Value::Mapping(_) => "",
    }
}

/// The number that is written just like this.
pub(super) fn number(text: &str) -> Option<Number> {
    let number: Number = serde_json::from_str(text).ok()?;
    (number.to_string() == text).then_some(number)
}

/// The value of this key, however it is spelled.
pub(crate) fn spelled<'a>(map: &'a Map<String, Json>, key: &str) -> Option<(&'a str, &'a Json)> {
    let name = fold(key);
    map.iter().find(|(key, _)| fold(key) == name).map(|(key, value)| (key.as_str(), value))
}

/// Whether what is below this key is secret as a whole.
fn holds_secrets(key: &str) -> bool {
    matches!(fold(key).as_str(), "headers" | "additionalheaders")
}

/// Whether this key's value is a secret.
fn is_secret(key: &str) -> bool {
    let key = fold(key);
    matches!(key.as_str(), "apikey" | "token" | "secret" | "password")
        || ["secret", "password", "apikey"].iter().any(|end| key.ends_with(end))
}

/// Whether it names where a secret is, and holds none.
fn is_reference(text: &str) -> bool {
    let text = text.trim();
    let inner = text.strip_prefix("Bearer ").unwrap_or(text).trim();
    let name = inner.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let name = name.map(|name| name.strip_suffix(':').unwrap_or(name));
    name.is_some_and(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// The same with [`MASK`] for every secret.
pub(crate) fn masked(mut tree: Json) -> Json {
    mask(&mut tree, false);
    tree
}

fn mask(tree: &mut Json, secret: bool) {
    match tree {
        Json::Object(map) => {
            for (key, value) in map {
                let secret = secret || holds_secrets(key) || is_secret(key);
                mask(value, secret);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| mask(item, secret)),
        Json::Null => {}
        Json::String(text) if is_reference(text) => {}
        Json::String(_) | Json::Number(_) | Json::Bool(_) => {
            if secret {
                *tree = Json::from(MASK);
            }
        }
    }
}

/// Puts this into a tree: keys that it names, however they are spelled there, and no others; `null` takes one
/// out. A [`MASK`] stands for what is there.
///
/// # Errors
///
/// If a mask stands for nothing, as text.
pub(crate) fn merge(into: &mut Json, new: &Json) -> Result<(), String> {
    merge_at(into, new, false)
}

fn merge_at(into: &mut Json, new: &Json, chosen: bool) -> Result<(), String> {
    let Json::Object(new) = new else {
        if new == MASK && !into.is_null() {
            return Ok(());
        }
        if has_mask(new) {
            return Err(format!("'{MASK}' stands for a secret that is there, and none is"));
        }
        *into = new.clone();
        return Ok(());
    };
    if !into.is_object() {
        *into = Json::Object(Map::new());
    }
    let Json::Object(map) = into else { return Ok(()) };
    for (key, value) in new {
        // Names that somebody chose are as they are.
        let there = if chosen { None } else { spelled(map, key).map(|(key, _)| key.to_owned()) };
        let there = there.unwrap_or_else(|| key.clone());
        if value.is_null() {
            map.remove(&there);
        } else {
            let chosen = holds_secrets(key);
            merge_at(map.entry(there).or_insert(Json::Null), value, chosen)?;
        }
    }
    Ok(())
}

fn has_mask(tree: &Json) -> bool {
    match tree {
        Json::String(text) => text == MASK,
        Json::Array(items) => items.iter().any(has_mask),
        Json::Object(map) => map.values().any(has_mask),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_word_is_what_it_reads_as_and_a_quoted_one_is_text() {
        let yaml = "a: 1\nb: '1'\nc: 01\nd: true\ne:\nf: [1.5, x, ~]\ng: { h: 10ms }\n";
        let expected = json!({"a": 1, "b": "1", "c": "01", "d": true, "e": null,
            "f": [1.5, "x", null], "g": {"h": "10ms"}});
        assert_eq!(tree(yaml).unwrap(), expected);
    }

    #[test]
    fn secrets_are_masked_and_what_names_them_is_not() {
        let tree = json!({"api-key": "k", "headers": {"a": "b", "c": "Bearer ${TOKEN}"},
            "adapterDefinitions": {"x": {"additionalHeaders": {"y": 1}}},
            "jwt": {"secret": "s"}, "apiKey": "${KEY:default}", "token": "${T:}",
            "tokens-per-minute": 5, "api-keys": [{"name": "n", "digest": "sha256:0"}]});
        let expected = json!({"api-key": "***", "headers": {"a": "***", "c": "Bearer ${TOKEN}"},
            "adapterDefinitions": {"x": {"additionalHeaders": {"y": "***"}}},
            "jwt": {"secret": "***"}, "apiKey": "***", "token": "${T:}",
            "tokens-per-minute": 5, "api-keys": [{"name": "n", "digest": "sha256:0"}]});
        assert_eq!(masked(tree), expected);
    }

    #[test]
    fn what_is_merged_replaces_what_it_names_in_the_spelling_that_is_there() {
        let mut tree = json!({"base-url": "a", "weight": 1, "headers": {"x-ab": "1"},
            "timeouts": {"idle": "1s"}});
        let new = json!({"baseUrl": "b", "weight": null, "headers": {"xa-b": "2", "x-ab": "***"},
            "timeouts": {"first-token": "2s"}, "path": "/p"});
        merge(&mut tree, &new).unwrap();
        let expected = json!({"base-url": "b", "headers": {"x-ab": "1", "xa-b": "2"},
            "timeouts": {"idle": "1s", "first-token": "2s"}, "path": "/p"});
        assert_eq!(tree, expected);
        assert!(merge(&mut tree, &json!({"api-key": "***"})).is_err());
        assert!(merge(&mut tree, &json!({"a": ["***"]})).is_err());
    }
}
