//! What a recorded exchange shows.

use jairouter_adapters::by_name_with;
use jairouter_conformance::{Exchange, Exchanges, Verdict};
use jairouter_core::{Backend, Endpoint, Route};
use serde_json::json;

use crate::page::Section;

/// Why this exchange does not show that, if it does not.
pub(crate) fn shows(
    all: &Exchanges,
    case: &str,
    backend: &dyn Backend,
    endpoint: Endpoint,
    column: &str,
) -> Result<(), String> {
    let Some(row) = all.rows().iter().find(|row| row.case == case) else {
        return Err("there is no such exchange".into());
    };
    // Those that are of no endpoint, the kit does not play.
    if row.endpoint() != Some(endpoint) || row.upstream.method != "POST" {
        return Err(format!("it is of {:?}", row.endpoint()));
    }
    let model = row.upstream.path.split_once("/models/").map_or("m", |(_, rest)| rest);
    let model = model.split([':', '/']).next().unwrap_or_default();
    let path = backend.path(&Route::new(endpoint, model, row.stream));
    if path.as_deref() != Some(&*row.upstream.path) {
        return Err(format!("it is asked at {}, and not at {path:?}", row.upstream.path));
    }
    let is_error = row.upstream.status >= 400 || has(all, row, &["response"], "\"error\":");
    let asked = ["request", "openai.request"];
    let told = match row.response_pair {
        true => ["openai.response"],
        false => ["response"],
    };
    let shows = match column {
        "errors" => is_error || has(all, row, &told, "\"error\":"),
        _ if is_error => false,
        "whole" => !row.stream,
        "streaming" => row.stream,
        "tools" => has(all, row, &asked, "\"tools\":") && has(all, row, &told, "\"tool_calls\":"),
        "images" => has(all, row, &asked, "\"image_url\":"),
        "usage" => has(all, row, &told, "_tokens\":") || has(all, row, &told, "\"seconds\":"),
        _ => false,
    };
    if shows { Ok(()) } else { Err("it does not show that".into()) }
}

/// What the kit says of this exchange, with the adapter of this section.
pub(crate) fn plays(all: &Exchanges, case: &str, section: &Section) -> Verdict {
    let mut exchange = all.clone().only(|row| row.case == case);
    let mut options = section.options();
    // A deployment of Triton's is called otherwise than the model that callers ask for.
    let path = exchange.rows()[0].upstream.path.clone();
    if let Some((model, _)) = path.strip_prefix("/v2/models/").and_then(|it| it.split_once('/')) {
        options.push(("model", model));
    }
    let backend = by_name_with(&section.name, &options).unwrap().unwrap();
    // Zero values that Ollama's own client writes out.
    for field in ["suffix", "system", "template"] {
        exchange = exchange.says_nothing(field, json!(""));
    }
    for field in ["frequency_penalty", "presence_penalty"] {
        exchange = exchange.says_nothing(field, json!(0));
    }
    // An ensemble does not tell why an answer has ended, and so not that it has.
    if case.starts_with("trtllm-") {
        exchange = exchange.ended_by_their_body();
    }
    exchange.check(&backend)
}

fn has(all: &Exchanges, row: &Exchange, parts: &[&str], what: &str) -> bool {
    parts.iter().any(|part| {
        let body = all.body(row, part).unwrap_or_default();
        String::from_utf8_lossy(&body).replace(": ", ":").contains(what)
    })
}
