//! Every level of limits in the YAML, through the real program.

use std::time::Duration;

use jairouter_tests::client::{Answer, RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Stall};
use jairouter_tests::upstream::{Step, Upstream, closed_port, event_stream, json};
use jairouter_tests::{chat, token, until};

const CHAT: &str = "/v1/chat/completions";

/// Practically never again.
const RATE: &str = "rate: 0.001";

async fn instance() -> Upstream {
    Upstream::answering(json("200 OK", r#"{"usage":{"total_tokens":50}}"#)).await
}

/// A chat for this model, from a caller at this address.
async fn from(gateway: &Gateway, client: &str, name: &str) -> Answer {
    let body = chat(name, false);
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         x-forwarded-for: {client}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    ask(gateway.address(), head.into_bytes()).await
}

/// How many of ten requests from each of these callers are answered.
async fn passed(gateway: &Gateway, clients: &[&str], name: &str) -> usize {
    let mut passed = 0;
    for nth in 0..10 {
        for client in clients {
            let answer = from(gateway, client, name).await;
            match answer.status {
                200 => passed += 1,
                429 => {
                    assert_eq!(answer.code(), "rate_limit_exceeded", "{nth} {answer:?}");
                    let after =
                        answer.header("retry-after").and_then(|value| value.parse::<u64>().ok());
                    assert!(after >= Some(1) && answer.header("retry-after-ms").is_some());
                }
                status => panic!("{status}: {answer:?}"),
            }
        }
    }
    passed
}

const PROXY: &str = "  trusted-proxies: [127.0.0.1]\n";

#[tokio::test]
async fn the_global_limit_is_of_each_service_and_acts_beside_the_service_s_own() {
    for (global, own, expected) in [(3, 8, 3), (8, 3, 3)] {
        let upstream = instance().await;
        let limit =
            |capacity| format!("rate-limit: {{ enabled: true, capacity: {capacity}, {RATE} }}");
        let yaml = model(&format!("  {}\n", limit(global)), &[upstream.url()])
            .replace("    chat:\n", &format!("    chat:\n      {}\n", limit(own)));
        let gateway = Gateway::start_with(PROXY, &yaml);
        assert_eq!(passed(&gateway, &["10.0.0.1", "10.0.0.2"], "m").await, expected);
        assert_eq!(upstream.requests().len(), expected);
    }
}

#[tokio::test]
async fn every_algorithm_of_the_yaml_limits() {
    for (algorithm, expected) in
        [("token-bucket", 6), ("leaky_bucket", 6), ("slidingWindow", 6), ("warm-up", 2)]
    {
        let upstream = instance().await;
        let limit = format!(
            "  rate-limit: {{ enabled: true, algorithm: {algorithm}, capacity: 6, {RATE} }}\n"
        );
        let gateway = Gateway::start_with(PROXY, &model(&limit, &[upstream.url()]));
        assert_eq!(passed(&gateway, &["10.0.0.1"], "m").await, expected, "{algorithm}");
    }
}

#[tokio::test]
async fn a_limit_for_clients_is_each_client_s_own() {
    for limit in ["scope: client-ip, capacity: 2", "capacity: 7, client-ip-enable: true"] {
        let upstream = instance().await;
        let limit = format!("  rate-limit: {{ enabled: true, {limit}, {RATE} }}\n");
        let gateway = Gateway::start_with(PROXY, &model(&limit, &[upstream.url()]));
        let first = from(&gateway, "10.0.0.1", "m").await;
        assert!(first.header("x-ratelimit-remaining-requests").is_some(), "its own use");
        let rest = passed(&gateway, &["10.0.0.1", "10.0.0.2", "10.0.0.3"], "m").await;
        let expected = if limit.contains("client-ip-enable") { 6 } else { 5 };
        assert_eq!(rest, expected, "{limit}");
    }
}

#[tokio::test]
async fn a_limit_for_models_is_each_model_s_own() {
    let upstream = instance().await;
    let limit = format!("  rate-limit: {{ enabled: true, scope: model, capacity: 3, {RATE} }}\n");
    let other = format!("        - {{ name: other, base-url: '{}' }}\n", upstream.url());
    let gateway = Gateway::start_with(PROXY, &(model(&limit, &[upstream.url()]) + &other));
    assert_eq!(passed(&gateway, &["10.0.0.1"], "m").await, 3);
    assert_eq!(passed(&gateway, &["10.0.0.1"], "other").await, 3);
    assert_eq!(from(&gateway, "10.0.0.1", "nobody").await.status, 404);
}

#[tokio::test]
async fn a_limit_of_an_instance_moves_requests_to_another_and_is_busy_when_all_have_theirs() {
    let [one, two] = [instance().await, instance().await];
    let limit =
        format!("  rate-limit: {{ enabled: true, scope: instance, capacity: 3, {RATE} }}\n");
    let gateway = Gateway::start_with(PROXY, &model(&limit, &[one.url(), two.url()]));
    for _ in 0..6 {
        assert_eq!(from(&gateway, "10.0.0.1", "m").await.status, 200);
    }
    assert_eq!((one.requests().len(), two.requests().len()), (3, 3));
    let answer = from(&gateway, "10.0.0.1", "m").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "instance_busy"));
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(answer.header("x-ratelimit-limit-requests").is_none());
    // And one that only an instance has.
    let [one, two] = [instance().await, instance().await];
    let own =
        format!("', rate-limit: {{ enabled: true, scope: instance, capacity: 1, {RATE} }} }}");
    let yaml = model("", &[one.url(), two.url()]).replacen("' }", &own, 1);
    let gateway = Gateway::start_with(PROXY, &yaml);
    assert_eq!(passed(&gateway, &["10.0.0.1"], "m").await, 10);
    assert_eq!((one.requests().len(), two.requests().len()), (1, 9));
}

