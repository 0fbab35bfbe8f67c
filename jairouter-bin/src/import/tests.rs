//! Each import is a configuration of ours, and says what is not in it.

use jairouter_config::config::{BalanceKind, Config, Models};

use super::*;

fn imported(from: Foreign, text: &str) -> (Config, String, Vec<String>) {
    let Imported { yaml, notes } = import(from, text).unwrap_or_else(|error| panic!("{error}"));
    let env = |name: &str| (!name.starts_with("OTEL_")).then(|| format!("the-{name}"));
    let config = config::load(&yaml, &env).unwrap_or_else(|errors| panic!("{errors:#?}\n{yaml}"));
    for note in &notes {
        assert!(
            yaml.contains(&format!("#   line {}: {}\n", note.line, note.text)),
            "{note}\n{yaml}"
        );
        assert!(note.line <= text.lines().count(), "{note}");
    }
    (config, yaml, notes.iter().map(ToString::to_string).collect())
}

/// Checks that each of these is said, with its line.
fn said(notes: &[String], expected: &[(usize, &str)]) {
    for (line, part) in expected {
        let start = format!("{line}: ");
        let found = notes.iter().any(|note| note.starts_with(&start) && note.contains(part));
        assert!(found, "{line} {part}: {notes:#?}");
    }
}

fn names(config: &Config, service: usize) -> Vec<&str> {
    let instances = &config.services[service].instances;
    instances.iter().flat_map(|one| one.models.given()).map(|model| &*model.name).collect()
}

const LITELLM: &str = include_str!("tests/litellm.yaml");

#[test]
fn a_litellm_proxy_is_a_gateway_of_the_same_deployments() {
    let (config, yaml, notes) = imported(Foreign::Litellm, LITELLM);
    let services: Vec<_> = config.services.iter().map(|one| one.service_type.as_str()).collect();
    assert_eq!(services, ["chat", "embedding", "stt", "rerank"]);
    assert_eq!(
        names(&config, 0),
        ["qwen3", "fast", "qwen3", "fast", "gpt-4o", "gpt-4o", "claude", "small"]
    );
    let chat = &config.services[0];
    assert_eq!(chat.balance.kind, BalanceKind::LeastConnections);
    assert_eq!(chat.retry.max_attempts, 3);
    let [vllm, vllm2, openai, again, claude, small] = &*chat.instances else { panic!("{yaml}") };
    assert_eq!((vllm.backend.name(), &*vllm.base_url), ("vllm", "http://10.0.0.1:8000"));
    assert_eq!(vllm.models.given()[0].own.as_deref(), Some("Qwen/Qwen3-8B"));
    assert_eq!(vllm.weight.get(), 3);
    assert_eq!(vllm.max_concurrency, Some(16));
    let limit = &vllm.rate_limits[0];
    assert_eq!((limit.capacity, limit.rate, limit.tokens_per_minute), (120, 2.0, Some(100_000)));
    assert_eq!(vllm2.path.as_ref().unwrap().1, "/chat/completions", "as its base is written");
    assert_eq!(openai.headers["authorization"], "Bearer the-OPENAI_API_KEY");
    assert_eq!(openai.headers["openai-organization"], "the-ORG");
    assert_eq!(openai.base_url, "https://api.openai.com");
    assert_eq!(again.headers["authorization"], "Bearer sk-another");
    assert_ne!(openai.id, again.id);
    assert_eq!(claude.headers["x-api-key"], "the-ANTHROPIC_API_KEY");
    assert_eq!(claude.backend.name(), "anthropic");
    assert_eq!((small.backend.name(), &*small.base_url), ("ollama", "http://localhost:11434"));
    assert_eq!(small.timeouts.total.as_secs(), 90);
    assert_eq!(small.timeouts.first_token.as_secs(), 20);
    assert!(vllm.breaker.enabled);
    let fallback = chat.fallback.as_ref().unwrap();
    assert_eq!(fallback.per_model["gpt-4o"], ["qwen3", "small"]);
    assert_eq!(fallback.per_model["qwen3"], ["claude"]);
    assert_eq!(fallback.models, ["small"]);
    assert!(fallback.on_context_length);
    assert!(yaml.contains("\"${OPENAI_API_KEY}\"") && !yaml.contains("sk-master"), "{yaml}");
    said(
        &notes,
        &[
            (48, "'azure-gpt' is left out"),
            (53, "'bare' is left out"),
            (56, "'openai/*' is left out"),
            (60, "taken to be for the service 'embedding' by its name"),
            (64, "audio_wonder"),
            (36, "temperature"),
            (9, "input_cost_per_token"),
            (76, "latency"),
            (77, "retried"),
            (81, "'nobody', which is not served"),
            (82, "one list here"),
            (85, "allowed_fails"),
            (88, "Redis"),
            (92, "drop_params' has no counterpart"),
            (93, "success_callback"),
            (95, "num_retries"),
            (97, "master_key"),
            (98, "database_url"),
            (100, "AZURE_API_KEY"),
            (101, "'surplus' has no counterpart"),
        ],
    );
    assert!(notes.iter().all(|note| !note.contains("sk-")), "{notes:#?}");
}

