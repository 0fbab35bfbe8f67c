//! TLS: to instances, and to callers.

use jairouter_tests::client::{RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::tls::{Authority, Manner, Secured};
use jairouter_tests::upstream::Step::{Chunk, Fin, LastChunk, Send, Stall};
use jairouter_tests::upstream::{Seen, Upstream, event_stream, json};
use jairouter_tests::{chat, until};
use tokio::io::AsyncWriteExt;

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;

fn trusting(authority: &Authority, more: &str, url: String) -> Gateway {
    let lines = format!("  tls: {{ ca: '{}'{more} }}\n", authority.file());
    Gateway::start_with("", &model(&lines, &[url]))
}

async fn status(gateway: &Gateway) -> u16 {
    ask(gateway.address(), post(CHAT, &chat("m", false))).await.status
}

#[tokio::test]
async fn a_trusted_instance_is_asked_over_one_connection_that_is_kept() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let authority = Authority::new();
    for name in ["localhost", "127.0.0.1"] {
        let before = upstream.count(&Seen::Connected);
        let secured = Secured::start(&authority, name, upstream.address(), Manner::Well).await;
        let gateway = trusting(&authority, "", secured.url(name));
        for _ in 0..5 {
            let answer = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
            assert_eq!((answer.status, answer.text()), (200, ANSWER.to_owned()));
        }
        // One for each core at most.
        assert!(upstream.count(&Seen::Connected) - before <= 4, "{name}");
        let request = upstream.requests().pop().unwrap();
        let host = secured.url(name).replace("https://", "host: ");
        assert!(request.to_lowercase().contains(&host), "{request}");
    }
}

#[tokio::test]
async fn who_is_not_trusted_gets_no_request_and_no_key() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let (authority, other) = (Authority::new(), Authority::new());
    let secured = Secured::start(&authority, "localhost", upstream.address(), Manner::Well).await;
    let unsafe_ones = [
        trusting(&other, "", secured.url("localhost")),
        trusting(&authority, "", secured.url("127.0.0.1")),
        // The other way round: TLS to what speaks none.
        trusting(&authority, "", upstream.url().replace("http://", "https://")),
    ];
    for gateway in unsafe_ones {
        let answer = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(answer.text().contains("upstream_unreachable"), "{}", answer.text());
    }
    assert!(upstream.requests().iter().all(|request| !request.contains("POST")));
    // And what the system trusts does not hold this one.
    let gateway = Gateway::start_with("", &model("", &[secured.url("localhost")]));
    assert_eq!(status(&gateway).await, 502);
}

#[tokio::test]
async fn one_that_asks_who_is_there_is_told() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let authority = Authority::new();
    let secured = Secured::start(&authority, "localhost", upstream.address(), Manner::Asks).await;
    assert_eq!(status(&trusting(&authority, "", secured.url("localhost"))).await, 502);
    let (certificate, key) = authority.files("gateway");
    let more = format!(", client-certificate: '{certificate}', client-key: '{key}'");
    assert_eq!(status(&trusting(&authority, &more, secured.url("localhost"))).await, 200);
}

fn event(text: &str) -> Vec<u8> {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
        .into()
}

