//! What may differ between two answers that say the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Equal, but for what no two answers share, and for what says nothing.
pub(crate) fn same(actual: &Value, expected: &Value, case: &str) {
    assert_eq!(bare(actual, ""), bare(expected, ""), "{case}");
}

fn bare(value: &Value, key: &str) -> Value {
    match value {
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (name, field) in fields {
                let says_nothing = match name.as_str() {
                    "id" | "system_fingerprint" => true,
                    // Zero values that Ollama's own client writes out.
                    "suffix" | "system" | "template" => *field == json!(""),
                    "frequency_penalty" | "presence_penalty" => field.as_f64() == Some(0.0),
                    "code" => key == "error",
                    _ => field.is_null(),
                };
                if !says_nothing {
                    kept.insert(name.clone(), bare(field, name));
                }
            }
            Value::Object(kept)
        }
        Value::Array(items) => items.iter().map(|item| bare(item, key)).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

/// The events of a stream, but for their ids; the last may be `[DONE]`, which is a text.
pub(crate) fn events(stream: &str) -> Vec<Value> {
    let events = stream.split_terminator("\n\n").map(|event| {
        let data = event.strip_prefix("data: ").unwrap();
        assert!(!data.contains('\n'), "one line each: {event}");
        if data == "[DONE]" { json!(data) } else { serde_json::from_str(data).unwrap() }
    });
    events.collect()
}

/// What a stream says altogether, and whether it says that it failed.
pub(crate) fn accumulate(stream: &str) -> (Value, bool) {
    let mut said: BTreeMap<&str, String> = BTreeMap::new();
    let mut calls: BTreeMap<u64, (String, String)> = BTreeMap::new();
    let (mut ids, mut logprobs, mut finish) = (BTreeSet::new(), Vec::new(), Vec::new());
    let (mut usage, mut model, mut failed, mut first) = (Value::Null, Value::Null, false, true);
    for chunk in events(stream) {
        if chunk == "[DONE]" {
            continue;
        }
        if chunk.get("error").is_some() {
            failed = true;
            continue;
        }
        model = chunk["model"].clone();
        if chunk["usage"].is_object() {
            assert_eq!(chunk["choices"], json!([]), "usage comes alone");
            usage = chunk["usage"].clone();
        }
        for choice in chunk["choices"].as_array().unwrap() {
            if first && choice.get("delta").is_some() {
                assert_eq!(choice["delta"]["role"], "assistant", "the first delta has the role");
            }
            first = false;
            for key in ["content", "reasoning_content"] {
                if let Some(text) = choice["delta"][key].as_str() {
                    said.entry(key).or_default().push_str(text);
                }
            }
            if let Some(text) = choice["text"].as_str() {
                said.entry("text").or_default().push_str(text);
            }
            for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                let id = call["id"].as_str().unwrap();
                assert!(!id.is_empty() && ids.insert(id.to_owned()), "an id of its own: {call}");
                let (name, arguments) = calls.entry(call["index"].as_u64().unwrap()).or_default();
                name.push_str(call["function"]["name"].as_str().unwrap());
                arguments.push_str(call["function"]["arguments"].as_str().unwrap());
            }
            logprobs.extend(choice["logprobs"]["content"].as_array().cloned().unwrap_or_default());
            finish.extend(choice["finish_reason"].as_str().map(str::to_owned));
        }
    }
    assert!(finish.len() <= 1, "one finish reason: {finish:?}");
    let said = json!({
        "said": said, "calls": calls, "logprobs": logprobs,
        "finish": finish, "usage": usage, "model": model,
    });
    (said, failed)
}
