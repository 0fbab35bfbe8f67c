//! What is asked: what Gemini has a word for, and what is refused because it has none.
#![cfg(test)]

use jairouter_core::{Backend, Endpoint, Error, InferenceRequest, Kind};
use jairouter_gemini::Gemini;
use serde_json::{Value, json};

mod support {
    #[allow(dead_code, reason = "answers are tested elsewhere")]
    pub(crate) mod play;
}
use support::play::question;

fn asked(endpoint: Endpoint, more: &Value) -> Result<Value, Error> {
    let native = Gemini::new().encode(&question(endpoint, more))?;
    Ok(serde_json::from_slice(&native).unwrap())
}

fn chat(more: &Value) -> Result<Value, Error> {
    asked(Endpoint::ChatCompletions, more)
}

fn embed(more: &Value) -> Result<Value, Error> {
    asked(Endpoint::Embeddings, more)
}

fn said(messages: &Value) -> Value {
    chat(&json!({"messages": messages})).unwrap()["contents"].take()
}

fn refused(ask: fn(&Value) -> Result<Value, Error>, kind: Kind, cases: &[(&str, Value)]) {
    for (param, more) in cases {
        let error = ask(more).expect_err(param);
        assert_eq!((error.param(), error.kind()), (Some(*param), kind), "{more}: {error}");
        assert!(!error.message().contains("secret"), "no value is repeated: {error}");
    }
}

fn part(part: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": [part]}]})
}

fn image(url: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": url}})
}

fn function(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name}})
}

fn call(id: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
}

#[test]
fn what_gemini_has_no_word_for_is_refused_by_name() {
    let tools = json!([function("f")]);
    let custom = json!({"type": "custom", "custom": {"name": "secret"}});
    let called = json!([{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}]);
    let picture = image("data:image/png;base64,AAAA");
    let shown = json!([
        {"role": "assistant", "tool_calls": [call("c", "{}")]},
        {"role": "tool", "tool_call_id": "c", "content": [picture]},
    ]);
    let cases = [
        ("logit_bias", json!({"logit_bias": {"1": 2}})),
        ("functions", json!({"functions": [{"name": "f"}]})),
        ("audio", json!({"audio": {"voice": "v"}})),
        ("modalities", json!({"modalities": ["text", "audio"]})),
        ("verbosity", json!({"verbosity": "high"})),
        ("web_search_options", json!({"web_search_options": {"search_context_size": "low"}})),
        ("parallel_tool_calls", json!({"tools": tools, "parallel_tool_calls": false})),
        ("tools", json!({"tools": [custom]})),
        ("tool_choice", json!({"tools": tools, "tool_choice": {"type": "allowed_tools"}})),
        ("reasoning_effort", json!({"model": "gemini-3-pro", "reasoning_effort": "none"})),
        ("messages", part(&json!({"type": "file", "file": {"file_id": "secret"}}))),
        ("messages", part(&json!({"type": "video_url", "video_url": {"url": "secret"}}))),
        ("messages", part(&image("https://h/secret"))),
        ("messages", part(&image("https://h/secret.svg?x=.png"))),
        ("messages", json!({"messages": [{"role": "function", "content": "secret"}]})),
        ("messages", json!({"messages": [{"role": "system", "content": "secret"}]})),
        ("messages", json!({"messages": [{"role": "user", "content": ""}]})),
        ("messages", json!({"messages": [{"role": "system", "content": [picture]}]})),
        ("messages", json!({"messages": called})),
        ("messages", json!({"messages": shown})),
    ];
    refused(chat, Kind::Unsupported, &cases);
    refused(embed, Kind::Unsupported, &[("input", json!({"input": [1, 2]}))]);
    refused(embed, Kind::Unsupported, &[("input", json!({"input": [["secret"]]}))]);
}

