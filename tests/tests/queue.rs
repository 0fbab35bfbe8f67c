//! Waiting for a place, through the real program.

use std::time::Duration;

use jairouter_tests::client::{RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Rst, Send, Sleep, Stall};
use jairouter_tests::upstream::{Seen, Upstream, json};
use jairouter_tests::{chat, until};
use tokio::time::{Instant, sleep};

const CHAT: &str = "/v1/chat/completions";

fn lines(queue: u32, timeout: &str) -> String {
    format!("  concurrency: {{ limit: 1, queue: {queue}, queue-timeout: {timeout} }}\n")
}

/// Takes a moment for each answer, which names the request it belongs to.
async fn slow() -> Upstream {
    Upstream::serving(|number, _| {
        vec![
            Sleep(Duration::from_millis(100)),
            Send(json("200 OK", &format!("{{\"n\":{number}}}"))),
        ]
    })
    .await
}

#[tokio::test]
async fn requests_wait_for_a_place_in_the_order_they_came() {
    let upstream = slow().await;
    let gateway = Gateway::start_with("", &model(&lines(10, "10s"), &[upstream.url()]));
    let address = gateway.address();
    let ten = (0..10_u64).map(|nth| async move {
        sleep(Duration::from_millis(10 * nth)).await;
        let answer = ask(address, post(CHAT, &chat("m", false))).await;
        (answer.status, answer.text())
    });
    let answers = futures::future::join_all(ten).await;
    for (nth, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, (200, format!("{{\"n\":{nth}}}")), "first come, first served");
    }
}

// fault: R16
#[tokio::test]
async fn who_finds_no_room_or_waits_too_long_is_told_when_to_come_back() {
    let upstream = Upstream::serving(|_, _| vec![Stall]).await;
    let gateway = Gateway::start_with("", &model(&lines(1, "400ms"), &[upstream.url()]));
    let address = gateway.address();
    let mut served = RawClient::connect(address).await;
    served.post(CHAT, &chat("m", false)).await;
    until("it is served", || upstream.requests().len() == 1).await;
    let begun = Instant::now();
    let waiting = tokio::spawn(async move { ask(address, post(CHAT, &chat("m", false))).await });
    sleep(Duration::from_millis(100)).await;
    let full = ask(address, post(CHAT, &chat("m", false))).await;
    assert!(begun.elapsed() < Duration::from_millis(390), "at once");
    let late = waiting.await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(400), "at its time");
    for answer in [full, late] {
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
        let after = answer.header("retry-after").and_then(|value| value.parse::<u64>().ok());
        assert!((1..=60).contains(&after.unwrap()), "{answer:?}");
    }
}

#[tokio::test]
async fn who_leaves_the_line_is_never_asked_for_and_holds_up_nobody() {
    let upstream = slow().await;
    let gateway = Gateway::start_with("", &model(&lines(10, "10s"), &[upstream.url()]));
    let address = gateway.address();
    let first = tokio::spawn(async move { ask(address, post(CHAT, &chat("m", false))).await });
    until("it is served", || upstream.requests().len() == 1).await;
    let mut leaving = Vec::new();
    for _ in 0..5 {
        let mut client = RawClient::connect(address).await;
        client.post(CHAT, &chat("m", false)).await;
        leaving.push(client);
    }
    sleep(Duration::from_millis(30)).await;
    drop(leaving);
    let last = ask(address, post(CHAT, &chat("m", false))).await;
    assert_eq!((first.await.unwrap().status, last.text().as_str()), (200, "{\"n\":1}"));
    assert_eq!(upstream.requests().len(), 2);
    assert_eq!(upstream.count(&Seen::Left), 0);
}

