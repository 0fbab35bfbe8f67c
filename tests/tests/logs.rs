//! Whoever does not read the program's words keeps nobody from being served.
#![cfg(test)]

use std::io::{PipeReader, Write, pipe};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use jairouter_tests::client::{RawClient, ask, get};
use jairouter_tests::gateway::{Gateway, UNPROBED, program};
use jairouter_tests::upstream::Step::{Chunk, Rst};
use jairouter_tests::upstream::{Upstream, closed_port, event_stream, json};
use jairouter_tests::{chat, token, until};
use tempfile::NamedTempFile;
use tokio::net::TcpStream;

const CHAT: &str = "/v1/chat/completions";

/// How much a pipe holds.
const PIPE: usize = 64 << 10;

/// A program whose words go where it is told.
struct Unread {
    child: Child,
    address: SocketAddr,
    operators: SocketAddr,
    _config: NamedTempFile,
}

impl Unread {
    async fn start(instances: &[String], out: Stdio, errors: Stdio) -> Self {
        let (address, operators) = (closed_port().await, closed_port().await);
        let one = |url: &String| format!("        - {{ name: m, base-url: '{url}' }}\n");
        let instances = instances.iter().map(one).collect::<Vec<_>>().concat();
        let yaml = format!(
            "server: {{ port: {}, log: {{ format: json }} }}\nmanagement: {{ server: {{ port: {} }} }}\n\
             model:\n{UNPROBED}  services:\n    chat:\n      instances:\n{instances}",
            address.port(),
            operators.port()
        );
        let mut config = NamedTempFile::new().unwrap();
        config.write_all(yaml.as_bytes()).unwrap();
        let mut command = Command::new(program());
        let command = command.arg(config.path()).stdin(Stdio::null()).stdout(out).stderr(errors);
        let child = command.spawn().unwrap();
        for listener in [address, operators] {
            while TcpStream::connect(listener).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        Self { child, address, operators, _config: config }
    }

    /// Ends it as an operator does. Whether it says that it has done what it was asked.
    async fn end(mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut status = None;
        until("it ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().success()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that is full, and that nobody reads while its other end is held.
fn full() -> (PipeReader, Stdio) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&vec![b'x'; PIPE]).unwrap();
    (reader, writer.into())
}

/// A pipe that nobody will ever read.
fn closed() -> Stdio {
    pipe().unwrap().1.into()
}

async fn load(address: SocketAddr, callers: usize, each: usize, status: u16) {
    let caller = async || {
        let mut client = RawClient::connect(address).await;
        for _ in 0..each {
            client.post(CHAT, &chat("m", false)).await;
            assert_eq!(client.answer().await.status, status);
        }
    };
    futures::future::join_all((0..callers).map(|_| caller())).await;
}

async fn dropped(operators: SocketAddr) -> u64 {
    let text = ask(operators, get("/metrics")).await.text();
    let name = "jairouter_log_lines_dropped_total ";
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap_or_else(|| panic!("it is not counted: {text}")).parse().unwrap()
}

// fault: O14
#[tokio::test]
async fn pipes_that_are_full_and_never_read_stall_nothing_and_what_is_lost_is_counted() {
    let failing = Upstream::answering(json("500 Oops", "{}")).await;
    let places: Vec<_> = (0..3).map(|nth| format!("{}/{nth}", failing.url())).collect();
    let ((_out, out), (_errors, errors)) = (full(), full());
    let program = Unread::start(&places, out, errors).await;
    load(program.address, 20, 5, 500).await;
    assert_eq!(dropped(program.operators).await, 0, "there is room for some");
    while dropped(program.operators).await == 0 {
        load(program.address, 50, 20, 500).await;
    }
    load(program.address, 20, 5, 500).await;
    assert!(program.end().await);
}

// fault: O14
#[tokio::test]
async fn closed_pipes_end_nothing() {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let program = Unread::start(&[upstream.url()], closed(), closed()).await;
    load(program.address, 10, 20, 200).await;
    assert!(program.end().await);
}

#[tokio::test]
async fn the_request_whose_failure_opens_a_breaker_is_named_and_so_is_each_attempt() {
    let failing = Upstream::answering(json("500 Oops", "{}")).await;
    let script = vec![event_stream(), Chunk(token("a").into()), Rst];
    let breaking = Upstream::serving(move |_, _| script.clone()).await;
    for (upstream, status) in [(&failing, 500), (&breaking, 200)] {
        let gateway = Gateway::start_with(
            "",
            &format!(
                "  circuit-breaker: {{ enabled: true, failure-threshold: 2 }}\n  services:\n    chat:\n      \
                 instances:\n        - {{ name: m, base-url: '{}', instance-id: one }}\n",
                upstream.url()
            ),
        );
        for id in ["first", "second", "third"] {
            let body = chat("m", true);
            let request = format!(
                "POST {CHAT} HTTP/1.1\r\nhost: g\r\nx-request-id: {id}\r\ncontent-type: application/json\r\n\
                 connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut client = RawClient::connect(gateway.address()).await;
            client.send(request).await;
            let answer = client.closed().await;
            let expected = if id == "third" { 503 } else { status };
            assert!(answer.starts_with(format!("HTTP/1.1 {expected} ").as_bytes()));
        }
        gateway.logged(r#""request_id":"third""#).await;
        let log = gateway.logged("the circuit breaker has opened").await;
        let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        let lines: Vec<serde_json::Value> = lines.collect();
        let of = |text: &str| -> Vec<_> {
            let of = lines.iter().filter(|line| line["message"] == text);
            of.map(|line| (line["request_id"].clone(), line["instance"].clone())).collect()
        };
        let of_one = |id: &str| (id.into(), "one".into());
        assert_eq!(of("the circuit breaker has opened"), [of_one("second")], "{log}");
        let attempts = of("an instance was asked in vain");
        match status {
            500 => assert_eq!(attempts, [of_one("first"), of_one("second")], "{log}"),
            _ => assert_eq!(attempts, [], "it broke off after its head"),
        }
        let trace_ids = lines.iter().filter(|line| line["target"] == "access");
        let trace_ids: Vec<_> = trace_ids.map(|line| line["trace_id"].as_str().unwrap()).collect();
        assert!(trace_ids.len() == 3 && trace_ids.iter().all(|id| id.len() == 32), "{trace_ids:?}");
    }
}
