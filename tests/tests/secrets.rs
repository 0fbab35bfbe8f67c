//! What must not get out: prompts, answers and keys, whatever happens and however much is logged.

use jairouter_tests::client::{RawClient, ask};
use jairouter_tests::gateway::{Gateway, UNPROBED};
use jairouter_tests::upstream::Step::{Chunk, Fin, LastChunk, Rst, Send, Stall};
use jairouter_tests::upstream::{Step, Upstream, event_stream, json};
use jairouter_tests::{chat, token};

const CANARY: &str = "canary7f3a";

fn configuration(upstream: &Upstream) -> String {
    format!(
        "server: {{ port: 0, log: {{ level: trace, format: json }} }}\n\
         model:\n{UNPROBED}  timeouts: {{ first-token: 300ms, idle: 300ms }}\n  services:\n    chat:\n      \
         instances:\n        - {{ name: m, base-url: '{}', headers: {{ Authorization: 'Bearer {CANARY}', \
         X-Own: '{CANARY}' }} }}\n",
        upstream.url()
    )
}

fn request(body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
         authorization: Bearer {CANARY}\r\nx-api-key: {CANARY}\r\ncookie: a={CANARY}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

// fault: A6, X10, I6
#[tokio::test]
async fn no_log_line_holds_a_prompt_an_answer_or_a_key() {
    let stream = vec![event_stream(), Chunk(token(CANARY).into())];
    let then = |step: Step| [stream.clone(), vec![step]].concat();
    let error = format!(r#"{{"error":{{"message":"{CANARY}"}}}}"#);
    let scripts = [
        then(LastChunk),
        then(Rst),
        then(Fin),
        then(Stall),
        then(Send(format!("{CANARY}\r\n").into())),
        vec![Send(format!("HTTP/1.1 200 OK\r\nx-a: {CANARY}\r\n{CANARY}\r\n\r\n").into()), Fin],
        vec![Send(json("200 OK", CANARY))],
        vec![Send(json("400 Bad", &error))],
        vec![Send(json("401 No", &error))],
        vec![Send(json("429 Busy", &error))],
        vec![Send(json("500 Oops", &error))],
        vec![Stall],
    ];
    let count = scripts.len();
    let upstream = Upstream::serving(move |number, _| scripts[number % count].clone()).await;
    let gateway = Gateway::start_yaml(&configuration(&upstream));
    let prompt = chat("m", true).replace("hi", CANARY);
    for number in 0..count {
        let answer = ask(gateway.address(), request(&prompt)).await;
        if matches!(number, 8 | 11) {
            assert!(!answer.text().contains(CANARY), "our key's fate is not the caller's affair");
        }
    }
    // What is refused at the door.
    let broken = &prompt[..prompt.len() - 1];
    for body in [broken, &prompt.replace(r#""m""#, CANARY), &prompt.replace(r#""m""#, r#""other""#)]
    {
        let answer = ask(gateway.address(), request(body)).await;
        assert!((400..500).contains(&answer.status) && !answer.text().contains(CANARY));
    }
    let mut client = RawClient::connect(gateway.address()).await;
    client.send(format!("POST /{CANARY}\0 HTTP/1.1\r\n\r\n")).await;
    client.closed().await;
    // The last line there is to be.
    ask(gateway.address(), request(r#"{"model":"m"}"#)).await;
    gateway.logged(r#""status":502"#).await;
    gateway.signal("TERM");
    let log = gateway.logged("stopped").await;
    assert!(log.contains("\"access\"") && !log.contains(CANARY), "{log}");
}
