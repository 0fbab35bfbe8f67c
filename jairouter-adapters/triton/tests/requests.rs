//! What is asked: what each dialect has a word for, and what is refused because it has none.
#![cfg(test)]

use jairouter_core::{Backend, Endpoint, Error, Kind};
use jairouter_triton::{Dialect, Settings, Triton};
use serde_json::{Value, json};

mod support;
use support::{DIALECTS, question, triton};

fn asked(triton: &Triton, endpoint: Endpoint, more: &Value) -> Result<Value, Error> {
    let native = triton.encode(&question(endpoint, more))?;
    Ok(serde_json::from_slice(&native).unwrap())
}

fn chat(dialect: Dialect, more: &Value) -> Result<Value, Error> {
    asked(&triton(dialect), Endpoint::ChatCompletions, more)
}

fn complete(dialect: Dialect, more: &Value) -> Result<Value, Error> {
    asked(&triton(dialect), Endpoint::Completions, more)
}

/// What vLLM is asked in its text of parameters.
fn sampling(more: &Value) -> Value {
    let native = complete(Dialect::Vllm, more).unwrap();
    serde_json::from_str(native["sampling_parameters"].as_str().unwrap()).unwrap()
}

fn refused(result: Result<Value, Error>, param: &str, kind: Kind, case: &Value) {
    let error = result.expect_err(param);
    assert_eq!((error.param(), error.kind()), (Some(param), kind), "{case}: {error}");
    assert!(!error.message().contains("secret"), "no value is repeated: {error}");
}

#[test]
fn what_no_dialect_has_a_word_for_is_refused_by_name() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let said = |message: Value| json!({"messages": [message]});
    for (param, more) in [
        ("tools", json!({"tools": tools})),
        ("tools", json!({"tools": tools, "tool_choice": "auto"})),
        ("tool_choice", json!({"tool_choice": "required"})),
        ("functions", json!({"functions": [{"name": "f"}]})),
        ("logit_bias", json!({"logit_bias": {"1": 2}})),
        ("logprobs", json!({"logprobs": true})),
        ("top_logprobs", json!({"top_logprobs": 2})),
        ("audio", json!({"audio": {"voice": "v"}})),
        ("modalities", json!({"modalities": ["text", "audio"]})),
        ("web_search_options", json!({"web_search_options": {"search_context_size": "low"}})),
        ("reasoning_effort", json!({"reasoning_effort": "high"})),
        ("chat_template", json!({"chat_template": "secret"})),
        ("structured_outputs", json!({"structured_outputs": {"regex": "secret"}})),
        ("messages", part(json!({"type": "image_url", "image_url": {"url": "https://secret"}}))),
        ("messages", said(json!({"role": "tool", "content": "secret"}))),
        ("messages", said(json!({"role": "assistant", "tool_calls": [{"id": "secret"}]}))),
    ] {
        for dialect in DIALECTS {
            refused(chat(dialect, &more), param, Kind::Unsupported, &more);
        }
    }
    for (param, more) in [
        ("prompt", json!({"prompt": ["secret", "b"]})),
        ("prompt", json!({"prompt": [1, 2]})),
        ("prompt", json!({"prompt": [[1, 2]]})),
        ("suffix", json!({"suffix": "secret"})),
        ("echo", json!({"echo": true})),
        ("logprobs", json!({"logprobs": 0})),
        ("best_of", json!({"best_of": 3, "stream": true})),
        ("n", json!({"n": 2, "stream": true})),
    ] {
        for dialect in DIALECTS {
            refused(complete(dialect, &more), param, Kind::Unsupported, &more);
        }
    }
}

