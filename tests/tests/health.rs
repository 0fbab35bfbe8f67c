//! Health, as it is probed and as requests find it, through the real program.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use jairouter_tests::client::{ask, get, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::Send;
use jairouter_tests::upstream::{Upstream, closed_port, json};
use jairouter_tests::{chat, until};
use tokio::time::{Instant, sleep};

const CHAT: &str = "/v1/chat/completions";
const PROBED: &str = "  health-check: { interval: 400ms, timeout: 200ms }\n";

/// An instance whose health answers with this status, and the probes it has seen.
struct Probed {
    upstream: Upstream,
    health: Arc<AtomicU16>,
}

impl Probed {
    async fn new(health: u16) -> Self {
        let health = Arc::new(AtomicU16::new(health));
        let told = Arc::clone(&health);
        let upstream = Upstream::serving(move |_, request| {
            let status = match request.starts_with("GET") {
                true => format!("{} X", told.load(Ordering::Relaxed)),
                false => "200 OK".to_owned(),
            };
            vec![Send(json(&status, "{}"))]
        })
        .await;
        Self { upstream, health }
    }

    fn seen(&self, method: &str) -> usize {
        let requests = self.upstream.requests();
        requests.iter().filter(|request| request.starts_with(method)).count()
    }
}

async fn ready(gateway: &Gateway) -> u16 {
    ask(gateway.address(), get("/readyz")).await.status
}

async fn chat_status(gateway: &Gateway) -> u16 {
    ask(gateway.address(), post(CHAT, &chat("m", false))).await.status
}

#[tokio::test]
async fn an_instance_is_probed_at_its_own_path_with_its_own_key_and_never_with_inference() {
    let one = Probed::new(200).await;
    let yaml = model(PROBED, &[one.upstream.url()])
        .replace("' }", "', adapter: vllm, headers: { authorization: 'Bearer k' } }");
    let gateway = Gateway::start_with("", &yaml);
    until("it is probed a few times", || one.seen("GET") >= 3).await;
    for probe in one.upstream.requests() {
        assert!(probe.starts_with("GET /health HTTP/1.1\r\n"), "{probe}");
        assert!(probe.contains("authorization: Bearer k"), "{probe}");
    }
    assert_eq!((one.seen("POST"), ready(&gateway).await), (0, 200));
}

// fault: O5
#[tokio::test]
async fn one_that_is_served_no_more_is_probed_no_more() {
    let [one, two] = [Probed::new(200).await, Probed::new(200).await];
    let both = model(PROBED, &[one.upstream.url(), two.upstream.url()]);
    let gateway = Gateway::start_with("", &both);
    until("both are probed", || one.seen("GET") > 0 && two.seen("GET") > 0).await;
    gateway.configure("", &model(PROBED, &[two.upstream.url()]));
    gateway.signal("HUP");
    gateway.logged("another configuration is served").await;
    let (before, other) = (one.seen("GET"), two.seen("GET"));
    until("the other one is probed on", || two.seen("GET") >= other + 3).await;
    assert!(one.seen("GET") <= before + 1, "one may have been on its way");
}

#[tokio::test]
async fn one_that_is_unwell_is_not_asked_until_it_is_well_again() {
    let [one, two] = [Probed::new(500).await, Probed::new(200).await];
    let gateway =
        Gateway::start_with("", &model(PROBED, &[one.upstream.url(), two.upstream.url()]));
    gateway.logged("the instance's health has changed").await;
    for _ in 0..10 {
        assert_eq!(chat_status(&gateway).await, 200);
    }
    assert_eq!((one.seen("POST"), two.seen("POST")), (0, 10));
    one.health.store(200, Ordering::Relaxed);
    gateway.logged("the instance is back").await;
    for _ in 0..4 {
        assert_eq!(chat_status(&gateway).await, 200);
    }
    assert!(one.seen("POST") >= 1, "without a request having had to try");
}

// fault: U1, R1
#[tokio::test]
async fn a_refused_connection_takes_an_instance_out_within_a_second_and_it_comes_back_alone() {
    let place = closed_port().await;
    let lines = "  health-check: { interval: 5s, timeout: 1s }\n";
    let gateway = Gateway::start_with("", &model(lines, &[format!("http://{place}")]));
    assert_eq!(ready(&gateway).await, 200, "nothing is known yet");
    let begun = Instant::now();
    assert_eq!(chat_status(&gateway).await, 502);
    until("it is out", || gateway.log().contains("\"to\":\"down\"")).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    let refused = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "no_healthy_instance"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(ready(&gateway).await, 503);
    let _back = Upstream::serving_at(place, |_, _| vec![Send(json("200 OK", "{}"))]).await;
    gateway.logged("the instance is back").await;
    assert_eq!((chat_status(&gateway).await, ready(&gateway).await), (200, 200));
}

#[tokio::test]
async fn one_that_refuses_our_key_is_asked_only_when_no_other_is_left() {
    let [one, two] = [Probed::new(401).await, Probed::new(200).await];
    let gateway =
        Gateway::start_with("", &model(PROBED, &[one.upstream.url(), two.upstream.url()]));
    gateway.logged("misconfigured").await;
    for _ in 0..6 {
        assert_eq!(chat_status(&gateway).await, 200);
    }
    assert_eq!((one.seen("POST"), two.seen("POST")), (0, 6));
    drop(two);
    sleep(Duration::from_millis(300)).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(chat_status(&gateway).await);
    }
    assert_eq!(statuses, [200; 5], "it may be the health path alone that wants a key");
}

// fault: R13
#[tokio::test]
async fn a_path_and_times_of_one_s_own_are_kept_and_none_is_probed_that_should_not_be() {
    let [one, two] = [Probed::new(200).await, Probed::new(200).await];
    let yaml = model(PROBED, &[one.upstream.url(), two.upstream.url()])
        .replacen("' }", "', health-check: { path: /up } }", 1)
        .replacen("' }", "', status: inactive }", 1);
    let _gateway = Gateway::start_with("", &yaml);
    until("it is probed", || one.seen("GET /up ") >= 2).await;
    assert_eq!(two.seen("GET"), 0, "it is out of rotation");
}
