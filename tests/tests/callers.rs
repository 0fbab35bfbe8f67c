//! Callers that are slow, silent or gone.

use std::time::Duration;

use jairouter_tests::chat;
use jairouter_tests::client::{RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Rst, Send, Sleep};
use jairouter_tests::upstream::{Seen, Upstream, event_stream, json};
use jairouter_tests::{token, until};

const CHAT: &str = "/v1/chat/completions";

/// A gateway with this line under `server`.
async fn gateway(line: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let gateway = Gateway::start_with(&format!("  {line}\n"), &model("", &[upstream.url()]));
    (gateway, upstream)
}

// fault: S1
#[tokio::test]
async fn who_connects_and_says_nothing_is_let_go() {
    let (gateway, upstream) = gateway("header-timeout: 300ms").await;
    let mut clients = Vec::new();
    for number in 0..200_usize {
        let mut client = RawClient::connect(gateway.address()).await;
        client.send(["", "P", "PRI * HT", "GET / HTTP/1.1\r\nhost"][number % 4]).await;
        clients.push(client);
    }
    for mut client in clients {
        let text = String::from_utf8_lossy(&client.closed().await).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    assert_eq!(ask(gateway.address(), post(CHAT, &chat("m", false))).await.status, 200);
    assert_eq!(upstream.requests().len(), 1);
}

// fault: S2
#[tokio::test]
async fn a_head_that_drips_in_is_given_up_when_its_clock_rings() {
    let (gateway, upstream) = gateway("header-timeout: 300ms").await;
    let mut client = RawClient::connect(gateway.address()).await;
    let head = format!("POST {CHAT} HTTP/1.1\r\nx: {}", "y".repeat(10_000));
    let dripped = client.dribble(head.as_bytes(), Duration::from_millis(20)).await;
    assert!(dripped.is_err(), "it was closed while it dripped");
    assert_eq!(upstream.seen(), []);
}

// fault: S3
#[tokio::test]
async fn a_body_that_stops_is_408_and_asks_nobody() {
    let (gateway, upstream) = gateway("body-timeout: 300ms").await;
    let request = post(CHAT, &chat("m", false));
    let chunked = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n5\r\n{{\"mod"
    );
    for part in [&request[..request.len() - 1], &chunked] {
        let mut client = RawClient::connect(gateway.address()).await;
        client.send(part).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
        assert!(answer.complete && answer.header("x-request-id").is_some());
        assert_eq!(client.closed().await, b"");
    }
    assert_eq!(upstream.seen(), []);
}

// fault: S3
#[tokio::test]
async fn a_body_that_drips_in_is_408_although_it_never_stops() {
    let (gateway, upstream) = gateway("body-timeout: 300ms").await;
    let body = format!(r#"{{"model":"m","p":"{}"}}"#, "x".repeat(4000));
    let request = post(CHAT, &body);
    let mut client = RawClient::connect(gateway.address()).await;
    let dripped = client.dribble(request.as_bytes(), Duration::from_millis(5)).await;
    assert!(dripped.is_err(), "a body of {} bytes in as many steps was waited for", body.len());
    assert_eq!(upstream.seen(), []);
}

// fault: S4
#[tokio::test]
async fn a_caller_that_reads_slowly_gets_all_of_it() {
    let text = "x".repeat(64 * 1024);
    let events: Vec<_> = (0..300).map(|number| token(&format!("{number} {text}"))).collect();
    let whole = events.concat() + "data: [DONE]\n\n";
    let steps: Vec<_> = [event_stream()]
        .into_iter()
        .chain(events.into_iter().map(|event| Chunk(event.into())))
        .chain([Chunk(b"data: [DONE]\n\n".to_vec()), LastChunk])
        .collect();
    let upstream = Upstream::serving(move |_, _| steps.clone()).await;
    let gateway = Gateway::start(&[upstream.url()]);
    let mut client = RawClient::connect(gateway.address()).await;
    client.post(CHAT, &chat("m", true)).await;
    client.read_slowly(128 * 1024, Duration::from_millis(5), "data: [DONE]").await;
    let answer = client.answer().await;
    assert!(answer.complete && answer.text() == whole, "{} bytes", answer.body.len());
}

// fault: S5
#[tokio::test]
async fn a_caller_that_does_not_read_a_long_answer_is_cut_off_in_the_end() {
    let long = json("200 OK", &format!("\"{}\"", "x".repeat(50 << 20)));
    let upstream = Upstream::answering(long).await;
    let clocks = "  write-timeout: 500ms\n";
    let gateway = Gateway::start_with(clocks, &model("", &[upstream.url()]));
    let mut client = RawClient::connect_narrowly(gateway.address()).await;
    client.post(CHAT, &chat("m", false)).await;
    until("the upstream was let go", || upstream.count(&Seen::Left) == 1).await;
    assert_eq!(upstream.count(&Seen::Answered), 0, "50 MiB were not swallowed");
    gateway.logged("caller left").await;
    assert_eq!(
        ask(gateway.address(), "GET /healthz HTTP/1.1\r\nhost: g\r\n\r\n").await.status,
        200
    );
}

// fault: P20
#[tokio::test]
async fn a_refusal_is_read_by_callers_that_are_still_sending() {
    let (gateway, upstream) = gateway("").await;
    let body = "x".repeat(8 << 20);
    let request = |path: &str, media_type: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: g\r\ncontent-type: {media_type}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for (path, media_type, status) in
        [("/v1/nothing", "application/json", 404), (CHAT, "text/plain", 415)]
    {
        for _ in 0..20 {
            let mut client = RawClient::connect(gateway.address()).await;
            let _ = client.try_send(request(path, media_type)).await;
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.complete), (status, true), "{path}");
        }
    }
    assert_eq!(upstream.seen(), []);
}

// fault: P20
#[tokio::test]
async fn a_refused_caller_that_goes_on_sending_is_not_reset_before_it_has_read() {
    let (gateway, _upstream) = gateway("").await;
    let head = "POST /v1/nothing HTTP/1.1\r\nhost: g\r\ncontent-length: 9000000\r\n\r\n";
    let piece = "x".repeat(64 * 1024);
    for _ in 0..20 {
        let mut client = RawClient::connect(gateway.address()).await;
        client.send([head, &piece].concat()).await;
        assert_eq!(client.answer().await.status, 404);
        for _ in 0..10 {
            client.send(&piece).await;
        }
        client.half_close().await;
        client.ended().await.expect("an orderly end");
    }
}

// fault: S12
#[tokio::test]
async fn a_caller_over_the_limit_of_connections_is_503_and_the_others_are_served() {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let gateway = Gateway::start_with("  max-connections: 2\n", &model("", &[upstream.url()]));
    let request = post(CHAT, &chat("m", false));
    let mut served = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::connect(gateway.address()).await;
        client.send(&request).await;
        assert_eq!(client.answer().await.status, 200);
        served.push(client);
    }
    let answer = ask(gateway.address(), &request).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    for client in &mut served {
        client.send(&request).await;
        assert_eq!(client.answer().await.status, 200);
    }
    drop(served);
    let begun = tokio::time::Instant::now();
    while ask(gateway.address(), &request).await.status != 200 {
        assert!(begun.elapsed() < jairouter_tests::PATIENCE, "their places are free again");
    }
}