#[test]
fn what_nobody_understands_is_refused_by_name() {
    let content = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let arguments =
        |text: &str| json!({"messages": [{"role": "assistant", "tool_calls": [call("c", text)]}]});
    let result = json!({"role": "tool", "tool_call_id": "c", "content": null});
    let unsaid = json!([{"role": "assistant", "tool_calls": [call("c", "")]}, result]);
    let file = |data: &str| part(&json!({"type": "file", "file": {"file_data": data}}));
    let cases = [
        ("messages", json!({"messages": []})),
        ("messages", json!({"messages": "secret"})),
        ("messages", json!({"messages": null})),
        ("messages", json!({"messages": [{"content": "secret"}]})),
        ("messages", json!({"messages": [{"role": "secret", "content": "x"}]})),
        ("messages", json!({"messages": [{"role": "tool", "content": "secret"}]})),
        ("messages", json!({"messages": unsaid})),
        ("messages", content(Value::Null)),
        ("messages", content(json!(7))),
        ("messages", content(json!([{"type": "text"}]))),
        ("messages", content(json!([{"type": "input_audio"}]))),
        ("messages", content(json!([{"type": "image_url", "image_url": 7}]))),
        ("messages", part(&image("data:image/png,secret"))),
        ("messages", part(&image("data:;base64,secret"))),
        ("messages", part(&image("file:///secret.png"))),
        ("messages", file("secret")),
        ("messages", arguments("[1]")),
        ("messages", arguments("{secret")),
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
        ("max_completion_tokens", json!({"max_completion_tokens": 0})),
        ("temperature", json!({"temperature": "secret"})),
        ("presence_penalty", json!({"presence_penalty": "secret"})),
        ("top_k", json!({"top_k": 1.5})),
        ("seed", json!({"seed": 1.5})),
        ("stop", json!({"stop": ["a", 1]})),
        ("logprobs", json!({"logprobs": 3})),
        ("top_logprobs", json!({"logprobs": true, "top_logprobs": 21})),
        ("top_logprobs", json!({"top_logprobs": 3})),
        ("n", json!({"n": "1"})),
        ("n", json!({"n": 0})),
    ];
    refused(chat, Kind::Invalid, &cases);
    let cases = [
        ("input", json!({"input": null})),
        ("input", json!({"input": ""})),
        ("input", json!({"input": []})),
        ("encoding_format", json!({"encoding_format": "int8"})),
        ("encoding_format", json!({"encoding_format": 7})),
        ("dimensions", json!({"dimensions": -1})),
        ("task_type", json!({"task_type": 7})),
    ];
    refused(embed, Kind::Invalid, &cases);
}

#[test]
fn what_means_nothing_is_no_obstacle() {
    for more in [
        json!({"n": 1, "logit_bias": {}, "tool_choice": "auto", "parallel_tool_calls": false}),
        json!({"n": null, "tools": [], "stop": null, "response_format": {"type": "text"}}),
        json!({"metadata": {"a": "b"}, "store": false, "modalities": ["text"], "logprobs": false}),
        json!({"tool_choice": "none", "stop": [], "verbosity": "medium", "user": "u"}),
        json!({"stream": true, "stream_options": {"include_usage": true}, "top_logprobs": 0}),
    ] {
        let native = chat(&more).unwrap();
        let fields: Vec<_> = native.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["contents"], "{more}");
    }
}

#[test]
fn everything_gemini_has_a_word_for_is_said() {
    let config = chat(&json!({
        "temperature": 1.5, "top_p": 0.5, "top_k": 40, "seed": 7, "n": 2, "stop": "x",
        "presence_penalty": 0.5, "frequency_penalty": -0.5, "logprobs": true, "top_logprobs": 3,
        "max_tokens": 9, "max_completion_tokens": 5, "response_format": {"type": "json_object"},
    }));
    assert_eq!(
        config.unwrap()["generationConfig"],
        json!({
            "temperature": 1.5, "topP": 0.5, "topK": 40, "seed": 7, "candidateCount": 2,
            "stopSequences": ["x"], "presencePenalty": 0.5, "frequencyPenalty": -0.5,
            "responseLogprobs": true, "logprobs": 3, "maxOutputTokens": 5,
            "responseMimeType": "application/json",
        })
    );
    let thinking = json!({"thinkingBudget": 7});
    let safety = json!([{"category": "c", "threshold": "OFF"}]);
    let native = chat(&json!({
        "thinking_config": thinking, "safety_settings": safety, "cached_content": "cachedContents/x",
    }));
    let native = native.unwrap();
    assert_eq!(native["generationConfig"], json!({"thinkingConfig": thinking}));
    assert_eq!(native["safetySettings"], safety);
    assert_eq!(native["cachedContent"], "cachedContents/x");
}