const OLLA: &str = include_str!("tests/olla.yaml");

#[test]
fn an_olla_is_a_gateway_of_the_same_endpoints() {
    let (config, yaml, notes) = imported(Foreign::Olla, OLLA);
    assert_eq!(config.server.port, 40_114);
    assert_eq!(config.server.max_request_body, 52_428_800);
    assert_eq!(config.server.drain_timeout.as_secs(), 10);
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!((config.server.log.level.as_str(), config.services.len()), ("warn", 2));
    let chat = &config.services[0];
    assert_eq!(chat.balance.kind, BalanceKind::LeastConnections);
    assert_eq!(chat.retry.max_attempts, 4);
    let limits: Vec<_> = chat.rate_limits.iter().map(|one| (one.capacity, one.scope)).collect();
    assert_eq!(limits, [(50, config::Scope::Service), (50, config::Scope::ClientIp)]);
    let adapters: Vec<_> = chat.instances.iter().map(|one| one.backend.name()).collect();
    assert_eq!(adapters, ["ollama", "vllm", "normal", "normal"]);
    let [ollama, vllm, studio, other] = &*chat.instances else { panic!("{yaml}") };
    assert!(matches!(ollama.models, Models::Asked(_)));
    assert_eq!(ollama.id, "local-ollama");
    assert_eq!(ollama.health.path.as_deref(), Some("/"));
    assert_eq!((ollama.health.interval.as_secs(), ollama.health.timeout.as_secs()), (5, 2));
    assert_eq!(ollama.timeouts.idle.as_secs(), 300);
    assert_eq!(vllm.headers["authorization"], "Bearer the-VLLM_TOKEN");
    assert_eq!(studio.headers["x-key"], "the-STUDIO_KEY");
    assert_eq!(
        (studio.id.as_str(), other.base_url.as_str()),
        ("lm studio", "http://10.0.0.9:9000")
    );
    assert_eq!(config.services[1].instances[0].id, "embedding/local-ollama");
    said(
        &notes,
        &[
            (6, "clock for each phase"),
            (11, "head"),
            (13, "global_requests_per_minute"),
            (14, "per_ip_requests_per_minute"),
            (15, "health_requests_per_minute"),
            (24, "engine"),
            (28, "at once"),
            (29, "priority' is not here"),
            (35, "/olla/"),
            (39, "would be asked alone"),
            (52, "model_filter"),
            (62, "'custom' is taken"),
            (64, "model_url"),
            (67, "auth.type: basic"),
            (76, "model_registry"),
            (81, "standard error"),
        ],
    );
}

const NGINX: &str = include_str!("tests/nginx.conf");

#[test]
fn an_nginx_is_a_gateway_of_the_same_servers() {
    let (config, yaml, notes) = imported(Foreign::NginxUpstream, NGINX);
    let services: Vec<_> = config.services.iter().map(|one| one.service_type.as_str()).collect();
    assert_eq!(services, ["chat", "embedding"]);
    assert_eq!((config.server.address.to_string().as_str(), config.server.port), ("0.0.0.0", 8080));
    assert_eq!(config.server.max_request_body, 20 << 20);
    assert_eq!(config.server.body_timeout.as_secs(), 90);
    assert!(!notes.iter().any(|note| note.contains("client_body_timeout")), "{notes:#?}");
    let chat = &config.services[0];
    assert_eq!(chat.balance.kind, BalanceKind::LeastConnections);
    assert_eq!(chat.retry.max_attempts, 2);
    let [one, two, three, four] = &*chat.instances else { panic!("{yaml}") };
    assert_eq!((&*one.base_url, one.weight.get()), ("http://10.0.0.1:8000", 5));
    assert_eq!((one.max_concurrency, one.timeouts.first_token.as_secs()), (Some(32), 600));
    assert_eq!(one.connect_timeout.as_secs(), 3);
    assert_eq!(one.timeouts.idle.as_secs(), 600);
    assert_eq!(one.headers["authorization"], "Bearer abc; def");
    assert!(two.breaker.enabled && two.active);
    assert!(!three.active && !four.active);
    let embedding = &config.services[1];
    assert_eq!(embedding.balance.kind, BalanceKind::IpHash);
    assert_eq!(embedding.instances[0].base_url, "http://10.0.1.1:8001/api");
    said(
        &notes,
        &[
            (1, "nginx knows no models"),
            (2, "worker_processes"),
            (3, "events"),
            (12, "failures are counted in a row"),
            (14, "'backup' is not here"),
            (15, "sockets of files"),
            (16, "not needed"),
            (24, "'unused' is left out"),
            (28, "no key is asked for"),
            (29, "'listen'"),
            (30, "server_name"),
            (35, "paths are those of the API"),
            (37, "proxy_set_header Host"),
            (39, "known at run time"),
            (41, "not needed"),
            (43, "http_403"),
            (45, "limit_req"),
            (50, "not /emb/v1/"),
            (53, "passes to nobody"),
            (56, "known at run time"),
        ],
    );
}

