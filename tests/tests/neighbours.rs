//! Those who ask without a key: of a gateway that has none, and of one that counts them.

use jairouter_config::config;
use jairouter_tests::client::{RawClient, ask};
use jairouter_tests::gateway::{Gateway, UNPROBED};
use jairouter_tests::upstream::{Seen, Upstream, json};
use jairouter_tests::{chat, until};

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;
const ALICE: &str = "jr-alice-7d1f";
const ALICE_DIGEST: &str =
    "sha256:81b446c217c6502208b9c273dbb665bb805f1a886e78548abe449b220b268c38";

async fn engine() -> Upstream {
    Upstream::answering(json("200 OK", ANSWER)).await
}

fn file(server: &str, security: &str, upstream: &Upstream) -> String {
    let url = upstream.url();
    format!(
        "server:\n  port: 0\n  log: {{ level: info, format: json }}\n{server}{security}model:\n{UNPROBED}  services:\n    \
         chat: {{ instances: [{{ name: m, base-url: '{url}' }}] }}\n"
    )
}

fn request(method: &str, path: &str, headers: &str) -> String {
    let body = chat("m", false);
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

// fault: A11
#[tokio::test]
async fn a_gateway_without_keys_is_no_page_s_of_the_web() {
    let upstream = engine().await;
    let gateway = Gateway::start_yaml(&file("", "", &upstream));
    let asked = async |path: &str, headers: &str| {
        ask(gateway.address(), request("POST", path, headers)).await
    };
    for headers in [
        "host: evil.com\r\n",
        "host: evil.com:8080\r\n",
        "host: 127.0.0.1.evil.com\r\n",
        "host: localhost\r\norigin: http://evil.com\r\n",
        "host: localhost\r\norigin: null\r\n",
        "host: evil.com\r\norigin: http://evil.com\r\n",
        "host: localhost\r\norigin: http://localhost\r\norigin: http://evil.com\r\n",
    ] {
        for path in [CHAT, "/v1/models", "/", "/api/v1/chat/completions"] {
            let answer = asked(path, headers).await;
            assert_eq!(answer.status, 403, "{path} {headers}");
            assert!(answer.text().contains("_not_allowed"), "{}", answer.text());
            assert!(!answer.head.contains("access-control"), "{}", answer.head);
        }
    }
    assert_eq!(upstream.count(&Seen::Connected), 0);
    gateway.logged("the request is a web page's").await;
    for headers in [
        "host: localhost\r\n",
        "host: 127.0.0.1:8080\r\n",
        "host: [::1]\r\n",
        "host: localhost\r\norigin: http://localhost:3000\r\n",
        "host: localhost\r\norigin: app://obsidian.md\r\n",
    ] {
        let answer = asked(CHAT, headers).await;
        assert_eq!(answer.status, 200, "{headers}");
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
    }
    // No browser is told that it may.
    let preflight =
        "host: localhost\r\norigin: http://localhost:1\r\naccess-control-request-method: POST\r\n";
    let answer = ask(gateway.address(), request("OPTIONS", CHAT, preflight)).await;
    assert!(answer.status >= 400 && !answer.head.contains("access-control"), "{}", answer.head);
    let probe = "GET /readyz HTTP/1.1\r\nhost: balancer.example.com\r\n\r\n";
    assert_eq!(ask(gateway.address(), probe).await.status, 200);
}

#[tokio::test]
async fn a_name_of_the_list_is_known_and_where_keys_are_asked_for_every_name_is() {
    let upstream = engine().await;
    let foreign =
        request("POST", CHAT, "host: api.example.com\r\norigin: https://chat.example.com\r\n");
    let hosts = "  allowed-hosts: [api.example.com, chat.example.com]\n";
    let named = Gateway::start_yaml(&file(hosts, "", &upstream));
    assert_eq!(ask(named.address(), foreign.clone()).await.status, 200);
    named.write(&file("", "", &upstream));
    named.signal("HUP");
    named.logged("another configuration is served").await;
    assert_eq!(ask(named.address(), foreign).await.status, 403);
    let keys = format!("security: {{ api-keys: [{{ name: a, digest: '{ALICE_DIGEST}' }}] }}\n");
    let keyed = Gateway::start_yaml(&file("", &keys, &upstream));
    let foreign = format!("host: evil.com\r\norigin: http://evil.com\r\nx-api-key: {ALICE}\r\n");
    assert_eq!(ask(keyed.address(), request("POST", CHAT, &foreign)).await.status, 200);
    for wrong in ["[a b]", "['http://a']", "['a:80']", "a"] {
        let yaml = file(&format!("  allowed-hosts: {wrong}\n"), "", &upstream);
        assert!(config::load(&yaml, &|_| None).is_err(), "{wrong}");
    }
}

// fault: A14
#[tokio::test]
async fn who_guesses_is_slowed_down_and_who_has_a_key_is_not() {
    let upstream = engine().await;
    let keys = format!(
        "security:\n  failures-per-minute: 5\n  api-keys: [{{ name: a, digest: '{ALICE_DIGEST}' }}]\n"
    );
    let server = "  trusted-proxies: [127.0.0.1]\n";
    let gateway = Gateway::start_yaml(&file(server, &keys, &upstream));
    let from = |client: &str, key: &str| {
        let headers = format!("host: g\r\nx-forwarded-for: {client}\r\nx-api-key: {key}\r\n");
        request("POST", CHAT, &headers)
    };
    for _ in 0..5 {
        let answer = ask(gateway.address(), from("192.0.2.1", "guess")).await;
        assert_eq!(answer.status, 401);
    }
    for _ in 0..20 {
        let answer = ask(gateway.address(), from("192.0.2.1", "guess")).await;
        assert_eq!(answer.status, 429);
        assert!(answer.head.contains("retry-after:"), "{}", answer.head);
        assert!(answer.head.contains("connection: close"), "{}", answer.head);
    }
    assert_eq!(
        ask(gateway.address(), from("192.0.2.1", ALICE)).await.status,
        200,
        "the same address"
    );
    assert_eq!(ask(gateway.address(), from("192.0.2.2", "guess")).await.status, 401, "another one");
    // A whole network of 64 bits is one caller.
    for number in 0..5 {
        let client = format!("2001:db8::{number}");
        assert_eq!(ask(gateway.address(), from(&client, "guess")).await.status, 401);
    }
    assert_eq!(ask(gateway.address(), from("2001:db8::ffff", "guess")).await.status, 429);
    assert_eq!(ask(gateway.address(), from("2001:db8:0:1::1", "guess")).await.status, 401);
    let told = || gateway.log().matches("refused at the door").count();
    until("what is told is logged", || told() >= 12).await;
    assert_eq!(told(), 12, "what is too much is not");
    // Another file gives nothing back.
    gateway.write(&file(server, &keys.replace("name: a", "name: b"), &upstream));
    gateway.signal("HUP");
    gateway.logged("another configuration is served").await;
    assert_eq!(ask(gateway.address(), from("192.0.2.1", "guess")).await.status, 429);
}

// fault: A14
#[tokio::test]
async fn ever_new_addresses_take_no_memory_and_lock_nobody_out() {
    let upstream = engine().await;
    let keys = format!("security: {{ api-keys: [{{ name: a, digest: '{ALICE_DIGEST}' }}] }}\n");
    let gateway = Gateway::start_yaml(&file("  trusted-proxies: [127.0.0.1]\n", &keys, &upstream));
    let mut client = RawClient::connect(gateway.address()).await;
    let mut statuses = [0; 2];
    for number in 0..3000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let headers = format!("host: g\r\nx-forwarded-for: 10.{a}.{b}.{c}\r\nx-api-key: guess\r\n");
        client.send(format!("GET {CHAT} HTTP/1.1\r\n{headers}\r\n")).await;
        match client.answer().await.status {
            401 => statuses[0] += 1,
            _ => statuses[1] += 1,
        }
    }
    assert_eq!(statuses, [3000, 0]);
    let headers = format!("host: g\r\nx-api-key: {ALICE}\r\n");
    assert_eq!(ask(gateway.address(), request("POST", CHAT, &headers)).await.status, 200);
}