#[test]
fn every_effort_is_a_budget_or_a_level() {
    for (effort, budget, level) in [
        ("minimal", 1024, "minimal"),
        ("low", 1024, "low"),
        ("medium", 8192, "medium"),
        ("high", 24576, "high"),
        ("xhigh", 24576, "high"),
        ("max", 24576, "high"),
    ] {
        let thinking = |model: &str| {
            let ask = json!({"model": model, "reasoning_effort": effort, "thinking_config": {}});
            chat(&ask).unwrap()["generationConfig"]["thinkingConfig"].take()
        };
        let expected = json!({"thinkingBudget": budget, "includeThoughts": true});
        assert_eq!(thinking("gemini-2.5-flash"), expected, "{effort}");
        let expected = json!({"thinkingLevel": level, "includeThoughts": true});
        assert_eq!(thinking("gemini-3-flash-preview"), expected, "{effort}");
    }
    let none = chat(&json!({"model": "gemini-2.5-flash", "reasoning_effort": "none"})).unwrap();
    assert_eq!(none["generationConfig"]["thinkingConfig"], json!({"thinkingBudget": 0}));
}

#[test]
fn a_choice_of_tools_is_said_in_gemini_s_words() {
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (choice, expected) in [
        (json!("auto"), Value::Null),
        (json!("none"), json!({"mode": "NONE"})),
        (json!("required"), json!({"mode": "ANY"})),
        (named, json!({"mode": "ANY", "allowedFunctionNames": ["f"]})),
    ] {
        let tools = json!([function("f"), function("g")]);
        let native = chat(&json!({"tools": tools, "tool_choice": choice})).unwrap();
        assert_eq!(native["toolConfig"]["functionCallingConfig"], expected, "{choice}");
        let functions = json!([{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]);
        assert_eq!(native["tools"], functions);
    }
}

#[test]
fn a_conversation_keeps_its_turns_tools_pictures_and_sounds() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let sound = json!({"type": "input_audio", "input_audio": {"data": "REVG", "format": "wav"}});
    let file = json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,R0g="}});
    let native = chat(&json!({"messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "look"},
        {"role": "user", "content": [image("data:image/webp;base64,QUJD"), sound, file, text("")]},
        {"role": "developer", "content": [text("be kind")]},
        {"role": "assistant", "content": "so", "reasoning_content": "hm",
         "tool_calls": [call("call_1", ""), call("call_2", "{\"x\": 1}")]},
        {"role": "tool", "tool_call_id": "call_2", "content": " {\"y\": [2]} "},
        {"role": "tool", "tool_call_id": "call_1", "content": [text("4"), text("2")]},
        {"role": "tool", "tool_call_id": "call_9", "name": "g", "content": "[1]"},
        {"role": "assistant", "content": null, "refusal": "no"},
    ]}));
    let native = native.unwrap();
    let instruction = json!({"parts": [{"text": "be brief"}, {"text": "be kind"}]});
    assert_eq!(native["systemInstruction"], instruction);
    let blob = |kind: &str, data: &str| json!({"inlineData": {"mimeType": kind, "data": data}});
    let called = |args: Value| json!({"functionCall": {"name": "f", "args": args}});
    let result = |name: &str, response: Value| json!({"functionResponse": {"name": name, "response": response}});
    assert_eq!(
        native["contents"],
        json!([
            {"role": "user", "parts": [
                {"text": "look"},
                blob("image/webp", "QUJD"), blob("audio/wav", "REVG"),
                blob("application/pdf", "R0g="),
            ]},
            {"role": "model", "parts": [{"text": "so"}, called(json!({})), called(json!({"x": 1}))]},
            {"role": "user", "parts": [
                result("f", json!({"y": [2]})),
                result("f", json!({"output": "4\n2"})),
                result("g", json!({"output": "[1]"})),
            ]},
            {"role": "model", "parts": [{"text": "no"}]},
        ])
    );
}

