//! HTTP as callers should not write it: what is read of it, and that nothing is smuggled.

use std::fmt::Write as _;
use std::time::Duration;

use jairouter_tests::chat;
use jairouter_tests::client::{Answer, RawClient, ask, post};
use jairouter_tests::gateway::Gateway;
use jairouter_tests::upstream::Step::{Send, Sleep};
use jairouter_tests::upstream::{Upstream, json};

const CHAT: &str = "/v1/chat/completions";

async fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let gateway = Gateway::start(&[upstream.url()]);
    (gateway, upstream)
}

/// A request with these header lines and this body, as it stands.
fn with(headers: &str, body: &str) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n{headers}\r\n{body}"
    )
}

/// All that comes back for these bytes until the gateway closes.
async fn all(gateway: &Gateway, bytes: impl AsRef<[u8]>) -> String {
    let mut client = RawClient::connect(gateway.address()).await;
    client.send(bytes).await;
    String::from_utf8_lossy(&client.closed().await).into_owned()
}

fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}

fn assert_enveloped(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}");
    assert!(answer.complete && answer.header("x-request-id").is_some(), "{what}");
}

// fault: P1
#[tokio::test]
async fn a_body_with_two_lengths_is_one_request_and_the_connection_ends() {
    let (gateway, upstream) = gateway().await;
    let body = chat("m", false);
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let smuggled = post(CHAT, &chat("m", false));
    for lengths in [
        "content-length: 6\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 100000\r\n",
    ] {
        let before = upstream.requests().len();
        let answers = all(&gateway, with(lengths, &(chunked.clone() + &smuggled))).await;
        assert_eq!(statuses(&answers), ["200"], "{lengths}");
        let requests = upstream.requests();
        assert_eq!(requests.len(), before + 1, "{lengths}");
        let (head, arrived) = requests[before].split_once("\r\n\r\n").unwrap();
        assert_eq!(arrived, body, "{lengths}");
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert_eq!(head.matches("content-length").count(), 1, "{head}");
    }
}

// fault: P2, P4
#[tokio::test]
async fn a_length_that_is_none_is_400() {
    let (gateway, upstream) = gateway().await;
    let body = chat("m", false);
    let length = body.len();
    let differing = format!("content-length: {length}\r\ncontent-length: 5\r\n");
    let list = format!("content-length: {length}, 5\r\n");
    let mut table = vec![differing, list];
    for value in ["+5", "-5", "0x5", "5_0", "", "five", "5.0", "5e1", "99999999999999999999", "5 5"]
    {
        table.push(format!("content-length: {value}\r\n"));
    }
    for coding in [
        "gzip",
        "identity",
        "chunked, gzip",
        "xchunked",
        "chunked\r\nx: y\r\ntransfer-encoding: gzip",
    ] {
        table.push(format!("transfer-encoding: {coding}\r\n"));
    }
    for headers in table {
        let answers = all(&gateway, with(&headers, &body)).await;
        assert_eq!(statuses(&answers), ["400"], "{headers:?}: {answers}");
    }
    let old = format!(
        "POST {CHAT} HTTP/1.0\r\nhost: g\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
    );
    let answer = all(&gateway, old).await;
    assert_eq!(statuses(&answer), ["400"], "HTTP/1.0 has no chunks: {answer}");
    assert_eq!(upstream.seen(), []);
}

// fault: P5
#[tokio::test]
async fn a_head_that_is_no_head_is_400() {
    let (gateway, upstream) = gateway().await;
    let body = chat("m", false);
    let length = format!("content-length: {}\r\n", body.len());
    for line in [
        "x: a\r\n b\r\n",
        "x : a\r\n",
        " x: a\r\n",
        "x\r\n",
        ": a\r\n",
        "x: a\rb\r\n",
        "x: a\0b\r\n",
        "x: a\x01b\r\n",
        "x: a\x7fb\r\n",
        "x y: a\r\n",
        "x(: a\r\n",
        "x\u{e9}: a\r\n",
    ] {
        let answers = all(&gateway, with(&format!("{line}{length}"), &body)).await;
        assert_eq!(statuses(&answers), ["400"], "{line:?}: {answers}");
    }
    for start in [
        "POST  /v1/models HTTP/1.1",
        "GET /v1/models",
        "GET /v1/models HTTP/1.1 x",
        "GET /v1/models HTTP/2.0",
        "GET /v1/models HTTP/9",
        "GET /v1/ models HTTP/1.1",
        "G\x01T /v1/models HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        let answers = all(&gateway, format!("{start}\r\nhost: g\r\n\r\n")).await;
        assert!(answers.starts_with("HTTP/1.1 400") || answers.is_empty(), "{start:?}: {answers}");
    }
    assert_eq!(upstream.seen(), []);
}

