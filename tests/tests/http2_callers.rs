//! HTTP/2 with callers, where TLS agrees on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::Builder;
use h2::{Reason, RecvStream};
use http::Request;
use jairouter_tests::client::RawClient;
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::http2::caller::{begun, next, read};
use jairouter_tests::http2::{Caller, Frame, Frames, kind, post, request};
use jairouter_tests::tls::Authority;
use jairouter_tests::upstream::Step::{Chunk, Fin, LastChunk, Send, Stall, Wait};
use jairouter_tests::upstream::{Seen, Step, Upstream, event_stream, json};
use jairouter_tests::{PATIENCE, chat, token, until};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;
use tokio::time::timeout;

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;

/// A key, and its digest.
const KEY: &str = "jr-alice-7d1f";
const DIGEST: &str = "sha256:81b446c217c6502208b9c273dbb665bb805f1a886e78548abe449b220b268c38";

/// A gateway that speaks TLS with its callers, and their authority.
fn serving(more: &str, url: String) -> (Gateway, Authority) {
    let authority = Authority::new();
    let (certificate, key) = authority.files("localhost");
    let tls = format!("  tls: {{ certificate: '{certificate}', key: '{key}' }}\n{more}");
    (Gateway::start_with(&tls, &model("", &[url])), authority)
}

fn whole() -> Vec<Step> {
    let done = b"data: [DONE]\n\n".to_vec();
    vec![event_stream(), Chunk(token("Hi").into()), Chunk(done), LastChunk]
}

async fn until_text(stream: &mut RecvStream, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let data = next(stream).await.expect("it goes on").expect("it is whole");
        read.push_str(&String::from_utf8_lossy(&data));
    }
    read
}

/// Nothing more comes, and that is all.
async fn whole_end(stream: &mut RecvStream) {
    while let Some(data) = next(stream).await {
        assert!(data.expect("it is whole").is_empty());
    }
}

// fault: T6
#[tokio::test]
async fn both_are_offered_and_a_caller_chooses() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    for (more, chosen) in [("", "h2"), ("  http2: true\n", "h2"), ("  http2: false\n", "http/1.1")]
    {
        let (gateway, authority) = serving(more, upstream.url());
        for (offered, agreed) in [(&["h2", "http/1.1"][..], chosen), (&["http/1.1"], "http/1.1")] {
            let stream = authority.connect_offering(gateway.address(), None, offered).await;
            let stream = stream.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed.as_bytes()), "{more}");
        }
        let alone = authority.connect_offering(gateway.address(), None, &["h2"]).await;
        assert_eq!(alone.is_ok(), chosen == "h2", "{more}");
        let none = authority.connect(gateway.address(), None).await.unwrap();
        assert_eq!(none.get_ref().1.alpn_protocol(), None);
    }
}

#[tokio::test]
async fn another_configuration_acts_on_who_connects_from_then_on() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let (gateway, authority) = serving("", upstream.url());
    let (certificate, key) = authority.files("localhost");
    let caller = Caller::connect(&authority, gateway.address()).await;
    let tls = format!("  tls: {{ certificate: '{certificate}', key: '{key}' }}\n  http2: false\n");
    gateway.configure(&tls, &model("", &[upstream.url()]));
    gateway.logged("another configuration is served").await;
    let stream = authority.connect_offering(gateway.address(), None, &["h2", "http/1.1"]).await;
    assert_eq!(stream.unwrap().get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(caller.ask(post(CHAT), chat("m", false)).await.status, 200, "it goes on");
}

#[tokio::test]
async fn an_answer_passes_and_says_nothing_of_connections() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: x-private\r\n\
                  keep-alive: timeout=5\r\nx-private: 1\r\ntransfer-encoding: chunked\r\n\r\n";
    let steps = [Send(answer.into()), Chunk(ANSWER.into()), LastChunk];
    let upstream = Upstream::serving(move |_, _| steps.to_vec()).await;
    let (gateway, authority) = serving("", upstream.url());
    let caller = Caller::connect(&authority, gateway.address()).await;
    let reply = caller.ask(post(CHAT), chat("m", false)).await;
    assert_eq!((reply.status, &*reply.text()), (200, ANSWER));
    assert!(reply.broken.is_none());
    for name in ["connection", "keep-alive", "transfer-encoding", "x-private"] {
        assert!(!reply.headers.contains_key(name), "{name}: {:?}", reply.headers);
    }
    assert!(reply.headers.contains_key("x-request-id") && reply.headers.contains_key("date"));
    let asked = upstream.requests().pop().unwrap();
    assert!(asked.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{asked}");
    assert_eq!(asked.matches("\r\nhost: ").count(), 1, "{asked}");
    let health = Request::get("https://localhost/healthz").body(()).unwrap();
    assert_eq!(caller.ask(health, "").await.status, 200);
    let head = Request::head("https://localhost/healthz").body(()).unwrap();
    let reply = caller.ask(head, "").await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
}

