//! Who may depend on an adapter's crate, and on what it may depend. `deny.toml` has the walls that name
//! crates; these are of all that lie in the adapters' folder, a new one included. And how much comes with the core.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What a backend is made of: nothing in it can wait.
const PURE: [&str; 7] =
    ["base64", "bytes", "http", "jairouter-core", "jairouter-openai", "serde", "serde_json"];

/// What a program is wrapped in: a host that has the YAML read brings its own.
const OF_A_PROGRAM: [&str; 17] = [
    "axum",
    "clap",
    "crossterm",
    "env_logger",
    "hyper",
    "hyper-util",
    "jairouter-bin",
    "listenfd",
    "opentelemetry-proto",
    "prometheus-client",
    "prost",
    "ratatui",
    "rustix",
    "signal-hook-registry",
    "tracing-subscriber",
    "utoipa",
    "utoipa-axum",
];

/// What cargo says to this.
fn cargo(args: &[&str]) -> Vec<u8> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    let told = cargo.args(args).arg("--offline").current_dir(repository).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    told.stdout
}

/// The crates of this repository.
fn packages() -> Vec<Value> {
    let told = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let told: Value = serde_json::from_slice(&told).unwrap();
    told["packages"].as_array().unwrap().clone()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

/// Whether it lies in a folder of its own among the adapters, and speaks as an engine does.
fn is_adapter(package: &Value) -> bool {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let above = manifest.ancestors().nth(2).and_then(Path::file_name);
    above.is_some_and(|above| above == "jairouter-adapters")
        && name(package) != "jairouter-conformance"
}

/// What it depends on, and whether in its tests alone.
fn dependencies(package: &Value) -> impl Iterator<Item = (&str, bool)> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.map(|it| (name(it), it["kind"] == "dev"))
}

#[test]
fn an_adapter_depends_on_nothing_that_can_wait() {
    let packages = packages();
    let adapters = packages.iter().filter(|package| is_adapter(package));
    // The simulated one is the engine as well.
    for adapter in adapters.filter(|adapter| name(adapter) != "jairouter-simulated") {
        for (dependency, in_tests) in dependencies(adapter) {
            let is_pure = in_tests || PURE.contains(&dependency);
            assert!(is_pure, "{} depends on {dependency}", name(adapter));
        }
    }
}

#[test]
fn an_adapter_is_found_by_the_facade_alone() {
    let packages = packages();
    let is_one = |dependency: &str| {
        packages.iter().any(|package| name(package) == dependency && is_adapter(package))
    };
    for package in &packages {
        for (dependency, in_tests) in dependencies(package) {
            let may = match dependency {
                // Its tools are for those that speak OpenAI's API with an accent.
                "jairouter-openai" => {
                    is_adapter(package)
                        || matches!(
                            name(package),
                            "jairouter-adapters" | "jairouter-examples" | "jairouter-tests"
                        )
                }
                "jairouter-simulated" => {
                    matches!(name(package), "jairouter-adapters" | "jairouter-examples")
                }
                // The kit plays exchanges through the core, in tests alone.
                "jairouter-conformance" => in_tests || name(package) == "jairouter-tests",
                other if is_one(other) => name(package) == "jairouter-adapters",
                _ => true,
            };
            assert!(may, "{} depends on {dependency}", name(package));
        }
    }
}

#[test]
fn who_has_the_yaml_read_gets_nothing_of_the_program() {
    let tree = ["tree", "--package", "jairouter-config", "--all-features", "--edges", "normal"];
    let tree = cargo(&[&tree[..], &["--prefix", "none", "--format", "{p}"]].concat());
    let tree = String::from_utf8(tree).unwrap();
    let names: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("saphyr-parser") && names.contains("tokio"), "{names:?}");
    let of_a_program: Vec<_> = OF_A_PROGRAM.iter().filter(|one| names.contains(*one)).collect();
    assert!(of_a_program.is_empty(), "jairouter-config brings {of_a_program:?}");
}

#[test]
fn the_yaml_is_read_by_one_crate() {
    let packages = packages();
    let reads = packages.iter().filter(|it| dependencies(it).any(|(of, _)| of == "saphyr-parser"));
    assert_eq!(reads.map(name).collect::<Vec<_>>(), ["jairouter-config"]);
}

#[test]
fn the_facade_has_every_adapter() {
    let packages = packages();
    let facade = packages.iter().find(|package| name(package) == "jairouter-adapters").unwrap();
    let all = facade["features"]["all"].as_array().unwrap();
    for adapter in packages.iter().filter(|package| is_adapter(package)) {
        let feature = name(adapter).trim_start_matches("jairouter-");
        assert!(dependencies(facade).any(|(it, _)| it == name(adapter)), "{feature}");
        assert!(all.iter().any(|it| it == feature), "{feature} is not in 'all'");
    }
    assert_eq!(all.len(), jairouter_adapters::NAMES.len(), "each has a line in the table");
}

/// How many crates an embedder gets with the core alone, itself included.
const CORE: usize = 45;
/// And with its client.
const CLIENT: usize = 70;

/// What the core depends on for this platform with these features and no others: every crate, with its features.
fn tree(features: &str) -> BTreeMap<String, BTreeSet<String>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    let told = cargo
        .args(["tree", "--edges", "normal", "--prefix", "none", "--package", "jairouter-core"])
        .args(["--no-default-features", "--features", features, "--offline", "--locked"])
        .args(["--no-dedupe", "--format", "{p}|{f}"])
        .current_dir(repository)
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let mut tree = BTreeMap::<_, BTreeSet<_>>::new();
    for line in String::from_utf8(told.stdout).unwrap().lines() {
        let (package, features) = line.split_once('|').unwrap();
        // Two versions of one crate are two crates.
        let mut words = package.split(' ');
        let package = [words.next().unwrap(), words.next().unwrap()].join(" ");
        let features = features.split(',').filter(|it| !it.is_empty());
        tree.entry(package).or_default().extend(features.map(String::from));
    }
    assert!(tree.keys().any(|it| it.starts_with("jairouter-core ")), "{tree:?}");
    tree
}

/// Whether a crate of this name is in it, and with what features.
fn of<'a>(
    tree: &'a BTreeMap<String, BTreeSet<String>>,
    name: &str,
) -> Option<&'a BTreeSet<String>> {
    let mut all = tree.iter();
    all.find_map(|(package, features)| {
        (package.split(' ').next() == Some(name)).then_some(features)
    })
}

#[test]
fn the_core_alone_speaks_to_no_network() {
    let alone = tree("");
    for name in ["h2", "hyper", "hyper-util", "mio", "socket2", "tokio-rustls"] {
        assert!(of(&alone, name).is_none(), "it depends on {name}");
    }
    if let Some(tokio) = of(&alone, "tokio") {
        assert!(!tokio.contains("net"), "it has tokio's {tokio:?}");
    }
    // Or it would be looked for by another name than it has.
    let client = tree("client");
    assert!(of(&client, "tokio").is_some_and(|features| features.contains("net")));
    assert!(of(&client, "hyper").or(of(&client, "hyper-util")).is_none(), "the client is our own");
}

#[test]
fn the_core_alone_is_a_small_tree() {
    let alone = tree("");
    assert!(alone.len() <= CORE, "{} crates come with it: {:#?}", alone.len(), alone.keys());
}

#[test]
fn the_core_with_its_client_is_a_small_tree() {
    let client = tree("client");
    assert!(client.len() <= CLIENT, "{} crates come with it: {:#?}", client.len(), client.keys());
}
