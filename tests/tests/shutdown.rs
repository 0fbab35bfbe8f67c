//! The end of the program, with answers still under way.

use std::sync::Arc;

use jairouter_tests::client::{RawClient, ask, get, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Send, Stall, Wait};
use jairouter_tests::upstream::{Seen, Upstream, event_stream, json};
use jairouter_tests::{chat, token, until};
use tokio::net::TcpStream;
use tokio::sync::Notify;

const CHAT: &str = "/v1/chat/completions";
const DONE: &[u8] = b"data: [DONE]\n\n";

/// A stream of one token, and its end once it is told to go on.
async fn streaming() -> (Upstream, Arc<Notify>) {
    let go_on = Arc::new(Notify::new());
    let wait = Wait(Arc::clone(&go_on));
    let steps = vec![event_stream(), Chunk(token("a").into()), wait, Chunk(DONE.into()), LastChunk];
    (Upstream::serving(move |_, _| steps.clone()).await, go_on)
}

/// A stream whose first token has arrived.
async fn open(gateway: &Gateway) -> RawClient {
    let mut client = RawClient::connect(gateway.address()).await;
    client.post(CHAT, &chat("m", true)).await;
    client.read_until("content\":\"a\"").await;
    client
}

async fn refuses(gateway: &Gateway) {
    let begun = tokio::time::Instant::now();
    while TcpStream::connect(gateway.address()).await.is_ok() {
        assert!(begun.elapsed() < jairouter_tests::PATIENCE, "it still accepts");
    }
}

// fault: O7
#[tokio::test]
async fn a_stream_that_is_open_at_the_end_finishes_and_nobody_new_gets_in() {
    for signal in ["TERM", "INT"] {
        let (upstream, go_on) = streaming().await;
        let mut gateway = Gateway::start(&[upstream.url()]);
        let mut client = open(&gateway).await;
        gateway.signal(signal);
        gateway.logged("draining").await;
        refuses(&gateway).await;
        go_on.notify_one();
        let answer = client.answer().await;
        assert_eq!(answer.text(), token("a") + "data: [DONE]\n\n");
        assert!(answer.complete);
        assert_eq!(client.closed().await, b"", "its connection is not kept");
        assert!(gateway.exit().await.success(), "{signal}");
        assert!(gateway.log().contains("stopped"), "the log is written to its end");
    }
}

// fault: O7
#[tokio::test]
async fn an_answer_that_has_not_begun_at_the_end_is_waited_for() {
    let go_on = Arc::new(Notify::new());
    let steps = vec![Wait(Arc::clone(&go_on)), Send(json("200 OK", "{}"))];
    let upstream = Upstream::serving(move |_, _| steps.clone()).await;
    let mut gateway = Gateway::start(&[upstream.url()]);
    let mut client = RawClient::connect(gateway.address()).await;
    client.post(CHAT, &chat("m", false)).await;
    until("it is asked", || !upstream.requests().is_empty()).await;
    gateway.signal("TERM");
    gateway.logged("draining").await;
    refuses(&gateway).await;
    go_on.notify_one();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(gateway.exit().await.success());
}

// fault: O7
#[tokio::test]
async fn a_stream_that_outlasts_the_drain_ends_with_an_error_event() {
    let (upstream, _never) = streaming().await;
    let silent = Upstream::serving(|_, _| vec![Stall]).await;
    let services = format!(
        "  services:\n    chat:\n      instances:\n        - {{ name: m, base-url: '{}' }}\n\
         {:8}- {{ name: silent, base-url: '{}' }}\n",
        upstream.url(),
        "",
        silent.url()
    );
    let mut gateway = Gateway::start_with("  drain-timeout: 300ms\n", &services);
    let mut stream = open(&gateway).await;
    let mut waiting = RawClient::connect(gateway.address()).await;
    waiting.post(CHAT, &chat("silent", false)).await;
    until("it is asked", || !silent.requests().is_empty()).await;
    gateway.signal("TERM");
    let cut = stream.answer().await;
    let text = cut.text();
    let told = text.strip_prefix(&token("a")).expect("the token");
    assert!(told.starts_with("data: {\"error\"") && told.ends_with("}\n\n"), "{told}");
    assert!(told.contains("server_shutting_down") && !text.contains("[DONE]"), "{told}");
    assert!(!cut.complete, "a cut stream never looks complete");
    let refused = waiting.answer().await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "server_shutting_down"));
    assert!(gateway.exit().await.success());
    for upstream in [&upstream, &silent] {
        until("the upstream was let go", || upstream.count(&Seen::Left) == 1).await;
    }
}

