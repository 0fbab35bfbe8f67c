//! The recorded exchanges of every adapter, over sockets and through the real program.
#![cfg(test)]

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue};
use jairouter_conformance::{Asked, Exchange, Exchanges, Got};
use jairouter_tests::client::ask;
use jairouter_tests::gateway::Gateway;
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Send};
use jairouter_tests::upstream::{Seen, Upstream};

/// The folders of the adapters, and how the YAML calls them.
const ADAPTERS: [(&str, &str); 14] = [
    ("anthropic", "anthropic"),
    ("gemini", "gemini"),
    ("gpustack", "gpustack"),
    ("llamacpp", "llamacpp"),
    ("localai", "localai"),
    ("ollama", "ollama"),
    ("openai", "normal"),
    ("sglang", "sglang"),
    ("simulated", "simulated"),
    ("tensorrt-llm", "tensorrt-llm"),
    ("tgi", "tgi"),
    ("triton", "triton"),
    ("vllm", "vllm"),
    ("xinference", "xinference"),
];

/// The options of the adapter that an exchange is about.
fn options(row: &Exchange) -> String {
    let path = row.upstream.path.as_str();
    match path.split('/').collect::<Vec<_>>()[..] {
        [_, "completion" | "generate"] if row.framework != "tgi" => "{ api: native }".into(),
        [_, "v1-openai", ..] => "{ api: legacy }".into(),
        [_, "v2", "models", model, ..] => {
            let dialect = match model {
                "tensorrt_llm" => "dialect: llmapi",
                "vllm_model" => "dialect: vllm",
                _ if path.ends_with("/infer") => "api: infer",
                "tensorrt_llm_bls" => "dialect: ensemble, stream-text: cumulative",
                _ => "dialect: ensemble",
            };
            format!("{{ {dialect}, template: chatml, model: {model} }}")
        }
        _ => "{}".into(),
    }
}

/// Plays an exchange; what is wrong with it.
async fn played(all: &Exchanges, adapter: &str, row: &Exchange) -> Vec<String> {
    let (endpoint, content_type, payload) = all.question(row).unwrap();
    let answer = all.body(row, "response").unwrap_or_default();
    let upstream = answering(row, answer).await;
    let model = model(&payload, endpoint.is_multipart());
    let yaml = format!(
        "  services:\n    {}:\n      instances:\n        - {{ name: {model}, base-url: '{}', adapter: {adapter}, \
         options: {} }}\n",
        endpoint.service_type(),
        upstream.url(),
        options(row),
    );
    let gateway = Gateway::start_with("", &yaml);
    let head = format!(
        "POST {endpoint} HTTP/1.1\r\nhost: g\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        payload.len()
    );
    let told = ask(gateway.address(), [head.as_bytes(), &payload].concat()).await;
    let got = Got {
        status: told.status,
        content_type: told.header("content-type").unwrap_or_default().to_owned(),
        body: told.body.clone().into(),
        broken: !told.complete,
        error: None,
    };
    let seen = upstream.seen().into_iter().find_map(|seen| match seen {
        Seen::Request(bytes) => Some(bytes),
        _ => None,
    });
    match seen {
        Some(seen) => all.judge(row, &asked(&seen), &got),
        None => vec![format!("the engine was not asked: {}", told.text())],
    }
}

/// A server with this answer, a stream in pieces of a few bytes.
async fn answering(row: &Exchange, answer: Bytes) -> Upstream {
    let mut head = format!("HTTP/1.1 {} X\r\n", row.upstream.status);
    let more = row.upstream.response_headers.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in more.chain([("content-type", &row.upstream.content_type)]) {
        if name.parse::<HeaderName>().is_ok() && !value.is_empty() {
            // Memory does not refuse a write.
            let _ = write!(head, "{name}: {value}\r\n");
        }
    }
    let steps = if row.stream {
        let pieces = answer.chunks(7).map(|piece| Chunk(piece.to_vec()));
        let head = Send((head + "transfer-encoding: chunked\r\n\r\n").into());
        std::iter::once(head).chain(pieces).chain([LastChunk]).collect()
    } else {
        let head = head + &format!("content-length: {}\r\n\r\n", answer.len());
        vec![Send([head.as_bytes(), &answer].concat())]
    };
    Upstream::serving(move |_, _| Vec::clone(&steps)).await
}

