//! Frameworks, and what could never act.

use std::borrow::Cow;

use jairouter_core::{Backend, Endpoint, Route};

use super::*;

#[test]
fn a_framework_that_offers_nothing_of_a_service_is_no_instance_of_it() {
    let file = |service: &str, adapter: &str| {
        format!(
            "model:\n  services:\n    {service}:\n      instances:\n        - {{ name: a, base-url: \
             'http://h:1', adapter: {adapter} }}\n"
        )
    };
    good(&file("tts", "normal"));
    good(&file("stt", "vllm"));
    good(&file("tts", "vllm, path: /mine"));
    for (service, adapter) in [("tts", "vllm"), ("rerank", "ollama"), ("moderation", "llamacpp")] {
        let wrong = errors(&file(service, adapter));
        assert!(wrong.len() == 1 && wrong[0].contains("offers nothing"), "{wrong:?}");
        assert!(wrong[0].starts_with("5:"), "{wrong:?}");
    }
}

#[test]
fn what_could_never_act_is_told() {
    let file = |all: &str, chat: &str, own: &str| {
        format!(
            "model:\n  {all}\n  services:\n    chat:\n      {chat}\n      instances:\n        - {{ name: \
             a, base-url: 'http://h:1'{own} }}\n"
        )
    };
    let alone = "fallback: { enabled: true, strategy: model, models: [a] }";
    let itself = "fallback: { enabled: true, per-model: { a: [a] } }";
    let queue = "concurrency: { queue: 5 }";
    for (all, chat, line) in [
        (alone, "", "2:"),
        ("", alone, "5:"),
        ("", itself, "5:"),
        (queue, "", "3:"),
        ("fallback: { enabled: true, on-context-length: true }", "", "2:"),
        ("", "fallback: { enabled: true, strategy: cache, on-missing-model: true }", "5:"),
        ("", queue, "4:"),
        ("concurrency: { limit: 5, queue: 5 }", "concurrency: { limit: unlimited }", "3:"),
    ] {
        let wrong = errors(&file(all, chat, ""));
        assert!(wrong.len() == 1 && wrong[0].starts_with(line), "{all}{chat}: {wrong:?}");
    }
    let limit = ", concurrency: { limit: 1 }";
    good(&file(queue, "", limit));
    good(&file("", queue, limit));
    good(&file("health-check: { enabled: false, interval: 1s }", "", ""));
    good(&file("fallback: { on-context-length: true }", "", ""));
    good(&file(queue, "concurrency: { queue: 0, limit: 4 }", ""));
    good(&file(&alone.replace("true", "false"), "", ""));
    good(&file(&alone.replace("models", "on-missing-model: true, models"), "", ""));
    good(&file("", "fallback: { enabled: true, models: [], per-model: { a: [] } }", ""));
    let kept = "fallback: { enabled: true, cache-size: 5, cacheTtl: 300000 }";
    let config = good(&file(kept, "", ""));
    let noted: Vec<_> = config.inactive.iter().map(|noted| &*noted.path).collect();
    assert_eq!(noted, ["model.fallback.cache-size"], "once");
    let unlimited = "rate-limit: { enabled: true, tokens-per-minute: unlimited }";
    assert_eq!(good(&file(unlimited, "", "")).services[0].rate_limits[0].tokens_per_minute, None);
}

