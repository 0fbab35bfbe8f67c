//! What must not get out: prompts, answers and keys, whatever happens and however much is told.

mod secrets {
    pub(crate) mod corpus;
    pub(crate) mod program;
}

use std::time::Duration;

use jairouter_tests::client::{RawClient, ask};
use jairouter_tests::collector::Collector;
use jairouter_tests::gateway::Gateway;
use jairouter_tests::until;
use jairouter_tests::upstream::Step::{Chunk, Fin, LastChunk, Rst, Send, Stall};
use jairouter_tests::upstream::{Step, Upstream, closed_port, event_stream, json};
use jairouter_tests::{chat, token};
use secrets::corpus::{Corpus, PROMPT, SECRET};
use secrets::program::{Places, configuration, request, wrong};

/// What operators can ask for. Whatever else they come to be told belongs here, with the words that change
/// something beside those that look.
const OPERATORS: [&str; 24] = [
    "GET /metrics",
    "GET /healthz",
    "GET /readyz",
    "GET /",
    "GET /config",
    "GET /openapi.json",
    "GET /api/status",
    "GET /api/models",
    "GET /api/loadbalancer/status",
    "GET /api/rate-limiter/status",
    "GET /api/config/type/services",
    "GET /api/config/type/services/chat",
    "GET /api/config/instance/chat",
    "GET /api/config/instance/chat/a",
    "GET /api/config/instance/info/chat?instanceId=b",
    "GET /api/config/instance/circuit-breaker/states",
    "GET /api/config/version",
    "GET /api/config/version/info",
    "GET /api/config/version/1",
    "GET /api/config/version/compare/1/1",
    "DELETE /api/config/instance/chat/none",
    "DELETE /api/config/type/services/chat",
    "POST /api/config/reload",
    "POST /api/config/version/rollback",
];

