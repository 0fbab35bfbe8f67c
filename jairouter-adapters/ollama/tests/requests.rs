//! What is asked: what Ollama has a word for, and what is refused because it has none.
#![cfg(test)]

use jairouter_core::{Backend, Endpoint, Error, Kind};
use jairouter_ollama::Ollama;
use serde_json::{Value, json};

mod support {
    #[allow(dead_code, reason = "answers are tested elsewhere")]
    pub(crate) mod play;
}
use support::play::question;

fn asked(endpoint: Endpoint, usual: Value, more: &Value) -> Result<Value, Error> {
    let mut ask = usual;
    let fields = ask.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let native = Ollama::new().encode(&question(endpoint, &ask))?;
    Ok(serde_json::from_slice(&native).unwrap())
}

fn chat(more: &Value) -> Result<Value, Error> {
    let usual = json!({"messages": [{"role": "user", "content": "x"}]});
    asked(Endpoint::ChatCompletions, usual, more)
}

fn complete(more: &Value) -> Result<Value, Error> {
    asked(Endpoint::Completions, json!({"prompt": "x"}), more)
}

fn embed(more: &Value) -> Result<Value, Error> {
    asked(Endpoint::Embeddings, json!({"input": "x"}), more)
}

fn refused(ask: fn(&Value) -> Result<Value, Error>, kind: Kind, cases: &[(&str, Value)]) {
    for (param, more) in cases {
        let error = ask(more).expect_err(param);
        assert_eq!((error.param(), error.kind()), (Some(*param), kind), "{more}: {error}");
        assert!(!error.message().contains("secret"), "no value is repeated: {error}");
    }
}

#[test]
fn what_ollama_has_no_word_for_is_refused_by_name() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let url = json!({"type": "image_url", "image_url": {"url": "https://secret/y.png"}});
    let old = json!([{"role": "function", "name": "f", "content": "secret"}]);
    let cases = [
        ("n", json!({"n": 2})),
        ("n", json!({"n": 0})),
        ("logit_bias", json!({"logit_bias": {"1": 2}})),
        ("functions", json!({"functions": [{"name": "f"}]})),
        ("audio", json!({"audio": {"voice": "v"}})),
        ("modalities", json!({"modalities": ["text", "audio"]})),
        ("web_search_options", json!({"web_search_options": {"search_context_size": "low"}})),
        ("tool_choice", json!({"tools": tools, "tool_choice": "required"})),
        ("tool_choice", json!({"tools": tools, "tool_choice": {"type": "function"}})),
        ("parallel_tool_calls", json!({"tools": tools, "parallel_tool_calls": false})),
        ("messages", part(url)),
        ("messages", part(json!({"type": "file", "file": {"file_id": "secret"}}))),
        ("messages", json!({"messages": old})),
    ];
    refused(chat, Kind::Unsupported, &cases);
    let cases = [
        ("n", json!({"n": 2})),
        ("best_of", json!({"best_of": 3})),
        ("echo", json!({"echo": true})),
        ("logit_bias", json!({"logit_bias": { "1": 2 }})),
        ("prompt", json!({"prompt": ["secret", "b"]})),
        ("prompt", json!({"prompt": [1, 2]})),
        // Ollama would load the model, or with `keep_alive: 0` unload it.
        ("prompt", json!({"prompt": ""})),
    ];
    refused(complete, Kind::Unsupported, &cases);
    refused(embed, Kind::Unsupported, &[("input", json!({"input": [1, 2]}))]);
    refused(embed, Kind::Unsupported, &[("input", json!({"input": [["secret"]]}))]);
}

#[test]
fn what_nobody_understands_is_refused_by_name() {
    let said = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let call = |arguments: &str| {
        let call = json!({"function": {"name": "f", "arguments": arguments}});
        json!({"messages": [{"role": "assistant", "tool_calls": [call]}]})
    };
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png,secret"}}]);
    let cases = [
        ("messages", json!({"messages": []})),
        ("messages", json!({"messages": "secret"})),
        ("messages", json!({"messages": null})),
        ("messages", json!({"messages": [{"content": "secret"}]})),
        ("messages", said(Value::Null)),
        ("messages", said(json!(7))),
        ("messages", said(image)),
        ("messages", call("[1]")),
        ("messages", call("{secret")),
        ("tools", json!({"tools": {"name": "secret"}})),
        ("reasoning_effort", json!({"reasoning_effort": "secret"})),
        ("response_format", json!({"response_format": {"type": "secret"}})),
        ("response_format", json!({"response_format": {"type": "json_schema"}})),
        ("response_format", json!({"response_format": "json"})),
        ("max_tokens", json!({"max_tokens": "secret"})),
        // Ollama would know no limit.
        ("max_completion_tokens", json!({"max_completion_tokens": 0})),
        ("temperature", json!({"temperature": "secret"})),
        ("seed", json!({"seed": 1.5})),
        ("stop", json!({"stop": ["a", 1]})),
        ("logprobs", json!({"logprobs": 3})),
        ("top_logprobs", json!({"top_logprobs": 21})),
        ("n", json!({"n": "1"})),
        ("options", json!({"options": 7})),
    ];
    refused(chat, Kind::Invalid, &cases);
    let cases = [
        ("prompt", json!({"prompt": null})),
        ("suffix", json!({"suffix": 1})),
        ("logprobs", json!({"logprobs": true})),
        ("logprobs", json!({"logprobs": 21})),
        ("echo", json!({"echo": "secret"})),
    ];
    refused(complete, Kind::Invalid, &cases);
    let cases = [
        ("input", json!({"input": null})),
        // Ollama would answer with nothing.
        ("input", json!({"input": ""})),
        ("input", json!({"input": []})),
        ("encoding_format", json!({"encoding_format": "int8"})),
        ("dimensions", json!({"dimensions": -1})),
    ];
    refused(embed, Kind::Invalid, &cases);
}

