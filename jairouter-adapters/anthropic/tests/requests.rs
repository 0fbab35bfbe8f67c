//! What is asked: what Anthropic has a word for, and what is refused because it has none.
#![cfg(test)]

use jairouter_anthropic::Anthropic;
use jairouter_core::{Backend, Endpoint, Error, InferenceRequest, Kind};
use serde_json::{Value, json};

mod support {
    #[allow(dead_code, reason = "answers are tested elsewhere")]
    pub(crate) mod play;
}
use support::play::question;

fn chat(more: &Value) -> Result<Value, Error> {
    let native = Anthropic::new().encode(&question(more))?;
    Ok(serde_json::from_slice(&native).unwrap())
}

fn said(messages: &Value) -> Value {
    chat(&json!({"messages": messages})).unwrap()["messages"].take()
}

fn refused(kind: Kind, cases: &[(&str, Value)]) {
    for (param, more) in cases {
        let error = chat(more).expect_err(param);
        assert_eq!((error.param(), error.kind()), (Some(*param), kind), "{more}: {error}");
        assert!(!error.message().contains("secret"), "no value is repeated: {error}");
    }
}

fn part(part: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": [part]}]})
}

fn function(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name}})
}

#[test]
fn what_anthropic_has_no_word_for_is_refused_by_name() {
    let tools = json!([function("f")]);
    let custom = json!({"type": "custom", "custom": {"name": "secret"}});
    let called = json!([{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}]);
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    refused(
        Kind::Unsupported,
        &[
            ("n", json!({"n": 2})),
            ("n", json!({"n": 0})),
            ("logit_bias", json!({"logit_bias": {"1": 2}})),
            ("logprobs", json!({"logprobs": true})),
            ("top_logprobs", json!({"top_logprobs": 2})),
            ("functions", json!({"functions": [{"name": "f"}]})),
            ("audio", json!({"audio": {"voice": "v"}})),
            ("modalities", json!({"modalities": ["text", "audio"]})),
            ("verbosity", json!({"verbosity": "low"})),
            ("web_search_options", json!({"web_search_options": {"search_context_size": "low"}})),
            ("response_format", json!({"response_format": {"type": "json_object"}})),
            ("tools", json!({"tools": [custom]})),
            ("tool_choice", json!({"tools": tools, "tool_choice": {"type": "allowed_tools"}})),
            ("messages", part(&json!({"type": "input_audio", "input_audio": {"data": "secret"}}))),
            ("messages", part(&json!({"type": "file", "file": {"file_id": "secret"}}))),
            ("messages", json!({"messages": [{"role": "function", "content": "secret"}]})),
            ("messages", json!({"messages": [{"role": "system", "content": "secret"}]})),
            ("messages", json!({"messages": [{"role": "user", "content": ""}]})),
            ("messages", json!({"messages": [{"role": "user", "content": " \n"}]})),
            ("messages", json!({"messages": [{"role": "system", "content": [image]}]})),
            ("messages", json!({"messages": called})),
        ],
    );
}

