//! What answers when no instance can, through the real program.

use std::time::Duration;

use jairouter_tests::client::{Answer, RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Rst, Send};
use jairouter_tests::upstream::{Step, Upstream, event_stream, json};
use jairouter_tests::{chat, token, until};

const CHAT: &str = "/v1/chat/completions";
const DONE: &str = "data: [DONE]\n\n";

/// Answers well so many times, and is gone after that.
async fn short_lived(times: usize) -> Upstream {
    Upstream::serving(move |number, request| match number < times {
        false => vec![Rst],
        true if request.contains("\"stream\":true") => stream("a"),
        true => vec![Send(json("200 OK", r#"{"choices":[{"message":{"content":"a"}}]}"#))],
    })
    .await
}

fn stream(of: &str) -> Vec<Step> {
    vec![event_stream(), Chunk(token(of).into()), Chunk(DONE.into()), LastChunk]
}

fn other(upstream: &Upstream, name: &str) -> String {
    format!("        - {{ name: {name}, base-url: '{}' }}\n", upstream.url())
}

async fn say(gateway: &Gateway, body: &str) -> Answer {
    ask(gateway.address(), post(CHAT, body)).await
}

fn deterministic(stream: bool, key: &str) -> (String, String) {
    let body = chat("m", stream).replace("\"messages\"", "\"temperature\":0,\"messages\"");
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         authorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    (head, body)
}

#[tokio::test]
async fn without_an_answer_of_its_own_the_default_is_the_honest_error() {
    let gone = short_lived(0).await;
    let lines = "  fallback: { enabled: true, strategy: default }\n";
    let gateway = Gateway::start_with("", &model(lines, &[gone.url()]));
    let answer = say(&gateway, &chat("m", true)).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_broken"));
}

#[tokio::test]
async fn a_canned_answer_comes_as_it_was_asked_for() {
    let gone = short_lived(0).await;
    let lines = "  fallback: { enabled: true, response: { text: 'Back at ten.' } }\n";
    let gateway = Gateway::start_with("", &model(lines, &[gone.url()]));
    let whole = say(&gateway, &chat("m", false)).await;
    assert_eq!((whole.status, whole.header("x-jairouter-fallback")), (200, Some("default")));
    let body: serde_json::Value = serde_json::from_str(&whole.text()).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "Back at ten.");
    let streamed = say(&gateway, &chat("m", true)).await;
    assert!(streamed.text().contains("Back at ten.") && streamed.text().ends_with(DONE));
    assert_eq!(streamed.header("content-type"), Some("text/event-stream"));
    let lines = "  fallback: { enabled: true, response: { body: '{\"error\":{\"message\":\"at ten\"}}', status: 503 } }\n";
    let gateway = Gateway::start_with("", &model(lines, &[gone.url()]));
    let answer = say(&gateway, &chat("m", true)).await;
    assert_eq!((answer.status, answer.text().contains("at ten")), (503, true));
}

#[tokio::test]
async fn the_last_good_answer_is_the_same_caller_s_own_and_a_stream_stays_one() {
    for streams in [false, true] {
        let upstream = short_lived(1).await;
        let lines = "  fallback: { enabled: true, strategy: cache }\n";
        let gateway = Gateway::start_with("", &model(lines, &[upstream.url()]));
        let (alice, _) = deterministic(streams, "alice");
        let first = ask(gateway.address(), alice.clone().into_bytes()).await;
        assert_eq!((first.status, first.header("x-jairouter-fallback")), (200, None));
        let again = ask(gateway.address(), alice.into_bytes()).await;
        assert_eq!((again.status, again.header("x-jairouter-fallback")), (200, Some("cache")));
        assert_eq!((again.text(), again.complete), (first.text(), true));
        assert_eq!(again.header("content-type"), first.header("content-type"));
        let (bob, _) = deterministic(streams, "bob");
        let his = ask(gateway.address(), bob.into_bytes()).await;
        assert!(his.status >= 500, "one caller's answer is not another's: {his:?}");
        assert!(say(&gateway, &chat("m", streams)).await.status >= 500, "nor of another question");
    }
}

#[tokio::test]
async fn another_model_stands_in_and_says_so() {
    let gone = short_lived(0).await;
    let [big, small] =
        ["big", "small"].map(|name| move || Upstream::serving(move |_, _| stream(name)));
    let (big, small) = (big().await, small().await);
    let lines = "  fallback: { enabled: true, strategy: model, models: [gone, small], per-model: { n: [big] } }\n";
    let yaml = model(lines, &[gone.url()])
        + &other(&gone, "gone")
        + &other(&gone, "n")
        + &other(&big, "big")
        + &other(&small, "small");
    let gateway = Gateway::start_with("", &yaml);
    for (asked, served) in [("m", "small"), ("n", "big")] {
        let answer = say(&gateway, &chat(asked, true)).await;
        assert_eq!((answer.status, answer.text()), (200, token(served) + DONE));
        assert_eq!(answer.header("x-jairouter-model"), Some(served));
        assert_eq!(answer.header("x-jairouter-fallback"), Some("model"));
    }
    assert!(small.requests()[0].contains(r#""model":"small""#), "asked by its own name");
    let own = say(&gateway, &chat("big", true)).await;
    assert_eq!(
        (own.header("x-jairouter-model"), own.header("x-jairouter-fallback")),
        (Some("big"), None)
    );
}

#[tokio::test]
async fn a_prompt_too_long_for_one_model_is_asked_of_a_larger_if_that_is_wanted() {
    let refusal = r#"{"error":{"message":"This model's maximum context length is 8 tokens","type":"BadRequestError","param":null,"code":400}}"#;
    for wanted in [false, true] {
        let narrow = Upstream::answering(json("400 Bad Request", refusal)).await;
        let wide = Upstream::serving(|_, _| stream("wide")).await;
        let lines = format!(
            "  fallback: {{ enabled: true, strategy: model, models: [wide], on-context-length: {wanted} }}\n"
        );
        let yaml = model(&lines, &[narrow.url()]) + &other(&wide, "wide");
        let gateway = Gateway::start_with("", &yaml);
        let answer = say(&gateway, &chat("m", true)).await;
        assert_eq!(answer.status, if wanted { 200 } else { 400 });
        assert_eq!(narrow.requests().len(), 1, "asked once in any case");
        let wrong = say(&gateway, &chat("m", true).replace("hi", "")).await;
        assert_eq!(wrong.status, answer.status, "the same refusal each time");
    }
}

#[tokio::test]
async fn a_busy_model_s_stand_in_is_not_asked_while_a_place_may_be_waited_for() {
    let slow = Upstream::serving(|_, _| {
        [vec![Step::Sleep(Duration::from_millis(300))], stream("slow")].concat()
    })
    .await;
    let small = Upstream::serving(|_, _| stream("small")).await;
    let lines = "  concurrency: { limit: 1, queue: 1, queue-timeout: 5s }\n  fallback: { enabled: true, strategy: model, models: [small] }\n";
    let yaml = model(lines, &[slow.url()]) + &other(&small, "small");
    let gateway = Gateway::start_with("", &yaml);
    let address = gateway.address();
    let three = (0..3).map(|nth| async move {
        tokio::time::sleep(Duration::from_millis(50 * nth)).await;
        ask(address, post(CHAT, &chat("m", true))).await
    });
    let answers = futures::future::join_all(three).await;
    let texts: Vec<_> = answers.iter().map(Answer::text).collect();
    let whole = |of: &str| token(of) + DONE;
    assert_eq!(
        texts,
        [whole("slow"), whole("slow"), whole("small")],
        "served, waited, stood in for"
    );
}

#[tokio::test]
async fn with_the_strategy_cache_the_last_good_answer_comes_before_other_models() {
    let (upstream, small) = (short_lived(1).await, Upstream::serving(|_, _| stream("small")).await);
    let lines = "  fallback: { enabled: true, strategy: cache, models: [small] }\n";
    let gateway =
        Gateway::start_with("", &(model(lines, &[upstream.url()]) + &other(&small, "small")));
    let (alice, _) = deterministic(true, "alice");
    ask(gateway.address(), alice.clone().into_bytes()).await;
    let again = ask(gateway.address(), alice.into_bytes()).await;
    assert_eq!(again.header("x-jairouter-fallback"), Some("cache"));
    let (bob, _) = deterministic(true, "bob");
    let other = ask(gateway.address(), bob.into_bytes()).await;
    assert_eq!(other.header("x-jairouter-fallback"), Some("model"), "who has none");
    assert_eq!(small.requests().len(), 1);
}

#[tokio::test]
async fn a_stand_in_serves_no_more_than_its_own_limits_let_it() {
    for limit in [
        "concurrency: { model-limit: 1 }",
        "rate-limit: { enabled: true, scope: model, capacity: 1, rate: 0.01 }",
    ] {
        let gone = short_lived(0).await;
        let small = Upstream::serving(|_, _| {
            vec![event_stream(), Chunk(token("small").into()), Step::Stall]
        })
        .await;
        let lines = format!(
            "  {limit}\n  fallback: {{ enabled: true, strategy: model, models: [small] }}\n"
        );
        let yaml = model(&lines, &[gone.url()])
            + &["b", "c", "d"].map(|name| other(&gone, name)).concat()
            + &other(&small, "small");
        let gateway = Gateway::start_with("", &yaml);
        let mut held = Vec::new();
        for name in ["m", "b", "c", "d"] {
            let mut client = RawClient::connect(gateway.address()).await;
            client.post(CHAT, &chat(name, true)).await;
            held.push(client);
        }
        until("all are answered", || gateway.log().matches("\"endpoint\"").count() == 3).await;
        assert_eq!(small.requests().len(), 1, "{limit}");
    }
}

#[tokio::test]
async fn the_log_names_who_was_asked_before_a_fallback_answered() {
    let [one, two] = [short_lived(0).await, short_lived(0).await];
    let lines = "  fallback: { enabled: true, response: { text: later } }\n";
    let gateway = Gateway::start_with("", &model(lines, &[one.url(), two.url()]));
    assert_eq!(say(&gateway, &chat("m", false)).await.status, 200);
    until("it is logged", || gateway.log().contains("\"endpoint\"")).await;
    assert_eq!(gateway.log().matches(": upstream_broken after").count(), 2, "{}", gateway.log());
}