// fault: U7, U8
#[tokio::test]
async fn an_answer_that_is_cut_ends_with_a_reset_and_a_stream_says_so_before() {
    let stream = vec![event_stream(), Chunk(token("Hi").into()), Fin];
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    for (steps, streams) in [(stream, true), (vec![Send(half.into()), Fin], false)] {
        let upstream = Upstream::serving(move |_, text| match text.contains("waits") {
            true => vec![Stall],
            false => steps.clone(),
        })
        .await;
        let (gateway, authority) = serving("", upstream.url());
        let caller = Caller::connect(&authority, gateway.address()).await;
        // It is one of several, so that it is not told only because nothing else is to be done.
        let mut others = Vec::new();
        for _ in 0..10 {
            others.push(caller.send(post(CHAT), chat("m", streams).replace("hi", "waits")).await);
        }
        until("they wait", || upstream.live() == 10).await;
        for _ in 0..20 {
            let reply = caller.ask(post(CHAT), chat("m", streams)).await;
            let reset = reply.broken.as_ref().and_then(h2::Error::reason);
            assert_eq!((reply.status, reset), (200, Some(Reason::INTERNAL_ERROR)));
            assert_eq!(reply.text().contains("upstream_broken"), streams, "{}", reply.text());
            assert!(!reply.text().contains("[DONE]"));
        }
    }
}

#[tokio::test]
async fn a_hundred_streams_of_a_connection_each_end_on_their_own() {
    let upstream = Upstream::serving(|_, _| whole()).await;
    let (gateway, authority) = serving("", upstream.url());
    let caller = Caller::connect(&authority, gateway.address()).await;
    let ask = || async {
        let reply = caller.ask(post(CHAT), chat("m", true)).await;
        assert!(reply.broken.is_none() && reply.text().ends_with("[DONE]\n\n"), "{reply:?}");
    };
    futures::future::join_all((0..100).map(|_| ask())).await;
    assert_eq!(upstream.requests().len(), 100);
}

// fault: S6, S7
#[tokio::test]
async fn a_stream_that_is_taken_back_frees_its_engine_and_leaves_the_others_alone() {
    let waits = [vec![Stall], vec![event_stream(), Chunk(token("Hi").into()), Stall]];
    for wait in waits {
        let begins = wait.len() > 1;
        let told = Arc::new(Notify::new());
        let go_on = Arc::clone(&told);
        let upstream = Upstream::serving(move |_, text| match text.contains("\"first\"") {
            true => wait.clone(),
            false => {
                let mut steps = whole();
                steps.insert(2, Wait(Arc::clone(&go_on)));
                steps
            }
        })
        .await;
        let (gateway, authority) = serving("", upstream.url());
        let caller = Caller::connect(&authority, gateway.address()).await;
        let first = chat("m", true).replace("hi", "first");
        let (answer, stream) = caller.send(post(CHAT), first).await;
        let (other, _stream) = caller.send(post(CHAT), chat("m", true)).await;
        let mut other = begun(other).await.unwrap().into_body();
        until_text(&mut other, "Hi").await;
        until("both are asked", || upstream.live() == 2).await;
        if begins {
            until_text(&mut begun(answer).await.unwrap().into_body(), "Hi").await;
        } else {
            drop(answer);
        }
        drop(stream);
        until("it is left", || upstream.live() == 1).await;
        gateway.logged("caller left").await;
        told.notify_one();
        until_text(&mut other, "[DONE]").await;
        whole_end(&mut other).await;
        assert_eq!(upstream.count(&Seen::Left), 1);
    }
}