#[test]
fn the_page_for_those_who_come_from_nginx_shows_what_is_made() {
    let page = include_str!("../../../docs/from-nginx.md");
    let block = |language: &str| page.split(language).nth(1)?.split("```").next();
    let (theirs, ours) = (block("```nginx\n").unwrap(), block("```yaml\n").unwrap());
    let Imported { yaml, .. } = import(Foreign::NginxUpstream, theirs).unwrap();
    let made = yaml.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(made.collect::<Vec<_>>(), ours.lines().collect::<Vec<_>>());
}

#[test]
fn an_upstream_alone_is_enough_and_each_way_to_balance_has_its_own() {
    for (line, kind) in [
        ("", BalanceKind::RoundRobin),
        ("least_conn;", BalanceKind::LeastConnections),
        ("ip_hash;", BalanceKind::IpHash),
        ("hash $remote_addr;", BalanceKind::IpHash),
        ("hash $remote_addr consistent;", BalanceKind::ConsistentHash),
        ("random;", BalanceKind::Random),
        ("random two least_conn;", BalanceKind::PowerOfTwoChoices),
    ] {
        let text =
            format!("upstream llm {{ {line} server a.example:8000; server [::1]:8001 weight=2; }}");
        let (config, yaml, notes) = imported(Foreign::NginxUpstream, &text);
        assert_eq!(config.services[0].balance.kind, kind, "{yaml}");
        assert_eq!(config.services[0].instances.len(), 2);
        assert!(!notes.iter().any(|note| note.contains("comes nearest")), "{notes:?}");
    }
    for line in ["hash $request_uri consistent;", "least_time header;"] {
        let text = format!("upstream llm {{ {line} server a:80; }}");
        let (_, _, notes) = imported(Foreign::NginxUpstream, &text);
        said(&notes, &[(1, "comes nearest")]);
    }
}

#[test]
fn what_is_none_or_serves_nothing_is_an_error_with_its_line() {
    for (from, text, part) in [
        (Foreign::Litellm, "", "1:1: the configuration is empty"),
        (Foreign::Litellm, "a: b", "1: there is no 'model_list'"),
        (Foreign::Litellm, "\nmodel_list: []", "2: nothing"),
        (
            Foreign::Litellm,
            "model_list:\n  - { model_name: a, litellm_params: { model: bedrock/a } }",
            "1: nothing",
        ),
        (Foreign::Litellm, "a: &b 1\nc: *b", "2:4: aliases"),
        (Foreign::Litellm, "a: [", "not YAML"),
        (Foreign::Olla, "server: {}", "discovery.static.endpoints"),
        (Foreign::Olla, "discovery: { static: { endpoints: [{ name: a }] } }", "1: nothing"),
        (Foreign::NginxUpstream, "", "no 'upstream'"),
        (Foreign::NginxUpstream, "upstream a {\n", "1: this block is not closed"),
        (Foreign::NginxUpstream, "upstream a {\n server b;\n}}", "3: this '}'"),
        (Foreign::NginxUpstream, "upstream a {\n server b\n}", "3: this '}'"),
        (Foreign::NginxUpstream, "a 'b", "1: this quote"),
        (Foreign::NginxUpstream, "{", "1: this '{'"),
        (Foreign::NginxUpstream, "upstream a { server unix:/a; }", "not taken"),
        (Foreign::NginxUpstream, &"a {".repeat(40), "opens nothing"),
    ] {
        let error = import(from, text).err().unwrap_or_else(|| panic!("{text}"));
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn what_holds_odd_bytes_stays_on_its_line_and_in_its_quotes() {
    let text = "model_list:\n  - model_name: \"a: \\\"b\\\" # c\"\n    litellm_params: { model: \"openai/x y\", \
                api_base: 'http://h/v1', api_key: \"k: 'v' # ${HOME}\" }\n    \"e\\nvil: 1\": x\n";
    let (config, yaml, notes) = imported(Foreign::Litellm, text);
    assert_eq!(names(&config, 0), ["a: \"b\" # c"]);
    said(&notes, &[(3, "holds '${'"), (4, "e\\nvil: 1")]);
    assert!(!yaml.lines().any(|line| line.starts_with("vil")), "{yaml}");
    // Whatever it is, it is a configuration of ours or an error.
    for from in [Foreign::Litellm, Foreign::Olla, Foreign::NginxUpstream] {
        for whole in [LITELLM, OLLA, NGINX] {
            for (end, _) in whole.char_indices().step_by(7) {
                if let Ok(imported) = import(from, &whole[..end]) {
                    assert!(imported.yaml.starts_with("# Made by"), "{end}");
                }
            }
        }
    }
}