// fault: R16
#[tokio::test]
async fn who_is_over_an_instance_s_rate_does_not_wait_and_holds_up_nobody() {
    let upstream = Upstream::serving(|_, _| vec![Send(json("200 OK", "{}"))]).await;
    let rate = "  rate-limit: { enabled: true, scope: instance, capacity: 1, rate: 0.01 }\n";
    let lines = lines(10, "5s").replace("limit: 1,", "limit: 10,") + rate;
    let gateway = Gateway::start_with("  workers: 1\n", &model(&lines, &[upstream.url()]));
    let address = gateway.address();
    let begun = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(ask(address, post(CHAT, &chat("m", false))).await.status);
    }
    assert_eq!(statuses, [200, 503, 503]);
    assert!(begun.elapsed() < Duration::from_secs(4), "at once");
}

// fault: R16
#[tokio::test]
async fn who_finds_one_instance_full_and_another_over_its_rate_waits_for_a_place_at_the_first() {
    let (slow, fast) = (slow().await, Upstream::answering(json("200 OK", "{}")).await);
    let limit = "rate-limit: { enabled: true, scope: instance, capacity: 1, rate: 0.01 }";
    let model = format!(
        "  load-balance: {{ type: round-robin }}\n{}  services:\n    chat:\n      instances:\n        \
         - {{ name: m, base-url: '{}' }}\n        - {{ name: m, base-url: '{}', {limit} }}\n",
        lines(10, "5s"),
        slow.url(),
        fast.url(),
    );
    let gateway = Gateway::start_with("  workers: 1\n", &model);
    let address = gateway.address();
    let six = (0..6).map(|_| async move { ask(address, post(CHAT, &chat("m", false))).await });
    let answers = futures::future::join_all(six).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!((slow.requests().len(), fast.requests().len()), (5, 1));
}

// fault: R16
#[tokio::test]
async fn a_place_at_a_good_instance_is_waited_for_rather_than_one_that_rests_being_asked() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 9\r\ncontent-length: 2\r\n\r\n{}";
    let (bad, good) = (Upstream::answering(busy).await, slow().await);
    let gateway = Gateway::start_with("", &model(&lines(50, "8s"), &[bad.url(), good.url()]));
    let address = gateway.address();
    assert_eq!(ask(address, post(CHAT, &chat("m", false))).await.status, 200);
    let ten = (0..10).map(|_| async move { ask(address, post(CHAT, &chat("m", false))).await });
    let answers = futures::future::join_all(ten).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!((bad.requests().len(), good.requests().len()), (1, 11));
}

// fault: R16
#[tokio::test]
async fn who_fails_at_one_instance_waits_for_a_place_at_another() {
    let failures = [
        vec![Rst],
        vec![Send(json("500 Oops", "{}"))],
        vec![Send("HTTP/1.1 429 Slow\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{}".into())],
    ];
    for failure in failures {
        let steps = failure.clone();
        let (bad, good) = (Upstream::serving(move |_, _| steps.clone()).await, slow().await);
        let gateway = Gateway::start_with("", &model(&lines(50, "10s"), &[bad.url(), good.url()]));
        let address = gateway.address();
        let twenty = (0..20_u64).map(|nth| async move {
            sleep(Duration::from_millis(20 * nth)).await;
            ask(address, post(CHAT, &chat("m", false))).await
        });
        let answers = futures::future::join_all(twenty).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{failure:?}: {answers:?}");
        assert_eq!(good.requests().len(), 20, "{failure:?}");
        assert!(!bad.requests().is_empty(), "{failure:?}");
    }
}

