//! Who may depend on an adapter's crate, and on what it may depend. `deny.toml` has the walls that name
//! crates; these are of all that lie in the adapters' folder, a new one included.
#![cfg(test)]

use std::collections::BTreeSet;
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