#[test]
fn an_image_s_type_is_told_by_its_url_unless_gemini_keeps_it() {
    let own = "https://generativelanguage.googleapis.com/v1beta/files/abc";
    for (url, kind) in [
        ("https://h/a.JPG?size=.x", json!("image/jpeg")),
        ("http://h/a.webp#b", json!("image/webp")),
        ("gs://bucket/a.heic", json!("image/heic")),
        (own, Value::Null),
    ] {
        let native = said(&json!([{"role": "user", "content": [image(url)]}]));
        let data = &native[0]["parts"][0]["fileData"];
        assert_eq!((&data["fileUri"], &data["mimeType"]), (&json!(url), &kind));
    }
}

#[test]
fn calls_without_a_signature_are_marked_for_models_that_insist() {
    let google = |signature: &str| json!({"google": {"thought_signature": signature}});
    let mut signed = call("call_3", "{}");
    signed["extra_content"] = google("c2ln");
    let messages = json!([
        {"role": "assistant", "tool_calls": [call("call_1", "{}"), call("call_2", "{}")]},
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [signed, call("call_4", "{}")]},
    ]);
    for (model, first) in [
        ("gemini-2.5-flash", Value::Null),
        ("gemini-3-pro", json!("skip_thought_signature_validator")),
    ] {
        let native = chat(&json!({"model": model, "messages": messages})).unwrap();
        let signature = |content: usize, part: usize| {
            native["contents"][content]["parts"][part]["thoughtSignature"].clone()
        };
        assert_eq!(signature(0, 0), first, "{model}");
        assert_eq!(signature(0, 1), Value::Null, "{model}: the first stands for all");
        assert_eq!((signature(2, 0), signature(2, 1)), (json!("c2ln"), Value::Null), "{model}");
    }
}

#[test]
fn numbers_in_calls_results_and_schemas_keep_their_digits() {
    let big = "18446744073709551616";
    let payload = format!(
        r#"{{"model":"m","temperature":0.10,"messages":[{{"role":"assistant","tool_calls":[{{"id":"c",
        "function":{{"name":"f","arguments":"{{\"x\":{big}}}"}}}}]}},{{"role":"tool",
        "tool_call_id":"c","content":"{{\"y\":{big}}}"}}],"tools":[{{"type":"function",
        "function":{{"name":"f","parameters":{{"maximum":{big}}}}}}}]}}"#
    );
    let headers = http::HeaderMap::new();
    let request =
        InferenceRequest::new(Endpoint::ChatCompletions, headers, payload.into()).unwrap();
    let native = Gemini::new().encode(&request).unwrap();
    let native = std::str::from_utf8(&native).unwrap();
    for (name, field) in [("args", "x"), ("response", "y"), ("parametersJsonSchema", "maximum")] {
        assert!(native.contains(&format!(r#""{name}":{{"{field}":{big}}}"#)), "{native}");
    }
    assert!(native.contains(r#""temperature":0.10"#), "{native}");
}

#[test]
fn every_input_is_a_request_of_its_own_for_the_model_by_its_full_name() {
    let ask = json!({"model": "models/e", "input": ["a", ""], "dimensions": 3,
        "task_type": "CLUSTERING", "title": "t", "encoding_format": "base64"});
    let one = |text: &str| {
        json!({"model": "models/e", "content": {"parts": [{"text": text}]},
            "outputDimensionality": 3, "taskType": "CLUSTERING", "title": "t"})
    };
    assert_eq!(embed(&ask).unwrap(), json!({"requests": [one("a"), one("")]}));
    let native = embed(&json!({"model": "tunedModels/e", "input": "a"})).unwrap();
    assert_eq!(native["requests"][0]["model"], "tunedModels/e");
    assert_eq!(native["requests"].as_array().unwrap().len(), 1);
}
