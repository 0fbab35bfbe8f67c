//! Instances that are spoken to over TLS.

use jairouter_tests::client::{ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::tls::{Authority, Manner, Secured};
use jairouter_tests::upstream::Step::{Chunk, Fin, LastChunk, Send};
use jairouter_tests::upstream::{Seen, Upstream, event_stream, json};
use jairouter_tests::{chat, until};

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
