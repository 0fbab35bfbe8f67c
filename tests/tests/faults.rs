//! One instance that misbehaves and a healthy one beside it, with breakers, through the real program:
//! what the caller got, and what each of them saw.

use std::time::Duration;

use jairouter_tests::client::{Answer, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, Fin, LastChunk, Rst, Send, Sleep, Stall};
use jairouter_tests::upstream::{Seen, Step, Upstream, event_stream, json};
use jairouter_tests::{chat, token, until};

const CHAT: &str = "/v1/chat/completions";
const DONE: &str = "data: [DONE]\n\n";

const LINES: &str = "  circuit-breaker: { enabled: true, failure-threshold: 3, timeout: 60s }
  timeouts: { connect: 400ms, first-token: 300ms, idle: 300ms, total: 5s }
  health-check: { enabled: false }
";

fn chunk(text: &str) -> Step {
    Chunk(text.into())
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    vec![Send(format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}").into())]
}

/// A stream of two tokens, of this instance.
fn stream(of: &str) -> Vec<Step> {
    vec![event_stream(), chunk(&token(of)), chunk(&token("b")), chunk(DONE), LastChunk]
}

fn whole(of: &str) -> String {
    token(of) + &token("b") + DONE
}

/// Two instances: one that does this for each of its requests, and a healthy one.
struct Pair {
    bad: Upstream,
    good: Upstream,
    gateway: Gateway,
}

impl Pair {
    async fn new(bad: impl Fn(usize) -> Vec<Step> + std::marker::Send + Sync + 'static) -> Self {
        let bad = Upstream::serving(move |number, _| bad(number)).await;
        let good = Upstream::serving(|_, _| stream("good")).await;
        let gateway = Gateway::start_with("", &model(LINES, &[bad.url(), good.url()]));
        Self { bad, good, gateway }
    }

    async fn ask(&self) -> Answer {
        ask(self.gateway.address(), post(CHAT, &chat("m", true))).await
    }

    /// Asks so often and expects the healthy one's whole answer each time.
    async fn expect_good(&self, times: usize) {
        for nth in 0..times {
            let answer = self.ask().await;
            let seen = (answer.status, answer.text(), answer.complete);
            assert_eq!(seen, (200, whole("good"), true), "request {nth}");
        }
    }

    /// How many requests each of them saw.
    fn seen(&self) -> (usize, usize) {
        (self.bad.requests().len(), self.good.requests().len())
    }
}

// fault: U17
#[tokio::test]
async fn a_429_with_a_time_is_left_alone_for_that_time() {
    let busy = || answer("429 Too Many Requests", "retry-after: 1\r\n", "{}");
    let pair = Pair::new(move |number| if number == 0 { busy() } else { stream("bad") }).await;
    pair.expect_good(6).await;
    assert_eq!(pair.seen(), (1, 6), "asked once, and then left alone");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let texts = [pair.ask().await.text(), pair.ask().await.text()];
    assert!(texts.contains(&whole("bad")), "and then asked again: {texts:?}");
}

// fault: U17
#[tokio::test]
async fn a_429_for_ever_is_never_taken_for_a_broken_instance() {
    let pair = Pair::new(|_| answer("429 Too Many Requests", "", "{}")).await;
    pair.expect_good(12).await;
    assert_eq!(pair.seen(), (1, 12), "left alone for a second, since it names no time");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        pair.expect_good(2).await;
    }
    assert_eq!(pair.seen(), (4, 18), "more often than the breaker bears failures");
}

// fault: U16
#[tokio::test]
async fn a_500_once_costs_nobody_anything() {
    let oops = || answer("500 Oops", "", "{}");
    let pair = Pair::new(move |number| if number == 0 { oops() } else { stream("bad") }).await;
    pair.expect_good(1).await;
    for _ in 0..6 {
        let answer = pair.ask().await;
        assert!(answer.complete && answer.text().ends_with(DONE));
    }
    assert_eq!(pair.seen(), (4, 4));
}