#[tokio::test]
async fn a_stream_passes_as_it_comes_and_one_that_is_cut_is_told() {
    let last = b"data: [DONE]\n\n".to_vec();
    let whole = vec![event_stream(), Chunk(event("Hi")), Chunk(last), LastChunk];
    let cut = vec![event_stream(), Chunk(event("Hi")), Fin];
    let authority = Authority::new();
    for (steps, complete) in [(whole, true), (cut, false)] {
        for manner in [Manner::Well, Manner::Cuts] {
            let steps = steps.clone();
            let upstream = Upstream::serving(move |_, _| steps.clone()).await;
            let secured = Secured::start(&authority, "localhost", upstream.address(), manner).await;
            let gateway = trusting(&authority, "", secured.url("localhost"));
            let answer = ask(gateway.address(), post(CHAT, &chat("m", true))).await;
            assert_eq!((answer.status, answer.complete), (200, complete), "{manner:?}");
            assert_eq!(answer.text().contains("upstream_broken"), !complete, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole_only_if_it_is_said_to_be() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\n\r\n";
    let answer = [head.as_bytes(), &[7; 5000]].concat();
    let upstream = Upstream::serving(move |_, _| vec![Send(answer.clone()), Fin]).await;
    let authority = Authority::new();
    for (manner, complete) in [(Manner::Well, true), (Manner::Cuts, false)] {
        let secured = Secured::start(&authority, "localhost", upstream.address(), manner).await;
        let lines = format!("  tls: {{ ca: '{}' }}\n", authority.file());
        let speech = model(&lines, &[secured.url("localhost")]).replace("    chat:", "    tts:");
        let gateway = Gateway::start_with("", &speech);
        let request = post("/v1/audio/speech", r#"{"model":"m","input":"x","voice":"v"}"#);
        let answer = ask(gateway.address(), request).await;
        assert_eq!((answer.status, answer.complete), (200, complete), "{manner:?}");
    }
}

// fault: T1
#[tokio::test]
async fn one_that_never_agrees_is_given_up_in_the_time_to_connect() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let authority = Authority::new();
    let silent = Secured::start(&authority, "localhost", upstream.address(), Manner::Stalls).await;
    let good = Secured::start(&authority, "localhost", upstream.address(), Manner::Well).await;
    let lines =
        format!("  tls: {{ ca: '{}' }}\n  timeouts: {{ connect: 300ms }}\n", authority.file());
    let urls = [silent.url("localhost"), good.url("localhost")];
    let gateway = Gateway::start_with("", &model(&lines, &urls));
    for _ in 0..4 {
        assert_eq!(status(&gateway).await, 200, "the other is asked");
    }
    let alone = Gateway::start_with("", &model(&lines, &urls[..1]));
    assert_eq!(status(&alone).await, 502);
}

#[tokio::test]
async fn probes_go_the_same_way() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let authority = Authority::new();
    let secured = Secured::start(&authority, "localhost", upstream.address(), Manner::Well).await;
    let lines = format!(
        "  tls: {{ ca: '{}' }}\n  health-check: {{ interval: 400ms, timeout: 200ms }}\n",
        authority.file()
    );
    let _gateway = Gateway::start_with("", &model(&lines, &[secured.url("localhost")]));
    let probes = || upstream.requests().iter().filter(|one| one.starts_with("GET")).count();
    until("it is probed", || probes() > 1).await;
}

/// A gateway that speaks TLS with its callers.
fn serving(certificate: &str, key: &str, more: &str, upstream: &Upstream) -> Gateway {
    let tls = format!("  tls: {{ certificate: '{certificate}', key: '{key}'{more} }}\n");
    Gateway::start_with(&tls, &model("", &[upstream.url()]))
}

fn closing(json: &str) -> String {
    post(CHAT, json).replacen("host: gateway\r\n", "host: gateway\r\nconnection: close\r\n", 1)
}

#[tokio::test]
async fn callers_are_spoken_to_over_tls_and_in_no_other_way() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let authority = Authority::new();
    let (certificate, key) = authority.files("localhost");
    let gateway = serving(&certificate, &key, "", &upstream);
    let asked = closing(&chat("m", false));
    let answer = authority.ask(gateway.address(), None, &asked).await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, ANSWER.to_owned()));
    // fault: T5
    let mut plain = RawClient::connect(gateway.address()).await;
    plain.send(&asked).await;
    let told = plain.closed().await;
    assert!(!told.starts_with(b"HTTP"), "{:?}", String::from_utf8_lossy(&told));
    assert!(Authority::new().ask(gateway.address(), None, &asked).await.is_err(), "not trusted");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_stream_over_tls_ends_as_it_does_without() {
    let whole =
        vec![event_stream(), Chunk(event("Hi")), Chunk(b"data: [DONE]\n\n".to_vec()), LastChunk];
    let cut = vec![event_stream(), Chunk(event("Hi")), Fin];
    let authority = Authority::new();
    let (certificate, key) = authority.files("localhost");
    for (steps, complete) in [(whole, true), (cut, false)] {
        let upstream = Upstream::serving(move |_, _| steps.clone()).await;
        let gateway = serving(&certificate, &key, "", &upstream);
        let asked = closing(&chat("m", true));
        match authority.ask(gateway.address(), None, &asked).await {
            Ok(answer) => {
                assert_eq!(answer.complete, complete);
                assert_eq!(answer.text().contains("upstream_broken"), !complete);
            }
            Err(error) => assert!(!complete, "{error}"),
        }
    }
}

