//! What the program says when it starts.

use std::fmt::Write as _;
use std::net::SocketAddr;

use jairouter_config::config::{Config, Instance, Models};
use jairouter_config::discover::{Found, Known};

use crate::local::SIMULATED;

/// The most models of an instance that are named.
const MOST_NAMED: usize = 20;

/// With a configuration: what it serves, and what of it does not act yet.
pub(crate) fn of_file(address: SocketAddr, config: &Config, known: &Known) -> String {
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let mut text = listening(scheme, address);
    text.push_str(&services(config, known));
    text.push_str(&inactive(config));
    text
}

/// Without one: who was found, and a command that works when pasted.
pub(crate) fn of_machine(address: SocketAddr, found: &[Found]) -> String {
    let mut text = listening("http", address);
    let model = match found.first().and_then(|found| found.models.first()) {
        Some(model) => {
            text.push_str(
                "\nNo configuration was given, so these engines of this machine are served:\n",
            );
            for Found { engine, base_url, models, .. } in found {
                // Memory does not refuse a write.
                let _ = writeln!(text, "  {engine} at {base_url}: {}", models.join(", "));
            }
            model
        }
        None => {
            text.push_str(
                "\nNo configuration was given, and no engine answers on this machine's usual ports\n\
                 (Ollama, vLLM, SGLang, llama.cpp, LM Studio, Xinference), so a simulated one is\n\
                 served. It streams a fixed text, to show the gateway at work; it is no model.\n",
            );
            SIMULATED
        }
    };
    let _ = writeln!(text, "\nTry it:\n\n{}\n", curl(address, model));
    text.push_str("Point any OpenAI client at ");
    let _ = writeln!(text, "http://{address}/v1. Ctrl-C ends it.");
    text
}

/// A streaming chat, as a command for a POSIX shell.
fn curl(address: SocketAddr, model: &str) -> String {
    // A JSON string, inside single quotes of the shell's.
    let model = serde_json::Value::from(model).to_string().replace('\'', r"'\''");
    let body = format!(
        r#"{{"model":{model},"stream":true,"messages":[{{"role":"user","content":"Hello!"}}]}}"#
    );
    format!(
        "  curl -N http://{address}/v1/chat/completions \\\n    \
         -H 'Content-Type: application/json' \\\n    -d '{body}'"
    )
}

fn listening(scheme: &str, address: SocketAddr) -> String {
    format!("JAiRouter {} listening on {scheme}://{address}\n", env!("CARGO_PKG_VERSION"))
}

/// A line for each service and one for each of its instances.
pub(crate) fn services(config: &Config, known: &Known) -> String {
    let mut text = String::new();
    for service in &config.services {
        let _ = writeln!(text, "  {} ({})", service.service_type, service.balance.kind);
        for instance in &service.instances {
            let out = if instance.active { "" } else { ", inactive" };
            let _ = writeln!(
                text,
                "    {} → {} ({}, weight {}{out})",
                models(instance, known),
                instance.target,
                instance.backend.name(),
                instance.weight
            );
        }
    }
    text
}

/// What callers call the models of an instance, as far as that is known.
fn models(instance: &Instance, known: &Known) -> String {
    let names = instance.names(known);
    let names: Vec<_> = names.iter().map(|model| &*model.name).collect();
    match (&names[..], &instance.models) {
        ([], Models::Asked(_)) if known.contains_key(&instance.id) => "no model".to_owned(),
        ([], _) => "the models it has".to_owned(),
        (names, _) if names.len() > MOST_NAMED => {
            let (named, others) = names.split_at(MOST_NAMED);
            format!("{} and {} more", named.join(", "), others.len())
        }
        (names, _) => names.join(", "),
    }
}

/// What was validated and does not act yet.
pub(crate) fn inactive(config: &Config) -> String {
    if config.inactive.is_empty() {
        return String::new();
    }
    let mut text = String::from("Checked, and not active in this version:\n");
    for section in &config.inactive {
        let _ = writeln!(text, "  {} (line {}): {}", section.path, section.line, section.what);
    }
    text
}
