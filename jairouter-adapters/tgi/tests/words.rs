//! What TGI is asked, where, and what is refused.
#![cfg(test)]

use http::HeaderMap;
use jairouter_core::{Backend, Endpoint, Error, InferenceRequest, Kind, Route};
use jairouter_tgi::Tgi;
use serde_json::{Value, json};

fn asked(endpoint: Endpoint, more: &Value) -> Result<Value, Error> {
    let mut payload = json!({"model": "m"});
    let own = match endpoint {
        Endpoint::ChatCompletions => json!({"messages": []}),
        _ => json!({"prompt": "p"}),
    };
    for fields in [&own, more] {
        payload.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    }
    let payload = payload.to_string().into();
    let request = InferenceRequest::new(endpoint, HeaderMap::new(), payload).unwrap();
    Ok(serde_json::from_slice(&Tgi::new().encode(&request)?).unwrap())
}

fn parameters(more: &Value) -> Value {
    asked(Endpoint::Completions, more).unwrap()["parameters"].take()
}

#[test]
fn a_completion_is_asked_in_its_own_words() {
    let always = |more: Value| {
        let mut all = json!({"do_sample": true, "details": true, "return_full_text": false});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    for (more, expected) in [
        (json!({}), json!({})),
        (json!({"temperature": 0}), json!({"do_sample": false})),
        (json!({"temperature": 0.5, "top_p": 0.9}), json!({"temperature": 0.5, "top_p": 0.9})),
        (json!({"top_p": 1.0, "temperature": null, "top_k": 3}), json!({"top_k": 3})),
        (json!({"max_tokens": 1, "max_completion_tokens": 2}), json!({"max_new_tokens": 2})),
        (json!({"stop": "a", "seed": 7, "presence_penalty": 0}), json!({"stop": ["a"], "seed": 7})),
        (
            json!({"response_format": {"type": "text"}, "user": "u", "n": 1, "echo": false}),
            json!({}),
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}}),
            json!({"grammar": {"type": "json", "value": {"a": 1}}}),
        ),
        (
            json!({"response_format": {"type": "regex", "value": "a+"}}),
            json!({"grammar": {"type": "regex", "value": "a+"}}),
        ),
    ] {
        assert_eq!(parameters(&more), always(expected), "{more}");
    }
    assert_eq!(asked(Endpoint::Completions, &json!({"prompt": ["x"]})).unwrap()["inputs"], "x");
}

#[test]
fn a_chat_keeps_its_fields_but_for_those_tgi_takes_otherwise() {
    for (more, expected) in [
        (
            json!({"tools": [1], "tool_choice": "auto", "seed": 7}),
            json!({"tools": [1], "tool_choice": "auto", "seed": 7}),
        ),
        (json!({"top_p": 1, "n": 1, "presence_penalty": 0.0, "logit_bias": {}}), json!({})),
        (json!({"top_p": 0.5, "stop": ["a", "b"]}), json!({"top_p": 0.5, "stop": ["a", "b"]})),
        (json!({"max_tokens": 1, "max_completion_tokens": 2}), json!({"max_tokens": 2})),
        (json!({"response_format": {"type": "text"}}), json!({})),
        (
            json!({"response_format": {"type": "json", "value": {"a": 1}}}),
            json!({"response_format": {"type": "json", "value": {"a": 1}}}),
        ),
        (
            json!({"response_format": {"type": "json_object", "schema": {"a": 1}}}),
            json!({"response_format": {"type": "json", "value": {"a": 1}}}),
        ),
    ] {
        let mut all = json!({"model": "tgi", "messages": []});
        all.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        assert_eq!(asked(Endpoint::ChatCompletions, &more).unwrap(), all, "{more}");
    }
}

#[test]
fn what_it_has_no_word_for_is_refused_by_its_name() {
    let (chat, completion) = (Endpoint::ChatCompletions, Endpoint::Completions);
    let (unsupported, invalid) = (Kind::Unsupported, Kind::Invalid);
    let both = [
        ("n", json!(2), unsupported),
        ("logit_bias", json!({"1": 2}), unsupported),
        ("presence_penalty", json!(0.5), unsupported),
        ("presence_penalty", json!("x"), invalid),
        ("reasoning_effort", json!("low"), unsupported),
        ("response_format", json!({"type": "json_object"}), unsupported),
        ("response_format", json!({"type": "json_schema"}), invalid),
        ("response_format", json!({"type": "xml"}), invalid),
        ("response_format", json!("json"), invalid),
        ("top_p", json!("x"), invalid),
        ("stop", json!(7), invalid),
    ];
    let both = both.into_iter().flat_map(|(param, value, kind)| {
        [(chat, param, value.clone(), kind), (completion, param, value, kind)]
    });
    let own = [
        (chat, "functions", json!([{"name": "f"}]), unsupported),
        (chat, "audio", json!({"voice": "x"}), unsupported),
        (chat, "modalities", json!(["audio"]), unsupported),
        (chat, "web_search_options", json!({"x": 1}), unsupported),
        (completion, "suffix", json!("x"), unsupported),
        (completion, "logprobs", json!(1), unsupported),
        (completion, "echo", json!(true), unsupported),
        (completion, "temperature", json!("x"), invalid),
        (completion, "prompt", json!(["a", "b"]), unsupported),
        (completion, "prompt", json!([1, 2]), unsupported),
        (completion, "prompt", Value::Null, invalid),
    ];
    for (endpoint, param, value, kind) in both.chain(own) {
        let error = asked(endpoint, &json!({ param: value })).unwrap_err();
        assert_eq!((error.kind(), error.param()), (kind, Some(param)), "{param}: {value}");
    }
}

#[test]
fn text_becomes_tokens_and_a_chat_does_not() {
    let sent = asked(Endpoint::Tokenize, &json!({})).unwrap();
    assert_eq!(sent, json!({"inputs": "p"}));
    let error = asked(Endpoint::Tokenize, &json!({"messages": [1]})).unwrap_err();
    assert_eq!((error.kind(), error.param()), (Kind::Unsupported, Some("messages")));
}

#[test]
fn what_it_does_not_offer_has_no_path_and_is_refused() {
    for &endpoint in Endpoint::ALL {
        let path = |stream| Tgi::new().path(&Route::new(endpoint, "m", stream)).map(String::from);
        let expected = match endpoint {
            Endpoint::ChatCompletions => [Some("/v1/chat/completions"); 2],
            Endpoint::Completions => [Some("/generate"), Some("/generate_stream")],
            Endpoint::Tokenize => [Some("/tokenize"); 2],
            _ => [None; 2],
        };
        let paths = [path(false), path(true)];
        assert_eq!(paths.each_ref().map(Option::as_deref), expected, "{endpoint}");
    }
    let error = asked(Endpoint::Embeddings, &json!({})).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert_eq!((Tgi::new().name(), &*Tgi::new().health()), ("tgi", "/health"));
}
