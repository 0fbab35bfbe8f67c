//! What callers see when an instance misbehaves before its answer is committed.

use std::time::Duration;

use jairouter_tests::client::{Answer, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Fin, Read, Rst, Send, Sleep, Stall};
use jairouter_tests::upstream::{Step, Unaccepting, Upstream, closed_port, json};
use jairouter_tests::{chat, token};

const CLOCKS: &str = "  timeouts: { connect: 300ms, first-token: 400ms, idle: 400ms, total: 5s }\n";

/// Asks a gateway whose only instance is this one.
async fn through(url: String, stream: bool) -> Answer {
    let gateway = Gateway::start_with("", &model(CLOCKS, &[url]));
    ask(gateway.address(), post("/v1/chat/completions", &chat("m", stream))).await
}

/// What a caller sees of an upstream that does this on every connection.
async fn seen(steps: Vec<Step>, stream: bool) -> (Answer, Upstream) {
    let upstream = Upstream::start(move |_| steps.clone()).await;
    (through(upstream.url(), stream).await, upstream)
}

async fn refused(steps: Vec<Step>, status: u16, code: &str) -> Answer {
    let (answer, _upstream) = seen(steps.clone(), false).await;
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{steps:?}");
    assert!(answer.complete && answer.header("x-request-id").is_some(), "{steps:?}");
    answer
}

fn text(text: &str) -> Step {
    Send(text.into())
}

// fault: U1
#[tokio::test]
async fn a_refused_connection_is_502() {
    let answer = through(format!("http://{}", closed_port().await), false).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unreachable"));
}

// fault: U2
#[tokio::test]
async fn a_connection_that_is_never_accepted_is_502_when_its_clock_rings() {
    let full = Unaccepting::start();
    let answer = through(full.url(), false).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unreachable"));
}

// fault: U4, U5, U29
#[tokio::test]
async fn an_instance_that_does_not_answer_in_time_is_504() {
    refused(vec![Read, Stall], 504, "upstream_timeout").await;
    refused(vec![Stall], 504, "upstream_timeout").await;
    let dribble = "HTTP/1.1 200 OK\r\ncontent-le".chars();
    let dribble = dribble.flat_map(|c| [text(&c.to_string()), Sleep(Duration::from_millis(100))]);
    refused([Read].into_iter().chain(dribble).collect(), 504, "upstream_timeout").await;
}

// fault: U5
#[tokio::test]
async fn a_stream_that_says_nothing_in_time_is_504_however_much_it_pings() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let pings = (0..40).flat_map(|_| [text(": ping\n\n"), Sleep(Duration::from_millis(50))]);
    let (answer, _upstream) =
        seen([Read, text(head)].into_iter().chain(pings).collect(), true).await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "upstream_timeout"));
}

// fault: U7, U8
#[tokio::test]
async fn an_answer_that_breaks_off_before_its_body_is_502() {
    refused(vec![Read, Rst], 502, "upstream_broken").await;
    refused(vec![Read, Fin], 502, "upstream_broken").await;
    refused(vec![Read, text("HTTP/1.1 200 OK\r\ncontent-"), Fin], 502, "upstream_broken").await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    refused(vec![Read, text(head), Fin], 502, "upstream_broken").await;
    let stream =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    refused(vec![Read, text(stream), Rst], 502, "upstream_broken").await;
    refused(vec![Read, text(&format!("{stream}0\r\n\r\n"))], 502, "upstream_broken").await;
}

// fault: U8, U9
#[tokio::test]
async fn a_json_answer_cut_after_its_first_bytes_never_looks_complete() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let sized = vec![Read, text(&format!("{head}content-length: 9\r\n\r\n{{\"a\"")), Fin];
    let (answer, _upstream) = seen(sized, false).await;
    assert!(!answer.complete, "{answer:?}");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n{{\"a\":\r\n");
    let (answer, _upstream) = seen(vec![Read, text(&chunked), Fin], false).await;
    assert!(!answer.complete, "{answer:?}");
    // An end that is the connection's own tells nothing, but JSON does.
    let close = format!("{head}\r\n{{\"a\":");
    let (answer, _upstream) = seen(vec![Read, text(&close), Fin], false).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_broken"));
    let close = format!("{head}\r\n{{\"a\":1}}");
    let (answer, _upstream) = seen(vec![Read, text(&close), Fin], false).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "{\"a\":1}"));
}

// fault: U11
#[tokio::test]
async fn framing_that_can_be_read_in_two_ways_is_502() {
    for headers in [
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2, 3",
        "content-length: +2",
        "content-length: -2",
        "transfer-encoding: gzip",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{{}}");
        refused(vec![Read, text(&answer), Fin], 502, "upstream_broken").await;
    }
}