// fault: S13
#[tokio::test]
async fn a_client_that_has_all_its_connections_is_503_and_the_others_are_served() {
    let (gateway, _upstream) = gateway("max-connections-per-client: 2").await;
    let request = post(CHAT, &chat("m", false));
    let mut served = Vec::new();
    for last in [1, 1, 2, 2] {
        let from = [127, 0, 0, last].into();
        let mut client = RawClient::connect_from(from, gateway.address()).await;
        client.send(&request).await;
        assert_eq!(client.answer().await.status, 200);
        served.push(client);
    }
    let answer = ask(gateway.address(), &request).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert!(answer.header("retry-after").is_some());
    drop(served.remove(0));
    let begun = tokio::time::Instant::now();
    while ask(gateway.address(), &request).await.status != 200 {
        assert!(begun.elapsed() < jairouter_tests::PATIENCE, "its place is free again");
    }
}

#[tokio::test]
async fn a_caller_of_http_1_0_is_reset_when_an_answer_without_a_length_breaks_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let sound = "HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\ntransfer-encoding: chunked\r\n\r\n";
    for (end, whole) in [(LastChunk, true), (Rst, false)] {
        let steps =
            vec![Send(sound.into()), Chunk("RIFF".into()), Sleep(Duration::from_millis(100)), end];
        let upstream = Upstream::serving(move |_, _| steps.clone()).await;
        let tts = model("", &[upstream.url()]).replace("chat:", "tts:");
        let gateway = Gateway::start_with("", &tts);
        let mut stream = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
        let ask = r#"{"model":"m","input":"x"}"#;
        let head =
            "POST /v1/audio/speech HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: ";
        stream.write_all(format!("{head}{}\r\n\r\n{ask}", ask.len()).as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        let outcome = stream.read_to_end(&mut seen).await;
        assert_eq!(outcome.is_ok(), whole, "{outcome:?}");
        assert!(String::from_utf8(seen).unwrap().ends_with("\r\n\r\nRIFF"));
    }
}

// fault: C2
#[tokio::test]
async fn the_time_for_a_head_is_over_with_the_head() {
    let upstream = Upstream::serving(|_, _| {
        let token = |text: &str| Chunk(token(text).into());
        let pause = Sleep(Duration::from_millis(250));
        let done = Chunk("data: [DONE]\n\n".into());
        vec![
            event_stream(),
            token("a"),
            pause.clone(),
            token("b"),
            pause.clone(),
            token("c"),
            pause,
            done,
            LastChunk,
        ]
    })
    .await;
    let gateway = Gateway::start_with("  header-timeout: 300ms\n", &model("", &[upstream.url()]));
    let mut client = RawClient::connect(gateway.address()).await;
    for nth in 0..2 {
        client.post("/v1/chat/completions", &chat("m", true)).await;
        let answer = client.answer().await;
        let all = token("a") + &token("b") + &token("c") + "data: [DONE]\n\n";
        assert_eq!((answer.text(), answer.complete), (all, true), "the {nth}th on one connection");
    }
}