// fault: O8
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (upstream, _never) = streaming().await;
    let mut gateway = Gateway::start(&[upstream.url()]);
    let mut client = open(&gateway).await;
    gateway.signal("TERM");
    gateway.logged("draining").await;
    gateway.signal("INT");
    assert!(!gateway.exit().await.success());
    assert!(!client.answer().await.complete);
}

// fault: O9
#[tokio::test]
async fn idle_and_half_sent_requests_hold_up_nothing() {
    let (upstream, go_on) = streaming().await;
    go_on.notify_one();
    let mut gateway = Gateway::start(&[upstream.url()]);
    let mut idle = RawClient::connect(gateway.address()).await;
    idle.post(CHAT, &chat("m", true)).await;
    assert!(idle.answer().await.complete);
    let mut silent = RawClient::connect(gateway.address()).await;
    gateway.signal("TERM");
    assert!(gateway.exit().await.success());
    assert_eq!((idle.closed().await, silent.closed().await), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn readiness_is_told_apart_from_life() {
    let (upstream, _never) = streaming().await;
    let gateway = Gateway::start(&[upstream.url()]);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: g\r\n\r\n");
    assert_eq!(ask(gateway.address(), get("/healthz")).await.status, 200);
    assert_eq!(ask(gateway.address(), get("/readyz")).await.status, 200);
    assert_eq!(ask(gateway.address(), post("/readyz", "{}")).await.status, 405);
    let down = model("", &[upstream.url()]).replace("name: m,", "name: m, status: inactive,");
    let gateway = Gateway::start_with("", &down);
    assert_eq!(ask(gateway.address(), get("/healthz")).await.status, 200);
    assert_eq!(ask(gateway.address(), get("/readyz")).await.status, 503);
    let answer = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "no_healthy_instance"));
    assert!(answer.header("retry-after").is_some());
}

// fault: O7
#[tokio::test]
async fn during_its_delay_it_is_not_ready_and_serves_whoever_comes_for_the_last_time() {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let delay = "  shutdown-delay: 2s\n";
    let mut gateway = Gateway::start_with(delay, &model("", &[upstream.url()]));
    let mut kept = RawClient::connect(gateway.address()).await;
    kept.post(CHAT, &chat("m", false)).await;
    assert_eq!(kept.answer().await.header("connection"), None);
    gateway.signal("TERM");
    gateway.logged("not ready any more").await;
    let readiness = ask(gateway.address(), get("/readyz")).await;
    assert_eq!((readiness.status, readiness.header("connection")), (503, Some("close")));
    assert_eq!(ask(gateway.address(), get("/healthz")).await.status, 200);
    let new = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert_eq!((new.status, new.header("connection")), (200, Some("close")));
    kept.post(CHAT, &chat("m", false)).await;
    assert_eq!(kept.answer().await.header("connection"), Some("close"));
    assert!(!gateway.log().contains("draining"), "the delay is not over");
    gateway.logged("draining").await;
    refuses(&gateway).await;
    assert!(gateway.exit().await.success());
}

// fault: O8
#[tokio::test]
async fn a_second_signal_ends_the_delay_and_everything_else() {
    let (upstream, _never) = streaming().await;
    let delay = "  shutdown-delay: 1h\n";
    let mut gateway = Gateway::start_with(delay, &model("", &[upstream.url()]));
    let mut client = open(&gateway).await;
    gateway.signal("TERM");
    gateway.logged("not ready any more").await;
    gateway.signal("TERM");
    assert!(!gateway.exit().await.success());
    assert!(!client.answer().await.complete);
}