#[test]
fn what_means_nothing_is_no_obstacle() {
    for more in [
        json!({"n": 1, "logit_bias": {}, "tool_choice": "auto", "parallel_tool_calls": true}),
        json!({"n": null, "tools": [], "stop": null, "response_format": {"type": "text"}}),
        json!({"user": "u", "metadata": {"a": "b"}, "store": false, "modalities": ["text"]}),
    ] {
        let native = chat(&more).unwrap();
        let fields: Vec<_> = native.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["messages", "model", "options", "stream"], "{more}");
    }
    let none = chat(&json!({"tools": [{"type": "function"}], "tool_choice": "none"})).unwrap();
    assert!(none.get("tools").is_none(), "none of them may be called");
}

#[test]
fn an_option_by_openai_s_name_goes_before_one_of_ollama_s() {
    let native = chat(&json!({"temperature": 0.1, "options": {"temperature": 0.9, "top_p": 0.3}}));
    let options = native.unwrap()["options"].take();
    assert_eq!(options, json!({"temperature": 0.1, "top_p": 0.3}));
}

#[test]
fn of_two_limits_the_newer_counts_and_no_limit_can_be_asked_for() {
    let limit = |more| chat(&more).unwrap()["options"]["num_predict"].take();
    assert_eq!(limit(json!({"max_completion_tokens": 5, "max_tokens": 9})), 5);
    assert_eq!(limit(json!({"max_tokens": -1})), -1);
    assert_eq!(limit(json!({})), Value::Null);
}

#[test]
fn every_effort_is_a_way_to_think() {
    for (effort, think) in [
        ("none", json!(false)),
        ("minimal", json!("low")),
        ("low", json!("low")),
        ("medium", json!("medium")),
        ("high", json!("high")),
        ("max", json!("max")),
        ("xhigh", json!("max")),
    ] {
        for ask in [chat, complete] {
            let native = ask(&json!({"reasoning_effort": effort, "think": true})).unwrap();
            assert_eq!(native["think"], think, "{effort}");
        }
    }
    assert_eq!(chat(&json!({"think": true})).unwrap()["think"], true);
}

#[test]
fn a_form_reaches_completions_too() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let form = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    for ask in [chat, complete] {
        assert_eq!(ask(&json!({"response_format": form})).unwrap()["format"], schema);
        let form = json!({"type": "json_object"});
        assert_eq!(ask(&json!({"response_format": form})).unwrap()["format"], "json");
        assert_eq!(ask(&json!({"format": schema})).unwrap()["format"], schema);
    }
}

#[test]
fn a_conversation_keeps_its_tools_images_and_thoughts() {
    let call =
        json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}});
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}});
    let sound = json!({"type": "input_audio", "input_audio": {"data": "REVG", "format": "wav"}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let native = chat(&json!({"messages": [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [text("see"), image, sound, text("hear")]},
        {"role": "assistant", "content": null, "tool_calls": [call], "reasoning_content": "hm",
         "reasoning": "hm"},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        {"role": "tool", "tool_call_id": "call_9", "name": "g", "content": "43"},
    ]}));
    let expected = json!([
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "see\nhear", "images": ["QUJD", "REVG"]},
        {"role": "assistant", "content": "", "thinking": "hm",
         "tool_calls": [{"id": "call_1", "function": {"index": 0, "name": "f", "arguments": {}}}]},
        {"role": "tool", "content": "42", "tool_name": "f", "tool_call_id": "call_1"},
        {"role": "tool", "content": "43", "tool_name": "g", "tool_call_id": "call_9"},
    ]);
    assert_eq!(native.unwrap()["messages"], expected);
}