// fault: S4, P18
#[tokio::test]
async fn a_caller_that_opens_no_window_loses_its_stream_in_the_time_to_read_and_no_other() {
    let upstream = Upstream::serving(|_, text| match text.contains("\"stream\":true") {
        true => whole(),
        false => vec![Send(json("200 OK", ANSWER))],
    })
    .await;
    let (gateway, authority) = serving("  write-timeout: 500ms\n", upstream.url());
    for (window, streams) in [(0, true), (1, true), (0, false), (1, false), (40, false)] {
        let mut how = Builder::new();
        let how = how.initial_window_size(window);
        let caller = Caller::connect_as(&authority, gateway.address(), how).await;
        let (answer, _stream) = caller.send(post(CHAT), chat("m", streams)).await;
        let mut body = begun(answer).await.unwrap().into_body();
        // Nothing is released.
        let mut came = 0;
        let end = loop {
            let data = std::future::poll_fn(|cx| body.poll_data(cx));
            match timeout(PATIENCE, data).await.expect("it ends") {
                Some(Ok(data)) => came += data.len(),
                end => break end,
            }
        };
        let reason = end.expect("no clean end").unwrap_err().reason();
        assert_eq!((came, reason), (window as usize, Some(Reason::CANCEL)));
        // One without a body needs no window.
        let head = Request::head("https://localhost/healthz").body(()).unwrap();
        assert_eq!(caller.ask(head, "").await.status, 200);
    }
}

#[tokio::test]
async fn a_caller_that_reads_slowly_gets_all_of_a_large_answer() {
    let large = format!("{{\"x\":\"{}\"}}", "a".repeat(1 << 20));
    let upstream = Upstream::answering(json("200 OK", &large)).await;
    let (gateway, authority) = serving("  write-timeout: 1s\n", upstream.url());
    let mut how = Builder::new();
    let how = how.initial_window_size(64 * 1024);
    let caller = Caller::connect_as(&authority, gateway.address(), how).await;
    let (answer, _stream) = caller.send(post(CHAT), chat("m", false)).await;
    let mut body = begun(answer).await.unwrap().into_body();
    let mut read = Vec::new();
    while let Some(data) = next(&mut body).await {
        read.extend_from_slice(&data.unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(read == large.as_bytes());
}

#[tokio::test]
async fn a_large_request_comes_whole_and_several_at_a_time() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let (gateway, authority) = serving("", upstream.url());
    let caller = Caller::connect(&authority, gateway.address()).await;
    let large = chat("m", false).replace("hi", &"a".repeat(3 << 20));
    let replies = [(); 5].map(|()| caller.ask(post(CHAT), large.clone()));
    for reply in futures::future::join_all(replies).await {
        assert_eq!((reply.status, &*reply.text()), (200, ANSWER));
    }
    assert!(upstream.requests().iter().all(|request| request.ends_with(&large)));
}

// fault: P8
#[tokio::test]
async fn a_request_has_one_authority_and_a_host_says_the_same() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let (gateway, authority) = serving("", upstream.url());
    let caller = Caller::connect(&authority, gateway.address()).await;
    let hosts: [(&[&str], u16); 6] = [
        (&[], 200),
        (&["localhost"], 200),
        (&["LOCALHOST"], 200),
        (&["elsewhere"], 400),
        (&["localhost:1"], 400),
        (&["localhost", "localhost"], 400),
    ];
    for (hosts, status) in hosts {
        let mut request = post(CHAT);
        for host in hosts {
            request.headers_mut().append("host", host.parse().unwrap());
        }
        let reply = caller.ask(request, chat("m", false)).await;
        assert_eq!(reply.status, status, "{hosts:?}: {}", reply.text());
        assert_eq!(reply.text().contains("invalid_host"), status == 400);
    }
    for authority in ["a@localhost", "localhost:99999"] {
        let uri = format!("https://{authority}{CHAT}");
        let request = Request::post(uri).header("content-type", "application/json");
        let reply = caller.ask(request.body(()).unwrap(), chat("m", false)).await;
        assert_eq!(reply.status, 400, "{authority}");
    }
}