// fault: P6
#[tokio::test]
async fn lines_that_end_in_a_bare_line_feed_are_read_and_never_written() {
    let (gateway, upstream) = gateway().await;
    let body = chat("m", false);
    let head = format!(
        "POST {CHAT} HTTP/1.1\nhost: g\ncontent-type: application/json\ncontent-length: {}\n\n",
        body.len()
    );
    assert_eq!(ask(gateway.address(), head + &body).await.status, 200);
    let request = &upstream.requests()[0];
    let (head, arrived) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(head.matches('\n').count(), head.matches("\r\n").count());
    assert_eq!(arrived, body);
}

// fault: P7
#[tokio::test]
async fn a_chunk_that_is_none_is_400_and_nothing_of_it_arrives() {
    let (gateway, upstream) = gateway().await;
    let body = chat("m", false);
    let size = format!("{:x}", body.len());
    let long = "x".repeat(20_000);
    for chunks in [
        format!("0x{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("-{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("+{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("{size}g\r\n{body}\r\n0\r\n\r\n"),
        format!("\r\n{body}\r\n0\r\n\r\n"),
        format!("10000000000000001\r\n{body}\r\n0\r\n\r\n"),
        format!("{size}\r\n{body}0\r\n\r\n"),
        format!("{size}\r\n{body}xx0\r\n\r\n"),
        format!("{size}\n{body}\n0\n\n"),
        format!("{size};{long}\r\n{body}\r\n0\r\n\r\n"),
        format!("{size}\r\n{body}\r\n0\r\nx: {long}\r\n\r\n"),
    ] {
        let answers = all(&gateway, with("transfer-encoding: chunked\r\n", &chunks)).await;
        let shown = &chunks[..chunks.len().min(60)];
        assert_eq!(statuses(&answers), ["400"], "{shown:?}: {answers}");
        assert!(answers.contains("invalid_body"), "{shown:?}: {answers}");
    }
    assert_eq!(upstream.seen(), []);
}

#[tokio::test]
async fn a_chunked_body_arrives_whole_whatever_its_chunks() {
    let (gateway, upstream) = gateway().await;
    let body = chat("m", false);
    for size in [1, 7, 1000] {
        let mut chunks = String::new();
        for chunk in body.as_bytes().chunks(size) {
            let text = String::from_utf8_lossy(chunk);
            let _ = write!(chunks, "{:X};a=b\r\n{text}\r\n", chunk.len());
        }
        chunks.push_str("0\r\nx-trailer: 1\r\n\r\n");
        let answer = ask(gateway.address(), with("transfer-encoding: chunked\r\n", &chunks)).await;
        assert_eq!(answer.status, 200, "in chunks of {size}");
        let arrived = upstream.requests().pop().expect("it arrived");
        assert!(arrived.ends_with(&format!("\r\n\r\n{body}")), "{arrived}");
        assert!(!arrived.contains("x-trailer"));
    }
}

// fault: P8
#[tokio::test]
async fn a_request_without_exactly_one_host_is_400() {
    let (gateway, upstream) = gateway().await;
    let body = chat("m", false);
    let request = |hosts: &str| {
        let length = body.len();
        format!(
            "POST {CHAT} HTTP/1.1\r\n{hosts}content-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    };
    for hosts in [
        "",
        "host: g\r\nhost: g\r\n",
        "host: g\r\nhost: h\r\n",
        "host: a/#@b\r\n",
        "host: user@g\r\n",
        "host: g:99999\r\n",
        "host: g:x\r\n",
        "host: g h\r\n",
        "host: \r\n",
        "host: http://g\r\n",
        "host: g?x\r\n",
    ] {
        let answer = ask(gateway.address(), request(hosts)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_host"), "{hosts}");
        assert!(answer.header("x-request-id").is_some(), "every answer has one");
    }
    assert_eq!(upstream.seen(), []);
    for hosts in ["host: g\r\n", "host: g:80\r\n", "host: 127.0.0.1:1\r\n", "host: [::1]:8080\r\n"]
    {
        assert_eq!(ask(gateway.address(), request(hosts)).await.status, 200, "{hosts}");
    }
}

// fault: P9, A1
#[tokio::test]
async fn a_target_is_matched_exactly_and_never_followed() {
    let (gateway, upstream) = gateway().await;
    let body = chat("m", false);
    let to = |target: &str| {
        let length = body.len();
        format!(
            "POST {target} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    };
    for target in [
        "/v1//chat/completions",
        "/v1/chat/completions/",
        "/V1/chat/completions",
        "/v1/%63hat/completions",
        "/v1/chat%2fcompletions",
        "/v1/../v1/chat/completions",
        "/v1/./chat/completions",
        "/v1/chat/completions;x",
        "/v1/chat/completions%00",
        "/api/api/v1/chat/completions",
        "/admin",
        "/",
        "*",
        "http://g/",
    ] {
        let answer = ask(gateway.address(), to(target)).await;
        assert_enveloped(&answer, 404, "unknown_endpoint", target);
    }
    assert_eq!(upstream.seen(), []);
    // Another authority in the target is nobody we would ask.
    for target in ["http://elsewhere.example/v1/chat/completions", "/v1/chat/completions?x=1"] {
        assert_eq!(ask(gateway.address(), to(target)).await.status, 200, "{target}");
    }
    assert!(upstream.requests()[0].starts_with(&format!("POST {CHAT} HTTP/1.1\r\n")));
    let connect =
        all(&gateway, "CONNECT 127.0.0.1:1 HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n");
    assert!(!connect.await.starts_with("HTTP/1.1 2"), "it is no tunnel");
}

// fault: P11
#[tokio::test]
async fn a_head_without_measure_is_431_or_414() {
    let (gateway, upstream) = gateway().await;
    let many = "x: y\r\n".repeat(101);
    let long = format!("x: {}\r\n", "y".repeat(300_000));
    for headers in [many, long] {
        let mut client = RawClient::connect(gateway.address()).await;
        // It closes as soon as it has seen enough.
        let _ = client.try_send(with(&headers, "")).await;
        let answers = String::from_utf8_lossy(&client.closed().await).into_owned();
        assert_eq!(statuses(&answers), ["431"], "{answers}");
    }
    let uri = format!("/{}", "x".repeat(65_600));
    let mut client = RawClient::connect(gateway.address()).await;
    let _ = client.try_send(format!("GET {uri} HTTP/1.1\r\nhost: g\r\n\r\n")).await;
    let answers = String::from_utf8_lossy(&client.closed().await).into_owned();
    assert!(matches!(statuses(&answers)[..], ["414" | "431"]), "{answers}");
    assert_eq!(upstream.seen(), []);
    let under = format!("{}content-length: 0\r\n", "x: y\r\n".repeat(90));
    assert_eq!(ask(gateway.address(), with(&under, "")).await.status, 400, "it is read");
}

// fault: P12
#[tokio::test]
async fn a_caller_is_told_to_go_on_only_once_its_head_is_good() {
    let (gateway, upstream) = gateway().await;
    let body = chat("m", false);
    let expect = format!("expect: 100-continue\r\ncontent-length: {}\r\n", body.len());
    let mut client = RawClient::connect(gateway.address()).await;
    client.send(with(&expect, "")).await;
    assert_eq!(client.answer().await.status, 100);
    client.send(&body).await;
    assert_eq!(client.answer().await.status, 200);
    let large = "expect: 100-continue\r\ncontent-length: 99999999999\r\n";
    let mut table =
        vec![(with(large, ""), 413), (with("expect: x\r\ncontent-length: 2\r\n", ""), 417)];
    table.push((with(&expect, "").replace("application/json", "text/plain"), 415));
    table.push((with(&expect, "").replace(CHAT, "/v1/chat"), 404));
    for (request, status) in table {
        let answer = ask(gateway.address(), &request).await;
        assert_eq!(answer.status, status, "the first and only answer to {request}");
    }
    assert_eq!(upstream.requests().len(), 1);
}

// fault: P13
#[tokio::test]
async fn a_hundred_requests_at_once_on_one_connection_are_answered_in_order() {
    let upstream = Upstream::serving(|number, _| {
        let pause = Sleep(Duration::from_millis(if number % 10 == 0 { 5 } else { 0 }));
        vec![pause, Send(json("200 OK", &format!("{{\"n\":{number}}}")))]
    })
    .await;
    let gateway = Gateway::start(&[upstream.url()]);
    let mut client = RawClient::connect(gateway.address()).await;
    client.send(post(CHAT, &chat("m", false)).repeat(100)).await;
    for number in 0..100 {
        assert_eq!(client.answer().await.text(), format!("{{\"n\":{number}}}"));
        assert!(upstream.requests().len() <= number + 2, "one is asked after the other");
    }
}

#[tokio::test]
async fn a_request_may_arrive_byte_by_byte() {
    let (gateway, upstream) = gateway().await;
    let mut client = RawClient::connect(gateway.address()).await;
    let request = post(CHAT, &chat("m", false));
    client.dribble(request.as_bytes(), Duration::from_millis(1)).await.unwrap();
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_caller_that_sends_no_more_is_still_answered() {
    let upstream = Upstream::serving(|_, _| {
        vec![Sleep(Duration::from_millis(50)), Send(json("200 OK", "{}"))]
    })
    .await;
    let gateway = Gateway::start(&[upstream.url()]);
    let mut client = RawClient::connect(gateway.address()).await;
    client.send(post(CHAT, &chat("m", false)) + &post(CHAT, &chat("m", false))).await;
    client.half_close().await;
    // Its second request lies in the gateway: it has not left.
    assert_eq!(client.answer().await.status, 200);
}