// fault: U12
#[tokio::test]
async fn a_head_without_measure_is_502() {
    let long = format!("HTTP/1.1 200 OK\r\nx-a: {}\r\n\r\n", "a".repeat(1 << 20));
    refused(vec![Read, text(&long), Fin], 502, "upstream_broken").await;
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: 1\r\n".repeat(10_000));
    refused(vec![Read, text(&many), Fin], 502, "upstream_broken").await;
}

// fault: U15
#[tokio::test]
async fn a_redirect_or_a_switch_of_protocols_is_502_and_not_followed() {
    for status in ["101 Switching Protocols", "302 Found", "307 Temporary Redirect"] {
        let answer = format!(
            "HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:1/\r\nupgrade: x\r\n\
             connection: upgrade\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = refused(vec![Read, text(&answer), Fin], 502, "upstream_broken").await;
        assert_eq!(answer.header("location"), None);
    }
}

// fault: U16, U20
#[tokio::test]
async fn an_instance_s_own_refusal_passes_with_its_status() {
    let body = r#"{"error":{"message":"no","type":"t","param":null,"code":"c"}}"#;
    for status in ["400 Bad Request", "413 Too Large", "422 Unprocessable", "500 Oops"] {
        let answer =
            refused(vec![Read, Send(json(status, body))], status[..3].parse().unwrap(), "c").await;
        assert_eq!(answer.text(), body, "byte for byte");
    }
    let plain = "HTTP/1.1 400 Bad\r\ncontent-length: 4\r\n\r\noops";
    let answer = refused(vec![Read, text(plain)], 400, "").await;
    assert!(answer.text().contains(r#""message":"oops""#), "{}", answer.text());
}

// fault: U17
#[tokio::test]
async fn a_busy_instance_is_passed_on_with_a_retry_after_within_reason() {
    for (given, sent) in [("7", "7"), ("1.2", "2"), ("1000000000", "60")] {
        let busy =
            format!("HTTP/1.1 429 Busy\r\nretry-after: {given}\r\ncontent-length: 2\r\n\r\n{{}}");
        let answer = refused(vec![Read, text(&busy)], 429, "instance_busy").await;
        assert_eq!(answer.header("retry-after"), Some(sent));
    }
    for nonsense in ["-1", "soon", ""] {
        let busy = format!(
            "HTTP/1.1 429 Busy\r\nretry-after: {nonsense}\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        refused(vec![Read, text(&busy)], 429, "instance_busy").await;
    }
}

// fault: U18
#[tokio::test]
async fn an_instance_that_refuses_our_key_is_502_and_its_words_stay_here() {
    let body = r#"{"error":{"message":"Incorrect key sk-canary"}}"#;
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let answer =
            refused(vec![Read, Send(json(status, body))], 502, "upstream_auth_failed").await;
        assert!(!answer.text().contains("canary"));
    }
}

// fault: U19
#[tokio::test]
async fn a_model_the_instance_lacks_is_404() {
    let body = r#"{"error":"model 'm' not found"}"#;
    refused(vec![Read, Send(json("404 Not Found", body))], 404, "model_not_found").await;
}

// fault: U22
#[tokio::test]
async fn json_instead_of_a_stream_passes_as_json() {
    let (answer, _upstream) = seen(vec![Read, Send(json("200 OK", r#"{"a":1}"#))], true).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.text(), r#"{"a":1}"#);
}

#[tokio::test]
async fn an_error_as_a_stream_s_first_word_is_an_error_and_no_stream() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    let error = "data: {\"error\":{\"message\":\"too long\",\"code\":400}}\n\ndata: [DONE]\n\n";
    let (answer, _upstream) =
        seen(vec![Read, text(&format!("{head}{role}{error}")), Fin], true).await;
    assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/json")));
    assert!(answer.text().contains("too long"));
}

// fault: P15
#[tokio::test]
async fn headers_of_the_connection_and_of_the_engine_s_house_do_not_come_back() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nserver: uvicorn\r\n\
                set-cookie: a=b\r\nkeep-alive: timeout=5\r\nconnection: close, x-internal\r\n\
                x-internal: 1\r\nx-prompt-tokens: 7\r\n\r\n";
    let body = format!("{}data: [DONE]\n\n", token("a"));
    let (answer, _upstream) = seen(vec![Read, text(head), text(&body), Fin], true).await;
    assert_eq!(answer.header("x-prompt-tokens"), Some("7"));
    for gone in ["server", "set-cookie", "keep-alive", "x-internal"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
}
