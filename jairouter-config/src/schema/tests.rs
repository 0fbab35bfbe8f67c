//! The schema and the parser take the same files.

use std::collections::BTreeSet;

use jsonschema::Validator;
use saphyr_parser::{Event, Parser, ScalarStyle};

use super::kind::{Key, Kind};
use super::*;
use crate::config::{self, paths_asked, whole_examples};

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).expect("it is a schema")
}

/// The YAML as the core schema has it: what is not quoted may be a number, a boolean or nothing.
fn json_of(yaml: &str) -> Value {
    enum Open {
        List(Vec<Value>),
        Map(serde_json::Map<String, Value>, Option<String>),
    }
    let (mut open, mut root) = (Vec::new(), Value::Null);
    for event in Parser::new_from_str(yaml) {
        let done = match event.expect("it is YAML").0 {
            Event::Scalar(text, ScalarStyle::Plain, ..) => match &*text {
                "" | "~" | "null" => Value::Null,
                // Infinities and the like are texts here.
                plain => match serde_json::from_str(plain) {
                    Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
                    _ => plain.into(),
                },
            },
            Event::Scalar(text, ..) => text.into(),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(serde_json::Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => list.into(),
                Some(Open::Map(map, _)) => map.into(),
                None => panic!("it ends before it begins"),
            },
            _ => continue,
        };
        match open.last_mut() {
            None => root = done,
            Some(Open::List(list)) => list.push(done),
            Some(Open::Map(map, key)) => match key.take() {
                Some(key) => drop(map.insert(key, done)),
                None => *key = Some(done.as_str().map_or_else(|| done.to_string(), str::to_owned)),
            },
        }
    }
    root
}

fn wrong(validator: &Validator, yaml: &str) -> Vec<String> {
    let json = json_of(yaml);
    validator.iter_errors(&json).map(|error| format!("{}: {error}", error.instance_path)).collect()
}

#[test]
fn every_example_of_the_documentation_is_valid() {
    let validator = validator();
    let examples = whole_examples();
    assert!(examples.len() > 20, "{}", examples.len());
    for yaml in examples {
        assert_eq!(wrong(&validator, &yaml), Vec::<String>::new(), "{yaml}");
    }
}

/// A file in which every section is there, and as good as empty.
fn skeleton(object: &Object) -> Value {
    let of = |kind: &Kind| kind.object().map(skeleton);
    let mut map = json!({});
    for Key(name, kind, ..) in object.all() {
        map[*name] = match kind {
            Kind::Object(object) => skeleton(object),
            Kind::List(kind) if kind.object().is_some() => json!([of(kind)]),
            Kind::Named(kind) if kind.object().is_some() => json!({ "any": of(kind) }),
            Kind::Names(_, kind) if kind.object().is_some() => json!({ "chat": of(kind) }),
            _ => continue,
        };
    }
    map
}

/// Every key of the schema, with the way to it as the parser has it.
fn keys(object: &Object, path: &str, found: &mut BTreeSet<(String, String)>) {
    for Key(name, kind, ..) in object.all() {
        if matches!(kind, Kind::Foreign) {
            continue;
        }
        found.insert((path.to_owned(), (*name).to_owned()));
        let inner = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        let inner = match kind {
            Kind::List(_) => format!("{inner}[0]"),
            Kind::Named(_) => format!("{inner}.any"),
            Kind::Names(..) => format!("{inner}.chat"),
            _ => inner,
        };
        if let Some(object) = kind.object() {
            keys(object, &inner, found);
        }
    }
}

#[test]
fn the_keys_of_the_schema_are_those_that_the_parser_looks_for() {
    paths_asked();
    // JSON is YAML, too. It is full of errors, and every section is looked at all the same.
    assert!(config::load(&skeleton(&server::ROOT).to_string(), &|_| None).is_err());
    let parser: BTreeSet<_> =
        paths_asked().into_iter().map(|(path, key)| (path, key.to_owned())).collect();
    let mut schema = BTreeSet::new();
    keys(&server::ROOT, "", &mut schema);
    let missing: Vec<_> = parser.difference(&schema).collect();
    assert!(missing.is_empty(), "these keys are read, and are not in src/schema: {missing:?}");
    // Without the feature the parser refuses that section as a whole.
    let is_read = |path: &str| cfg!(feature = "otlp") || !path.starts_with("tracing.otlp");
    let invented = schema.difference(&parser).filter(|(path, _)| is_read(path));
    let invented: Vec<_> = invented.collect();
    assert!(
        invented.is_empty(),
        "these keys are in src/schema, and nobody reads them: {invented:?}"
    );
    assert!(schema.len() > 200, "{}", schema.len());
}

