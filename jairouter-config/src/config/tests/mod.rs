mod adapters;
pub(super) mod documented;
mod models;
mod security;
mod traces;

use std::time::Duration;

use jairouter_core::balance::RetryOn;
use jairouter_core::circuit_breaker;

use super::*;

/// The configuration of the original project's own article, as it stands there.
const ARTICLE: &str = include_str!("../../../tests/article.yaml");

fn env(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("9999".into()),
        "TOKEN" => Some("sk-canary".into()),
        "EMPTY" => Some(String::new()),
        "BRACES" => Some("${PORT}".into()),
        _ => None,
    }
}

fn good(text: &str) -> Config {
    load(text, &env).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// One chat instance with these further lines of its own, and these at the top.
fn with(instance: &str, top: &str) -> String {
    format!(
        "{top}model:\n  services:\n    chat:\n      instances:\n        - name: m\n          \
         base-url: http://h:1\n{instance}"
    )
}

/// The lines and messages of every error.
fn errors(text: &str) -> Vec<String> {
    load(text, &env).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_article_s_file_loads_unchanged_and_all_of_it_acts() {
    let config = good(ARTICLE);
    let chat = &config.services[0];
    assert_eq!(chat.balance.kind, BalanceKind::LeastConnections);
    let instance = &chat.instances[0];
    assert_eq!(instance.models, Models::one("qwen3:1.7B"));
    assert_eq!(instance.backend.name(), "gpustack");
    assert_eq!(instance.target.to_string(), "http://172.16.30.6:9090");
    assert_eq!(instance.path.as_ref().unwrap().1, "/v1/chat/completions");
    let numbers = |limit: &RateLimit| (limit.capacity, limit.rate, limit.scope, limit.per_client);
    let limits: Vec<_> = chat.rate_limits.iter().map(numbers).collect();
    let expected = [(1000, 100.0, Scope::Service, true), (100, 10.0, Scope::Service, true)];
    assert_eq!(limits, expected, "each level's own");
    let limits: Vec<_> = instance.rate_limits.iter().map(numbers).collect();
    assert_eq!(limits, [(50, 5.0, Scope::Instance, false)]);
    assert!(instance.breaker.enabled && instance.health.enabled);
    let settings = circuit_breaker::Settings::default().with_failure_threshold(5);
    let settings = settings.with_success_threshold(2).with_open_for(Duration::from_secs(60));
    assert_eq!(instance.breaker.settings, settings);
    assert_eq!(chat.fallback, Some(Fallback::default()));
    assert_eq!(config.inactive, []);
}

#[test]
fn three_mistakes_are_reported_at_once_each_with_its_line() {
    let wrong = ARTICLE
        .replace("type: least-connections", "type: least-conections")
        .replace("adapter: gpustack\n      rate-limit", "adaptr: gpustack\n      rate-limit")
        .replace("weight: 1", "weight: 0");
    let errors = errors(&wrong);
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(errors[0].starts_with("24:") && errors[0].contains("'least-connections'"));
    assert!(errors[1].starts_with("25:") && errors[1].contains("did you mean 'adapter'"));
    assert!(errors[2].starts_with("31:") && errors[2].contains("instances[0].weight"));
}

/// Checks that each of these is named with its line: further lines of an instance, which begin at 7,
/// lines at the top, which begin at 1, the line, and part of what is said.
fn check(table: &[(&str, &str, &str, &str)]) {
    for (instance, top, line, part) in table {
        let shown = errors(&with(instance, top));
        let found = shown.iter().any(|error| error.starts_with(line) && error.contains(part));
        assert!(found, "{instance}{top} should name {line} {part}: {shown:#?}");
    }
}

#[test]
fn each_mistake_is_named_with_its_line() {
    check(&[
        // In an instance, whose own lines begin at 7.
        ("          weight: 70000\n", "", "7:", "65535"),
        ("          weight: many\n", "", "7:", "whole number"),
        ("          status: broken\n", "", "7:", "active, inactive"),
        ("          path: v1/chat\n", "", "7:", "begins with '/'"),
        ("          path: '/a b'\n", "", "7:", "not a path"),
        ("          adapter: olama\n", "", "7:", "'ollama'"),
        ("          wieght: 2\n", "", "7:", "'weight'"),
        ("          instance-id: \"a\\nb\"\n", "", "7:", "printable"),
        ("          model: ''\n", "", "7:", "empty"),
        ("          headers: { 'a b': x }\n", "", "7:", "header's name"),
        ("          headers: { host: x }\n", "", "7:", "connection's own"),
        ("          headers: { x-a: \"a\\r\\nx-b: c\" }\n", "", "7:", "a header cannot"),
        ("          headers: [a]\n", "", "7:", "map"),
        ("          headers: { x-a: b, X-A: c }\n", "", "7:", "twice"),
        ("          weight: !include w.yaml\n", "", "7:", "tags"),
        ("          timeouts: { first-token: 0 }\n", "", "7:", "fail every"),
        ("          timeouts: { first-token: soon }\n", "", "7:", "500ms"),
        ("          timeouts: { read: 1s }\n", "", "7:", "first-token"),
        ("          headers: { a: '${UNSET}' }\n", "", "7:", "UNSET"),
        ("          headers: { a: '${UNSET' }\n", "", "7:", "no '}'"),
        ("          weight: 1\n          weight: 2\n", "", "8:", "twice"),
        ("          instanceId: a\n          instance-id: b\n", "", "8:", "twice"),
        ("        - name: m\n          base-url: http://h:1\n", "", "7:", "given twice"),
        ("        - name: x\n", "", "7:", "no 'base-url'"),
        ("        - { base-url: 'http://h:1', name: }\n", "", "7:", "says nothing"),
        ("        - { base-url: 'http://h:1', models: [] }\n", "", "7:", "no model here"),
        ("        - { base-url: 'http://h:1', models: [a, b, a] }\n", "", "7:", "given twice"),
        ("        - { base-url: 'http://h:1', models: { a: '' } }\n", "", "7:", "empty"),
        ("        - { base-url: 'http://h:1', model: a }\n", "", "7:", "goes with a 'name'"),
        ("          models: [a]\n", "", "7:", "not both"),
        ("          discovery: { interval: 500ms }\n", "", "7:", "a second"),
        ("        - { name: x, base-url: h:1 }\n", "", "7:", "scheme"),
        ("        - { name: x, base-url: 'ftp://h' }\n", "", "7:", "'ftp'"),
        ("        - { name: x, base-url: 'http://u:p@h' }\n", "", "7:", "user name"),
        ("        - { name: x, base-url: 'http://h:0' }\n", "", "7:", "65535"),
        ("        - { name: m, base-url: 'http://H:1' }\n", "", "7:", "given twice"),
        ("        - { name: x, base-url: 'http://h?q' }\n", "", "7:", "query"),
        ("        - { name: x, base-url: 'simulated://h?rate=x' }\n", "", "7:", "rate"),
        (
            "        - { name: x, adapter: ollama, base-url: 'simulated://h' }\n",
            "",
            "7:",
            "language",
        ),
        (
            "        - { name: x, adapter: simulated, base-url: 'http://h' }\n",
            "",
            "7:",
            "simulated://",
        ),
        ("        - nothing\n", "", "7:", "map"),
        ("    video: { instances: [] }\n", "", "7:", "chat"),
        ("    embedding: {}\n", "", "7:", "no 'instances'"),
        ("    embedding: { instances: [] }\n", "", "7:", "at least one"),
        ("    Chat: { instances: [] }\n", "", "7:", "twice"),
        ("  retry: { max-attempts: 9 }\n", "", "7:", "from 1 to 8"),
        ("  retry: { budget-percent: 101 }\n", "", "7:", "100"),
        ("  retry: { on: [everything] }\n", "", "7:", "busy"),
        ("  load-balance: { type: fastest }\n", "", "7:", "power-of-two-choices"),
        ("  load-balance: { hash-algorithm: crc }\n", "", "7:", "md5"),
        ("  load-balance: { virtual-nodes: 0 }\n", "", "7:", "virtual-nodes"),
        ("  adapter-definitions: { x: { type: y } }\n", "", "7:", "extend"),
        ("  adapter-definitions: { vllm: {} }\n", "", "7:", "there already"),
        ("  adapter-definitions: { x: { type: extend } }\n", "", "7:", "needs a 'parent'"),
        ("  adapter-definitions: { x: { parent: vllm } }\n", "", "7:", "for the type 'extend'"),
        ("  adapter-definitions: { x: { type: extend, parent: vlm } }\n", "", "7:", "'vllm'"),
        ("  adapter-definitions: { x: { type: extend, parent: X } }\n", "", "7:", "extends itself"),
        (
            "  adapter-definitions: { x: { paths: { chat/completion: /c } } }\n",
            "",
            "7:",
            "chat/completions",
        ),
        ("  adapter-definitions: { x: { paths: { embeddings: c } } }\n", "", "7:", "not a path"),
        // At the top, where line 1 is.
        ("", "server: { port: 65536 }\n", "1:", "65535"),
        ("", "server: { address: here }\n", "1:", "IP address"),
        ("", "server: { max-request-body: 0 }\n", "1:", "32MiB"),
        ("", "server: { max-request-body: 2GiB }\n", "1:", "max-body-memory"),
        ("", "server: { drain-timeout: 1d }\n", "1:", "5m"),
        ("", "server: { shutdown-delay: soon }\n", "1:", "5m"),
        ("", "server: { stream-keep-alive: 0 }\n", "1:", "leave it out"),
        ("", "server: { max-connections-per-client: 0 }\n", "1:", "at least 1"),
        ("", "server: { trusted-proxies: [10.0.0.0/33] }\n", "1:", "10.0.0.0/8"),
        ("", "server: { workers: 0 }\n", "1:", "from 1"),
        ("", "server: { log: { level: loud } }\n", "1:", "debug"),
        ("", "server: 8080\n", "1:", "map"),
        ("", "servers: {}\n", "1:", "'server'"),
        ("", "management: { server: { port: x } }\n", "1:", "65535"),
        ("", "a: &x [1]\nb: *x\n", "2:", "alias"),
    ]);
}

#[test]
fn each_mistake_in_what_governs_is_named_with_its_line() {
    check(&[
        ("          concurrency: { limit: 0 }\n", "", "7:", "from 1"),
        ("          rate-limit: { capacity: 0 }\n", "", "7:", "capacity"),
        ("          rate-limit: { rate: -1 }\n", "", "7:", "above 0"),
        ("          rate-limit: { rate: .nan }\n", "", "7:", "above 0"),
        ("          rate-limit: { algorithm: bucket }\n", "", "7:", "token-bucket"),
        ("          rate-limit: { scope: world }\n", "", "7:", "client-ip"),
        ("          circuit-breaker: { failure-threshold: 0 }\n", "", "7:", "failure-threshold"),
        ("          health-check: { path: x }\n", "", "7:", "not a path"),
        ("          fallback: { enabled: true }\n", "", "7:", "no key"),
        ("  fallback: { strategy: pray }\n", "", "7:", "default"),
        ("  fallback: { strategy: model }\n", "", "7:", "needs 'models'"),
        ("  fallback: { models: [''] }\n", "", "7:", "empty"),
        ("  fallback: { response: {} }\n", "", "7:", "either"),
        ("  fallback: { response: { text: a, body: b } }\n", "", "7:", "either"),
        ("  fallback: { response: { text: a, status: 99 } }\n", "", "7:", "599"),
        ("  fallback: { response: { text: a, status: 503 } }\n", "", "7:", "'body'"),
        ("  fallback: { response: { body: a, content-type: json } }\n", "", "7:", "no answer"),
        ("  rate-limit: { algorithm: sliding-window, capacity: 2000000 }\n", "", "7:", "1048575"),
        ("  rate-limit: { tokens-per-minute: 0 }\n", "", "7:", "from 1"),
        ("  rate-limit: { warm-up-period: long }\n", "", "7:", "500ms"),
        ("  circuit-breaker: { failure-rate-percent: 101 }\n", "", "7:", "100"),
        ("  circuit-breaker: { timeout: 0 }\n", "", "7:", "fail every"),
        ("  health-check: { interval: 1s, timeout: 1s }\n", "", "7:", "not less"),
        ("  concurrency: { client-limit: 0 }\n", "", "7:", "from 1"),
        ("          concurrency: { client-limit: 2 }\n", "", "7:", "under a service"),
        ("          concurrency: { model-limit: 2 }\n", "", "7:", "under a service"),
        ("  fallback: { enabled: true, models: [m, nope] }\n", "", "7:", "'nope'"),
        ("  fallback: { enabled: true, per-model: { m: [nope] } }\n", "", "7:", "'nope'"),
        ("  fallback: { enabled: true, per-model: { typo: [m] } }\n", "", "7:", "'typo'"),
        ("      fallback: { enabled: true, models: ['${PORT}'] }\n", "", "7:", "'${PORT}'"),
        ("  load-balance: { slow-start: soon }\n", "", "7:", "500ms"),
    ]);
}

// fault: X4
#[test]
fn what_is_no_configuration_at_all_is_refused_quickly() {
    let bomb: String = "a: &a [x]\n".to_owned() + &"b: [*a, *a]\n".repeat(1000);
    let nested = |depth| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
    for (text, part) in [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("model: {}\n---\nmodel: {}\n", "second document"),
        ("a: [", "YAML"),
        ("a: b: c", "YAML"),
        ("a: 'b", "YAML"),
        ("? [a]\n: b\n", "plain word"),
        ("[]", "map"),
        ("{}", "no 'model'"),
        ("model: {}", "no 'services'"),
        (&bomb, "alias"),
        (&nested(100), "64 levels"),
        (&nested(10_000), "limit"),
        (&format!("{}: b", "a".repeat(300)), "256 bytes"),
        (&format!("a: [{}]", "1,".repeat(100_001)), "100000 keys"),
        (&"a".repeat(LARGEST + 1), "1 MiB"),
    ] {
        let shown = errors(text);
        assert!(shown.iter().any(|error| error.contains(part)), "{part}: {shown:#?}");
    }
}

#[test]
fn keys_are_understood_in_any_case_of_the_field_s() {
    for (key, value) in [
        ("forward-authorization", "true"),
        ("forwardAuthorization", "yes"),
        ("forward_authorization", "on"),
    ] {
        let config = good(&with(&format!("          {key}: {value}\n"), ""));
        assert!(config.services[0].instances[0].forward_authorization, "{key}");
    }
}

#[test]
fn the_environment_is_put_into_values_and_never_into_structure() {
    let top = "server: { port: '${PORT}', max-request-body: '${SIZE:2MiB}' }\n";
    let lines = "          headers:\n            Authorization: 'Bearer ${TOKEN}'\n            x-b: '${BRACES}-${UNSET:a:b}'\n";
    let config = good(&with(lines, top));
    assert_eq!((config.server.port, config.server.max_request_body), (9999, 2 << 20));
    let headers = &config.services[0].instances[0].headers;
    assert_eq!(headers["authorization"], "Bearer sk-canary");
    assert_eq!(headers["x-b"], "${PORT}-a:b", "what comes in is not looked at again");
    let none = good(&with("          headers: { Authorization: 'Bearer ${EMPTY}' }\n", ""));
    assert!(none.services[0].instances[0].headers.is_empty(), "an empty key is none");
}

// fault: A6
#[test]
fn no_secret_is_printed() {
    let config = good(&with("          headers: { authorization: '${TOKEN}' }\n", ""));
    assert!(!format!("{config:?}").contains("canary"));
    let wrong =
        with("          headers: { authorization: \"${TOKEN}\\n\" , 'b d': '${TOKEN}' }\n", "");
    assert!(errors(&wrong).iter().all(|error| !error.contains("canary")));
}

#[test]
fn the_narrower_level_wins_and_a_service_s_balance_replaces_the_wider_whole() {
    let text = "
model:
  adapter: vllm
  load-balance: { type: consistent-hash, hash-algorithm: sha256, virtual-nodes: 7 }
  timeouts: { connect: 1s, first-token: 2s, idle: 3s, total: 4s }
  retry: { max-attempts: 5 }
  concurrency: { limit: 8 }
  services:
    chat:
      load-balance: { type: ip-hash }
      adapter: sglang
      timeouts: { first-token: 20s }
      retry: { budget-percent: 50 }
      instances:
        - { name: a, base-url: 'http://a:1', adapter: ollama, timeouts: { idle: 30s } }
        - { name: a, base-url: 'http://b:1', concurrency: { limit: unlimited } }
    embeddings:
      instances:
        - { name: a, base-url: 'http://a:1', status: inactive }
";
    let config = good(text);
    let (chat, embedding) = (&config.services[0], &config.services[1]);
    assert_eq!(chat.balance, Balance::new(BalanceKind::IpHash), "md5 and 150 again");
    assert_eq!(embedding.balance.virtual_nodes, 7);
    assert_eq!((chat.retry.max_attempts, chat.retry.budget_percent), (5, 50));
    let (first, second) = (&chat.instances[0], &chat.instances[1]);
    assert_eq!((first.backend.name(), second.backend.name()), ("ollama", "sglang"));
    let seconds = |instance: &Instance| {
        let timeouts = instance.timeouts;
        [instance.connect_timeout, timeouts.first_token, timeouts.idle, timeouts.total]
            .map(|timeout| timeout.as_secs())
    };
    assert_eq!((seconds(first), seconds(second)), ([1, 20, 30, 4], [1, 20, 3, 4]));
    assert_eq!((first.max_concurrency, second.max_concurrency), (Some(8), None));
    assert_eq!(embedding.instances[0].backend.name(), "vllm");
    assert!(!embedding.instances[0].active);
    assert_ne!(first.id, embedding.instances[0].id, "an id is one of a kind");
}

#[test]
fn what_governs_is_inherited_or_adds_up_as_it_is_documented() {
    let text = "
model:
  rate-limit: { enabled: true, scope: instance, capacity: 7, rate: 1 }
  concurrency: { model-limit: 3, client-limit: 3 }
  circuit-breaker: { enabled: true, failure-threshold: 3, timeout: 1s }
  health-check: { interval: 9s }
  fallback: { enabled: true, strategy: cache, cache-ttl: 5s, cache-size: 9 }
  retry: { on: [unreachable, busy] }
  response-headers: false
  services:
    chat:
      rate-limit: { enabled: true, algorithm: warm-up, warm-up-period: 30, tokens-per-minute: 900 }
      circuit-breaker: { successThreshold: 4 }
      concurrency: { model-limit: 8, client-limit: 2 }
      fallback:
        enabled: true
        strategy: model
        models: [b, c]
        per-model: { a: [d] }
        on-context-length: true
        response: { body: '{}', status: 503 }
      error-attempts: true
      instances:
        - { name: a, base-url: 'http://a:1', circuit-breaker: { enabled: false }, rate-limit: { enabled: true, rate: 0.5 } }
        - { name: b, base-url: 'http://b:1', health-check: { path: /up, timeout: 1s } }
        - { name: c, base-url: 'http://c:1' }
        - { name: d, base-url: 'http://d:1' }
    embedding:
      rate-limit: { capacity: 1 }
      concurrency: { model-limit: unlimited, client-limit: unlimited }
      instances:
        - { name: a, base-url: 'http://a:1' }
";
    let config = good(text);
    let (chat, embedding) = (&config.services[0], &config.services[1]);
    assert_eq!(chat.rate_limits.len(), 1, "the global one is of each instance");
    let limit = &chat.rate_limits[0];
    assert_eq!((limit.algorithm, limit.warm_up.as_secs()), (LimitAlgorithm::WarmUp, 30));
    assert_eq!((limit.capacity, limit.rate, limit.tokens_per_minute), (100, 10.0, Some(900)));
    assert_eq!((chat.concurrency.per_model, chat.concurrency.per_client), (Some(8), Some(2)));
    let (a, b) = (&chat.instances[0], &chat.instances[1]);
    let rates = |one: &Instance| one.rate_limits.iter().map(|limit| limit.rate).collect::<Vec<_>>();
    assert_eq!((rates(a), rates(b)), (vec![1.0, 0.5], vec![1.0]));
    assert!(!a.breaker.enabled && b.breaker.enabled);
    let settings = circuit_breaker::Settings::default().with_failure_threshold(3);
    let settings = settings.with_success_threshold(4).with_open_for(Duration::from_secs(1));
    assert_eq!(b.breaker.settings, settings);
    assert_eq!((b.health.path.as_deref(), b.health.interval.as_secs()), (Some("/up"), 9));
    let fallback = chat.fallback.as_ref().unwrap();
    assert_eq!(
        (&*fallback.models, &*fallback.per_model["a"]),
        (&["b".into(), "c".into()][..], &["d".into()][..])
    );
    assert!(fallback.on_context_length && fallback.cache.is_none());
    assert_eq!(fallback.response.as_ref().unwrap().status, 503);
    assert_eq!(chat.retry.on, RetryOn::UNREACHABLE.and(RetryOn::BUSY));
    assert_eq!((chat.tell.headers, chat.tell.attempts), (false, true));
    assert!(embedding.rate_limits.is_empty(), "not enabled");
    assert_eq!(embedding.concurrency, Concurrency::default(), "lifted");
    let cache = embedding.fallback.as_ref().unwrap().cache.unwrap();
    assert_eq!((cache.entries, cache.ttl.as_secs()), (9, 5));
}

#[test]
fn a_fallback_s_models_are_of_its_service_or_of_any_if_it_is_for_all() {
    let file = |all: &str, chat: &str| {
        format!(
            "model:\n  fallback: {{ enabled: true, {all} }}\n  services:\n    chat:\n{chat}      \
             instances: [{{ name: a, base-url: 'http://h:1' }}]\n    embedding:\n      instances: \
             [{{ name: b, base-url: 'http://h:1' }}]\n"
        )
    };
    good(&file("models: [a, b]", ""));
    good(&file("models: [c]", "").replace("true", "false"));
    good(&file("models: [a], per-model: { other: [a] }, on-missing-model: true", ""));
    assert!(errors(&file("models: [c]", ""))[0].starts_with("2:"));
    let chat = "      fallback: { enabled: true, models: [b] }\n";
    let wrong = errors(&file("models: [a]", chat));
    assert!(wrong.len() == 1 && wrong[0].starts_with("5:"), "{wrong:?}");
}

#[test]
fn what_is_not_said_is_the_documented_default() {
    let config = good(&with("", ""));
    let server = &config.server;
    assert_eq!((server.address.to_string(), server.port), ("127.0.0.1".into(), 8080));
    assert_eq!(server.drain_timeout, Duration::from_secs(30));
    let instance = &config.services[0].instances[0];
    assert_eq!(
        (instance.backend.name(), instance.weight.get(), instance.active),
        ("normal", 1, true)
    );
    assert_eq!(config.services[0].balance, Balance::new(BalanceKind::Random));
    assert!(config.inactive.is_empty());
}

#[test]
fn a_section_of_spring_s_own_is_noted_and_does_nothing() {
    let top = "spring: { main: {} }\nlogging: { level: DEBUG }\n";
    let noted: Vec<_> = good(&with("", top)).inactive.into_iter().map(|noted| noted.path).collect();
    assert_eq!(noted, ["spring", "logging"]);
    let misspelt = errors(&with("", "sprink: {}\n"));
    assert!(!misspelt[0].contains("'spring'"), "it is not recommended: {misspelt:?}");
}

#[test]
fn an_engine_asked_at_a_path_of_openai_s_is_asked_in_openai_s_words() {
    let lines = "          adapter: ollama\n          path: /v1/chat/completions\n";
    assert_eq!(good(&with(lines, "")).services[0].instances[0].backend.name(), "normal");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[a-z:{}\\[\\]\\-&*!|>'\" \n$#?,.0-9]{0,80}") {
        let _ = load(&text, &env);
    }

    #[test]
    fn no_change_of_the_article_panics(at in 0_usize..1200, with in ".{0,3}") {
        let mut text = ARTICLE.to_owned();
        let at = text.floor_char_boundary(at.min(text.len()));
        text.insert_str(at, &with);
        let _ = load(&text, &env);
    }
}