#[test]
fn what_nobody_understands_is_refused_by_name() {
    let content = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let call = |call: Value| json!({"messages": [{"role": "assistant", "tool_calls": [call]}]});
    let arguments = |arguments: &str| {
        call(json!({"id": "c", "function": {"name": "f", "arguments": arguments}}))
    };
    let image = |url: &str| part(&json!({"type": "image_url", "image_url": {"url": url}}));
    let file = |data: &str| part(&json!({"type": "file", "file": {"file_data": data}}));
    refused(
        Kind::Invalid,
        &[
            ("messages", json!({"messages": []})),
            ("messages", json!({"messages": "secret"})),
            ("messages", json!({"messages": null})),
            ("messages", json!({"messages": [{"content": "secret"}]})),
            ("messages", json!({"messages": [{"role": "secret", "content": "x"}]})),
            ("messages", json!({"messages": [{"role": "tool", "content": "secret"}]})),
            ("messages", content(Value::Null)),
            ("messages", content(json!(7))),
            ("messages", content(json!([{"type": "text"}]))),
            ("messages", content(json!([{"type": "image_url", "image_url": 7}]))),
            ("messages", image("data:image/png,secret")),
            ("messages", image("data:;base64,secret")),
            ("messages", image("data:secret")),
            ("messages", image("file:///secret")),
            ("messages", file("secret")),
            ("messages", arguments("[1]")),
            ("messages", arguments("{secret")),
            ("messages", call(json!({"function": {"name": "f", "arguments": "{}"}}))),
            ("tools", json!({"tools": {"name": "secret"}})),
            ("tools", json!({"tools": [{"type": "function"}]})),
            ("tool_choice", json!({"tool_choice": "required"})),
            ("tool_choice", json!({"tools": [function("f")], "tool_choice": "secret"})),
            ("tool_choice", json!({"tools": [function("f")], "tool_choice": {"type": "function"}})),
            ("parallel_tool_calls", json!({"parallel_tool_calls": "secret"})),
            ("reasoning_effort", json!({"reasoning_effort": "secret"})),
            ("response_format", json!({"response_format": {"type": "secret"}})),
            ("response_format", json!({"response_format": {"type": "json_schema"}})),
            ("response_format", json!({"response_format": "json"})),
            ("max_tokens", json!({"max_tokens": "secret"})),
            ("max_tokens", json!({"max_tokens": -1})),
            ("max_completion_tokens", json!({"max_completion_tokens": 0})),
            ("temperature", json!({"temperature": "secret"})),
            ("top_p", json!({"top_p": "secret"})),
            ("top_k", json!({"top_k": 1.5})),
            ("seed", json!({"seed": 1.5})),
            ("presence_penalty", json!({"presence_penalty": "secret"})),
            ("stop", json!({"stop": ["a", 1]})),
            ("logprobs", json!({"logprobs": 3})),
            ("n", json!({"n": "1"})),
            ("user", json!({"user": 7})),
        ],
    );
}

#[test]
fn what_means_nothing_is_no_obstacle() {
    for more in [
        json!({"n": 1, "logit_bias": {}, "tool_choice": "auto", "parallel_tool_calls": false}),
        json!({"n": null, "tools": [], "stop": null, "response_format": {"type": "text"}}),
        json!({"metadata": {"a": "b"}, "store": false, "modalities": ["text"], "logprobs": false}),
        json!({"tool_choice": "none", "stop": [], "verbosity": "medium", "stream": false}),
        json!({"seed": 7, "presence_penalty": 1, "frequency_penalty": -1.5, "top_logprobs": 0}),
    ] {
        let native = chat(&more).unwrap();
        let fields: Vec<_> = native.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["max_tokens", "messages", "model"], "{more}");
    }
}

#[test]
fn results_come_first_and_neighbours_are_one_turn() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let result =
        |id: &str, content: &str| json!({"role": "tool", "tool_call_id": id, "content": content});
    let block =
        |id: &str, input: Value| json!({"type": "tool_use", "id": id, "name": "f", "input": input});
    let messages = said(&json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "", "tool_calls": [call("a", ""), call("b", "{\"x\":1}")]},
        {"role": "user", "content": "quick"},
        result("a", "1"),
        result("b", ""),
        {"role": "user", "content": [{"type": "text", "text": "now"}]},
        {"role": "assistant", "content": null, "refusal": "no"},
    ]));
    let text = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [block("a", json!({})), block("b", json!({"x": 1}))]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "tool_result", "tool_use_id": "b"},
                text("quick"),
                text("now"),
            ]},
            {"role": "assistant", "content": "no"},
        ])
    );
}

