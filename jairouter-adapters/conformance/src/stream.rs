//! What a stream says altogether.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The pieces of a stream, put together.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// Text, reasoning, tool calls and the rest, by choice.
    pub(crate) meaning: Value,
    /// `message` and `type` of the error it ended with.
    pub(crate) error: Option<Value>,
    pub(crate) done: bool,
    /// What is wrong with the stream as such.
    pub(crate) wrong: Vec<String>,
}

#[derive(Default)]
struct Choice {
    texts: BTreeMap<String, String>,
    calls: BTreeMap<u64, Call>,
    logprobs: Vec<Value>,
    finish: Vec<String>,
}

#[derive(Default)]
struct Call {
    id: Option<String>,
    name: String,
    arguments: String,
}

/// Reads a stream of chunks, or of events of any other kind, which are kept as they are.
pub(crate) fn said(text: &str) -> Said {
    let mut said = Said::default();
    let (mut choices, mut others): (BTreeMap<u64, Choice>, _) = (BTreeMap::new(), Vec::new());
    let (mut ids, mut usage, mut model) = (BTreeSet::new(), Value::Null, Value::Null);
    let mut first = true;
    for (name, data) in events(text) {
        if said.done || said.error.is_some() {
            said.wrong.push(format!("{data} comes behind the end"));
        }
        if data == "[DONE]" {
            said.done = true;
            continue;
        }
        let Ok(chunk) = serde_json::from_str::<Value>(&data) else {
            said.wrong.push(format!("{data} is no JSON"));
            continue;
        };
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            said.error = Some(error.clone());
            continue;
        }
        let Some(list) = chunk.get("choices").and_then(Value::as_array) else {
            others.push(json!({"event": name, "data": chunk}));
            continue;
        };
        if chunk["model"].is_string() {
            model = chunk["model"].clone();
        }
        if chunk["usage"].is_object() {
            usage = chunk["usage"].clone();
        }
        for choice in list {
            if std::mem::take(&mut first)
                && choice.get("delta").is_some()
                && choice["delta"]["role"] != "assistant"
            {
                said.wrong.push(format!("the first delta has no role: {choice}"));
            }
            let index = choice["index"].as_u64().unwrap_or_default();
            let wrong = choices.entry(index).or_default().push(choice, &mut ids);
            said.wrong.extend(wrong);
        }
    }
    for choice in choices.values().filter(|choice| choice.finish.len() > 1) {
        said.wrong.push(format!("more than one finish reason: {:?}", choice.finish));
    }
    let choices: BTreeMap<_, _> =
        choices.into_iter().map(|(index, choice)| (index.to_string(), choice.meaning())).collect();
    said.meaning = json!({"choices": choices, "usage": usage, "model": model, "events": others});
    said
}

impl Choice {
    /// Takes a piece; returns what is wrong with it.
    fn push(&mut self, choice: &Value, ids: &mut BTreeSet<String>) -> Vec<String> {
        let mut wrong = Vec::new();
        for key in ["content", "reasoning_content", "refusal"] {
            if let Some(text) = choice["delta"][key].as_str() {
                self.texts.entry(key.into()).or_default().push_str(text);
            }
        }
        if let Some(text) = choice["text"].as_str() {
            self.texts.entry("text".into()).or_default().push_str(text);
        }
        for piece in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let Some(index) = piece["index"].as_u64() else {
                wrong.push(format!("a tool call has no index: {piece}"));
                continue;
            };
            let call = self.calls.entry(index).or_default();
            match (piece["id"].as_str(), &call.id) {
                (Some(id), None) if !id.is_empty() && ids.insert(id.to_owned()) => {
                    call.id = Some(id.to_owned());
                }
                (Some(id), Some(known)) if id == known => {}
                (None, Some(_)) => {}
                _ => wrong.push(format!("a tool call has no id of its own: {piece}")),
            }
            call.name.push_str(piece["function"]["name"].as_str().unwrap_or_default());
            call.arguments.push_str(piece["function"]["arguments"].as_str().unwrap_or_default());
        }
        self.logprobs.extend(choice["logprobs"]["content"].as_array().cloned().unwrap_or_default());
        self.finish.extend(choice["finish_reason"].as_str().map(str::to_owned));
        wrong
    }

    fn meaning(mut self) -> Value {
        self.texts.retain(|_, text| !text.is_empty());
        let calls: Vec<_> =
            self.calls.values().map(|call| json!([call.name, call.arguments])).collect();
        json!({
            "texts": self.texts, "calls": calls, "logprobs": self.logprobs, "finish": self.finish,
        })
    }
}

/// Names and data of the events; comments are none.
fn events(text: &str) -> Vec<(String, String)> {
    let text = text.replace("\r\n", "\n");
    let event = |block: &str| {
        let (mut name, mut data) = (String::new(), Vec::new());
        for line in block.lines() {
            if let Some(rest) = line.strip_prefix("event:") {
                rest.trim().clone_into(&mut name);
            } else if let Some(rest) = line.strip_prefix("data:") {
                data.push(rest.strip_prefix(' ').unwrap_or(rest).trim_end().to_owned());
            }
        }
        (name, data.join("\n"))
    };
    text.split("\n\n").map(event).filter(|(_, data)| !data.is_empty()).collect()
}