#[tokio::test]
async fn a_503_for_ever_opens_the_breaker() {
    let pair = Pair::new(|_| answer("503 Oops", "", r#"{"error":"x"}"#)).await;
    pair.expect_good(12).await;
    assert_eq!(pair.seen(), (2, 12), "twice in a row, and then it rests");
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        pair.expect_good(6).await;
    }
    assert_eq!(pair.seen(), (3, 24), "three failures, and no more");
}

// fault: U7
#[tokio::test]
async fn a_reset_before_the_head_is_answered_by_the_other() {
    let pair = Pair::new(|_| vec![Rst]).await;
    pair.expect_good(12).await;
    let (bad, good) = pair.seen();
    assert!((1..=3).contains(&bad) && good == 12, "{bad}");
}

// fault: U4
#[tokio::test]
async fn silence_and_a_slow_first_token_are_given_up_for_the_other_at_the_clock() {
    let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    let late =
        vec![event_stream(), chunk(role), Sleep(Duration::from_millis(900)), chunk(&token("late"))];
    for steps in [vec![Stall], late] {
        let pair = Pair::new(move |_| steps.clone()).await;
        pair.expect_good(8).await;
        assert_eq!(pair.seen(), (2, 8), "twice in a row, and then it rests");
        until("it was let go of each time", || pair.bad.live() == 0).await;
        assert_eq!(pair.bad.count(&Seen::Left), 2);
    }
}

// fault: U6, U7, U8
#[tokio::test]
async fn a_stream_that_is_cut_stalls_or_ends_without_a_word_is_told_of_and_counted() {
    let begin = || vec![event_stream(), chunk(&token("bad"))];
    for (end, code) in [
        (vec![Rst], "upstream_broken"),
        (vec![Stall], "upstream_stalled"),
        (vec![Send("zz\r\nnonsense".into()), Stall], "upstream_broken"),
        (vec![LastChunk], "upstream_broken"),
        (vec![Fin], "upstream_broken"),
    ] {
        let steps = [begin(), end].concat();
        let pair = Pair::new(move |_| steps.clone()).await;
        let mut cut = 0;
        for _ in 0..12 {
            let answer = pair.ask().await;
            if answer.text().starts_with(&token("bad")) {
                cut += 1;
                assert!(answer.text().contains(code) && !answer.text().contains("[DONE]"));
                assert!(!answer.complete, "{code}");
            } else {
                assert_eq!((answer.text(), answer.complete), (whole("good"), true));
            }
        }
        assert_eq!((cut, pair.bad.requests().len()), (3, 3), "{code}: then the breaker is open");
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_and_a_filtered_answer_are_the_caller_s_own() {
    let long = r#"{"error":{"message":"maximum context length is 8","type":"t","param":null,"code":"context_length_exceeded"}}"#;
    let pair = Pair::new(move |_| answer("400 Bad Request", "", long)).await;
    for nth in 0..10 {
        let answer = pair.ask().await;
        match nth % 2 {
            0 => assert_eq!((answer.status, answer.text().as_str()), (400, long)),
            _ => assert_eq!(answer.text(), whole("good")),
        }
    }
    assert_eq!(pair.seen(), (5, 5), "asked once each, and no breaker opened");
    let filtered = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\n";
    let pair =
        Pair::new(move |_| vec![event_stream(), chunk(filtered), chunk(DONE), LastChunk]).await;
    assert_eq!(pair.ask().await.text(), format!("{filtered}{DONE}"), "as it is");
    assert_eq!(pair.seen(), (1, 0));
}

// fault: R5
#[tokio::test]
async fn an_instance_that_fails_every_other_time_costs_no_caller_an_answer() {
    let flapping = |number: usize| match number % 2 {
        0 => answer("500 Oops", "", "{}"),
        _ => stream("bad"),
    };
    let pair = Pair::new(flapping).await;
    for nth in 0..20 {
        let answer = pair.ask().await;
        assert!(answer.complete && answer.text().ends_with(DONE), "request {nth}: {answer:?}");
    }
    assert!(pair.bad.requests().len() >= 8, "in a row it never fails: {:?}", pair.seen());
}

// fault: R2
#[tokio::test]
async fn a_thousand_at_once_at_a_half_open_breaker_are_as_many_as_its_probes() {
    let upstream = Upstream::serving(|number, _| match number {
        0..3 => vec![Send(json("500 Oops", "{}"))],
        _ => [vec![Sleep(Duration::from_millis(1500))], vec![Send(json("200 OK", "{}"))]].concat(),
    })
    .await;
    let lines = LINES.replace("timeout: 60s", "timeout: 100ms").replace("300ms", "10s");
    let gateway = Gateway::start_with("", &model(&lines, &[upstream.url()]));
    let address = gateway.address();
    let request = || async move { ask(address, post(CHAT, &chat("m", false))).await };
    for _ in 0..3 {
        assert_eq!(request().await.status, 500);
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    let statuses = futures::future::join_all((0..1000).map(|_| request())).await;
    let passed = statuses.iter().filter(|answer| answer.status == 200).count();
    let refused = statuses.iter().filter(|answer| answer.status == 503).count();
    assert_eq!(
        (passed, refused, upstream.requests().len()),
        (2, 998, 5),
        "two probes, as by default"
    );
    let refusal = statuses.iter().find(|answer| answer.status == 503).expect("most of them");
    assert_eq!(refusal.code(), "circuit_open");
    assert!(refusal.header("retry-after").is_some());
}

#[tokio::test]
async fn the_log_lists_what_was_asked_in_vain() {
    let failing = || async { Upstream::serving(|_, _| answer("500 Oops", "", "{}")).await };
    let [one, two] = [failing().await, failing().await];
    let gateway = Gateway::start_with("", &model(LINES, &[one.url(), two.url()]));
    assert_eq!(ask(gateway.address(), post(CHAT, &chat("m", true))).await.status, 500);
    let log = gateway.logged("\"attempts\":").await;
    for upstream in [&one, &two] {
        let name = format!("m@{}: upstream_broken after ", upstream.address());
        assert!(log.contains(&name), "{log}");
    }
}