#[test]
fn what_other_engines_write_is_put_as_anthropic_takes_it() {
    let call = json!({"id": "functions.f:0", "function": {"name": "f", "arguments": " "}});
    let messages = said(&json!([
        {"role": "user", "content": [{"type": "text", "text": "\n"}, {"type": "text", "text": "x"}]},
        {"role": "assistant", "content": "\n\n", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.f:0", "content": " 1"},
    ]));
    assert_eq!(messages[0]["content"], "x");
    let call = json!({"type": "tool_use", "id": "functions_f_0", "name": "f", "input": {}});
    assert_eq!(messages[1]["content"], json!([call]));
    let result = json!({"type": "tool_result", "tool_use_id": "functions_f_0", "content": " 1"});
    assert_eq!(messages[2]["content"], json!([result]));
}

#[test]
fn numbers_in_calls_and_schemas_keep_their_digits() {
    let arguments = r#"{\"x\":18446744073709551616,\"y\":1.10}"#;
    let payload = format!(
        r#"{{"model":"m","temperature":0.10,"messages":[{{"role":"assistant","tool_calls":[{{"id":"c",
        "function":{{"name":"f","arguments":"{arguments}"}}}}]}}],"tools":[{{"type":"function",
        "function":{{"name":"f","parameters":{{"maximum":18446744073709551616}}}}}}]}}"#
    );
    let headers = http::HeaderMap::new();
    let request =
        InferenceRequest::new(Endpoint::ChatCompletions, headers, payload.into()).unwrap();
    let native = Anthropic::new().encode(&request).unwrap();
    let native = std::str::from_utf8(&native).unwrap();
    assert!(native.contains(r#""input":{"x":18446744073709551616,"y":1.10}"#), "{native}");
    assert!(native.contains(r#""input_schema":{"maximum":18446744073709551616}"#), "{native}");
    assert!(native.contains(r#""temperature":0.10,"#), "{native}");
}

#[test]
fn what_is_to_be_cached_is_marked_wherever_it_is() {
    let mark = json!({"type": "ephemeral"});
    let marked = json!({"type": "text", "text": "long", "cache_control": mark});
    let mut tool = function("f");
    tool["cache_control"] = mark.clone();
    let native = chat(&json!({
        "messages": [
            {"role": "system", "content": [marked, {"type": "text", "text": "short"}]},
            {"role": "user", "content": [marked]},
        ],
        "tools": [tool],
    }))
    .unwrap();
    assert_eq!(native["system"], json!([marked, {"type": "text", "text": "short"}]));
    assert_eq!(native["messages"], json!([{"role": "user", "content": [marked]}]));
    let tool = json!({"name": "f", "input_schema": {"type": "object"}, "cache_control": mark});
    assert_eq!(native["tools"], json!([tool]));
}

#[test]
fn pictures_and_papers_are_blocks_with_a_source() {
    let url = "data:image/webp;charset=x;base64,QUJD";
    let paper = json!({"file_data": "data:application/pdf;base64,REVG", "filename": "a.pdf"});
    let native = said(&json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": url},
        {"type": "image_url", "image_url": {"url": "http://h/a"}},
        {"type": "file", "file": paper},
        {"type": "text", "text": ""},
    ]}]));
    let base64 =
        |kind: &str, data: &str| json!({"type": "base64", "media_type": kind, "data": data});
    assert_eq!(
        native[0]["content"],
        json!([
            {"type": "image", "source": base64("image/webp", "QUJD")},
            {"type": "image", "source": {"type": "url", "url": "http://h/a"}},
            {"type": "document", "source": base64("application/pdf", "REVG"), "title": "a.pdf"},
        ])
    );
    let result = said(&json!([{"role": "tool", "tool_call_id": "c", "content": [
        {"type": "image_url", "image_url": {"url": "http://h"}},
    ]}]));
    assert_eq!(result[0]["content"][0]["content"][0]["source"]["url"], "http://h");
}

#[test]
fn a_choice_of_tools_is_said_in_anthropic_s_words() {
    let named = json!({"type": "function", "function": {"name": "f"}});
    let one = |kind: &str| json!({"type": kind, "disable_parallel_tool_use": true});
    for (more, expected) in [
        (json!({}), Value::Null),
        (json!({"tool_choice": "auto"}), json!({"type": "auto"})),
        (json!({"tool_choice": "none"}), json!({"type": "none"})),
        (json!({"tool_choice": named}), json!({"type": "tool", "name": "f"})),
        (json!({"parallel_tool_calls": true}), Value::Null),
        (json!({"parallel_tool_calls": false}), one("auto")),
        (json!({"parallel_tool_calls": false, "tool_choice": "required"}), one("any")),
        (json!({"parallel_tool_calls": false, "tool_choice": "none"}), json!({"type": "none"})),
    ] {
        let mut ask = more.clone();
        ask["tools"] = json!([function("f")]);
        let native = chat(&ask).unwrap();
        assert_eq!(native["tool_choice"], expected, "{more}");
        assert_eq!(native["tools"][0]["name"], "f", "they stay known, whatever may be called");
    }
    let mut strict = function("f");
    strict["function"]["strict"] = json!(true);
    assert_eq!(chat(&json!({"tools": [strict]})).unwrap()["tools"][0]["strict"], true);
}

#[test]
fn an_effort_is_an_effort_or_as_many_tokens_as_the_limit_leaves() {
    for (model, effort, limit, thinking, native, max_tokens) in [
        ("claude-opus-4-7", "minimal", None, json!({"type": "adaptive"}), json!("low"), 4096),
        ("claude-opus-4-7", "xhigh", Some(9), json!({"type": "adaptive"}), json!("xhigh"), 9),
        ("claude-opus-4-7", "none", None, json!({"type": "disabled"}), Value::Null, 4096),
        ("claude-opus-4-1", "none", None, json!({"type": "disabled"}), Value::Null, 4096),
        ("claude-opus-4-1", "low", None, budget(1024), Value::Null, 5120),
        ("claude-opus-4-1", "medium", None, budget(8192), Value::Null, 12288),
        ("claude-opus-4-1", "high", Some(10_000), budget(8000), Value::Null, 10_000),
        ("claude-opus-4-1", "max", Some(1100), budget(1024), Value::Null, 1100),
    ] {
        let ask = json!({"model": model, "reasoning_effort": effort, "max_tokens": limit});
        let asked = chat(&ask).unwrap();
        assert_eq!(asked["thinking"], thinking, "{ask}");
        assert_eq!(asked["output_config"]["effort"], native, "{ask}");
        assert_eq!(asked["max_tokens"], max_tokens, "{ask}");
    }
    let ask = json!({"model": "claude-3-7-sonnet", "reasoning_effort": "low", "max_tokens": 1024});
    let error = chat(&ask).unwrap_err();
    assert_eq!((error.kind(), error.param()), (Kind::Unsupported, Some("reasoning_effort")));
    // As Anthropic itself takes it, with room for an answer behind the thoughts.
    let own = chat(&json!({"thinking": budget(2000)})).unwrap();
    assert_eq!((&own["thinking"], &own["max_tokens"]), (&budget(2000), &json!(6096)));
}

fn budget(tokens: u32) -> Value {
    json!({"type": "enabled", "budget_tokens": tokens})
}

#[test]
fn a_form_and_an_effort_are_said_in_one_place() {
    let schema = json!({"type": "object"});
    let form = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let native = chat(&json!({"reasoning_effort": "high", "response_format": form})).unwrap();
    let format = json!({"type": "json_schema", "schema": schema});
    assert_eq!(native["output_config"], json!({"effort": "high", "format": format}));
}

#[test]
fn thoughts_that_come_back_go_before_what_came_of_them() {
    let thoughts = json!([
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "eA=="},
    ]);
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let native = said(&json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "so", "reasoning_content": "hm",
         "thinking_blocks": thoughts, "tool_calls": [call]},
    ]));
    let blocks = native[1]["content"].as_array().unwrap();
    assert_eq!(blocks[..2], thoughts.as_array().unwrap()[..]);
    let kinds: Vec<_> = blocks[2..].iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["text", "tool_use"]);
}

