//! Everything fails at once: how much is asked, what callers get, and how soon all is well again.

use std::time::Duration;

use jairouter_tests::client::{ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::Send;
use jairouter_tests::upstream::{Upstream, closed_port, json};
use jairouter_tests::{chat, until};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

const CHAT: &str = "/v1/chat/completions";
const BREAKER: &str = "  circuit-breaker: { enabled: true }\n";

/// Fails every question, and is well if asked for its health.
async fn failing() -> Upstream {
    Upstream::serving(|_, request| {
        let status = if request.starts_with("GET") { "200 OK" } else { "500 Oops" };
        vec![Send(json(status, "{}"))]
    })
    .await
}

/// The questions they have seen; those for their health are left out.
fn attempts(instances: &[Upstream]) -> usize {
    let asked = |one: &Upstream| {
        one.requests().iter().filter(|request| request.starts_with("POST")).count()
    };
    instances.iter().map(asked).sum()
}

async fn once(gateway: &Gateway) -> (u16, String) {
    let answer = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    if answer.status == 503 {
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    (answer.status, answer.code())
}

/// Sends so many requests at this rate, and returns their statuses.
async fn offer(gateway: &Gateway, count: u32, rate: f64) -> Vec<u16> {
    let (begun, address) = (Instant::now(), gateway.address());
    let mut tasks = JoinSet::new();
    for nth in 0..count {
        sleep_until(begun + Duration::from_secs_f64(f64::from(nth) / rate)).await;
        tasks.spawn(async move { ask(address, post(CHAT, &chat("m", false))).await.status });
    }
    tasks.join_all().await
}

// fault: R8, R9
#[tokio::test]
async fn a_total_outage_is_asked_little_more_than_callers_ask_with_breakers_and_without() {
    for (rate, count) in [(1.0, 8_u32), (50.0, 100), (500.0, 1000)] {
        for lines in ["", BREAKER] {
            let instances = [failing().await, failing().await, failing().await];
            let urls = instances.each_ref().map(Upstream::url);
            let gateway = Gateway::start_with("", &model(lines, &urls));
            let statuses = offer(&gateway, count, rate).await;
            assert!(statuses.iter().all(|status| matches!(status, 500 | 503)), "{statuses:?}");
            let (asked, most) = (attempts(&instances), count + count / 5 + 2);
            assert!(asked <= most as usize, "{asked} for {count} at {rate} a second {lines}");
            if lines == BREAKER && count > 8 {
                // Five in a row each, and those that were under way.
                assert!(asked < 60, "{asked} of {count}");
                let refused = statuses.iter().filter(|status| **status == 503).count();
                assert!(refused > count as usize / 2, "{refused}");
            }
        }
    }
}

#[tokio::test]
async fn when_every_breaker_is_open_nobody_is_waited_for() {
    let instances = [failing().await, failing().await, failing().await];
    let urls = instances.each_ref().map(Upstream::url);
    let gateway = Gateway::start_with("", &model(BREAKER, &urls));
    offer(&gateway, 60, 500.0).await;
    let asked = attempts(&instances);
    for _ in 0..50 {
        assert_eq!(once(&gateway).await, (503, "circuit_open".to_owned()));
    }
    assert_eq!(attempts(&instances), asked, "nothing was sent");
}

// fault: R1
#[tokio::test]
async fn all_is_well_soon_after_the_first_instance_is_back() {
    let places = [closed_port().await, closed_port().await, closed_port().await];
    let urls = places.map(|place| format!("http://{place}"));
    let lines = format!("{BREAKER}  health-check: {{ enabled: true }}\n");
    let gateway = Gateway::start_with("", &model(&lines, &urls));
    let statuses = offer(&gateway, 60, 500.0).await;
    assert!(statuses.iter().all(|status| matches!(status, 502 | 503)), "{statuses:?}");
    assert_eq!(once(&gateway).await.0, 503);
    let back = Upstream::serving_at(places[1], |_, _| vec![Send(json("200 OK", "{}"))]).await;
    let begun = Instant::now();
    let mut well = 0;
    while well < 20 {
        well = if once(&gateway).await.0 == 200 { well + 1 } else { 0 };
        assert!(begun.elapsed() < Duration::from_secs(5), "five seconds at most");
        sleep(Duration::from_millis(20)).await;
    }
    until("nothing is left", || back.live() == 0).await;
}
