//! HTTP/2 with instances, where TLS agrees on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::Builder;
use jairouter_tests::client::{RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::http2::between::{
    ANSWER, CHAT, answered, offering, speaking, status, streamed,
};
use jairouter_tests::http2::caller::{begun, next, read};
use jairouter_tests::http2::{Asked, Caller, Engine, Happened};
use jairouter_tests::tls::{Authority, Manner, Secured};
use jairouter_tests::upstream::{Upstream, json};
use jairouter_tests::{chat, http2, token, until};
use tokio::sync::Notify;

// fault: T6
#[tokio::test]
async fn an_instance_is_spoken_to_as_its_configuration_says_and_it_agrees() {
    let authority = Authority::new();
    let engine = Engine::start(&authority, answered).await;
    let old = Upstream::answering(json("200 OK", ANSWER)).await;
    let secured = Secured::start(&authority, "localhost", old.address(), Manner::Well).await;
    let (new, old_one) = (engine.url(), secured.url("localhost"));
    let expected = [("auto", 200, 200), ("true", 200, 502), ("false", 502, 200)];
    for (http2, of_new, of_old) in expected {
        let (asked, old_asked) = (engine.asked(), old.requests().len());
        let gateway = speaking(&authority, http2, "", std::slice::from_ref(&new));
        assert_eq!(status(&gateway).await, of_new, "{http2}");
        assert_eq!(engine.asked() > asked, of_new == 200, "{http2}");
        let gateway = speaking(&authority, http2, "", std::slice::from_ref(&old_one));
        for _ in 0..3 {
            assert_eq!(status(&gateway).await, of_old, "{http2}");
        }
        assert_eq!(old.requests().len() > old_asked, of_old == 200, "{http2}");
    }
}

#[tokio::test]
async fn requests_share_a_connection_and_their_heads_are_http_2_s() {
    let authority = Authority::new();
    let port = Arc::new(AtomicUsize::new(0));
    let expected = Arc::clone(&port);
    let engine = Engine::start(&authority, move |mut asked: Asked| {
        let port = expected.load(Ordering::Relaxed);
        async move {
            let body = asked.body().await;
            let (uri, headers) = (&asked.head.uri, &asked.head.headers);
            assert_eq!(uri.to_string(), format!("https://localhost:{port}{CHAT}"));
            assert_eq!(headers["content-length"], body.len().to_string());
            for name in ["host", "connection", "transfer-encoding", "keep-alive", "te"] {
                assert!(!headers.contains_key(name), "{headers:?}");
            }
            assert_eq!(body, chat("m", false).as_bytes());
            asked.answer(200, ANSWER);
        }
    })
    .await;
    let number = engine.url().rsplit(':').next().unwrap().parse().unwrap();
    port.store(number, Ordering::Relaxed);
    let gateway = offering(&authority, "", &[engine.url()]);
    let all = futures::future::join_all((0..50).map(|_| status(&gateway))).await;
    assert_eq!(all, [200; 50]);
    assert_eq!((engine.connections(), engine.asked()), (1, 50));
}

// fault: U7
#[tokio::test]
async fn a_stream_passes_as_it_comes_and_one_that_is_reset_is_told_whatever_the_reason() {
    let authority = Authority::new();
    let reasons =
        [None, Some(Reason::NO_ERROR), Some(Reason::CANCEL), Some(Reason::INTERNAL_ERROR)];
    for reason in reasons {
        let engine = Engine::start(&authority, move |mut asked: Asked| async move {
            let mut stream = asked.begin(200, "text/event-stream");
            stream.send_data(token("Hi").into(), false).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            match reason {
                Some(reason) => stream.send_reset(reason),
                None => {
                    stream.send_data(Bytes::from_static(b"data: [DONE]\n\n"), true).unwrap();
                }
            }
        })
        .await;
        let gateway = offering(&authority, "", &[engine.url()]);
        let answer = ask(gateway.address(), post(CHAT, &chat("m", true))).await;
        assert_eq!((answer.status, answer.complete), (200, reason.is_none()), "{reason:?}");
        assert!(answer.text().contains("Hi"));
        assert_eq!(answer.text().contains("upstream_broken"), reason.is_some());
    }
}

// fault: S6, S7
#[tokio::test]
async fn a_caller_that_leaves_takes_its_request_back_and_no_other() {
    let authority = Authority::new();
    let told = Arc::new(Notify::new());
    let go_on = Arc::clone(&told);
    let engine = Engine::start(&authority, move |mut asked: Asked| {
        let go_on = Arc::clone(&go_on);
        async move {
            match asked.nth {
                0 => streamed(asked, go_on).await,
                1 => asked.taken_back().await,
                _ => {
                    let mut stream = asked.begin(200, "text/event-stream");
                    stream.send_data(token("Hi").into(), false).unwrap();
                    asked.dropped(&mut stream).await;
                }
            }
        }
    })
    .await;
    let gateway = offering(&authority, "", &[engine.url()]);
    let mut stays = RawClient::connect(gateway.address()).await;
    stays.post(CHAT, &chat("m", true)).await;
    stays.read_until("Hi").await;
    for (nth, begins) in [(1, false), (2, true)] {
        let mut leaves = RawClient::connect(gateway.address()).await;
        leaves.post(CHAT, &chat("m", true)).await;
        until("it is asked", || engine.asked() == nth + 1).await;
        if begins {
            leaves.read_until("Hi").await;
        }
        drop(leaves);
        let back = Happened::TakenBack(0, Reason::CANCEL);
        until("it is taken back", || engine.count(|seen| seen == back) == nth).await;
    }
    told.notify_one();
    let whole = stays.answer().await;
    assert!(whole.complete && whole.text().contains("[DONE]"));
    assert_eq!(engine.connections(), 1);
}

#[tokio::test]
async fn a_large_request_is_sent_as_the_window_opens_and_comes_whole() {
    let authority = Authority::new();
    let large = chat("m", false).replace("hi", &"a".repeat(5 << 20));
    let expected = large.clone();
    let mut how = Builder::new();
    let how = how.initial_window_size(16 * 1024).initial_connection_window_size(64 * 1024);
    let engine = Engine::start_as(&authority, how, move |mut asked: Asked| {
        let expected = expected.clone();
        async move {
            let body = asked.body().await;
            assert!(body == expected.as_bytes());
            asked.answer(200, ANSWER);
        }
    })
    .await;
    let gateway = offering(&authority, "", &[engine.url()]);
    let asked = || ask(gateway.address(), post(CHAT, &large));
    let (first, second) = futures::future::join(asked(), asked()).await;
    assert_eq!((first.status, second.status), (200, 200));
}

#[tokio::test]
async fn an_instance_may_answer_before_it_has_read_all() {
    let authority = Authority::new();
    let engine = Engine::start(&authority, |mut asked: Asked| async move {
        if asked.nth == 0 {
            return asked.answer(413, r#"{"error":{"message":"too long"}}"#);
        }
        // The answer begins, and the rest of the request is read.
        let mut stream = asked.begin(200, "application/json");
        asked.body().await;
        stream.send_data(Bytes::from_static(ANSWER.as_bytes()), true).unwrap();
    })
    .await;
    let gateway = offering(&authority, "", &[engine.url()]);
    let large = chat("m", false).replace("hi", &"a".repeat(1 << 20));
    for status in [413, 200] {
        let answer = ask(gateway.address(), post(CHAT, &large)).await;
        assert_eq!((answer.status, answer.complete), (status, true), "{}", answer.text());
    }
    assert_eq!(engine.connections(), 1);
}

// fault: S4
#[tokio::test]
async fn a_caller_that_does_not_read_holds_up_itself_alone() {
    let authority = Authority::new();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let engine = Engine::start(&authority, move |mut asked: Asked| {
        let counted = Arc::clone(&counted);
        async move {
            if asked.nth >= 4 {
                return answered(asked).await;
            }
            let mut stream = asked.begin(200, "text/event-stream");
            let event = Bytes::from(token(&"a".repeat(8000)));
            loop {
                stream.reserve_capacity(event.len());
                while stream.capacity() < event.len() {
                    let more = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
                    let Some(Ok(_)) = more else { return };
                }
                counted.fetch_add(event.len(), Ordering::Relaxed);
                if stream.send_data(event.clone(), false).is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let gateway = offering(&authority, "", &[engine.url()]);
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut reader = RawClient::connect_narrowly(gateway.address()).await;
        reader.post(CHAT, &chat("m", true)).await;
        reader.read_until("data").await;
        readers.push(reader);
    }
    let mut before = 0;
    until("nothing more is sent", || {
        let now = sent.load(Ordering::Relaxed);
        std::mem::replace(&mut before, now) == now
    })
    .await;
    for _ in 0..5 {
        assert_eq!(status(&gateway).await, 200);
    }
    assert_eq!(engine.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed() {
    let authority = Authority::new();
    let engine = Engine::start(&authority, answered).await;
    let gateway = offering(&authority, "", &[engine.url()]);
    assert_eq!(status(&gateway).await, 200);
    until("it is closed", || engine.count(|seen| seen == Happened::Ended(0)) == 1).await;
    assert_eq!(status(&gateway).await, 200);
    assert_eq!(engine.connections(), 2);
}

#[tokio::test]
async fn http_2_on_both_sides() {
    let authority = Authority::new();
    let told = Arc::new(Notify::new());
    let go_on = Arc::clone(&told);
    let engine = Engine::start(&authority, move |mut asked: Asked| {
        let go_on = Arc::clone(&go_on);
        async move {
            match String::from_utf8(asked.body().await).unwrap().contains("\"stream\":true") {
                true => streamed(asked, go_on).await,
                false => asked.answer(200, ANSWER),
            }
        }
    })
    .await;
    let (certificate, key) = authority.files("localhost");
    let tls = format!("  workers: 1\n  tls: {{ certificate: '{certificate}', key: '{key}' }}\n");
    let lines = format!("  tls: {{ ca: '{}' }}\n  http2: true\n", authority.file());
    let gateway = Gateway::start_with(&tls, &model(&lines, &[engine.url()]));
    let caller = Caller::connect(&authority, gateway.address()).await;
    let mut streams = Vec::new();
    for _ in 0..30 {
        streams.push(caller.send(http2::post(CHAT), chat("m", true)).await);
    }
    let mut bodies = Vec::new();
    for (answer, stream) in streams {
        let mut body = begun(answer).await.unwrap().into_body();
        assert!(String::from_utf8_lossy(&next(&mut body).await.unwrap().unwrap()).contains("Hi"));
        bodies.push((body, stream));
    }
    // One is left in the middle, and a request passes by.
    bodies.pop();
    let (answer, _stream) = caller.send(http2::post(CHAT), chat("m", false)).await;
    assert_eq!(read(answer).await.unwrap().text(), ANSWER);
    for (mut body, _stream) in bodies {
        told.notify_one();
        let mut rest = String::new();
        while let Some(data) = next(&mut body).await {
            rest.push_str(&String::from_utf8_lossy(&data.unwrap()));
            told.notify_one();
        }
        assert!(rest.ends_with("[DONE]\n\n"), "{rest}");
    }
    assert_eq!((engine.connections(), engine.asked()), (1, 31));
}

// fault: U25
#[tokio::test]
async fn many_small_pieces_that_a_caller_does_not_read_close_no_connection() {
    let authority = Authority::new();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let engine = Engine::start(&authority, move |mut asked: Asked| {
        let counted = Arc::clone(&counted);
        async move {
            if asked.nth > 0 {
                return answered(asked).await;
            }
            let mut stream = asked.begin(200, "text/event-stream");
            let event = Bytes::from(token(&"a".repeat(8000)));
            // The gateway reads no more when the window has been no larger for a while.
            let wanted = 64 * 1024 + event.len();
            loop {
                stream.reserve_capacity(wanted);
                while stream.capacity() < wanted {
                    let more = std::future::poll_fn(|cx| stream.poll_capacity(cx));
                    if tokio::time::timeout(Duration::from_secs(1), more).await.is_err() {
                        break;
                    }
                }
                if stream.capacity() < wanted {
                    break;
                }
                stream.send_data(event.clone(), false).expect("it is waited for");
            }
            let left = stream.capacity();
            for nth in 0..left {
                stream.send_data(Bytes::from_static(b"\n"), false).expect("it is waited for");
                if nth % 1000 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            counted.store(left, Ordering::Relaxed);
            asked.dropped(&mut stream).await;
        }
    })
    .await;
    let gateway = offering(&authority, "", &[engine.url()]);
    let mut reader = RawClient::connect_narrowly(gateway.address()).await;
    reader.post(CHAT, &chat("m", true)).await;
    reader.read_until("data").await;
    until("all is sent", || sent.load(Ordering::Relaxed) > 0).await;
    assert!(sent.load(Ordering::Relaxed) > 30_000);
    for _ in 0..3 {
        assert_eq!(status(&gateway).await, 200);
    }
    assert_eq!(engine.connections(), 1);
}

#[tokio::test]
async fn another_configuration_is_another_way_to_speak_with_the_same_instance() {
    let authority = Authority::new();
    let engine = Engine::start(&authority, answered).await;
    let gateway = speaking(&authority, "false", "", &[engine.url()]);
    assert_eq!(status(&gateway).await, 502, "it speaks nothing else");
    let lines = format!("  tls: {{ ca: '{}' }}\n  http2: true\n", authority.file());
    gateway.configure("  workers: 1\n", &model(&lines, &[engine.url()]));
    gateway.logged("another configuration is served").await;
    assert_eq!(status(&gateway).await, 200);
}