#[test]
fn a_framework_by_configuration_is_its_parent_but_for_what_it_says() {
    let text = "
model:
  adapter: mine
  adapter-definitions:
    other: { type: extend, parent: Mine, paths: { health: /up }, models: { b: own-b } }
    mine:
      type: openai-compatible
      capabilities: [chat]
      auth: { header-name: X-Token, header-prefix: Token }
      additional-headers: { X-Team: red }
      paths: { chat/completions: /api/v3/chat, /v1/completions: /c, models: /list }
      models: { a: own-a }
    shy: { type: ollama-compatible }
  services:
    chat:
      instances:
        - { name: a, base-url: 'http://a:1', api-key: s3cret, headers: { X-Own: '1' } }
        - { name: b, base-url: 'http://b:1', api-key: '${NOBODY:}', adapter: OTHER }
        - { name: a, model: mine, base-url: 'http://c:1', adapter: shy, api-key: k }
";
    let config = good(text);
    let [a, b, c] = &config.services[0].instances[..] else { panic!("three") };
    let path = |one: &Instance, endpoint| {
        one.backend.path(&Route::new(endpoint, "m", false)).map(Cow::into_owned)
    };
    for one in [a, b] {
        assert_eq!(path(one, Endpoint::ChatCompletions).as_deref(), Some("/api/v3/chat"));
        assert_eq!(path(one, Endpoint::Completions).as_deref(), Some("/c"));
        assert_eq!(path(one, Endpoint::Embeddings), None);
        assert_eq!(
            (&*one.backend.models(), &one.backend.headers()["x-team"]),
            ("/list", &"red".parse().unwrap())
        );
    }
    assert_eq!((a.backend.name(), b.backend.name(), c.backend.name()), ("mine", "other", "shy"));
    assert_eq!((&*a.backend.health(), &*b.backend.health()), ("/v1/models", "/up"));
    assert_eq!(a.headers["x-token"], "Token s3cret");
    assert!(a.headers["x-token"].is_sensitive() && a.headers.len() == 2);
    assert_eq!(a.health.headers, a.headers, "probes need it, too");
    assert!(b.headers.is_empty(), "a key that the environment leaves empty is none");
    let own = |one: &Instance| one.models.given()[0].own.as_deref().map(str::to_owned);
    assert_eq!(
        (own(a), own(b), own(c)),
        (Some("own-a".into()), Some("own-b".into()), Some("mine".into()))
    );
    assert_eq!(path(c, Endpoint::ChatCompletions).as_deref(), Some("/api/chat"));
    assert_eq!(c.headers["authorization"], "Bearer k");
    assert!(config.inactive.is_empty());
}

#[test]
fn an_adapter_s_options_are_its_own_and_what_is_wrong_with_them_is_told() {
    let file = |definition: &str, lines: &str| {
        format!(
            "model:\n  adapter-definitions:\n    ours: {{ type: extend, parent: triton{definition} }}\n  services:\n    \
             chat:\n      instances:\n        - name: a\n          base-url: 'http://a:1'\n          {lines}\n"
        )
    };
    let path = |text: &str| {
        let config = good(text);
        let backend = &config.services[0].instances[0].backend;
        backend.path(&Route::new(Endpoint::Completions, "m", false)).map(Cow::into_owned)
    };
    let native = file("", "adapter: llamacpp\n          options: { api: native }");
    assert_eq!(path(&native).as_deref(), Some("/completion"));
    let ours = file(", options: { model: ensemble, stream-text: cumulative }", "adapter: ours");
    assert_eq!(path(&ours).as_deref(), Some("/v2/models/ensemble/generate"));
    for (definition, lines, told) in [
        ("", "options: { api: native }", "9:"),
        ("", "adapter: llamacpp\n          options: { api: x }", "10:"),
        ("", "adapter: ours\n          options: { dialect: vllm }", "10:"),
        (", options: { dialect: onnx }", "adapter: ours", "3:"),
    ] {
        let wrong = errors(&file(definition, lines));
        assert!(wrong.len() == 1 && wrong[0].starts_with(told), "{lines}: {wrong:?}");
    }
}

#[test]
fn a_key_goes_where_the_framework_wants_it() {
    for (adapter, header, value) in [
        ("normal", "authorization", "Bearer k"),
        ("anthropic", "x-api-key", "k"),
        ("gemini", "x-goog-api-key", "k"),
    ] {
        let text = format!(
            "model:\n  services:\n    chat:\n      instances:\n        - {{ name: a, base-url: \
             'http://a:1', adapter: {adapter}, api-key: k }}\n"
        );
        let config = good(&text);
        let headers = &config.services[0].instances[0].headers;
        assert_eq!((headers.len(), &headers[header]), (1, &value.parse().unwrap()));
    }
}

#[test]
fn adapters_extend_each_other_in_any_order_and_not_without_end() {
    let file = |count: usize| {
        let line = |nth: usize| match nth {
            0 => "    a0: { type: extend, parent: vllm }\n".to_owned(),
            nth => format!("    a{nth}: {{ type: extend, parent: a{} }}\n", nth - 1),
        };
        let lines: String = (0..count).rev().map(line).collect();
        with("          adapter: a1\n", "").replacen(
            "model:\n",
            &format!("model:\n  adapter-definitions:\n{lines}"),
            1,
        )
    };
    assert_eq!(good(&file(16)).services[0].instances[0].backend.name(), "a1");
    assert!(errors(&file(17)).iter().any(|error| error.contains("more than 16")));
}
