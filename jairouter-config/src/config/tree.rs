//! What a configuration says, as JSON: for those who look at it, and compare it, from outside.

use std::collections::HashSet;

use serde_json::{Map, Number, Value as Json};

use super::Diagnostic;
use super::names::fold;
use super::node::{self, Node, Value};

/// What stands for a secret.
pub const MASK: &str = "***";

/// What this configuration says, with its `${…}` as they are written.
///
/// # Errors
///
/// If it is no YAML.
pub fn tree(text: &str) -> Result<Json, Diagnostic> {
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
pub fn spelled<'a>(map: &'a Map<String, Json>, key: &str) -> Option<(&'a str, &'a Json)> {
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
pub fn masked(mut tree: Json) -> Json {
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

/// Whether the keys below this one are names that somebody chose, and only as they are written.
fn holds_names(key: &str) -> bool {
    holds_secrets(key) || matches!(fold(key).as_str(), "models" | "permodel")
}

/// The key of a map that is meant by this one: whatever its spelling, unless somebody chose the names. Those of
/// headers are the same in any case.
fn meant<'a>(map: &'a Map<String, Json>, key: &str, of: Names) -> Option<&'a str> {
    match of {
        Names::Known => spelled(map, key).map(|(key, _)| key),
        Names::Chosen => map.get_key_value(key).map(|(key, _)| key.as_str()),
        Names::Headers => {
            map.keys().find(|name| name.eq_ignore_ascii_case(key)).map(String::as_str)
        }
    }
}

/// What the keys of a map are.
#[derive(Clone, Copy)]
enum Names {
    Known,
    Chosen,
    Headers,
}

impl Names {
    fn below(key: &str) -> Self {
        match (holds_secrets(key), holds_names(key)) {
            (true, _) => Self::Headers,
            (_, true) => Self::Chosen,
            _ => Self::Known,
        }
    }
}

/// Puts this into a tree: keys that it names, however they are spelled there, and no others; `null` takes one
/// out. A [`MASK`] stands for what is there.
///
/// # Errors
///
/// If a mask stands for nothing, or a key is named twice, as text.
pub fn merge(into: &mut Json, new: &Json) -> Result<(), String> {
    merge_at(into, new, Names::Known)
}

fn merge_at(into: &mut Json, new: &Json, names: Names) -> Result<(), String> {
    let Json::Object(new) = new else {
        *into = unmasked(new, Some(into))?;
        return Ok(());
    };
    if !into.is_object() {
        *into = Json::Object(Map::new());
    }
    let Json::Object(map) = into else { return Ok(()) };
    let mut named = HashSet::new();
    for (key, value) in new {
        let once = match names {
            Names::Known => named.insert(fold(key)),
            Names::Chosen => true,
            Names::Headers => named.insert(key.to_lowercase()),
        };
        if !once {
            return Err(format!("'{key}' is named twice"));
        }
        let there = meant(map, key, names).unwrap_or(key).to_owned();
        if value.is_null() {
            map.remove(&there);
        } else {
            merge_at(map.entry(there).or_insert(Json::Null), value, Names::below(key))?;
        }
    }
    Ok(())
}

/// The same with what is there for each mask. Things in lists are the same if they are called the same.
fn unmasked(new: &Json, old: Option<&Json>) -> Result<Json, String> {
    Ok(match (new, old) {
        (Json::String(text), Some(old)) if text == MASK && !old.is_null() => old.clone(),
        (Json::String(text), _) if text == MASK => {
            return Err(format!("'{MASK}' stands for a secret that is there, and none is"));
        }
        (Json::Array(items), old) => {
            let old = old.and_then(Json::as_array);
            let same = |item: &Json| old?.iter().find(|old| is_same(item, old));
            let items: Result<_, _> = items.iter().map(|item| unmasked(item, same(item))).collect();
            Json::Array(items?)
        }
        (Json::Object(map), old) => {
            let old = old.and_then(Json::as_object);
            let mut done = Map::new();
            for (key, value) in map {
                let there = old.and_then(|old| {
                    let names = if old.contains_key(key) { Names::Chosen } else { Names::Known };
                    old.get(meant(old, key, names)?)
                });
                done.insert(key.clone(), unmasked(value, there)?);
            }
            Json::Object(done)
        }
        (other, _) => other.clone(),
    })
}

/// Whether both are of the same thing: by what it is called, or by all but its secrets.
fn is_same(new: &Json, old: &Json) -> bool {
    let (Json::Object(new), Json::Object(old)) = (new, old) else { return false };
    let told = |key: &str| {
        let of = |map| spelled(map, key).map(|(_, value)| value);
        (of(new), of(old))
    };
    match told("instance-id") {
        (Some(new), Some(old)) => new == old,
        (None, None) => ["name", "models", "base-url", "path"].into_iter().all(|key| {
            let (new, old) = told(key);
            new == old
        }),
        _ => false,
    }
}

/// Every text in a tree that names something of the environment, and the key that it is the value of.
pub fn references(tree: &Json) -> HashSet<(String, &str)> {
    let mut found = HashSet::new();
    refer("", tree, &mut found);
    found
}

fn refer<'a>(key: &str, tree: &'a Json, found: &mut HashSet<(String, &'a str)>) {
    match tree {
        Json::String(text) if text.contains("${") => drop(found.insert((fold(key), text))),
        Json::Array(items) => items.iter().for_each(|item| refer(key, item, found)),
        Json::Object(map) => map.iter().for_each(|(key, value)| {
            if key.contains("${") {
                found.insert((fold(key), key));
            }
            refer(key, value, found);
        }),
        Json::String(_) | Json::Null | Json::Bool(_) | Json::Number(_) => {}
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
        assert!(merge(&mut tree, &json!({"weight": 1, "Weight": 2})).is_err());
        assert!(merge(&mut tree, &json!({"base-url": "a", "base_url": "b"})).is_err());
        assert!(merge(&mut tree, &json!({"a": ["***"]})).is_err());
    }

    #[test]
    fn names_that_somebody_chose_are_as_they_are_written() {
        let mut tree = json!({"models": {"qwen-2.5": "a", "llama3": "b"}, "headers": {"X-Key": "s"},
            "fallback": {"per-model": {"a-b": ["c"]}}});
        let new = json!({"models": {"llama-3": "c", "Qwen 2.5": null, "q1": "x", "Q1": "y"},
            "headers": {"x-key": "***"}, "fallback": {"perModel": {"ab": ["d"]}}});
        merge(&mut tree, &new).unwrap();
        let expected = json!({"models": {"qwen-2.5": "a", "llama3": "b", "llama-3": "c", "q1": "x", "Q1": "y"},
            "headers": {"X-Key": "s"}, "fallback": {"per-model": {"a-b": ["c"], "ab": ["d"]}}});
        assert_eq!(tree, expected);
    }

    #[test]
    fn what_was_shown_may_be_sent_back_and_changes_nothing() {
        let tree = json!({"instances": [
            {"name": "a", "base-url": "u", "api-key": "k1", "headers": {"x": "h1"}},
            {"name": "b", "instance-id": "i", "base-url": "u", "api-key": "k2"},
            {"name": "c", "base-url": "u"}]});
        let mut same = tree.clone();
        merge(&mut same, &masked(tree.clone())).unwrap();
        assert_eq!(same, tree);
        let other = json!({"instances": [{"name": "d", "base-url": "u", "api-key": "***"}]});
        assert!(merge(&mut same, &other).is_err());
    }
}