#[tokio::test]
async fn callers_may_have_to_say_who_they_are() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let authority = Authority::new();
    let (certificate, key) = authority.files("localhost");
    let more = format!(", client-ca: '{}'", authority.file());
    let gateway = serving(&certificate, &key, &more, &upstream);
    let asked = closing(&chat("m", false));
    let answer = authority.ask(gateway.address(), Some("caller"), &asked).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(authority.ask(gateway.address(), None, &asked).await.is_err());
    assert_eq!(upstream.requests().len(), 1);
}

// fault: T2
#[tokio::test]
async fn another_certificate_is_shown_from_when_it_is_there_and_a_bad_one_never() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let (old, new) = (Authority::new(), Authority::new());
    let (certificate, key) = old.files("localhost");
    let gateway = serving(&certificate, &key, "", &upstream);
    let asked = closing(&chat("m", false));
    let address = gateway.address();
    assert!(old.ask(address, None, &asked).await.is_ok());

    std::fs::write(&certificate, "no certificate").unwrap();
    gateway.logged("the configuration stays").await;
    assert!(old.ask(address, None, &asked).await.is_ok(), "the one before");

    let (next, its_key) = new.files("localhost");
    std::fs::copy(its_key, &key).unwrap();
    std::fs::copy(next, &certificate).unwrap();
    gateway.logged("the configuration is served again").await;
    assert!(new.ask(address, None, &asked).await.is_ok());
    assert!(old.ask(address, None, &asked).await.is_err());
}

// fault: T1
#[tokio::test]
async fn a_caller_that_never_agrees_is_let_go_and_nobody_waits_for_it() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let authority = Authority::new();
    let (certificate, key) = authority.files("localhost");
    let tls = format!(
        "  tls: {{ certificate: '{certificate}', key: '{key}' }}\n  header-timeout: 500ms\n"
    );
    let gateway = Gateway::start_with(&tls, &model("", &[upstream.url()]));
    let mut silent = RawClient::connect(gateway.address()).await;
    let asked = closing(&chat("m", false));
    assert!(authority.ask(gateway.address(), None, &asked).await.is_ok());
    silent.send([0x16, 0x03, 0x01]).await;
    silent.closed().await;
}

#[tokio::test]
async fn who_has_not_agreed_on_tls_does_not_hold_up_the_end() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let authority = Authority::new();
    let (certificate, key) = authority.files("localhost");
    let mut gateway = serving(&certificate, &key, "", &upstream);
    let silent = RawClient::connect(gateway.address()).await;
    // It is accepted when another one that came later is served.
    let asked = closing(&chat("m", false));
    assert!(authority.ask(gateway.address(), None, &asked).await.is_ok());
    gateway.signal("TERM");
    // The time for a head is ten seconds, and that to drain is thirty.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), gateway.exit()).await;
    assert!(ended.expect("it is not waited for").success());
    drop(silent);
}

#[tokio::test]
async fn the_log_says_why_an_instance_is_not_trusted_and_a_new_file_is_tried() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let (authority, other) = (Authority::new(), Authority::new());
    let secured = Secured::start(&authority, "localhost", upstream.address(), Manner::Well).await;
    let gateway = trusting(&other, "", secured.url("localhost"));
    assert_eq!(status(&gateway).await, 502);
    gateway.logged("invalid peer certificate").await;
    assert_eq!(status(&gateway).await, 502);
    assert_eq!(gateway.log().matches("invalid peer certificate").count(), 1, "once");
    // A file that another configuration names and that is not there yet.
    let later = format!("{}.later", authority.file());
    let lines = format!("  tls: {{ ca: '{later}' }}\n");
    gateway.configure("", &model(&lines, &[secured.url("localhost")]));
    gateway.logged("the configuration stays").await;
    std::fs::copy(authority.file(), &later).unwrap();
    gateway.logged("another configuration is served").await;
    assert_eq!(status(&gateway).await, 200);
}

#[tokio::test]
async fn a_caller_that_leaves_over_tls_is_seen_with_the_next_request_half_sent() {
    let upstream = Upstream::serving(|_, _| vec![Stall]).await;
    let authority = Authority::new();
    let (certificate, key) = authority.files("localhost");
    let gateway = serving(&certificate, &key, "", &upstream);
    for behind in ["", "\r\n", "POST /v1"] {
        let mut stream = authority.connect(gateway.address(), None).await.unwrap();
        let asked = post(CHAT, &chat("m", false)) + behind;
        stream.write_all(asked.as_bytes()).await.unwrap();
        until("it is asked", || upstream.live() == 1).await;
        stream.shutdown().await.unwrap();
        until("it is left", || upstream.live() == 0).await;
    }
}