const LEAST: &str = "model:\n  services:\n    chat:\n      instances:\n        - { name: m, base-url: 'http://h' }\n";

#[test]
fn every_spelling_is_taken_by_both_and_what_is_wrong_by_neither() {
    let validator = validator();
    let both = |yaml: &str| {
        let valid = (wrong(&validator, yaml).is_empty(), config::load(yaml, &|_| None).is_ok());
        assert_eq!(valid.0, valid.1, "the schema and the parser differ:\n{yaml}");
        valid.0
    };
    for good in [
        "server: { max-request-body: 1MiB, maxBodyMemory: 2GiB, header_timeout: 5s }\n",
        "server: { port: '8080', log: { level: debug } }\n",
        "server: { port: '${PORT:8080}', maxConnections: 7, drain-timeout: 0 }\n",
        "security: { apiKeys: [] }\n",
        "security: { failures-per-minute: unlimited }\n",
        "management: { server: { port: 0 }, endpoints: { web: x } }\nspring: { a: 1 }\n",
    ] {
        assert!(both(&format!("{good}{LEAST}")), "{good}");
    }
    for good in [
        "loadBalance: { type: round-robin }",
        "rate-limit: { enabled: true, rate: 0.5, warmUpPeriod: 10 }",
        "timeouts: { firstToken: 5000, idle: 1.5s }",
        "fallback: { enabled: yes, response: { text: hi } }",
        "circuit_breaker: { enabled: 'true', failureThreshold: 3 }",
        "adapter: vllm",
        "response-headers: off",
    ] {
        assert!(both(&LEAST.replace("model:\n", &format!("model:\n  {good}\n"))), "{good}");
    }
    for bad in [
        "server: { prot: 1 }\n",
        "server: 8080\n",
        "server: { port: 65536 }\n",
        "server: { port: x }\n",
        "server: { max-request-body: big }\n",
        "server: { header-timeout: soon }\n",
        "server: { log: { level: loud } }\n",
        "server: { trusted-proxies: 10.0.0.0/8 }\n",
        "server: { workers: 0 }\n",
        "security: { api-keys: x }\n",
        "security: { api-keys: [{ name: a }] }\n",
        "security: { api-keys: [{ digest: a }] }\n",
        "security: { jwt: { algorithms: [none] } }\n",
        "security: { jwt: {} }\n",
        "management: { port: 1 }\n",
        "modle: {}\n",
        "server: { max_requestBody_x: 1 }\n",
        "server: [1]\n",
    ] {
        assert!(!both(&format!("{bad}{LEAST}")), "{bad}");
    }
    for bad in [
        "load-balance: random",
        "load-balance: { type: rondom }",
        "rate-limit: { enabled: perhaps }",
        "rate-limit: { enabled: true, rate: 0 }",
        "retry: { on: busy }",
        "retry: { max-attempts: 9 }",
        "retry: { on: [never] }",
        "timeouts: { read: 1s }",
        "fallback: { models: m }",
        "health-check: { interval: -1 }",
        "adapter-definitions: { a: { type: b } }",
        "adapter-definitions: [a]",
        "concurrency: { limit: none }",
        "adapter-definitions: { a: { paths: { nowhere: /a } } }",
    ] {
        assert!(!both(&LEAST.replace("model:\n", &format!("model:\n  {bad}\n"))), "{bad}");
    }
    for (from, to) in [
        ("base-url: 'http://h'", "x: 1"),
        ("chat:", "chatt:"),
        ("- {", "- - {"),
        ("name: m", "weight: 0"),
        ("name: m", "name: [m]"),
        ("name: m", "headers: [a]"),
        ("name: m", "status: asleep"),
        ("services:", "service:"),
        ("name: m", "models: m"),
    ] {
        assert!(!both(&LEAST.replace(from, to)), "{to}");
    }
    assert!(
        both(&LEAST.replace("base-url", "baseUrl"))
            && both(&LEAST.replace("chat:", "chat-completions:"))
    );
}