fn model(payload: &[u8], is_multipart: bool) -> String {
    let text = String::from_utf8_lossy(payload);
    if is_multipart {
        let field = text.split("name=\"model\"").nth(1).unwrap();
        return format!("'{}'", field.trim().lines().next().unwrap().trim());
    }
    let json: serde_json::Value = serde_json::from_slice(payload).unwrap();
    json["model"].to_string()
}

/// A request as it was read off the socket.
fn asked(bytes: &[u8]) -> Asked {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, path) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
    });
    let headers: HeaderMap = headers.collect();
    Asked { method, path, headers, body: Bytes::copy_from_slice(&bytes[end + 4..]) }
}

/// Plays those of one adapter; what is wrong with them, and how many they are.
async fn all_played(all: &Exchanges, adapter: &str) -> (Vec<String>, usize) {
    let rows: Vec<_> = all.rows().iter().filter(|row| row.is_played()).collect();
    let count = rows.len();
    let outcomes = stream::iter(rows)
        .map(|row| async move { (row.case.clone(), played(all, adapter, row).await) })
        .buffer_unordered(4);
    let outcomes: Vec<_> = outcomes.collect().await;
    let told = outcomes.into_iter().flat_map(|(case, failures)| {
        failures.into_iter().map(move |what| format!("{adapter}/{case}: {what}"))
    });
    (told.collect(), count)
}

/// Exchanges that quote other projects are not in the repository. Who has them names their folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quoted_exchanges_pass_in_place() {
    let Some(folder) = std::env::var_os("JAIROUTER_WIRE_FIXTURES") else { return };
    let all = zeros(Exchanges::read(folder).unwrap());
    let mut wrong = Vec::new();
    let mut played_rows = 0;
    for (folder, adapter) in ADAPTERS {
        let framework = match folder {
            "openai" => "normal",
            "tensorrt-llm" => "trtllm-serve",
            other => other,
        };
        // One passes TGI's completions through, which are asked for in its native words; and one has
        // the prompt in its answer, for it was asked to repeat it.
        let not_ours = ["upstream-completions", "upstream-generate-stop-sequence"];
        let is_ours = |row: &Exchange| {
            row.framework == framework && !(folder == "tgi" && not_ours.contains(&&*row.case))
        };
        let (failures, count) = all_played(&all.clone().only(is_ours), adapter).await;
        played_rows += count;
        wrong.extend(failures);
    }
    assert!(wrong.is_empty(), "{} wrong of {played_rows}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(played_rows >= 160, "{played_rows}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_exchange_passes_over_sockets() {
    let adapters = Path::new(env!("CARGO_MANIFEST_DIR")).join("../jairouter-adapters");
    let mut played_rows = 0;
    let mut wrong = Vec::new();
    for (folder, adapter) in ADAPTERS {
        let Ok(all) = Exchanges::read(adapters.join(folder).join("tests/fixtures")) else {
            assert_eq!(folder, "simulated", "it has exchanges");
            continue;
        };
        let (failures, count) = all_played(&zeros(all), adapter).await;
        assert!(count >= 4, "{folder}");
        played_rows += count;
        wrong.extend(failures);
    }
    assert!(wrong.is_empty(), "{} wrong of {played_rows}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(played_rows >= 130, "{played_rows}");
}

/// Zero values that some recorded clients write out.
fn zeros(all: Exchanges) -> Exchanges {
    let texts = ["suffix", "system", "template"].map(|field| (field, "".into()));
    let numbers = ["frequency_penalty", "presence_penalty"].map(|field| (field, 0.into()));
    let empty = texts.into_iter().chain(numbers);
    empty.fold(all, |all, (field, value)| all.says_nothing(field, value))
}
