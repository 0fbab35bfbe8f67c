//! Keys: who may ask, and how much.

use std::time::Duration;

use jairouter_config::config;
use jairouter_tests::client::{RawClient, ask};
use jairouter_tests::gateway::{Gateway, UNPROBED};
use jairouter_tests::upstream::Step::{Send, Sleep};
use jairouter_tests::upstream::{Seen, Upstream, json};
use jairouter_tests::{chat, until};

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;

/// The keys of these tests, and their digests.
const ALICE: &str = "jr-alice-7d1f";
const ALICE_DIGEST: &str =
    "sha256:81b446c217c6502208b9c273dbb665bb805f1a886e78548abe449b220b268c38";
const BOB: &str = "jr-bob-55aa";
const BOB_DIGEST: &str = "sha256:250f2376749351b42e44a7f1bb502644fb9630f20f5e329292473406040d8df7";

async fn engine() -> Upstream {
    Upstream::answering(json("200 OK", ANSWER)).await
}

fn keys(alice: &str, bob: &str) -> String {
    format!(
        "security:\n  failures-per-minute: unlimited\n  api-keys:\n    - {{ name: alice, digest: '{ALICE_DIGEST}'{alice} }}\n    \
         - {{ name: bob, digest: '{BOB_DIGEST}'{bob} }}\n"
    )
}

