//! Another configuration while the program serves.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jairouter_tests::client::{ask, get, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Send, Sleep};
use jairouter_tests::upstream::{Upstream, event_stream, json};
use jairouter_tests::{chat, token, until};
use tokio::task::JoinSet;
use tokio::time::interval;

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;

async fn engine() -> Upstream {
    Upstream::answering(json("200 OK", ANSWER)).await
}

async fn status(gateway: &Gateway, model: &str) -> u16 {
    ask(gateway.address(), post(CHAT, &chat(model, false))).await.status
}

/// Has it read its configuration, and waits until it has said what came of it.
async fn hang_up(gateway: &Gateway) -> String {
    let before = gateway.log().len();
    gateway.signal("HUP");
    let ended = || {
        let log = gateway.log();
        ["is served", "stays"].iter().any(|end| log[before..].contains(end))
    };
    until("it has read it", ended).await;
    gateway.log()[before..].to_owned()
}

// fault: O2 O5
#[tokio::test]
async fn what_is_new_serves_what_is_gone_does_not_and_what_is_the_same_goes_on() {
    let [one, two] = [engine().await, engine().await];
    let limit = |capacity| {
        format!(
            "  rate-limit: {{ enabled: true, capacity: {capacity}, rate: 0.001, scope: model }}\n"
        )
    };
    let gateway = Gateway::start_with("", &model(&limit(3), &[one.url()]));
    assert_eq!((status(&gateway, "m").await, status(&gateway, "m").await), (200, 200));

    let named = model(&limit(3), &[one.url(), two.url()]);
    let other = format!("        - {{ name: n, base-url: '{}' }}\n", two.url());
    gateway.configure("", &(named.clone() + &other));
    assert!(hang_up(&gateway).await.contains("another configuration is served"));
    assert_eq!((status(&gateway, "m").await, status(&gateway, "m").await), (200, 429), "spent");
    assert_eq!(status(&gateway, "n").await, 200);
    assert!(two.requests().iter().any(|request| request.contains(r#""n""#)));

    gateway.configure("", &named.replace("capacity: 3", "capacity: 2"));
    hang_up(&gateway).await;
    assert_eq!(status(&gateway, "n").await, 404);
    let spent = [200, 200, 429];
    for expected in spent {
        assert_eq!(status(&gateway, "m").await, expected, "another limit is a new one");
    }
}

#[tokio::test]
async fn a_changed_file_is_read_without_being_asked() {
    let engine = engine().await;
    let gateway = Gateway::start_with("", &model("", &[engine.url()]));
    gateway.configure("", &model("", &[engine.url()]).replace("name: m", "name: other"));
    gateway.logged("another configuration is served").await;
    assert_eq!((status(&gateway, "m").await, status(&gateway, "other").await), (404, 200));
    let list = ask(gateway.address(), get("/v1/models")).await.text();
    assert!(list.contains("other") && !list.contains(r#""m""#), "{list}");
}

#[tokio::test]
async fn what_acts_at_the_next_start_alone_is_said_and_the_rest_acts() {
    let engine = engine().await;
    let gateway = Gateway::start_with("", &model("", &[engine.url()]));
    gateway.configure(
        "  max-request-body: 1KiB\n  workers: 7\n  address: 0.0.0.0\n",
        &model("", &[engine.url()]),
    );
    hang_up(&gateway).await;
    gateway.logged("server.workers").await;
    let log = gateway.log();
    assert!(log.contains("server.address") && !log.contains("server.port"), "{log}");
    let large = chat("m", false).replacen('{', &format!("{{\"x\":\"{}\",", "x".repeat(2000)), 1);
    assert_eq!(ask(gateway.address(), post(CHAT, &large)).await.status, 413);
}

#[tokio::test]
async fn what_is_no_file_holds_up_nobody() {
    let engine = engine().await;
    let mut gateway = Gateway::start_with("", &model("", &[engine.url()]));
    let path = gateway.config_path();
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    gateway.signal("HUP");
    gateway.logged("it is no regular file").await;
    assert_eq!(status(&gateway, "m").await, 200);
    gateway.signal("TERM");
    assert!(gateway.exit().await.success());
}

/// Ways in which each line of a file can be wrong.
fn broken(yaml: &str) -> Vec<String> {
    let lines: Vec<_> = yaml.lines().collect();
    let with = |nth: usize, line: String| {
        let mut text = String::new();
        for (at, before) in lines.iter().enumerate() {
            // Memory does not refuse a write.
            let _ = writeln!(text, "{}", if at == nth { &line } else { *before });
        }
        text
    };
    let each = lines.iter().enumerate().flat_map(|(nth, line)| {
        let indent = &line[..line.len() - line.trim_start().len()];
        [
            with(nth, format!("{indent}no-such-key: 1\n{line}")),
            with(nth, format!("\t{line}")),
            with(nth, format!("{line}\n{line}")),
            with(nth, format!("{indent}{{{}", line.trim_start())),
            with(nth, format!("{indent}'{}", line.trim_start())),
            with(nth, line.replacen(": ", ": !tag ", 1)),
            with(nth, line.replacen(": ", ": ${NO_SUCH_VARIABLE} ", 1)),
            with(nth, line.replacen(|c: char| c.is_ascii_digit(), "-", 1)),
            with(nth, line.replacen("http", "gopher", 1)),
            with(nth, line.replacen("://", ":/", 1)),
        ]
    });
    each.filter(|text| text.trim() != yaml.trim()).collect()
}

// fault: O3
#[tokio::test]
async fn two_hundred_broken_files_change_nothing_and_each_mistake_is_named_with_its_line() {
    let engine = engine().await;
    let lines = "  timeouts: { connect: 2s, first-token: 60s }
  retry: { max-attempts: 3 }
  concurrency: { limit: 16, queue: 64, queue-timeout: 10s }
  health-check: { enabled: false, interval: 5s, timeout: 2s }
  discovery: { interval: 60s, timeout: 5s }
  rate-limit:
    enabled: true
    capacity: 100000
    rate: 100000
  circuit-breaker:
    enabled: true
    failure-threshold: 5
    timeout: 60s
  adapter-definitions:
    ours:
      type: extend
      parent: vllm
      additional-headers: { x-team: red }
      paths: { health: /ping }
  fallback:
    enabled: true
    strategy: cache
    cache-size: 100
    response: { status: 503, body: '{}' }
";
    let good = format!("server:\n  port: 0\n  log: {{ format: json }}\nmodel:\n{}", {
        model(lines, &[engine.url(), "http://127.0.0.1:9".into()])
    });
    let gateway = Gateway::start_yaml(&good);
    let mut refused = 0;
    for wrong in broken(&good) {
        gateway.write(&wrong);
        let told = hang_up(&gateway).await;
        if told.contains("is served") {
            // What is only another number is no mistake; back to what was.
            gateway.write(&good);
            hang_up(&gateway).await;
            continue;
        }
        refused += 1;
        assert!(told.contains("the file is wrong"), "{wrong}\n{told}");
        assert!(told.lines().any(names_a_line), "{wrong}\n{told}");
        if refused % 10 == 0 {
            assert_eq!(status(&gateway, "m").await, 200, "{wrong}");
        }
    }
    assert!(refused >= 200, "{refused}");
    assert_eq!(ask(gateway.address(), get("/readyz")).await.status, 200);
}

/// Whether a log line has a place in a file: `…:line:column:`.
fn names_a_line(line: &str) -> bool {
    let numbers = line.split(':').map(|part| part.parse::<u32>().is_ok());
    let numbers: Vec<_> = numbers.collect();
    numbers.windows(2).any(|pair| pair == [true, true])
}

/// How much of the load that is to be borne: 1 is a tenth of it, and what `JAIROUTER_RELOAD_SCALE` says.
fn scale() -> usize {
    let scale = std::env::var("JAIROUTER_RELOAD_SCALE").ok();
    scale.map_or(1, |scale| scale.parse().expect("a number"))
}

// fault: O1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_and_no_stream_notices_a_hundred_reloads() {
    let answers = json("200 OK", ANSWER);
    let engine = Upstream::serving(move |_, request| {
        if !request.contains(r#""stream":true"#) {
            return vec![Send(answers.clone())];
        }
        let mut steps = vec![event_stream()];
        for _ in 0..40 {
            steps.extend([Chunk(token("more").into()), Sleep(Duration::from_millis(100))]);
        }
        let last =
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        steps.extend([Chunk(format!("{last}data: [DONE]\n\n").into()), LastChunk]);
        steps
    })
    .await;
    let file = |nth: usize| {
        let weight = nth % 7 + 1;
        let lines =
            "  concurrency: { limit: 1000, queue: 100 }\n  circuit-breaker: { enabled: true }\n";
        model(lines, &[engine.url()]).replace("name: m", &format!("name: m, weight: {weight}"))
            + &format!("        - {{ name: n{nth}, base-url: '{}' }}\n", engine.url())
    };
    let start = file(0);
    let gateway = tokio::task::spawn_blocking(move || Gateway::start_with("", &start)).await;
    let (gateway, over) = (gateway.unwrap(), Arc::new(AtomicBool::new(false)));
    let address = gateway.address();
    let streams: Vec<_> = (0..20 * scale())
        .map(|_| {
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                let mut seen = 0;
                while !over.load(Ordering::Relaxed) {
                    let answer = ask(address, post(CHAT, &chat("m", true))).await;
                    assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"));
                    assert_eq!(answer.text().matches("more").count(), 40);
                    seen += 1;
                }
                seen
            })
        })
        .collect();
    until("all have begun", || engine.live() >= 20 * scale()).await;
    let load = {
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            let mut every = interval(Duration::from_millis(20) / scale() as u32);
            let mut asked = JoinSet::new();
            while !over.load(Ordering::Relaxed) {
                every.tick().await;
                asked
                    .spawn(async move { ask(address, post(CHAT, &chat("m", false))).await.status });
            }
            asked.join_all().await
        })
    };
    for nth in 1..=100 * scale() {
        gateway.configure("", &file(nth));
        assert!(hang_up(&gateway).await.contains("another configuration is served"));
        if nth % 20 == 0 {
            assert_eq!(status(&gateway, &format!("n{nth}")).await, 200);
        }
    }
    over.store(true, Ordering::Relaxed);
    let statuses = load.await.unwrap();
    assert!(statuses.len() > 5 && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    let mut whole = 0;
    for stream in streams {
        whole += stream.await.unwrap();
    }
    println!("{} reloads, {} requests, {whole} streams", 100 * scale(), statuses.len());
}