// fault: R16
#[tokio::test]
async fn who_fails_at_one_instance_and_waits_for_another_holds_up_nobody() {
    let held = Upstream::serving(|number, _| match number {
        0 => vec![Sleep(Duration::from_millis(800)), Send(json("200 OK", "{}"))],
        _ => vec![Send(json("200 OK", "{}"))],
    })
    .await;
    let picky = Upstream::serving(|_, asked| match asked.contains("poison") {
        true => vec![Send(json("500 Oops", "{}"))],
        false => vec![Send(json("200 OK", "{}"))],
    })
    .await;
    let gateway = Gateway::start_with("", &model(&lines(50, "10s"), &[held.url(), picky.url()]));
    let address = gateway.address();
    let mut holding = RawClient::connect(address).await;
    holding.post(CHAT, &chat("m", false)).await;
    until("one is held", || held.requests().len() == 1).await;
    let poison = chat("m", false).replace("hi", "poison");
    let waiting = tokio::spawn(async move { ask(address, post(CHAT, &poison)).await });
    until("it has failed", || picky.requests().len() == 1).await;
    for nth in 2..12 {
        assert_eq!(ask(address, post(CHAT, &chat("m", false))).await.status, 200);
        assert_eq!((held.requests().len(), picky.requests().len()), (1, nth), "at once");
    }
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.header("x-jairouter-attempts")), (200, Some("2")));
    assert_eq!(held.requests().len(), 2);
}

// fault: R16
#[tokio::test]
async fn who_fails_and_waits_in_vain_is_asked_of_one_that_rests() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 9\r\ncontent-length: 2\r\n\r\n{}";
    let held = Upstream::serving(|_, _| vec![Stall]).await;
    let rests = Upstream::serving(move |number, _| match number {
        0 => vec![Send(busy.into())],
        _ => vec![Send(json("200 OK", "{}"))],
    })
    .await;
    let fails = Upstream::answering(json("500 Oops", "{}")).await;
    let urls = [held.url(), rests.url(), fails.url()];
    let gateway = Gateway::start_with("", &model(&lines(50, "300ms"), &urls));
    let mut holding = RawClient::connect(gateway.address()).await;
    holding.post(CHAT, &chat("m", false)).await;
    until("one is held", || held.requests().len() == 1).await;
    let request = || ask(gateway.address(), post(CHAT, &chat("m", false)));
    let begun = Instant::now();
    let both = request().await;
    assert_eq!((both.status, both.code().as_str()), (429, "instance_busy"), "what was heard");
    assert!(begun.elapsed() >= Duration::from_millis(300), "it has waited");
    let answer = request().await;
    assert_eq!((answer.status, rests.requests().len()), (200, 2), "{answer:?}");
}

// fault: R16
#[tokio::test]
async fn a_client_over_its_own_rate_at_an_instance_waits_for_another_and_holds_up_nobody() {
    let held = Upstream::serving(|number, _| match number {
        0 => vec![Stall],
        _ => vec![Send(json("200 OK", "{}"))],
    })
    .await;
    let free = Upstream::answering(json("200 OK", "{}")).await;
    let limit = "rate-limit: { enabled: true, scope: client-ip, capacity: 1, rate: 0.01 }";
    let model = format!(
        "  load-balance: {{ type: round-robin }}\n{}  \
         services:\n    chat:\n      instances:\n        - {{ name: m, base-url: '{}' }}\n        \
         - {{ name: m, base-url: '{}', {limit} }}\n",
        lines(10, "5s"),
        held.url(),
        free.url(),
    );
    let server = "  trusted-proxies: [127.0.0.0/8]\n";
    let gateway = Gateway::start_with(server, &model);
    let address = gateway.address();
    let from = |client: u32| {
        let body = chat("m", false);
        let request = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             x-forwarded-for: 192.0.2.{client}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        ask(address, request.into_bytes())
    };
    let mut holding = RawClient::connect(address).await;
    holding.post(CHAT, &chat("m", false)).await;
    until("one is held", || held.requests().len() == 1).await;
    assert_eq!(from(1).await.status, 200);
    let waiting = tokio::spawn(from(1));
    sleep(Duration::from_millis(50)).await;
    assert_eq!(from(2).await.status, 200, "whose limit is untouched");
    assert!(!waiting.is_finished());
    drop(holding);
    assert_eq!(waiting.await.unwrap().status, 200);
    assert_eq!((held.requests().len(), free.requests().len()), (2, 2));
}