// fault: P20, B3
#[tokio::test]
async fn a_request_that_is_refused_unread_is_answered_and_its_connection_goes_on() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let (gateway, authority) = serving("  max-request-body: 64KiB\n", upstream.url());
    let caller = Caller::connect(&authority, gateway.address()).await;
    let large = Bytes::from(vec![b'a'; 1 << 20]);
    let mut unsized_one = post(CHAT);
    unsized_one.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    let mut sized = post(CHAT);
    sized.headers_mut().insert("content-length", large.len().into());
    for (request, status) in
        [(sized, 413), (post(CHAT), 413), (unsized_one, 415), (post("/v1/nothing"), 404)]
    {
        let reply = caller.ask(request, large.clone()).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(reply.broken.is_none() && !reply.headers.contains_key("connection"));
    }
    assert_eq!(caller.ask(post(CHAT), chat("m", false)).await.status, 200);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn who_has_no_key_is_told_on_a_connection_that_goes_on() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let authority = Authority::new();
    let (certificate, key) = authority.files("localhost");
    let yaml = format!(
        "server:\n  port: 0\n  tls: {{ certificate: '{certificate}', key: '{key}' }}\n\
         security: {{ api-keys: [{{ name: a, digest: '{DIGEST}' }}] }}\n\
         model:\n{}",
        model("", &[upstream.url()])
    );
    let gateway = Gateway::start_yaml(&yaml);
    let caller = Caller::connect(&authority, gateway.address()).await;
    let refused = caller.ask(post(CHAT), vec![b'a'; 300_000]).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    let mut request = post(CHAT);
    let bearer = format!("Bearer {KEY}");
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    assert_eq!(caller.ask(request, chat("m", false)).await.status, 200);
}

// fault: S1, S3
#[tokio::test]
async fn silence_is_ended_and_so_is_a_body_that_does_not_come() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let more = "  header-timeout: 500ms\n  body-timeout: 300ms\n";
    let (gateway, authority) = serving(more, upstream.url());
    let connect = || authority.connect_offering(gateway.address(), None, &["h2"]);
    let mut silent = connect().await.unwrap();
    let mut greeting = Frames::connect(connect().await.unwrap()).await.unwrap();
    let asking = Caller::connect(&authority, gateway.address()).await;
    let (answer, mut body) = asking.begin(post(CHAT)).await;
    body.send_data(Bytes::from_static(b"{"), false).unwrap();
    assert_eq!(read(answer).await.unwrap().status, 408);
    let mut byte = [0; 64];
    while let Ok(1..) = silent.read(&mut byte).await {}
    while greeting.next().await.is_some() {}
    assert_eq!(asking.ask(post(CHAT), chat("m", false)).await.status, 200, "it goes on");
}

// fault: O7, O9
#[tokio::test]
async fn at_the_end_answers_finish_and_what_is_left_is_cut_and_told() {
    let told = Arc::new(Notify::new());
    let go_on = Arc::clone(&told);
    let upstream = Upstream::serving(move |nth, _| {
        let mut steps = vec![event_stream(), Chunk(token("Hi").into())];
        if nth == 0 {
            steps.push(Wait(Arc::clone(&go_on)));
            steps.extend(whole().split_off(2));
        } else {
            steps.push(Stall);
        }
        steps
    })
    .await;
    let (mut gateway, authority) = serving("  drain-timeout: 4s\n", upstream.url());
    let caller = Caller::connect(&authority, gateway.address()).await;
    let idle = Caller::connect(&authority, gateway.address()).await;
    let health = Request::get("https://localhost/healthz").body(()).unwrap();
    assert_eq!(idle.ask(health, "").await.status, 200);
    let (first, _stream) = caller.send(post(CHAT), chat("m", true)).await;
    let mut first = begun(first).await.unwrap().into_body();
    until_text(&mut first, "Hi").await;
    let (second, _stream) = caller.send(post(CHAT), chat("m", true)).await;
    let mut second = begun(second).await.unwrap().into_body();
    until_text(&mut second, "Hi").await;

    gateway.signal("TERM");
    // It may say goodbye, too, when nobody listens any more.
    let closed = idle.closed().await;
    assert!(closed.as_ref().err().is_none_or(h2::Error::is_io), "{closed:?}");
    told.notify_one();
    until_text(&mut first, "[DONE]").await;
    whole_end(&mut first).await;
    let last = until_text(&mut second, "server_shutting_down").await;
    assert!(!last.contains("[DONE]"));
    let reset = next(&mut second).await.expect("no clean end").unwrap_err();
    assert_eq!(reset.reason(), Some(Reason::INTERNAL_ERROR));
    assert!(gateway.exit().await.success());
}