#[tokio::test]
async fn a_refusal_by_an_instance_spends_nothing_of_the_service_s_limits_nor_the_client_s() {
    let outer = "client-ip-enable: true, tokens-per-minute: 100000";
    for (algorithm, capacity) in
        [("token-bucket", 3), ("leaky-bucket", 3), ("sliding-window", 3), ("warm-up", 9)]
    {
        let [one, two] = [instance().await, instance().await];
        let limit = format!(
            "  rate-limit: {{ enabled: true, algorithm: {algorithm}, capacity: {capacity}, {RATE}, \
             {outer} }}\n  concurrency: {{ model-limit: 1, client-limit: 1 }}\n"
        );
        let own =
            format!("', rate-limit: {{ enabled: true, scope: instance, capacity: 2, {RATE} }} }}");
        let other = format!("        - {{ name: other, base-url: '{}' }}\n", two.url());
        let yaml = model(&limit, &[one.url()]).replacen("' }", &own, 1) + &other;
        let gateway = Gateway::start_with(PROXY, &yaml);
        for status in [200, 200, 503, 503, 503, 503] {
            let answer = from(&gateway, "10.0.0.1", "m").await;
            assert_eq!(answer.status, status, "{algorithm} {answer:?}");
        }
        assert_eq!(from(&gateway, "10.0.0.1", "other").await.status, 200, "the third of three");
        assert_eq!(from(&gateway, "10.0.0.1", "other").await.status, 429, "{algorithm}");
        assert_eq!((one.requests().len(), two.requests().len()), (2, 1));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn however_many_instances_tell_clients_apart_the_memory_for_it_is_bounded() {
    let upstream = instance().await;
    let urls: Vec<String> = (0..64).map(|nth| format!("{}/{nth}", upstream.url())).collect();
    let limit = |more: &str| {
        format!("  rate-limit: {{ enabled: true, scope: instance, capacity: 2, {RATE}{more} }}\n")
    };
    let plain = Gateway::start_with(PROXY, &model(&limit(""), &urls));
    let clients = limit(", client-ip-enable: true, tokens-per-minute: 1000000");
    let telling = Gateway::start_with(PROXY, &model(&clients, &urls));
    for gateway in [&plain, &telling] {
        assert_eq!(from(gateway, "10.0.0.1", "m").await.status, 200);
    }
    let (before, after) = (plain.memory(), telling.memory());
    assert!(after < before + 32, "{before} MiB without, {after} MiB with");
}

#[tokio::test]
async fn a_stream_s_tokens_are_asked_for_and_not_shown_to_a_caller_who_did_not_ask() {
    let chunk = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n";
    let usage = "data: {\"choices\":[],\"usage\":{\"total_tokens\":900}}\n\n";
    let upstream = Upstream::serving(move |_, asked| {
        let told = if asked.contains(r#""include_usage":true"#) { usage } else { "" };
        let text = format!("{chunk}{told}data: [DONE]\n\n");
        vec![event_stream(), Chunk(text.into()), LastChunk]
    })
    .await;
    let lines =
        "  rate-limit: { enabled: true, capacity: 1000, rate: 1000, tokens-per-minute: 1000 }\n";
    let gateway = Gateway::start_with("", &model(lines, &[upstream.url()]));
    let stream = || ask(gateway.address(), post(CHAT, &chat("m", true)));
    let answer = stream().await;
    assert_eq!((answer.status, answer.text()), (200, format!("{chunk}data: [DONE]\n\n")));
    assert_eq!(stream().await.status, 429, "the engine has told what it took");
    let gateway = Gateway::start(&[upstream.url()]);
    ask(gateway.address(), post(CHAT, &chat("m", true))).await;
    let asked = upstream.requests().pop().unwrap();
    assert!(!asked.contains("stream_options"), "nobody counts");
}

#[tokio::test]
async fn tokens_are_counted_by_what_the_engine_says() {
    let upstream = instance().await;
    let limit =
        "  rate-limit: { enabled: true, capacity: 1000, rate: 1000, tokens-per-minute: 1000 }\n";
    let gateway = Gateway::start_with(PROXY, &model(limit, &[upstream.url()]));
    let mut answered = 0;
    let refused = loop {
        let answer = from(&gateway, "10.0.0.1", "m").await;
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
    };
    // Each takes 50; the last must find the estimate of its prompt and 256 for its answer.
    assert!((14..=16).contains(&answered), "{answered}");
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("\"type\":\"tokens\""), "{refused:?}");
    assert_eq!(refused.header("x-ratelimit-limit-tokens"), Some("1000"));
}

#[tokio::test]
async fn concurrency_is_counted_to_the_end_of_the_answer_for_models_and_clients() {
    for (limit, others) in [("model-limit: 2", 429), ("client-limit: 2", 200)] {
        let upstream = Upstream::serving(|number, _| match number {
            0 | 1 => vec![event_stream(), Chunk(token("a").into()), Stall],
            _ => vec![
                event_stream(),
                Chunk(token("a").into()),
                Chunk("data: [DONE]\n\n".into()),
                LastChunk,
            ],
        })
        .await;
        let limit = format!("  concurrency: {{ {limit} }}\n");
        let gateway = Gateway::start_with(PROXY, &model(&limit, &[upstream.url()]));
        let mut held = Vec::new();
        for number in 1..=2_usize {
            let mut client = RawClient::connect(gateway.address()).await;
            client.post(CHAT, &chat("m", true)).await;
            held.push(client);
            until("it streams", || upstream.requests().len() == number).await;
        }
        let answer = ask(gateway.address(), post(CHAT, &chat("m", true))).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limit_exceeded"));
        assert_eq!(from(&gateway, "10.0.0.9", "m").await.status, others, "{limit}");
        drop(held);
        until("both are let go", || upstream.live() == 0).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(from(&gateway, "127.0.0.1", "m").await.status, 200, "their places are free");
    }
}

#[tokio::test]
async fn a_request_that_another_model_s_instance_has_seen_in_vain_is_spent() {
    let small = Upstream::serving(|_, request| {
        let status = if request.starts_with("GET") { "200 OK" } else { "500 Oops" };
        vec![Step::Send(json(status, "{}"))]
    })
    .await;
    let gone = format!("http://{}", closed_port().await);
    let limit = "rate-limit: { enabled: true, scope: service, capacity: 5, rate: 0.01 }";
    let lines = format!(
        "  services:\n    chat:\n      {limit}\n      \
         fallback: {{ enabled: true, strategy: model, models: [small] }}\n      instances:\n        \
         - {{ name: big, base-url: '{gone}' }}\n        - {{ name: small, base-url: '{}' }}\n",
        small.url()
    );
    let gateway = Gateway::start_with("", &lines);
    let mut limited = 0;
    for _ in 0..20 {
        limited += usize::from(from(&gateway, "192.0.2.1", "big").await.status == 429);
    }
    let asked = small.requests().iter().filter(|request| request.starts_with("POST")).count();
    assert_eq!((limited, asked), (15, 5));
}