/// An engine that answers one request, and fails every other.
async fn once() -> Upstream {
    let answer = json("200 OK", r#"{"data":[{"embedding":[1]}]}"#);
    Upstream::serving(move |number, _| match number {
        0 => vec![Send(answer.clone())],
        _ => vec![Send(json("500 No", "{}"))],
    })
    .await
}

fn file(keys: &str, lines: &str, upstream: &Upstream) -> String {
    let url = upstream.url();
    format!(
        "server: {{ port: 0, log: {{ level: trace, format: json }} }}\n{keys}model:\n{UNPROBED}{lines}  \
         services:\n    chat:\n      instances:\n        - {{ base-url: '{url}', models: [m, n] }}\n    \
         embedding:\n      instances:\n        - {{ base-url: '{url}', models: [m, e] }}\n"
    )
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: gateway\r\n{headers}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

async fn status(gateway: &Gateway, key: &str, path: &str, model: &str) -> u16 {
    let body = chat(model, false);
    ask(gateway.address(), request("POST", path, &bearer(key), &body)).await.status
}

#[tokio::test]
async fn the_holder_of_a_key_is_let_in_and_the_key_goes_no_further() {
    let upstream = engine().await;
    let gateway = Gateway::start_yaml(&file(&keys("", ""), "", &upstream));
    for headers in [
        bearer(ALICE),
        format!("authorization: bEARER   {ALICE} \r\n"),
        format!("x-api-key: {ALICE}\r\n"),
        format!("x-api-key: {ALICE}\r\nauthorization: Bearer somebody-else's\r\n"),
    ] {
        let asked = request("POST", CHAT, &headers, &chat("m", false));
        assert_eq!(ask(gateway.address(), asked).await.status, 200, "{headers}");
    }
    for seen in upstream.requests() {
        let seen = seen.to_lowercase();
        assert!(!seen.contains("alice") && !seen.contains("authorization"), "{seen}");
        assert!(!seen.contains("x-api-key"), "{seen}");
    }
    let log = gateway.logged(r#""key":"alice""#).await;
    assert!(!log.contains(ALICE) && !log.contains("somebody-else"), "{log}");
}

// fault: A1 A6
#[tokio::test]
async fn no_bad_credential_reaches_an_engine_at_any_path() {
    let upstream = engine().await;
    let gateway = Gateway::start_yaml(&file(&keys("", ", expires: 2020-01-01"), "", &upstream));
    let canary = "canary7f3a";
    let mut credentials = vec![String::new(), bearer(BOB), format!("x-api-key: {BOB}\r\n")];
    for token in [
        "",
        " ",
        canary,
        "jr-",
        "jr-alice-7d1",
        "jr-alice-7d1f0",
        "JR-ALICE-7D1F",
        ALICE_DIGEST,
        &ALICE_DIGEST["sha256:".len()..],
        "null",
        "undefined",
        "Bearer jr-alice-7d1f",
        "../..",
        "*",
        "%6ar",
        "jr-alice-7d1f,jr-alice-7d1f",
        "jr-alice-7d1f jr-alice-7d1f",
        "\u{e9}",
        &"x".repeat(600),
    ] {
        credentials.push(bearer(token));
        credentials.push(format!("x-api-key: {token}\r\n"));
    }
    for header in [
        format!("authorization: {ALICE}\r\n"),
        format!("authorization: Basic {ALICE}\r\n"),
        format!("authorization: Bearer{ALICE}\r\n"),
        format!("authorization: Token {ALICE}\r\n"),
        format!("proxy-authorization: Bearer {ALICE}\r\n"),
        format!("api-key: {ALICE}\r\n"),
        format!("cookie: authorization=Bearer {ALICE}\r\n"),
        format!("x-api-key: {canary}\r\nauthorization: Bearer {ALICE}\r\n"),
        format!("x-api-key: \r\nauthorization: Bearer {ALICE}\r\n"),
        format!("authorization: Bearer {ALICE}\r\nauthorization: Bearer {ALICE}\r\n"),
        format!("x-api-key: {ALICE}\r\nx-api-key: {canary}\r\n"),
    ] {
        credentials.push(header);
    }
    let paths = [
        ("POST", CHAT),
        ("POST", "/api/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/messages"),
        ("POST", "/v1/rerank"),
        ("POST", "/v1/audio/speech"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/m"),
        ("GET", "/"),
        ("GET", "/metrics"),
        ("OPTIONS", CHAT),
        ("DELETE", "/v1/models"),
        ("POST", "//v1/chat/completions"),
        ("POST", "/V1/chat/completions"),
        ("POST", "/healthz/../v1/chat/completions"),
        ("POST", "/v1/chat/completions?x-api-key=jr-alice-7d1f"),
    ];
    let mut tried = 0;
    for (method, path) in paths {
        let mut client = RawClient::connect(gateway.address()).await;
        for headers in &credentials {
            client.send(request(method, path, headers, "")).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, 401, "{method} {path} {headers}");
            assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
            assert!(!answer.text().contains(canary), "{}", answer.text());
            tried += 1;
        }
    }
    assert!(tried >= 500, "{tried}");
    assert_eq!(upstream.count(&Seen::Connected), 0);
    let log = gateway.logged("refused at the door").await;
    assert!(!log.contains(canary) && !log.contains(ALICE), "a key is in the log");
    // The same without a list of keys lets everybody in; an empty one nobody.
    let open = Gateway::start_yaml(&file("", "", &upstream));
    assert_eq!(status(&open, "any", CHAT, "m").await, 200);
    let shut = Gateway::start_yaml(&file("security: { api-keys: [] }\n", "", &upstream));
    assert_eq!(status(&shut, ALICE, CHAT, "m").await, 401);
    assert_eq!(ask(shut.address(), request("GET", "/readyz", "", "")).await.status, 200);
}

#[tokio::test]
async fn who_may_not_ask_is_told_before_the_body_is_read_in_the_words_of_the_path() {
    let upstream = engine().await;
    let gateway = Gateway::start_yaml(&file(&keys("", ""), "", &upstream));
    for (path, expected) in [
        (CHAT, r#""code":"invalid_api_key""#),
        ("/v1/messages", r#""type":"authentication_error""#),
    ] {
        let mut client = RawClient::connect(gateway.address()).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
             content-length: 1000000000\r\n\r\n"
        );
        client.send(head).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 401);
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_key_is_for_its_models_and_services_alone() {
    let upstream = engine().await;
    let bob = ", models: ['m*'], services: [chat]";
    let gateway = Gateway::start_yaml(&file(&keys("", bob), "", &upstream));
    let embeddings = "/v1/embeddings";
    assert_eq!(status(&gateway, BOB, CHAT, "m").await, 200);
    assert_eq!(status(&gateway, BOB, CHAT, "n").await, 403);
    assert_eq!(status(&gateway, BOB, embeddings, "m").await, 403);
    assert_eq!(status(&gateway, BOB, CHAT, "missing").await, 404, "what is there for nobody");
    assert_eq!(status(&gateway, ALICE, embeddings, "e").await, 200);
    let models = async |key| {
        ask(gateway.address(), request("GET", "/v1/models", &bearer(key), "")).await.text()
    };
    let (all, his) = (models(ALICE).await, models(BOB).await);
    assert!(all.contains(r#""id":"n""#) && all.contains(r#""id":"e""#), "{all}");
    assert!(his.contains(r#""id":"m""#) && !his.contains(r#""id":"n""#), "{his}");
    let card = ask(gateway.address(), request("GET", "/v1/models/n", &bearer(BOB), "")).await;
    assert_eq!(card.status, 404);
}

#[tokio::test]
async fn a_key_has_limits_of_its_own_wherever_its_holder_is() {
    let upstream = engine().await;
    let gateway = Gateway::start_yaml(&file(&keys(", requests-per-minute: 2", ""), "", &upstream));
    let asked = || request("POST", CHAT, &bearer(ALICE), &chat("m", false));
    let answer = ask(gateway.address(), asked()).await;
    assert!(answer.head.contains("x-ratelimit-remaining-requests: 1"), "{}", answer.head);
    assert_eq!(ask(gateway.address(), asked()).await.status, 200);
    let answer = ask(gateway.address(), asked()).await;
    assert_eq!(answer.status, 429);
    assert!(answer.head.contains("retry-after"), "{}", answer.head);
    assert!(answer.text().contains("your API key"), "{}", answer.text());
    assert_eq!(status(&gateway, BOB, CHAT, "m").await, 200, "another's is another's");

    // What is the same is not given again by another file; what is not is new.
    gateway.write(&file(&keys(", requests-per-minute: 2", ", priority: 9"), "", &upstream));
    gateway.signal("HUP");
    gateway.logged("another configuration is served").await;
    assert_eq!(status(&gateway, ALICE, CHAT, "m").await, 429);
}

#[tokio::test]
async fn a_key_asks_so_much_at_a_time() {
    let answer = json("200 OK", ANSWER);
    let slow = vec![Sleep(Duration::from_secs(2)), Send(answer)];
    let upstream = Upstream::serving(move |_, _| slow.clone()).await;
    let gateway = Gateway::start_yaml(&file(&keys(", concurrency: 1", ""), "", &upstream));
    let address = gateway.address();
    let asked = request("POST", CHAT, &bearer(ALICE), &chat("m", false));
    let running = tokio::spawn(async move { ask(address, asked).await.status });
    until("it is asked", || upstream.live() == 1).await;
    assert_eq!(status(&gateway, ALICE, CHAT, "m").await, 429);
    assert_eq!(status(&gateway, BOB, CHAT, "m").await, 200);
    assert_eq!(running.await.unwrap(), 200);
    assert_eq!(status(&gateway, ALICE, CHAT, "m").await, 200);
}

#[tokio::test]
async fn a_fallback_and_a_list_hold_no_model_that_a_key_is_not_for() {
    let upstream = Upstream::serving(|_, request| {
        let fails = request.contains(r#""m""#);
        vec![Send(json(if fails { "500 No" } else { "200 OK" }, ANSWER))]
    })
    .await;
    let lines = "  fallback: { enabled: true, strategy: model, models: [n] }\n";
    let of_chat = ", services: [chat]";
    let gateway = Gateway::start_yaml(&file(&keys(of_chat, ", models: [m, e]"), lines, &upstream));
    assert_eq!(status(&gateway, ALICE, CHAT, "m").await, 200, "by n");
    assert_eq!(status(&gateway, BOB, CHAT, "m").await, 500, "by nobody");
    let asked = request("GET", "/v1/models", &bearer(ALICE), "");
    let list = ask(gateway.address(), asked).await.text();
    assert!(list.contains(r#""id":"n""#) && !list.contains(r#""id":"e""#), "{list}");
    let asked = request("GET", "/v1/models/e", &bearer(ALICE), "");
    assert_eq!(ask(gateway.address(), asked).await.status, 404);
}

#[tokio::test]
async fn a_key_beside_a_key_goes_to_no_engine_either() {
    let upstream = engine().await;
    let forwards = file(&keys("", ""), "", &upstream)
        .replace("models: [m, n]", "models: [m, n], forward-authorization: true");
    let gateway = Gateway::start_yaml(&forwards);
    for (own, forwarded) in [(ALICE, false), (BOB, false), ("engines-own", true)] {
        let headers = format!("x-api-key: {ALICE}\r\n{}", bearer(own));
        let asked = request("POST", CHAT, &headers, &chat("m", false));
        assert_eq!(ask(gateway.address(), asked).await.status, 200);
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.contains(own), forwarded, "{seen}");
    }
}

#[tokio::test]
async fn a_key_that_was_replaced_is_another_one_by_the_same_name() {
    let upstream = once().await;
    let lines = "  fallback: { enabled: true, strategy: cache }\n";
    let before = keys("", "");
    let gateway = Gateway::start_yaml(&file(&before, lines, &upstream));
    assert_eq!(status(&gateway, ALICE, "/v1/embeddings", "m").await, 200);
    let after = before.replace(BOB_DIGEST, &format!("sha256:{}", "0".repeat(64)));
    let after = after.replace(ALICE_DIGEST, BOB_DIGEST);
    gateway.write(&file(&after, lines, &upstream));
    gateway.signal("HUP");
    gateway.logged("another configuration is served").await;
    assert_eq!(status(&gateway, BOB, "/v1/embeddings", "m").await, 500, "alice's now");
}

#[tokio::test]
async fn a_list_of_keys_whose_items_were_taken_out_opens_nothing() {
    let upstream = engine().await;
    let gateway = Gateway::start_yaml(&file(&keys("", ""), "", &upstream));
    for blank in [
        "security:\n",
        "security:\n  api-keys:\n",
        &keys(", models: ", ""),
        &keys("", ", services: "),
    ] {
        let before = gateway.log().len();
        gateway.write(&file(blank, "", &upstream));
        gateway.signal("HUP");
        until("it is refused", || gateway.log()[before..].contains("the configuration stays"))
            .await;
        until("it is said why", || gateway.log()[before..].contains("this says nothing")).await;
        assert_eq!(status(&gateway, "nobody's", CHAT, "m").await, 401);
    }
}

// fault: A13
#[tokio::test]
async fn a_key_that_is_taken_out_is_refused_on_connections_that_are_open() {
    let upstream = engine().await;
    let gateway = Gateway::start_yaml(&file(&keys("", ""), "", &upstream));
    let mut client = RawClient::connect(gateway.address()).await;
    let asked = request("POST", CHAT, &bearer(ALICE), &chat("m", false));
    client.send(&asked).await;
    assert_eq!(client.answer().await.status, 200);
    let without = keys("", "").replacen(ALICE_DIGEST, &format!("sha256:{}", "0".repeat(64)), 1);
    gateway.write(&file(&without, "", &upstream));
    gateway.signal("HUP");
    gateway.logged("another configuration is served").await;
    client.send(&asked).await;
    assert_eq!(client.answer().await.status, 401);
}

#[tokio::test]
async fn what_is_kept_for_one_key_is_not_another_s() {
    let upstream = once().await;
    let lines = "  fallback: { enabled: true, strategy: cache }\n";
    let gateway = Gateway::start_yaml(&file(&keys("", ""), lines, &upstream));
    assert_eq!(status(&gateway, ALICE, "/v1/embeddings", "m").await, 200);
    assert_eq!(status(&gateway, ALICE, "/v1/embeddings", "m").await, 200, "what was kept");
    assert_eq!(status(&gateway, BOB, "/v1/embeddings", "m").await, 500);
}

#[test]
fn a_new_key_is_printed_once_with_a_configuration_that_takes_it() {
    let printed = Gateway::run(&["keys", "new", "carol: 'x'"]);
    let key = printed.lines().find_map(|line| line.trim().strip_prefix("jr-")).unwrap();
    assert_eq!(key.len(), 43, "{printed}");
    let (_, lines) = printed.split_once("api-keys:").unwrap();
    let yaml = format!(
        "security:\n  api-keys:{lines}model: {{ services: {{ chat: {{ instances: [{{ base-url: 'http://h' }}] }} }} }}\n"
    );
    let config = config::load(&yaml, &|_| None).unwrap();
    assert_eq!(config.security.keys.unwrap()[0].name, "carol: 'x'");
    assert!(!printed.replacen(key, "", 1).contains(key));
}