// fault: P18
#[tokio::test]
async fn a_flood_ends_its_own_connection() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let (gateway, authority) = serving("", upstream.url());
    let other = Caller::connect(&authority, gateway.address()).await;
    let head = request(CHAT);
    let end = kind::END_STREAM | kind::END_HEADERS;
    let taken_back: Vec<_> = (0..200)
        .flat_map(|nth| {
            let cancel = 8_u32.to_be_bytes();
            let ask = Frame::new(kind::HEADERS, end, 2 * nth + 1, head.clone());
            [ask, Frame::new(kind::RST_STREAM, 0, 2 * nth + 1, cancel)]
        })
        .collect();
    let mut endless = vec![Frame::new(kind::HEADERS, kind::END_STREAM, 1, head.clone())];
    endless.extend((0..2000).map(|_| Frame::new(kind::CONTINUATION, 0, 1, [])));
    let mut empty = vec![Frame::new(kind::HEADERS, kind::END_HEADERS, 1, head.clone())];
    empty.extend((0..100_000).map(|_| Frame::new(kind::DATA, 0, 1, [])));
    for (what, flood) in [("resets", taken_back), ("a head", endless), ("nothing", empty)] {
        let stream = authority.connect_offering(gateway.address(), None, &["h2"]).await.unwrap();
        let mut frames = Frames::connect(stream).await.unwrap();
        // As far as it is taken.
        let _ = frames.send(&flood).await;
        let end = frames.until(kind::GOAWAY).await;
        if let Some(end) = end {
            assert_ne!(end.payload[4..8], [0; 4], "{what}");
        }
        while frames.next().await.is_some() {}
        assert_eq!(other.ask(post(CHAT), chat("m", false)).await.status, 200, "{what}");
    }
}

#[tokio::test]
async fn a_head_too_large_is_refused_and_its_connection_goes_on() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let (gateway, authority) = serving("", upstream.url());
    let caller = Caller::connect(&authority, gateway.address()).await;
    let mut large = post(CHAT);
    for nth in 0..8 {
        let name = http::HeaderName::try_from(format!("x-{nth}")).unwrap();
        large.headers_mut().insert(name, "a".repeat(10_000).parse().unwrap());
    }
    assert_eq!(caller.ask(large, chat("m", false)).await.status, 431);
    assert_eq!(caller.ask(post(CHAT), chat("m", false)).await.status, 200);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn without_tls_it_is_not_spoken() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let gateway = Gateway::start(&[upstream.url()]);
    let mut plain = RawClient::connect(gateway.address()).await;
    plain.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let told = String::from_utf8_lossy(&plain.closed().await).into_owned();
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 400"), "{told}");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_caller_that_leaves_takes_all_its_streams_along() {
    let upstream = Upstream::serving(|_, _| vec![Stall]).await;
    let (gateway, authority) = serving("", upstream.url());
    let caller = Caller::connect(&authority, gateway.address()).await;
    let mut asked = Vec::new();
    for _ in 0..10 {
        asked.push(caller.send(post(CHAT), chat("m", true)).await);
    }
    until("all are asked", || upstream.live() == 10).await;
    drop((caller, asked));
    until("all are left", || upstream.live() == 0).await;
}

// fault: P12
#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_told_unless_it_is_refused() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let (gateway, authority) = serving("", upstream.url());
    let caller = Caller::connect(&authority, gateway.address()).await;
    for (content_type, goes_on, status) in
        [("application/json", true, 200), ("text/plain", false, 415)]
    {
        let mut request = post(CHAT);
        request.headers_mut().insert("expect", "100-continue".parse().unwrap());
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        let (mut answer, mut body) = caller.begin(request).await;
        let told = std::future::poll_fn(|cx| answer.poll_informational(cx)).await;
        let told = told.map(|told| told.unwrap().status().as_u16());
        assert_eq!(told, goes_on.then_some(100), "{content_type}");
        if goes_on {
            body.send_data(chat("m", false).into(), true).unwrap();
        }
        assert_eq!(read(answer).await.unwrap().status, status);
    }
}
