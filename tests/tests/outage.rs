//! Everything fails at once: how much is asked, what callers get, and how soon all is well again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jairouter_tests::client::{ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Rst, Send};
use jairouter_tests::upstream::{Step, Upstream, closed_port, json};
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
    let begun = Instant::now();
    let mut refused = 0;
    for _ in 0..50 {
        refused += usize::from(once(&gateway).await == (503, "circuit_open".to_owned()));
    }
    let sent = attempts(&instances) - asked;
    // They are well if asked for their health: one request a second finds out more.
    let most = begun.elapsed().as_secs() as usize + 1;
    assert!(sent <= most && refused >= 50 - most, "{sent} were sent, {refused} refused");
}

/// Instances that are well until they all fail in this way, and answer for their health all the time.
async fn switched(fault: &Step) -> ([Upstream; 3], Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let one = || async {
        let (fault, fails) = (fault.clone(), Arc::clone(&fails));
        Upstream::serving(move |_, request| {
            let fails = fails.load(Ordering::Relaxed) && request.starts_with("POST");
            vec![if fails { fault.clone() } else { Send(json("200 OK", "{}")) }]
        })
        .await
    };
    ([one().await, one().await, one().await], fails)
}

// fault: R8, R9
#[tokio::test]
async fn neither_the_kind_of_the_outage_nor_quiet_times_before_make_more_of_it() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{}";
    let faults =
        [Send(json("500 Oops", "{}")), Rst, Send("what?\r\n\r\n".into()), Send(busy.into())];
    for (rate, count) in [(1.0, 8_u32), (50.0, 100)] {
        let one = |fault: &Step| {
            let fault = fault.clone();
            async move {
                let (instances, fails) = switched(&fault).await;
                let gateway =
                    Gateway::start_with("", &model("", &instances.each_ref().map(Upstream::url)));
                let before = offer(&gateway, 60, 1000.0).await;
                assert!(before.iter().all(|status| *status == 200), "{before:?}");
                fails.store(true, Ordering::Relaxed);
                let asked = attempts(&instances);
                offer(&gateway, count, rate).await;
                // And a connection that was used before may be dead: once for each instance and worker.
                let stale = if matches!(fault, Rst) { 6 } else { 0 };
                let (asked, most) = (attempts(&instances) - asked, count + count / 5 + 2 + stale);
                assert!(
                    asked <= most as usize,
                    "{asked} for {count} at {rate} a second: {fault:?}"
                );
            }
        };
        futures::future::join_all(faults.iter().map(one)).await;
    }
}

// fault: R1, R7
#[tokio::test]
async fn a_pool_that_is_well_is_not_refused_to_everybody_until_its_breakers_time_is_over() {
    let (instances, fails) = switched(&Send(json("500 Oops", "{}"))).await;
    let lines = format!("{BREAKER}  health-check: {{ enabled: true }}\n");
    let urls = instances.each_ref().map(Upstream::url);
    let gateway = Gateway::start_with("  workers: 2\n", &model(&lines, &urls));
    fails.store(true, Ordering::Relaxed);
    offer(&gateway, 60, 500.0).await;
    assert_eq!(once(&gateway).await.1, "circuit_open");
    // Somebody's prompts made them all fail, and nobody's do any longer.
    fails.store(false, Ordering::Relaxed);
    let begun = Instant::now();
    let mut well = 0;
    while well < 20 {
        well = if once(&gateway).await.0 == 200 { well + 1 } else { 0 };
        assert!(begun.elapsed() < Duration::from_secs(5), "five seconds at most");
        sleep(Duration::from_millis(20)).await;
    }
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
