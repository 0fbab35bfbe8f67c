//! What is asked: what passes, what is left out, and what is refused.
#![cfg(test)]

use jairouter_core::{Backend, Endpoint, Error, Kind};
use jairouter_tensorrt_llm::TensorRtLlm;
use serde_json::{Value, json};

mod support;
use support::{question, request};

fn asked(endpoint: Endpoint, more: &Value) -> Result<Value, Error> {
    let mut native: Value =
        serde_json::from_slice(&TensorRtLlm::new().encode(&question(endpoint, more))?).unwrap();
    native.as_object_mut().unwrap().remove("model");
    Ok(native)
}

fn chat(more: &Value) -> Result<Value, Error> {
    asked(Endpoint::ChatCompletions, more)
}

#[test]
fn a_request_that_needs_no_change_passes_byte_for_byte() {
    for (endpoint, payload) in [
        (
            Endpoint::ChatCompletions,
            r#"{ "model":"m", "messages":[], "seed":18446744073709551616, "top_k" : 3 }"#,
        ),
        (Endpoint::Completions, r#"{"prompt":"x" , "model":"m"}"#),
        (Endpoint::Embeddings, r#"{"input":["a"],"model":"m", "dimensions": 3}"#),
        (Endpoint::Responses, r#"{"input":"x","model":"m","anything":[null]}"#),
    ] {
        let sent = TensorRtLlm::new().encode(&request(endpoint, payload)).unwrap();
        assert_eq!(sent, payload, "{endpoint}");
    }
}

#[test]
fn what_makes_no_difference_is_left_out() {
    for more in [
        json!({"store": true, "metadata": {"a": "b"}, "service_tier": "auto", "verbosity": "low"}),
        json!({"prediction": {"type": "content"}, "prompt_cache_key": "k", "safety_identifier": "s"}),
        json!({"modalities": ["text"], "audio": null, "web_search_options": null, "n": null}),
        json!({"parallel_tool_calls": false, "functions": [], "suffix": ""}),
        json!({"stream_options": {"include_usage": true}}),
    ] {
        assert_eq!(chat(&more).unwrap(), json!({}), "{more}");
    }
}

#[test]
fn what_would_change_an_answer_is_refused_by_name() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for (param, more) in [
        ("audio", json!({"audio": {"voice": "v"}})),
        ("web_search_options", json!({"web_search_options": {"search_context_size": "low"}})),
        ("modalities", json!({"modalities": ["text", "audio"]})),
        ("functions", json!({"functions": [{"name": "f"}]})),
        ("function_call", json!({"function_call": "auto"})),
        ("structured_outputs", json!({"structured_outputs": {"regex": "a"}})),
        ("suffix", json!({"suffix": "secret"})),
        ("parallel_tool_calls", json!({"tools": tools, "parallel_tool_calls": false})),
    ] {
        for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions] {
            let error = asked(endpoint, &more).expect_err(param);
            assert_eq!((error.param(), error.kind()), (Some(param), Kind::Unsupported), "{more}");
            assert!(!error.message().contains("secret"), "no value is repeated: {error}");
        }
    }
    let error = chat(&json!({"min_q": "secret"})).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.message().contains("'min_q'") && !error.message().contains("secret"));
    for endpoint in [Endpoint::Completions, Endpoint::Embeddings] {
        let error = asked(endpoint, &json!({"messages": []})).unwrap_err();
        assert!(error.message().contains("'messages'"), "{endpoint}: {error}");
    }
}

#[test]
fn what_nobody_understands_is_refused_by_name() {
    for (param, more) in [
        ("max_tokens", json!({"max_tokens": "secret"})),
        ("max_completion_tokens", json!({"max_completion_tokens": 1.5})),
        ("top_k", json!({"top_k": "secret"})),
        ("stream_options", json!({"stream_options": "secret"})),
        ("stream_options", json!({"stream_options": {"include_usage": "secret"}})),
        ("modalities", json!({"modalities": "secret"})),
        ("parallel_tool_calls", json!({"parallel_tool_calls": "secret"})),
        ("reasoning_effort", json!({"reasoning_effort": 3})),
        (
            "chat_template_kwargs",
            json!({"enable_thinking": true, "chat_template_kwargs": "secret"}),
        ),
    ] {
        let error = chat(&more).expect_err(param);
        assert_eq!((error.param(), error.kind()), (Some(param), Kind::Invalid), "{more}: {error}");
        assert!(!error.message().contains("secret"), "no value is repeated: {error}");
    }
}

#[test]
fn one_limit_is_sent_and_the_newer_counts() {
    for (more, limit) in [
        (json!({"max_tokens": 9, "max_completion_tokens": 5}), json!(5)),
        (json!({"max_completion_tokens": 5}), json!(5)),
        (json!({"max_tokens": 9, "max_completion_tokens": null}), json!(9)),
    ] {
        assert_eq!(chat(&more).unwrap(), json!({"max_tokens": limit}), "{more}");
    }
}

#[test]
fn no_bound_is_said_in_the_way_that_stops_no_server() {
    assert_eq!(chat(&json!({"top_k": -1})).unwrap(), json!({"top_k": 0}));
    assert_eq!(chat(&json!({"top_k": 7})).unwrap(), json!({"top_k": 7}));
}

#[test]
fn usage_is_not_ordered_by_other_options() {
    let options = |options: Value| {
        let native = chat(&json!({"stream": true, "stream_options": options})).unwrap();
        native["stream_options"].clone()
    };
    let no = json!({"include_usage": false});
    assert_eq!(options(json!({})), no);
    assert_eq!(options(json!({"include_obfuscation": true})), no);
    assert_eq!(
        options(json!({"include_usage": true, "include_obfuscation": false})),
        json!({"include_usage": true})
    );
    let both = json!({"include_usage": true, "continuous_usage_stats": true});
    assert_eq!(options(both.clone()), both);
}

#[test]
fn thinking_is_a_matter_of_the_template() {
    let kwargs = |more: Value| chat(&more).unwrap();
    assert_eq!(
        kwargs(json!({"enable_thinking": false})),
        json!({"chat_template_kwargs": {"enable_thinking": false}})
    );
    let given = json!({"enable_thinking": true, "more": [1.50]});
    assert_eq!(
        kwargs(json!({"enable_thinking": false, "chat_template_kwargs": given})),
        json!({"chat_template_kwargs": given}),
        "what is said of it there is the closer word"
    );
    for (effort, sent) in [("minimal", "low"), ("low", "low"), ("xhigh", "high"), ("max", "max")] {
        let native = chat(&json!({"reasoning_effort": effort})).unwrap();
        assert_eq!(native["reasoning_effort"], sent);
    }
}
