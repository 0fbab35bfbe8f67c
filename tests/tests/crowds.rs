//! Crowds of callers that are idle or slow: what they cost, when they are let go, and that others are served.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jairouter_tests::client::{RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Send};
use jairouter_tests::upstream::{Upstream, event_stream, json};
use jairouter_tests::{chat, token, until};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const CHAT: &str = "/v1/chat/completions";

/// How much of the crowd there is to be: 1 is a tenth of it, and what `JAIROUTER_CROWD_SCALE` says.
fn scale() -> usize {
    let scale = std::env::var("JAIROUTER_CROWD_SCALE").ok();
    scale.map_or(1, |scale| scale.parse().expect("a number"))
}

/// Two megabytes to callers that ask for a stream, and something short to others.
async fn engine() -> Upstream {
    let piece = token(&"x".repeat(64 << 10));
    Upstream::serving(move |_, request| {
        if !request.contains(r#""stream":true"#) {
            return vec![Send(json("200 OK", "{}"))];
        }
        let flood = (0..32).map(|_| Chunk(piece.clone().into()));
        [event_stream()].into_iter().chain(flood).chain([LastChunk]).collect()
    })
    .await
}

/// Somebody else who asks all the while, and is served.
struct Other {
    over: Arc<AtomicBool>,
    asking: JoinHandle<usize>,
}

impl Other {
    fn asks(address: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let asking = tokio::spawn(async move {
            let mut served = 0;
            while !is_over.load(Ordering::Relaxed) {
                let answer = ask(address, post(CHAT, &chat("m", false))).await;
                assert_eq!((answer.status, answer.complete), (200, true));
                served += 1;
                sleep(Duration::from_millis(10)).await;
            }
            served
        });
        Self { over, asking }
    }

    async fn was_served(self) {
        self.over.store(true, Ordering::Relaxed);
        assert!(self.asking.await.expect("it was served each time") > 3);
    }
}

// fault: S11, I7
#[tokio::test]
async fn idle_connections_cost_little_each_and_others_are_served() {
    let engine = engine().await;
    let gateway = Gateway::start(&[engine.url()]);
    let request = post(CHAT, &chat("m", false));
    assert_eq!(ask(gateway.address(), &request).await.status, 200);
    let memory = gateway.memory();
    let mut idle = Vec::new();
    for _ in 0..1000 * scale() {
        let mut client = RawClient::connect(gateway.address()).await;
        client.send(&request).await;
        assert_eq!(client.answer().await.status, 200);
        idle.push(client);
    }
    let other = Other::asks(gateway.address());
    sleep(Duration::from_millis(500)).await;
    other.was_served().await;
    let taken = gateway.memory().saturating_sub(memory);
    println!("{} idle connections take {taken} MiB", idle.len());
    // Twenty kibibytes each where the program is optimised.
    let most = if cfg!(debug_assertions) { 25 } else { 20 };
    assert!(taken <= most * scale(), "{taken} MiB for {}", idle.len());
    for client in idle.iter_mut().step_by(100) {
        client.send(&request).await;
        assert_eq!(client.answer().await.status, 200, "it is still served");
    }
}

// fault: S4
#[tokio::test]
async fn callers_that_do_not_read_are_let_go_on_their_clock_and_others_are_served() {
    let engine = engine().await;
    let gateway = Gateway::start_with("  write-timeout: 2s\n", &model("", &[engine.url()]));
    let mut slow = Vec::new();
    for _ in 0..200 * scale() {
        let mut client = RawClient::connect_narrowly(gateway.address()).await;
        client.post(CHAT, &chat("m", true)).await;
        slow.push(client);
    }
    let other = Other::asks(gateway.address());
    until("they are accepted", || gateway.open_files() > slow.len()).await;
    until("nothing is left of them", || gateway.open_files() < 100).await;
    other.was_served().await;
    drop(slow);
}

// fault: S3
#[tokio::test]
async fn callers_that_write_slowly_are_let_go_on_their_clock_and_others_are_served() {
    let engine = engine().await;
    let gateway = Gateway::start_with("  body-timeout: 1s\n", &model("", &[engine.url()]));
    let request = post(CHAT, &chat("m", false));
    let mut slow = Vec::new();
    for number in 0..200 * scale() {
        let mut client = RawClient::connect(gateway.address()).await;
        client.send(&request[..request.len() - 5]).await;
        slow.push(tokio::spawn(async move {
            // Every other one goes on, a byte at a time.
            while number % 2 == 0 && client.try_send("x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
            client.answer().await
        }));
    }
    let other = Other::asks(gateway.address());
    for client in slow {
        let answer = client.await.expect("it is answered");
        assert!([400, 408].contains(&answer.status), "{answer:?}");
    }
    other.was_served().await;
    until("nothing is left of them", || gateway.open_files() < 100).await;
}

// fault: S1
#[tokio::test]
async fn callers_that_say_nothing_are_let_go_on_their_clock_and_others_are_served() {
    let engine = engine().await;
    let gateway = Gateway::start_with("  header-timeout: 1s\n", &model("", &[engine.url()]));
    let mut silent = Vec::new();
    for _ in 0..100 * scale() {
        silent.push(RawClient::connect(gateway.address()).await);
    }
    let other = Other::asks(gateway.address());
    for client in &mut silent {
        assert_eq!(client.closed().await, b"");
    }
    other.was_served().await;
    until("nothing is left of them", || gateway.open_files() < 100).await;
}