#[test]
fn of_two_limits_and_two_names_the_newer_counts() {
    let ask = json!({"max_completion_tokens": 5, "max_tokens": 9, "user": "a",
        "safety_identifier": "b", "top_k": 3, "temperature": 1.01, "stop": "x", "stream": true});
    let native = chat(&ask).unwrap();
    assert_eq!(native["max_tokens"], 5);
    assert_eq!(native["metadata"], json!({"user_id": "b"}));
    assert_eq!((&native["top_k"], &native["temperature"]), (&json!(3), &json!(1.0)));
    assert_eq!((&native["stop_sequences"], &native["stream"]), (&json!(["x"]), &json!(true)));
}

#[test]
fn what_is_in_anthropic_s_words_passes_byte_for_byte() {
    let payload = r#"{ "model":"m", "max_tokens":1, "messages":[], "x":18446744073709551616 }"#;
    for endpoint in [Endpoint::Messages, Endpoint::CountTokens] {
        let headers = http::HeaderMap::new();
        let request = InferenceRequest::new(endpoint, headers, payload.into()).unwrap();
        let sent = Anthropic::new().encode(&request).unwrap();
        assert_eq!(sent.as_ptr(), request.payload.as_ptr(), "not even copied");
        assert_eq!(sent, payload);
    }
}
