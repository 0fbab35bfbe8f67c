//! What the program says when it starts.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::config::Config;
use crate::discover::Found;
use crate::local::SIMULATED;

/// With a configuration: what it serves, and what of it does not act yet.
pub(crate) fn of_file(address: SocketAddr, config: &Config) -> String {
    let mut text = listening(address);
    text.push_str(&services(config));
    text.push_str(&inactive(config));
    text
}

/// Without one: who was found, and a command that works when pasted.
pub(crate) fn of_machine(address: SocketAddr, found: &[Found]) -> String {
    let mut text = listening(address);
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

fn listening(address: SocketAddr) -> String {
    format!("JAiRouter {} listening on http://{address}\n", env!("CARGO_PKG_VERSION"))
}

/// A line for each service and one for each of its instances.
pub(crate) fn services(config: &Config) -> String {
    let mut text = String::new();
    for service in &config.services {
        let _ = writeln!(text, "  {} ({})", service.service_type, service.balance.kind);
        for instance in &service.instances {
            let out = if instance.active { "" } else { ", inactive" };
            let _ = writeln!(
                text,
                "    {} → {} ({}, weight {}{out})",
                instance.name,
                instance.target,
                instance.backend.name(),
                instance.weight
            );
        }
    }
    text
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
