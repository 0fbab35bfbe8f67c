//! Which of a caller's headers an instance sees.

use jairouter_tests::chat;
use jairouter_tests::client::ask;
use jairouter_tests::gateway::Gateway;
use jairouter_tests::upstream::{Upstream, json};

/// A chat with these header lines.
fn with(headers: &str, body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

// fault: P17
#[tokio::test]
async fn a_request_id_is_kept_if_it_is_fit_and_travels_both_ways() {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let gateway = Gateway::start(&[upstream.url()]);
    let body = chat("m", false);
    let long = "a".repeat(129);
    let table =
        [("Abc-1._x", true), ("a b", false), ("a\tb", false), ("\u{e9}", false), (&long, false)];
    for (id, kept) in table {
        let request = with(&format!("x-request-id: {id}\r\n"), &body);
        let answer = ask(gateway.address(), request).await;
        let answered = answer.header("x-request-id").unwrap_or_default();
        assert_eq!(answered == id.to_ascii_lowercase(), kept, "{id}");
        let arrived = upstream.requests().pop().unwrap_or_default().to_ascii_lowercase();
        assert!(arrived.contains(&format!("x-request-id: {answered}\r\n")), "{arrived}");
    }
}

// fault: P14, A7, A12
#[tokio::test]
async fn an_instance_sees_its_own_key_and_nothing_of_the_caller_s() {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let instance = format!(
        "  services:\n    chat:\n      instances:\n        - {{ name: m, base-url: '{}', \
         headers: {{ Authorization: Bearer engine, X-Own: '1' }} }}\n",
        upstream.url()
    );
    let gateway = Gateway::start_with("", &instance);
    let body = chat("m", false);
    let headers = "Connection: close, authorization, x-own, x-request-id\r\nauthorization: Bearer caller\r\n\
         x-own: 2\r\ncookie: a=b\r\nx-api-key: caller\r\nproxy-authorization: Basic x\r\n\
         x-forwarded-for: 192.0.2.1\r\nte: trailers\r\nkeep-alive: timeout=9\r\nupgrade: h2c\r\n\
         accept-encoding: gzip\r\nuser-agent: caller/1\r\n";
    let answer = ask(gateway.address(), with(headers, &body)).await;
    assert_eq!(answer.status, 200);
    let request = upstream.requests().remove(0);
    let (head, arrived) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(arrived, body);
    let mut lines: Vec<_> = head.lines().skip(1).map(str::to_ascii_lowercase).collect();
    lines.sort();
    let parent = lines.iter().position(|line| line.starts_with("traceparent: 00-"));
    lines.remove(parent.expect("a trace has begun here"));
    let expected = [
        "authorization: bearer engine".to_owned(),
        format!("content-length: {}", body.len()),
        "content-type: application/json".to_owned(),
        format!("host: {}", upstream.address()),
        "user-agent: caller/1".to_owned(),
        "x-own: 1".to_owned(),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_key_of_the_caller_s_own_that_is_refused_is_nobody_else_s_fault() {
    for (status, code) in [("401 No", "invalid_api_key"), ("403 No", "forbidden")] {
        let one = Upstream::answering(json(status, "{}")).await;
        let two = Upstream::answering(json(status, "{}")).await;
        let instance = |upstream: &Upstream| {
            let url = upstream.url();
            format!("        - {{ name: m, base-url: '{url}', forward-authorization: true }}\n")
        };
        let instances = instance(&one) + &instance(&two);
        let lines = format!("  services:\n    chat:\n      instances:\n{instances}");
        let gateway = Gateway::start_with("", &lines);
        for nth in 1..=6 {
            let key = "authorization: Bearer wrong\r\n";
            let answer = ask(gateway.address(), with(key, &chat("m", false))).await;
            assert_eq!(answer.status.to_string(), status[..3]);
            assert_eq!(answer.code(), code);
            let asked = one
                .requests()
                .iter()
                .chain(&two.requests())
                .filter(|r| r.starts_with("POST"))
                .count();
            assert_eq!(asked, nth, "one instance each time");
        }
    }
}
