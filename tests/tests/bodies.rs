//! What a caller may put into a request's body, and what becomes of the rest.

use jairouter_tests::client::{Answer, RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Send, Stall};
use jairouter_tests::upstream::{Seen, Upstream, json};
use jairouter_tests::{chat, until};

const CHAT: &str = "/v1/chat/completions";

async fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let gateway = Gateway::start_with("  max-request-body: 64KiB\n", &model("", &[upstream.url()]));
    (gateway, upstream)
}

/// Posts these bytes, which need not be text.
fn raw(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn assert_refused(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}");
    assert!(answer.complete, "{what}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert!(answer.header("x-request-id").is_some(), "{what}");
}

/// Each of these bodies is refused in the same way, on one connection, and none gets through.
async fn all_refused(bodies: &[&[u8]], code: &str) {
    let (gateway, upstream) = gateway().await;
    let mut client = RawClient::connect(gateway.address()).await;
    for body in bodies {
        client.send(raw(body)).await;
        let answer = client.answer().await;
        assert_refused(&answer, 400, code, &String::from_utf8_lossy(body));
    }
    assert_eq!(upstream.seen(), []);
}

// fault: B1, B2
#[tokio::test]
async fn what_is_no_json_object_is_400_and_goes_nowhere() {
    all_refused(
        &[
            b"",
            b"null",
            b"[]",
            b"\"m\"",
            b"7",
            br#"{"model":"m""#,
            br#"{"model":"m"}}"#,
            br#"{"model":"m",}"#,
            br#"{"model":"m"}{"model":"m"}"#,
            br"{'model':'m'}",
            br#"{"model":"m","n":NaN}"#,
            br#"{"model":"m" /* no */}"#,
        ],
        "invalid_json",
    )
    .await;
}

// fault: B1
#[tokio::test]
async fn an_error_tells_where_and_never_what() {
    let (gateway, _upstream) = gateway().await;
    let answer = ask(gateway.address(), raw(br#"{"model":"m","prompt":"canary" oops}"#)).await;
    assert_refused(&answer, 400, "invalid_json", "");
    assert!(answer.text().contains("byte 31"), "{}", answer.text());
    assert!(!answer.text().contains("canary") && !answer.text().contains("oops"));
    // Lines are in order: when a later request's is there, this one's would be.
    ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert!(!gateway.logged("\"status\":200").await.contains("canary"));
}

// fault: B1
#[tokio::test]
async fn a_mutated_request_is_refused_or_arrives_to_the_byte() {
    let seeds = [
        chat("m", false),
        r#"{"n":[1,-0.5e+3,true,null,{"a":"\u00e9\\\"é"}],"model":"m","stream":false,"x":{}}"#
            .into(),
    ];
    let (gateway, upstream) = gateway().await;
    let mut client = RawClient::connect(gateway.address()).await;
    let mut passed = 0;
    for number in 0..1500_usize {
        let mut body = seeds[number % 2].clone().into_bytes();
        let at = number * 7919 % body.len();
        match number % 5 {
            0 => body.truncate(at),
            1 => drop(body.remove(at)),
            2 => body[at] ^= 1 << (number % 8),
            3 => body.insert(at, b"{}[],:\"\\0 -e"[number % 12]),
            _ => body.swap(at, (at * 31 + number) % seeds[number % 2].len()),
        }
        client.send(raw(&body)).await;
        let answer = client.answer().await;
        let text = String::from_utf8_lossy(&body).into_owned();
        if answer.status == 200 {
            passed += 1;
            let read: Result<&serde_json::value::RawValue, _> = serde_json::from_slice(&body);
            assert!(read.is_ok() && body.trim_ascii_start().starts_with(b"{"), "{text}");
            let arrived = upstream.requests().pop().expect("it arrived");
            assert_eq!(arrived.split_once("\r\n\r\n").map(|(_, body)| body), Some(text.as_str()));
        } else {
            let status = answer.status;
            assert!(matches!(status, 400 | 404) && answer.complete, "{status} for {text}");
        }
    }
    assert_eq!(upstream.requests().len(), passed);
    assert!(passed > 100, "some mutations do no harm: {passed}");
}

// fault: B3, P20
#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_413_unread_and_the_answer_arrives() {
    let (gateway, upstream) = gateway().await;
    let megabytes = vec![b'x'; 8 << 20];
    for _ in 0..20 {
        let mut client = RawClient::connect(gateway.address()).await;
        // The gateway closes as soon as it may: not all of it is taken.
        let _ = client.try_send(raw(&megabytes)).await;
        let answer = client.answer().await;
        assert_refused(&answer, 413, "request_too_large", "");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let mut client = RawClient::connect(gateway.address()).await;
    let head = raw(&megabytes);
    client.send(&head[..head.len() - megabytes.len()]).await;
    assert_refused(&client.answer().await, 413, "request_too_large", "not a byte of it was sent");
    assert_eq!(upstream.seen(), []);
}

// fault: B4
#[tokio::test]
async fn a_chunked_body_is_413_once_it_is_too_large() {
    let (gateway, upstream) = gateway().await;
    let mut client = RawClient::connect(gateway.address()).await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    client.send(head).await;
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
    for _ in 0..160 {
        if client.try_send(&chunk).await.is_err() {
            break;
        }
    }
    assert_refused(&client.answer().await, 413, "request_too_large", "ten times the limit");
    assert_eq!(upstream.seen(), []);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken() {
    let (gateway, upstream) = gateway().await;
    let empty = r#"{"model":"m","p":""}"#;
    for (more, status) in [(0, 200), (1, 413)] {
        let fill = "x".repeat(64 * 1024 - empty.len() + more);
        let body = format!(r#"{{"model":"m","p":"{fill}"}}"#);
        assert_eq!(ask(gateway.address(), raw(body.as_bytes())).await.status, status);
    }
    assert_eq!(upstream.requests().len(), 1);
}

// fault: B6
#[tokio::test]
async fn bodies_that_together_are_too_much_are_503_and_their_memory_comes_back() {
    let upstream = Upstream::serving(|number, _| match number {
        0 => vec![Stall],
        _ => vec![Send(json("200 OK", "{}"))],
    })
    .await;
    let server = "  max-request-body: 1MiB\n  max-body-memory: 1MiB\n";
    let gateway = Gateway::start_with(server, &model("", &[upstream.url()]));
    let body = format!(r#"{{"model":"m","p":"{}"}}"#, "x".repeat(700 << 10));
    let mut first = RawClient::connect(gateway.address()).await;
    first.send(raw(body.as_bytes())).await;
    until("the first one is with the instance", || !upstream.requests().is_empty()).await;
    for _ in 0..10 {
        let mut second = RawClient::connect(gateway.address()).await;
        let _ = second.try_send(raw(body.as_bytes())).await;
        let answer = second.answer().await;
        assert_refused(&answer, 503, "overloaded", "two of them are more than a megabyte");
        assert!(answer.header("retry-after").is_some());
    }
    let small = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert_eq!(small.status, 200, "a small one finds room");
    drop(first);
    until("the instance was let go", || upstream.count(&Seen::Left) == 1).await;
    for _ in 0..10 {
        assert_eq!(ask(gateway.address(), raw(body.as_bytes())).await.status, 200);
    }
}

// fault: B7
#[tokio::test]
async fn a_tower_of_brackets_is_400_and_a_reasonable_one_passes() {
    let (gateway, upstream) = gateway().await;
    let tower = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        raw(format!(r#"{{"model":"m","x":{open}{close}}}"#).as_bytes())
    };
    assert_eq!(ask(gateway.address(), tower(100)).await.status, 200);
    for depth in [200, 30_000] {
        let answer = ask(gateway.address(), tower(depth)).await;
        assert_refused(&answer, 400, "invalid_json", "too deep");
    }
    let open = format!(r#"{{"model":"m","x":{}"#, r#"{"a":["#.repeat(9000));
    assert_refused(&ask(gateway.address(), raw(open.as_bytes())).await, 400, "invalid_json", "");
    assert_eq!(upstream.requests().len(), 1);
}

// fault: B9, B10, B11
#[tokio::test]
async fn a_field_that_two_parsers_could_read_differently_is_400() {
    let table = [
        r#"{"model":"m","model":"n"}"#,
        r#"{"model":"m","model":"m"}"#,
        r#"{"model":"m","\u006dodel":"n"}"#,
        r#"{"model":"m","Model":"n"}"#,
        r#"{"MODEL":"n","model":"m"}"#,
        r#"{"model":"m","mod\u0045l":"n"}"#,
        r#"{"model":"m","stream":true,"stream":false}"#,
        r#"{"model":"m","Stream":true}"#,
        "{\"model\":\"m\",\"\u{17f}tream\":true}",
        r#"{"model":"m","\u017ftream":true}"#,
        r#"{"model":"m","\u0053TREAM":true}"#,
    ];
    all_refused(&table.map(str::as_bytes), "duplicate_field").await;
    let (gateway, upstream) = gateway().await;
    let escaped = r#"{"\u006dodel":"\u006d","x":{"Model":"n","model":"n"}}"#;
    assert_eq!(ask(gateway.address(), raw(escaped.as_bytes())).await.status, 200);
    assert!(upstream.requests()[0].ends_with(escaped), "and arrives as it was written");
}

// fault: B12
#[tokio::test]
async fn what_is_not_utf_8_is_400() {
    let around = |bytes: &[u8]| [br#"{"model":"m","p":""#, bytes, br#""}"#].concat();
    let utf16: Vec<u8> = r#"{"model":"m"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bodies = [
        around(b"\x80"),
        around(b"\xff"),
        around(b"\xc0\xaf"),
        around(b"\xed\xa0\x80"),
        around(b"\xf4\x90\x80\x80"),
        around(b"\xe2\x82"),
        around(br"\ud800"),
        around(br"\udc00\ud800"),
        [b"\xef\xbb\xbf".as_slice(), br#"{"model":"m"}"#].concat(),
        utf16,
    ];
    let bodies: Vec<_> = bodies.iter().map(Vec::as_slice).collect();
    all_refused(&bodies, "invalid_json").await;
}

// fault: B15
#[tokio::test]
async fn a_model_that_is_none_is_400_and_names_its_field() {
    let (gateway, upstream) = gateway().await;
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(257));
    for (body, code) in [
        ("{}", "missing_required_parameter"),
        (r#"{"model":null}"#, "missing_required_parameter"),
        (r#"{"model":7}"#, "invalid_value"),
        (r#"{"model":["m"]}"#, "invalid_value"),
        (r#"{"model":""}"#, "invalid_value"),
        (&long, "invalid_value"),
    ] {
        let answer = ask(gateway.address(), raw(body.as_bytes())).await;
        assert_refused(&answer, 400, code, body);
        assert!(answer.text().contains(r#""param":"model""#), "{body}: {}", answer.text());
    }
    assert_eq!(upstream.seen(), []);
}

// fault: B16
#[tokio::test]
async fn an_unknown_model_is_404() {
    let (gateway, upstream) = gateway().await;
    for name in ["other", "M", "m ", "\u{43c}"] {
        let answer = ask(gateway.address(), post(CHAT, &chat(name, false))).await;
        assert_refused(&answer, 404, "model_not_found", name);
    }
    let embedding = ask(gateway.address(), post("/v1/embeddings", &chat("m", false))).await;
    assert_refused(&embedding, 404, "model_not_found", "it is a chat model");
    assert_eq!(upstream.seen(), []);
}

// fault: B17, B18
#[tokio::test]
async fn only_plain_json_is_taken() {
    let (gateway, upstream) = gateway().await;
    let body = chat("m", false);
    let with = |headers: &str| {
        let length = body.len();
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: g\r\n{headers}content-length: {length}\r\n\r\n{body}"
        )
    };
    for headers in [
        "",
        "content-type: text/plain\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "content-type: application/jsonp\r\n",
        "content-type: multipart/form-data; boundary=x\r\n",
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
        "content-type: application/json\r\ncontent-encoding: br\r\n",
        "content-type: application/json\r\ncontent-encoding: zstd\r\n",
        "content-type: application/json\r\ncontent-encoding: deflate\r\n",
    ] {
        let answer = ask(gateway.address(), with(headers)).await;
        assert_refused(&answer, 415, "unsupported_media_type", headers);
    }
    assert_eq!(upstream.seen(), []);
    for headers in [
        "content-type: application/json; charset=utf-8\r\n",
        "Content-Type: Application/JSON\r\n",
        "content-type: application/json\r\ncontent-encoding: identity\r\n",
    ] {
        assert_eq!(ask(gateway.address(), with(headers)).await.status, 200, "{headers}");
    }
}

// fault: B20
#[tokio::test]
async fn the_wrong_method_is_405_and_its_body_is_never_a_request() {
    let (gateway, upstream) = gateway().await;
    let smuggled = post(CHAT, &chat("m", false));
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let mut client = RawClient::connect(gateway.address()).await;
        let length = smuggled.len();
        let head =
            format!("{method} {CHAT} HTTP/1.1\r\nhost: g\r\ncontent-length: {length}\r\n\r\n");
        client.send(head + &smuggled).await;
        let answer = client.answer().await;
        assert_refused(&answer, 405, "method_not_allowed", method);
        assert_eq!(answer.header("allow"), Some("post"), "{method}");
        assert_eq!(client.closed().await, b"", "{method}: nothing else is answered");
    }
    assert_eq!(upstream.seen(), []);
    let answer = ask(gateway.address(), post("/v1/models", "{}")).await;
    assert_refused(&answer, 405, "method_not_allowed", "models");
    assert_eq!(answer.header("allow"), Some("get"));
}