/// One answer of an engine's after another: good ones, refusals, and every way of breaking off.
fn scripts() -> Vec<Vec<Step>> {
    let stream = vec![event_stream(), Chunk(token(PROMPT).into())];
    let then = |step: Step| [stream.clone(), vec![step]].concat();
    let error = format!(r#"{{"error":{{"message":"{PROMPT}"}}}}"#);
    let echoed = format!(r#"{{"error":{{"message":"the key {SECRET}-header is not good"}}}}"#);
    vec![
        then(LastChunk),
        then(Rst),
        then(Fin),
        then(Stall),
        then(Send(format!("{PROMPT}\r\n").into())),
        vec![Send(format!("HTTP/1.1 200 OK\r\nx-a: {PROMPT}\r\n{PROMPT}\r\n\r\n").into()), Fin],
        vec![Send(json("200 OK", PROMPT))],
        vec![Send(json(
            "200 OK",
            &format!(r#"{{"usage":{{"prompt_tokens":3,"completion_tokens":1}},"a":"{PROMPT}"}}"#),
        ))],
        vec![Send(json("400 Bad", &error))],
        vec![Send(json("401 No", &echoed))],
        vec![Send(json("403 No", &echoed))],
        vec![Send(json("404 None", &error))],
        vec![Send(json("429 Busy", &error))],
        vec![Send(json("500 Oops", &error))],
        vec![Send(json("503 Busy", &error))],
        vec![Send(format!("{PROMPT} nonsense\r\n\r\n").into()), Fin],
        vec![Stall],
        vec![Fin],
        vec![Rst],
    ]
}

async fn operators(gateway: &Gateway, corpus: &mut Corpus) {
    for what in OPERATORS {
        let request = format!(
            "{what} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {SECRET}-operators\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = ask(gateway.operators(), request).await;
        assert_ne!(answer.status, 401, "{what}");
        corpus.add(what, format!("{}{}", answer.head, answer.text()));
    }
}

// fault: A6, X10, I6
#[tokio::test]
async fn nothing_that_is_told_holds_a_prompt_an_answer_or_a_key() {
    let (scripts, mut corpus) = (scripts(), Corpus::default());
    let count = scripts.len();
    let collector = Collector::start().await;
    let upstream = Upstream::serving(move |number, _| scripts[number % count].clone()).await;
    let places =
        Places { engine: upstream.url(), closed: closed_port().await, collector: collector.url() };
    let good = configuration(&places);
    let mut gateway = Gateway::start_yaml(&good);
    let prompt = chat("m", true).replace("hi", PROMPT);

    for _ in 0..count {
        let answer = ask(gateway.address(), request(&prompt)).await;
        corpus.add_answer(&answer);
    }
    assert!(upstream.requests().concat().contains(PROMPT), "it has come to the engine");
    assert!(upstream.requests().concat().contains(&format!("{SECRET}-header")));
    assert!(upstream.requests().concat().contains(&format!("{SECRET}-api-key")));

    // What is refused at the door, by a limit, or in the body; and an instance that is not there.
    let broken = &prompt[..prompt.len() - 1];
    for (request, statuses) in [
        (request(broken), 400..401),
        (request(&prompt.replace(r#""m""#, r#""other""#)), 404..405),
        (request(&prompt.replace(r#""m""#, r#""gone""#)), 502..504),
        (request(&prompt.replace(r#""m""#, r#""limited""#)), 200..600),
        (request(&prompt.replace(r#""m""#, r#""limited""#)), 503..504),
        (request(&prompt).replace("-key", "-other"), 401..402),
        (request(&prompt).replace("/v1/chat", &format!("/v1/{PROMPT}")), 404..405),
        (request(&prompt).replace("host: g", "host: g:x"), 400..401),
        (request(&prompt).replace("application/json", &format!("text/{PROMPT}")), 415..416),
    ] {
        let answer = ask(gateway.address(), request).await;
        assert!(statuses.contains(&answer.status), "{}: {}", answer.status, answer.text());
        corpus.add_answer(&answer);
        // The path is no prompt: it is repeated to whoever asked for it.
        let is_told = answer.text().contains(PROMPT) && answer.code() != "unknown_endpoint";
        assert!(!is_told || answer.status < 300, "{}", answer.text());
    }
    let mut client = RawClient::connect(gateway.address()).await;
    client.send(format!("POST /{PROMPT}\0 HTTP/1.1\r\n\r\n")).await;
    corpus.add("nonsense", String::from_utf8_lossy(&client.closed().await).into_owned());

    // A caller that leaves.
    let asked = upstream.requests().len();
    let mut client = RawClient::connect(gateway.address()).await;
    client.send(request(&prompt)).await;
    until("it was asked", || upstream.requests().len() > asked).await;
    drop(client);

    // Files that are wrong, each in another place; and one that is right.
    for (nth, wrong) in wrong(&good).iter().enumerate() {
        gateway.write(wrong);
        gateway.signal("HUP");
        let refused = || gateway.log().matches("the file is wrong").count() > nth;
        until("it was refused", refused).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), wrong).unwrap();
        let (printed, succeeded) = Gateway::try_run(&["check", file.path().to_str().unwrap()]);
        assert!(!succeeded, "{printed}");
        corpus.add("check", printed);
    }
    gateway.write(&good.replace("idle: 300ms", "idle: 301ms"));
    gateway.signal("HUP");
    gateway.logged("another configuration is served").await;
    corpus.add_answer(&ask(gateway.address(), request(&prompt)).await);
    let path = gateway.config_path();
    for command in ["check", "doctor", "models"] {
        let (printed, _) = Gateway::try_run(&[command, path.to_str().unwrap()]);
        corpus.add(command, printed);
    }

    operators(&gateway, &mut corpus).await;
    // Spans go once a second; those of the first requests are there, and the last go at the end.
    gateway.signal("TERM");
    gateway.exit().await;
    let log = gateway.logged("stopped").await;
    for what in [r#""target":"access""#, r#""target":"attempt""#, "refused at the door"] {
        assert!(log.contains(what), "no {what} in {log}");
    }
    corpus.add("log", log);
    assert!(collector.heads().concat().contains(&format!("{SECRET}-otlp")), "it is sent along");
    assert!(collector.spans().len() > 2 * count, "{} spans", collector.spans().len());
    corpus.add("spans", format!("{:?}", collector.batches()));
    corpus.assert_clean();
}

// fault: A6
#[tokio::test]
async fn a_collector_that_fails_is_told_without_what_it_is_sent_along() {
    let echo = format!(
        "HTTP/1.1 403 {SECRET}\r\nx-a: {SECRET}\r\ncontent-length: 14\r\n\r\n{SECRET}-otlp.."
    );
    let collector = Collector::serving(move |_| vec![Send(echo.clone().into())]).await;
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let places =
        Places { engine: upstream.url(), closed: closed_port().await, collector: collector.url() };
    let gateway = Gateway::start_yaml(&configuration(&places));
    ask(gateway.address(), request(&chat("m", false))).await;
    let mut corpus = Corpus::default();
    corpus.add("log", gateway.logged("spans are not taken").await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    operators(&gateway, &mut corpus).await;
    corpus.assert_clean();
}
