//! Every key is documented, and every example loads.

use std::collections::HashSet;

use super::*;

/// The YAML of docs/configuration.md, block by block, each made a whole file of.
fn examples() -> Vec<String> {
    of(include_str!("../../../../docs/configuration.md"))
}

/// The same of every page that shows configurations.
pub(crate) fn whole_examples() -> Vec<String> {
    let others = OTHERS.iter().flat_map(|page| of(page));
    [examples(), others.collect(), vec![ARTICLE.to_owned()]].concat()
}

/// Other pages that show configurations.
const OTHERS: [&str; 3] = [
    include_str!("../../../../README.md"),
    include_str!("../../../../docs/from-java.md"),
    include_str!("../../../../docs/from-nginx.md"),
];

fn of(page: &str) -> Vec<String> {
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let whole = |block: &str| {
        if ["server:", "security:", "management:"].iter().any(|top| block.starts_with(top)) {
            return if block.contains("\nmodel:") { block.to_owned() } else { with("", block) };
        }
        let lines = format!("  {}\n", block.trim_end().replace('\n', "\n  "));
        if block.contains("\nmodel:") || block.starts_with("model:") {
            return block.to_owned();
        }
        let services = if block.starts_with("services:") { "" } else { SERVICES };
        format!("model:\n{lines}{services}")
    };
    blocks.map(whole).collect()
}

const SERVICES: &str = "  services:
    chat:
      instances:
        - { name: \"qwen3:30b\", base-url: \"http://h:1\" }
        - { name: \"qwen3:1.7b\", base-url: \"http://h:2\" }
        - { name: \"qwen3:0.6b\", base-url: \"http://h:3\" }
";

/// The public key of RFC 8037's example.
const JWKS: &str = r#"{ "keys": [{
    "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
}] }"#;

#[test]
fn every_key_has_an_example_in_the_documentation_and_every_example_loads() {
    map::recorded();
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["a".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    for (name, pem) in [
        ("ca.pem", &certificate),
        ("gateway.pem", &certificate),
        ("gateway.key", &key.serialize_pem()),
        ("jwks.json", &JWKS.to_owned()),
    ] {
        std::fs::write(folder.path().join(name), pem).unwrap();
    }
    for example in examples() {
        let example = example.replace("/etc/jairouter", folder.path().to_str().unwrap());
        let loaded = load(&example, &env);
        // Without a feature its keys are refused, which other tests see.
        let is_refused = !cfg!(feature = "otlp") && example.contains("otlp:");
        assert!(is_refused || loaded.is_ok(), "{example}\n{:?}", loaded.unwrap_err());
    }
    let asked = map::recorded();
    let shown: HashSet<_> =
        asked.iter().filter(|asked| asked.2).map(|(of, key, _)| (of, key)).collect();
    // What is checked and does not act.
    let inactive = ["key"];
    let bare: Vec<_> = asked
        .iter()
        .filter(|(of, key, _)| !shown.contains(&(of, key)) && !inactive.contains(key))
        .collect();
    assert!(asked.len() > 80 && bare.is_empty(), "{}: {bare:?}", asked.len());
}

#[test]
fn every_example_of_the_other_pages_loads() {
    for page in OTHERS {
        let examples = of(page);
        assert!(!examples.is_empty());
        for example in examples {
            let loaded = load(&example, &env);
            assert!(loaded.is_ok(), "{example}\n{:?}", loaded.unwrap_err());
        }
    }
}