#[test]
fn what_one_dialect_has_no_word_for_is_refused_there() {
    let form = json!({"response_format": {"type": "json_object"}});
    for (dialect, param, more) in [
        (Dialect::LlmApi, "n", json!({"n": 2})),
        (Dialect::LlmApi, "response_format", form),
        (Dialect::LlmApi, "repetition_penalty", json!({"repetition_penalty": 1.1})),
        (Dialect::LlmApi, "min_tokens", json!({"min_tokens": 3})),
        (Dialect::LlmApi, "bad_words", json!({"bad_words": ["secret"]})),
        (Dialect::Ensemble, "min_p", json!({"min_p": 0.1})),
        (Dialect::Ensemble, "ignore_eos", json!({"ignore_eos": true})),
        (Dialect::Ensemble, "stop_token_ids", json!({"stop_token_ids": [1]})),
        (Dialect::Ensemble, "best_of", json!({"best_of": 3})),
        (Dialect::Vllm, "best_of", json!({"best_of": 3, "n": 2})),
        (Dialect::Vllm, "length_penalty", json!({"length_penalty": 1.1})),
    ] {
        refused(complete(dialect, &more), param, Kind::Unsupported, &more);
    }
    let error = asked(&triton(Dialect::Ensemble), Endpoint::Embeddings, &json!({})).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn what_nobody_understands_is_refused_by_name() {
    let said = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    for (param, more) in [
        ("messages", json!({"messages": []})),
        ("messages", json!({"messages": "secret"})),
        ("messages", json!({"messages": null})),
        ("messages", json!({"messages": [{"content": "secret"}]})),
        ("messages", json!({"messages": [{"role": "secret", "content": "x"}]})),
        ("messages", said(Value::Null)),
        ("messages", said(json!(7))),
        ("response_format", json!({"response_format": {"type": "secret"}})),
        ("response_format", json!({"response_format": {"type": "json_schema"}})),
        ("response_format", json!({"response_format": "json"})),
        ("max_tokens", json!({"max_tokens": "secret"})),
        ("max_tokens", json!({"max_tokens": -1})),
        ("max_completion_tokens", json!({"max_completion_tokens": 0})),
        ("temperature", json!({"temperature": "secret"})),
        ("seed", json!({"seed": 1.5})),
        ("top_k", json!({"top_k": "secret"})),
        ("stop", json!({"stop": ["a", 1]})),
        ("stop", json!({"stop": 1})),
        ("n", json!({"n": 0})),
        ("n", json!({"n": "1"})),
        ("modalities", json!({"modalities": "secret"})),
        ("stream_options", json!({"stream_options": "secret"})),
    ] {
        for dialect in DIALECTS {
            refused(chat(dialect, &more), param, Kind::Invalid, &more);
        }
    }
    refused(complete(Dialect::Vllm, &json!({"n": 129})), "n", Kind::Invalid, &json!({}));
    for dialect in DIALECTS {
        refused(complete(dialect, &json!({"prompt": null})), "prompt", Kind::Invalid, &json!({}));
    }
}

#[test]
fn what_means_nothing_is_no_obstacle() {
    let more = json!({
        "n": 1, "best_of": 1, "logit_bias": {}, "tools": [], "tool_choice": "none", "stop": [],
        "logprobs": false, "top_logprobs": 0, "suffix": "", "echo": false, "user": "u",
        "metadata": {"a": "b"}, "store": false, "modalities": ["text"], "top_p": null,
        "response_format": {"type": "text"}, "stream_options": {"include_usage": true},
    });
    for dialect in DIALECTS {
        assert_eq!(chat(dialect, &more).unwrap(), chat(dialect, &json!({})).unwrap());
    }
    let tools = json!({"tools": [{"type": "function"}], "tool_choice": "none"});
    assert!(chat(Dialect::Vllm, &tools).is_ok(), "none of them may be called");
}

#[test]
fn numbers_pass_as_they_are_written_however_large() {
    let payload = r#"{"model":"m","prompt":"x","seed":18446744073709551616,"temperature":0.10}"#;
    let request = jairouter_core::InferenceRequest::new(
        Endpoint::Completions,
        http::HeaderMap::new(),
        payload.into(),
    )
    .unwrap();
    for dialect in DIALECTS {
        let native = triton(dialect).encode(&request).unwrap();
        let native = String::from_utf8(native.to_vec()).unwrap();
        assert!(native.contains(":18446744073709551616"), "{native}");
        assert!(native.contains(":0.10"), "{native}");
    }
}

#[test]
fn every_parameter_has_its_name_in_each_dialect() {
    let more = json!({
        "temperature": 0.5, "top_p": 0.25, "top_k": -1, "frequency_penalty": 1, "stop": "END",
        "presence_penalty": 2, "seed": 3, "max_tokens": 9, "max_completion_tokens": 5,
    });
    let expected = json!({
        "text_input": "x", "max_tokens": 5, "temperature": 0.5, "top_p": 0.25, "top_k": 0,
        "frequency_penalty": 1, "presence_penalty": 2, "seed": 3, "stop_words": ["END"],
        "bad_words": "", "stream": false, "exclude_input_in_output": true,
        "return_num_input_tokens": true, "return_num_output_tokens": true,
    });
    assert_eq!(complete(Dialect::Ensemble, &more).unwrap(), expected);
    let expected = json!({
        "text_input": "x", "sampling_param_max_tokens": 5, "sampling_param_temperature": 0.5,
        "sampling_param_top_p": 0.25, "sampling_param_top_k": 0, "sampling_param_seed": 3,
        "sampling_param_frequency_penalty": 1, "sampling_param_presence_penalty": 2,
        "sampling_param_stop": ["END"], "streaming": false, "return_finish_reason": true,
        "sampling_param_exclude_input_from_output": true,
    });
    assert_eq!(complete(Dialect::LlmApi, &more).unwrap(), expected);
    let expected = json!({
        "max_tokens": 5, "temperature": 0.5, "top_p": 0.25, "top_k": -1, "frequency_penalty": 1,
        "presence_penalty": 2, "seed": 3, "stop": ["END"],
    });
    assert_eq!(sampling(&more), expected);
}

#[test]
fn extensions_reach_the_dialects_that_have_them() {
    let more = json!({"repetition_penalty": 1.5, "min_tokens": 2, "bad_words": "secret"});
    let native = complete(Dialect::Ensemble, &more).unwrap();
    assert_eq!(native["bad_words"], json!(["secret"]));
    assert_eq!(native["repetition_penalty"], 1.5);
    let more = json!({"min_p": 0.1, "ignore_eos": true, "stop_token_ids": [7], "n": 2});
    let mut expected = more.clone();
    expected["max_tokens"] = json!(16);
    assert_eq!(sampling(&more), expected);
    let native = complete(Dialect::LlmApi, &json!({"best_of": 3})).unwrap();
    assert_eq!(native["sampling_param_best_of"], 3);
}

#[test]
fn a_form_reaches_those_who_can_keep_it() {
    let schema = json!({"type": "json_schema", "json_schema": {"schema": {"b": 1, "a": " x "}}});
    let schema = json!({"response_format": schema});
    let any = json!({"response_format": {"type": "json_object"}});
    let native = complete(Dialect::Ensemble, &any).unwrap();
    assert_eq!(native["guided_decoding_guide_type"], "json");
    assert_eq!(native.get("guided_decoding_guide"), None);
    let native = complete(Dialect::Ensemble, &schema).unwrap();
    assert_eq!(native["guided_decoding_guide_type"], "json_schema");
    assert_eq!(native["guided_decoding_guide"], r#"{"a":" x ","b":1}"#);
    assert_eq!(sampling(&any)["guided_decoding"], r#"{"json_object":true}"#);
    assert_eq!(sampling(&schema)["guided_decoding"], r#"{"json":{"a":" x ","b":1}}"#);
}

#[test]
fn a_request_without_a_limit_has_the_deployment_s() {
    let limit = |settings: Settings, endpoint| {
        let settings = settings.template(jairouter_triton::Template::gemma());
        asked(&Triton::with(settings), endpoint, &json!({})).unwrap()["max_tokens"].take()
    };
    let (chat, complete) = (Endpoint::ChatCompletions, Endpoint::Completions);
    assert_eq!(limit(Settings::default(), chat), 1024);
    assert_eq!(limit(Settings::default(), complete), 16, "what OpenAI says");
    for endpoint in [chat, complete] {
        assert_eq!(limit(Settings::default().max_tokens(99), endpoint), 99);
    }
}

#[test]
fn an_input_that_is_not_declared_is_not_sent_and_what_needs_it_is_refused() {
    let ask = |inputs: &[&str], more: &Value| {
        let settings = Settings::default().inputs(inputs.iter().copied());
        asked(&Triton::with(settings), Endpoint::Completions, more)
    };
    let few = ["text_input", "max_tokens", "stop_words", "random_seed"];
    let native = ask(&few, &json!({"stop": "a", "seed": 1})).unwrap();
    let expected =
        json!({"text_input": "x", "max_tokens": 16, "stop_words": ["a"], "random_seed": 1});
    assert_eq!(native, expected);
    let form = json!({"response_format": {"type": "json_object"}});
    for (param, more) in [
        ("temperature", json!({"temperature": 1})),
        ("n", json!({"n": 2})),
        ("top_k", json!({"top_k": 1})),
        ("response_format", form),
    ] {
        refused(ask(&few, &more), param, Kind::Unsupported, &more);
    }
    refused(ask(&["seed"], &json!({"stop": "a"})), "stop", Kind::Unsupported, &json!({}));
}

#[test]
fn a_chat_becomes_a_prompt() {
    let native = chat(
        Dialect::Ensemble,
        &json!({"messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "c", "tool_calls": []},
            {"role": "user", "name": "n", "content": "\u{fc}\n"},
        ]}),
    );
    let expected = "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\na\nb<|im_end|>\n\
                    <|im_start|>assistant\nc<|im_end|>\n<|im_start|>user\n\u{fc}\n<|im_end|>\n\
                    <|im_start|>assistant\n";
    assert_eq!(native.unwrap()["text_input"], expected);
    let native = complete(Dialect::Ensemble, &json!({"prompt": ["one \"text\""]})).unwrap();
    assert_eq!(native["text_input"], "one \"text\"");
}

#[test]
fn without_a_template_it_does_not_chat_and_says_so() {
    let error = asked(&Triton::new(), Endpoint::ChatCompletions, &json!({})).unwrap_err();
    assert_eq!((error.kind(), error.param()), (Kind::Unsupported, Some("messages")));
    assert!(error.message().contains("template"), "{error}");
}

#[test]
fn one_input_is_embedded_and_more_are_refused() {
    let embed = |more: &Value| asked(&triton(Dialect::Vllm), Endpoint::Embeddings, more);
    for (input, sent) in [
        (json!("a \"b\""), json!("a \"b\"")),
        (json!(["a"]), json!("a")),
        (json!([1, 2]), json!([1, 2])),
        (json!([[1, 2]]), json!([1, 2])),
    ] {
        let native = embed(&json!({"input": input})).unwrap();
        let asked: Value =
            serde_json::from_str(native["embedding_request"].as_str().unwrap()).unwrap();
        assert_eq!(asked, json!({"input": sent}));
        assert_eq!(native["return_num_input_tokens"], true);
    }
    for (param, kind, more) in [
        ("input", Kind::Unsupported, json!({"input": ["secret", "b"]})),
        ("input", Kind::Unsupported, json!({"input": [[1], [2]]})),
        ("input", Kind::Invalid, json!({"input": []})),
        ("input", Kind::Invalid, json!({"input": ""})),
        ("input", Kind::Invalid, json!({"input": [""]})),
        ("input", Kind::Invalid, json!({"input": [[]]})),
        ("input", Kind::Invalid, json!({"input": null})),
        ("input", Kind::Invalid, json!({"input": {"secret": 1}})),
        ("encoding_format", Kind::Invalid, json!({"encoding_format": "int8"})),
        ("dimensions", Kind::Invalid, json!({"dimensions": -1})),
    ] {
        refused(embed(&more), param, kind, &more);
    }
}
