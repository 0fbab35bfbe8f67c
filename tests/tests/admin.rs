//! The operators' API: what it shows, what it changes, and whom it hears.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use futures::future::join_all;
use jairouter_tests::answer::Answer;
use jairouter_tests::client::{RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, UNPROBED};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Sleep};
use jairouter_tests::upstream::{Upstream, event_stream, json};
use jairouter_tests::{chat, token};
use serde_json::{Value, json as value};

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;
const TOKEN: &str = "canary-operators-token";

fn file(management: &str, urls: &[String]) -> String {
    let mut yaml = format!(
        "# The lab's.\nserver: {{ port: 0, log: {{ format: json }} }}\nmanagement:\n  server: {{ port: 0{management} }}\n\
         model:\n{UNPROBED}  load-balance: {{ type: round-robin }}\n  services:\n    chat:  # all of it\n      instances:\n"
    );
    for (nth, url) in urls.iter().enumerate() {
        let instance = format!(
            "        - name: m  # number {nth}\n          instance-id: i{nth}\n          base-url: {url}\n          \
             headers: {{ x-secret: canary-upstream-secret }}\n"
        );
        yaml.push_str(&instance);
    }
    yaml
}

/// Asks the API, and returns the status and what it said.
async fn call(gateway: &Gateway, method: &str, path: &str, body: &str) -> (u16, Value) {
    call_with(gateway, method, path, body, "").await
}

async fn call_with(
    gateway: &Gateway,
    method: &str,
    path: &str,
    body: &str,
    headers: &str,
) -> (u16, Value) {
    let answer = raw(gateway, method, path, body, headers).await;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    assert_eq!(said["success"], value!(answer.status < 300), "{path}: {}", answer.text());
    assert_eq!(said["errorCode"].is_string(), answer.status >= 300, "{path}: {said}");
    assert!(said["message"].is_string() && said["timestamp"].is_string(), "{said}");
    (answer.status, said)
}

async fn raw(gateway: &Gateway, method: &str, path: &str, body: &str, headers: &str) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    ask(gateway.operators(), head).await
}

async fn ask_model(gateway: &Gateway, model: &str) -> u16 {
    ask(gateway.address(), post(CHAT, &chat(model, false))).await.status
}

async fn engine() -> Upstream {
    Upstream::answering(json("200 OK", ANSWER)).await
}

#[tokio::test]
async fn instances_come_change_and_go_in_the_file_and_in_what_is_served() {
    let [one, two] = [engine().await, engine().await];
    let before = file("", &[one.url()]);
    let gateway = Gateway::start_yaml(&before);
    let read = || fs::read_to_string(gateway.config_path()).unwrap();

    let new = value!({"name": "n", "baseUrl": two.url(), "instanceId": "second"}).to_string();
    let (status, said) = call(&gateway, "POST", "/api/config/instance/chat", &new).await;
    assert_eq!((status, &said["data"]["version"]), (201, &value!(2)));
    assert_eq!(ask_model(&gateway, "n").await, 200, "served when it is said");
    assert!(read().starts_with(&before), "what was there stays, comments too: {}", read());

    let (status, _) =
        call(&gateway, "PUT", "/api/config/instance/chat/second", r#"{"name":"o"}"#).await;
    assert_eq!(
        (status, ask_model(&gateway, "n").await, ask_model(&gateway, "o").await),
        (200, 404, 200)
    );
    let (_, said) = call(&gateway, "GET", "/api/config/instance/chat/second", "").await;
    assert_eq!(said["data"]["models"], value!(["o"]));
    assert_eq!(said["data"]["config"]["baseUrl"], value!(two.url()));

    let (status, _) = call(&gateway, "DELETE", "/api/config/instance/chat/second", "").await;
    assert_eq!((status, ask_model(&gateway, "o").await, read()), (200, 404, before.clone()));

    // The older paths say and do the same.
    let (status, _) = call(&gateway, "POST", "/api/config/instance/add/chat", &new).await;
    assert_eq!(status, 201);
    let update = r#"{"instanceId":"second","instance":{"weight":3}}"#;
    let (status, _) = call(&gateway, "PUT", "/api/config/instance/update/chat", update).await;
    assert_eq!(status, 200);
    let (_, said) =
        call(&gateway, "GET", "/api/config/instance/info/chat?instanceId=second", "").await;
    assert_eq!(said["data"]["weight"], value!(3));
    let (_, said) = call(&gateway, "GET", "/api/config/instance/type/chat", "").await;
    assert_eq!(said["data"].as_array().map(Vec::len), Some(2));
    let path = "/api/config/instance/del/chat?instanceId=second";
    assert_eq!(call(&gateway, "DELETE", path, "").await.0, 200);
    assert_eq!(read(), before);
    // What was written is read again once, and is no other configuration.
    gateway.logged("the configuration is served again").await;
    let (_, said) = call(&gateway, "GET", "/api/config/version/current", "").await;
    assert_eq!(said["data"], value!(7));
}

#[tokio::test]
async fn services_come_change_and_go() {
    let one = engine().await;
    let gateway = Gateway::start_yaml(&file("", &[one.url()]));
    let new = value!({"instances": [{"name": "e", "base-url": one.url()}]}).to_string();
    let path = "/api/config/type/services/embeddings";
    assert_eq!(call(&gateway, "GET", path, "").await.0, 404);
    assert_eq!(call(&gateway, "POST", path, &new).await.0, 201);
    assert_eq!(call(&gateway, "POST", path, &new).await.0, 409);
    let (_, said) = call(&gateway, "GET", "/api/config/type/services", "").await;
    assert_eq!(said["data"], value!(["chat", "embedding"]));
    let change = r#"{"load-balance":{"type":"ip-hash"},"retry":{"max-attempts":1}}"#;
    assert_eq!(call(&gateway, "PUT", path, change).await.0, 200);
    let (_, said) = call(&gateway, "GET", "/api/loadbalancer/status", "").await;
    assert_eq!(said["data"][1]["strategy"], value!("ip-hash"));
    assert_eq!(call(&gateway, "PUT", path, r#"{"retry":null}"#).await.0, 200);
    let (_, said) = call(&gateway, "GET", path, "").await;
    assert!(said["data"]["retry"].is_null() && said["data"]["load-balance"].is_object());
    let (_, said) = call(&gateway, "GET", "/api/models", "").await;
    let expected = value!({"service": "embedding", "model": "e", "instances": [said["data"][1]["instances"][0]]});
    assert_eq!(said["data"][1], expected);
    assert_eq!(call(&gateway, "DELETE", path, "").await.0, 200);
    assert_eq!(call(&gateway, "DELETE", path, "").await.0, 404);
    assert_eq!(ask_model(&gateway, "m").await, 200);
}

// fault: O3
#[tokio::test]
async fn what_would_be_wrong_is_refused_with_its_line_and_changes_nothing() {
    let one = engine().await;
    let before = file("", &[one.url()]);
    let gateway = Gateway::start_yaml(&before);
    let instance = "/api/config/instance/chat";
    for (method, path, body, status, says) in [
        ("POST", instance, r#"{"name":"n"}"#, 400, "base-url"),
        ("POST", instance, r#"{"name":"n","base-url":"file:///etc"}"#, 400, "URL"),
        ("POST", instance, r#"{"name":"n","base-url":"http://u:p@h"}"#, 400, "base-url"),
        ("POST", instance, r#"{"name":"n","base-url":"http://h","wieght":1}"#, 400, "weight"),
        ("POST", instance, r#"{"name":"n","base-url":"http://h","api-key":"***"}"#, 400, "***"),
        ("POST", instance, r#"["name"]"#, 400, "object"),
        ("POST", instance, r#"{"name":"#, 400, "no JSON"),
        ("POST", "/api/config/instance/chta", "{}", 404, "did you mean 'chat'"),
        ("PUT", "/api/config/instance/chat/i9", "{}", 404, "i9"),
        ("PUT", "/api/config/instance/chat/i0", r#"{"weight":0}"#, 400, "weight"),
        ("PUT", "/api/config/instance/update/chat", r#"{"instance":{}}"#, 400, "instanceId"),
        ("DELETE", "/api/config/instance/chat/i0", "", 400, "at least one instance"),
        ("DELETE", "/api/config/instance/del/chat", "", 400, "instanceId"),
        ("DELETE", "/api/config/type/services/chat", "", 400, "services"),
        ("PUT", "/api/config/type/services/chat", r#"{"instances":[]}"#, 400, "instance"),
        ("GET", "/api/config/version/9", "", 404, "9"),
        ("GET", "/api/config/version/x", "", 400, "x"),
        ("POST", "/api/config/version/apply/9", "", 404, "9"),
        ("POST", "/api/config/version/rollback", "", 404, "before"),
        ("DELETE", "/api/config/version/1", "", 409, "served"),
        ("PATCH", instance, "", 405, "method"),
        ("GET", "/api", "", 404, "path"),
        ("GET", "/api/../metrics", "", 404, "path"),
    ] {
        let (was, said) = call(&gateway, method, path, body).await;
        let told = said["message"].as_str().unwrap();
        assert!(was == status && told.contains(says), "{method} {path} {body}: {was} {told}");
        if said["errorCode"] == "invalid_configuration" {
            let first = said["data"]["errors"][0].as_str().unwrap();
            assert!(first.as_bytes()[0].is_ascii_digit(), "it names the line: {first}");
        }
    }
    let (_, said) = call(&gateway, "GET", "/api/config/version/current", "").await;
    assert_eq!(said["data"], value!(1));
    assert_eq!(fs::read_to_string(gateway.config_path()).unwrap(), before);
    assert_eq!(ask_model(&gateway, "m").await, 200);
}

#[tokio::test]
async fn a_file_that_somebody_has_changed_or_that_cannot_be_written_stays_as_it_is() {
    let one = engine().await;
    let before = file("", &[one.url()]);
    let gateway = Gateway::start_yaml(&before);
    let path = gateway.config_path();
    let change = r#"{"weight":2}"#;
    let broken = before.replace("model:", "modle:");
    gateway.write(&broken);
    gateway.logged("the configuration stays").await;
    let (status, said) = call(&gateway, "PUT", "/api/config/instance/chat/i0", change).await;
    assert_eq!((status, &said["errorCode"]), (409, &value!("file_changed")));
    assert_eq!(fs::read_to_string(&path).unwrap(), broken);
    let (status, said) = call(&gateway, "POST", "/api/config/reload", "").await;
    assert_eq!((status, &said["errorCode"]), (400, &value!("invalid_configuration")));
    gateway.write(&before);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(call(&gateway, "PUT", "/api/config/instance/chat/i0", change).await.0, 200);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "others may read it as before");
    fs::remove_file(&path).unwrap();
    let (status, said) = call(&gateway, "PUT", "/api/config/instance/chat/i0", change).await;
    assert_eq!((status, &said["errorCode"]), (409, &value!("file_not_readable")));
    assert_eq!(ask_model(&gateway, "m").await, 200);
}

#[tokio::test]
async fn versions_are_kept_compared_and_gone_back_to() {
    let one = engine().await;
    let before = file("", &[one.url()]);
    let gateway = Gateway::start_yaml(&before);
    let change = r#"{"headers":{"x-secret":"canary-other-secret","x":"1"}}"#;
    assert_eq!(call(&gateway, "PUT", "/api/config/instance/chat/i0", change).await.0, 200);
    let (_, said) = call(&gateway, "GET", "/api/config/version/compare/1/2", "").await;
    let headers = "model.services.chat.instances[0].headers";
    let expected = value!([
        {"path": format!("{headers}.x-secret"), "kind": "changed", "from": "***", "to": "***"},
        {"path": format!("{headers}.x"), "kind": "added", "to": "***"}
    ]);
    assert_eq!((&said["data"]["totalChanges"], &said["data"]["changes"]), (&value!(2), &expected));
    let (_, said) = call(&gateway, "GET", "/api/config/version/2", "").await;
    assert_eq!(said["data"]["model"]["services"]["chat"]["instances"][0]["headers"]["x"], "***");
    assert_eq!(call(&gateway, "POST", "/api/config/version/rollback", "").await.0, 200);
    assert_eq!(fs::read_to_string(gateway.config_path()).unwrap(), before);
    assert_eq!(call(&gateway, "POST", "/api/config/version/apply/2", "").await.0, 200);
    let (_, said) = call(&gateway, "GET", "/api/config/version/info", "").await;
    let told = said["data"].as_array().unwrap().iter();
    let told: Vec<_> =
        told.map(|one| (one["version"].as_u64(), one["operation"].as_str())).collect();
    let expected = [
        (Some(4), Some("version 2 applied")),
        (Some(3), Some("version 1 applied")),
        (Some(2), Some("instance i0 of chat changed")),
        (Some(1), Some("start")),
    ];
    assert_eq!(told, expected);
    ask_model(&gateway, "m").await;
    assert!(one.requests().last().unwrap().contains("canary-other-secret"), "it acts");
    assert_eq!(call(&gateway, "DELETE", "/api/config/version/1", "").await.0, 200);
    let (_, said) = call(&gateway, "GET", "/api/config/version", "").await;
    assert_eq!(said["data"], value!([2, 3, 4]));
}

#[tokio::test]
async fn a_drained_instance_finishes_its_streams_and_is_sent_nothing_until_it_is_resumed() {
    let stream = vec![
        event_stream(),
        Chunk(token("one").into()),
        Sleep(Duration::from_millis(400)),
        Chunk(token("two").into()),
        Chunk("data: [DONE]\n\n".into()),
        LastChunk,
    ];
    let [one, two] = [Upstream::serving(move |_, _| stream.clone()).await, engine().await];
    let gateway = Gateway::start_yaml(&file("", &[one.url(), two.url()]));
    let mut caller = RawClient::connect(gateway.address()).await;
    // Round robin begins with the first.
    caller.post(CHAT, &chat("m", true)).await;
    caller.read_until("one").await;
    let path = "/api/config/instance/chat/i0";
    let (_, said) = call(&gateway, "POST", &format!("{path}/drain"), "").await;
    assert_eq!(
        (&said["data"]["state"], &said["data"]["inFlight"]),
        (&value!("draining"), &value!(1))
    );
    for _ in 0..4 {
        assert_eq!(ask_model(&gateway, "m").await, 200);
    }
    assert_eq!((one.requests().len(), two.requests().len()), (1, 4));
    // A configuration that leaves it as it is does not bring it back.
    assert_eq!(
        call(&gateway, "PUT", "/api/config/instance/chat/i1", r#"{"weight":2}"#).await.0,
        200
    );
    assert_eq!(ask_model(&gateway, "m").await, 200);
    assert_eq!(one.requests().len(), 1);
    assert!(caller.answer().await.text().ends_with("data: [DONE]\n\n"), "it finished");
    let (_, said) = call(&gateway, "POST", &format!("{path}/resume"), "").await;
    assert_eq!((&said["data"]["state"], &said["data"]["inFlight"]), (&value!("up"), &value!(0)));
    let mut asked = 0;
    while one.requests().len() == 1 && asked < 6 {
        ask_model(&gateway, "m").await;
        asked += 1;
    }
    assert_eq!(one.requests().len(), 2, "it is asked again");
}

#[tokio::test]
async fn a_breaker_is_seen_open_and_closed_on_an_operators_word() {
    let one = Upstream::answering(json("500 No", "{}")).await;
    let breaker = "  circuit-breaker: { enabled: true, failure-threshold: 1, timeout: 60s }\n  \
                   rate-limit: { enabled: true, capacity: 50, rate: 1, algorithm: sliding-window }\n";
    let yaml = file("", &[one.url()]).replace("  services:", &format!("{breaker}  services:"));
    let gateway = Gateway::start_yaml(&yaml);
    assert_eq!(ask_model(&gateway, "m").await, 500);
    let states = "/api/config/instance/circuit-breaker/states";
    let (_, said) = call(&gateway, "GET", states, "").await;
    let (state, wait) = (&said["data"][0]["state"], said["data"][0]["retryAfter"].as_u64());
    assert!(state == "OPEN" && wait.is_some_and(|wait| wait > 30_000), "{said}");
    let reset = "/api/config/instance/circuit-breaker/reset";
    assert_eq!(call(&gateway, "POST", reset, r#"{"instanceId":"i9"}"#).await.0, 404);
    assert_eq!(call(&gateway, "POST", reset, r#"{"instance":"i0"}"#).await.0, 400);
    let (_, said) = call(&gateway, "POST", reset, r#"{"serviceType":"chat"}"#).await;
    assert_eq!(said["data"], value!(["i0"]));
    let (_, said) = call(&gateway, "GET", states, "").await;
    assert_eq!(said["data"][0]["state"], "CLOSED");
    assert_eq!(call(&gateway, "POST", reset, "").await.0, 200);

    let (_, said) = call(&gateway, "GET", "/api/rate-limiter/status", "").await;
    let limit = &said["data"][0];
    assert_eq!((&limit["algorithm"], &limit["capacity"]), (&value!("sliding-window"), &value!(50)));
    assert_eq!(limit["remaining"], value!(49));
}

#[tokio::test]
async fn the_picture_tells_what_failed_and_who_was_asked_in_vain() {
    let one = Upstream::answering(json("500 No", "{}")).await;
    let gateway = Gateway::start_yaml(&file("", &[one.url()]));
    assert_eq!(ask_model(&gateway, "m").await, 500);
    let (_, said) = call(&gateway, "GET", "/api/status", "").await;
    let failure = &said["data"]["failures"][0];
    assert_eq!((&failure["model"], &failure["status"]), (&value!("m"), &value!(500)));
    assert_eq!(failure["attempts"][0]["instance"], "i0");
    assert!(failure["requestId"].is_string() && !said.to_string().contains("canary"), "{said}");

    let mut watcher = RawClient::connect(gateway.operators()).await;
    watcher.send("GET /api/status/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    watcher.read_until("event: picture").await;
    // A picture a second, of what is now.
    ask_model(&gateway, "unheard-of").await;
    watcher.read_until("unheard-of").await;
}

#[tokio::test]
async fn as_many_watch_as_may_and_who_leaves_makes_room() {
    let one = engine().await;
    let gateway = Gateway::start_yaml(&file("", &[one.url()]));
    let events = "GET /api/status/events HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut watchers = Vec::new();
    for _ in 0..16 {
        let mut watcher = RawClient::connect(gateway.operators()).await;
        watcher.send(events).await;
        watcher.read_until("event: picture").await;
        watchers.push(watcher);
    }
    let (status, said) = call(&gateway, "GET", "/api/status/events", "").await;
    assert_eq!((status, &said["errorCode"]), (503, &value!("too_many_watchers")));
    // They are in nobody's way.
    assert_eq!(call(&gateway, "GET", "/api/models", "").await.0, 200);
    drop(watchers.pop());
    // The next picture finds nobody there.
    let head = "connection: close\r\n";
    while raw(&gateway, "HEAD", "/api/status/events", "", head).await.status != 200 {}
}

// fault: A10 A11
#[tokio::test]
async fn nobody_is_heard_without_the_token_where_there_is_one_and_no_page_where_there_is_none() {
    let one = engine().await;
    let gateway = Gateway::start_yaml(&file(&format!(", token: {TOKEN}"), &[one.url()]));
    let paths = [
        "/api/models",
        "/api/status",
        "/api/config/version/1",
        "/api/status/events",
        "/api/nothing",
    ];
    for path in paths {
        for headers in [
            String::new(),
            "authorization: Bearer wrong-token-0123\r\n".to_owned(),
            format!("authorization: Basic {TOKEN}\r\n"),
            format!("authorization: Bearer {TOKEN}\r\nauthorization: Bearer {TOKEN}\r\n"),
        ] {
            let answer = raw(&gateway, "GET", path, "", &headers).await;
            let is_refused =
                answer.status == 401 || (path == "/api/nothing" && answer.status == 404);
            assert!(is_refused && !answer.text().contains("canary"), "{path} {}", answer.text());
        }
    }
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    assert_eq!(call_with(&gateway, "GET", "/api/models", "", &bearer).await.0, 200);
    let key = format!("x-api-key: {TOKEN}\r\n");
    assert_eq!(call_with(&gateway, "GET", "/api/models", "", &key).await.0, 200);
    // It is another one with the next configuration, at once.
    let other = file(", token: another-token-0123", &[one.url()]);
    gateway.write(&other);
    let reload = call_with(&gateway, "POST", "/api/config/reload", "", &bearer).await;
    assert_eq!((reload.0, reload.1["data"]["needsRestart"].clone()), (200, value!([])));
    assert_eq!(call_with(&gateway, "GET", "/api/models", "", &bearer).await.0, 401);
    // Who is let in by it is let in nowhere else, and no caller's path leads here.
    for path in ["/api/models", "/api/config/version", "//api/models", "/v1/../api/models", "/"] {
        let answer =
            ask(gateway.address(), format!("GET {path} HTTP/1.1\r\nhost: g\r\n{bearer}\r\n"));
        assert_eq!(answer.await.status, 404, "{path}");
    }

    let open = Gateway::start_yaml(&file("", &[one.url()]));
    for (headers, status) in [
        ("origin: http://127.0.0.1\r\n", 200),
        ("origin: http://evil.example\r\n", 403),
        ("origin: null\r\n", 403),
    ] {
        let path = "/api/config/instance/circuit-breaker/reset";
        assert_eq!(call_with(&open, "POST", path, "", headers).await.0, status, "{headers}");
    }
    let rebound = "GET /api/models HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert_eq!(ask(open.operators(), rebound).await.status, 403);
    assert!(!raw(&open, "GET", "/api/models", "", "").await.head.contains("access-control"));
}

#[tokio::test]
async fn off_this_machine_nobody_is_heard_until_there_is_a_token() {
    let one = engine().await;
    let gateway = Gateway::start_yaml(&file(", address: 0.0.0.0", &[one.url()]));
    assert_eq!(call(&gateway, "GET", "/api/models", "").await.0, 403);
    assert_eq!(raw(&gateway, "GET", "/metrics", "", "").await.status, 200);
    gateway.logged("operators' API is closed").await;
    gateway.write(&file(&format!(", address: 0.0.0.0, token: {TOKEN}"), &[one.url()]));
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    let mut heard = 0;
    while heard != 200 {
        heard = raw(&gateway, "GET", "/api/models", "", &bearer).await.status;
    }
    assert!(!gateway.log().contains(TOKEN));
}

#[tokio::test]
async fn the_document_names_every_path_and_each_is_there() {
    let one = engine().await;
    let gateway = Gateway::start_yaml(&file("", &[one.url()]));
    let document: Value =
        serde_json::from_slice(&raw(&gateway, "GET", "/openapi.json", "", "").await.body).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 20, "{paths:?}");
    for (path, methods) in paths {
        let concrete = path.replace("{service}", "chat").replace("{id}", "i0");
        let concrete = concrete.replace("{version}", "1");
        let concrete = concrete.replace("{source}", "1").replace("{target}", "1");
        for (method, operation) in methods.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            let answer = if path.ends_with("/events") {
                continue;
            } else {
                raw(&gateway, &method.to_uppercase(), &concrete, "", "").await
            };
            let said = answer.status.to_string();
            assert!(responses.contains_key(&said), "{method} {path}: {said} {}", answer.text());
        }
    }
    assert_eq!(ask_model(&gateway, "m").await, 200);
}

#[tokio::test]
async fn the_status_command_shows_it_to_whoever_has_the_token() {
    let one = engine().await;
    let gateway = Gateway::start_yaml(&file(&format!(", token: {TOKEN}"), &[one.url()]));
    ask_model(&gateway, "unheard-of").await;
    let url = format!("http://{}", gateway.operators());
    let (said, shown) = Gateway::try_run(&["status", &url]);
    assert!(!shown && said.contains("set JAIROUTER_OPERATORS_TOKEN"), "{said}");
    let token = [("JAIROUTER_OPERATORS_TOKEN", TOKEN)];
    let (said, shown) = Gateway::try_run_with(&token, &["status", "--once", &url]);
    assert!(shown && said.contains("chat (round-robin)\n  INSTANCE  STATE"), "{said}");
    assert!(said.contains("\n  i0        up     0 ") && said.contains("unheard-of 404"), "{said}");
    let (said, shown) = Gateway::try_run_with(&token, &["status", "--json", &url]);
    let said: Value = serde_json::from_str(&said).unwrap_or_default();
    assert!(shown && said["services"][0]["instances"][0]["instanceId"] == "i0", "{said}");
    for (url, why) in [
        ("https://127.0.0.1:1", "is not a URL such as"),
        ("127.0.0.1", "is not a URL"),
        ("http://127.0.0.1:1", "refused"),
        (&*format!("http://{}", gateway.address()), "not as a gateway's operators' listener"),
    ] {
        let (said, shown) = Gateway::try_run(&["status", url]);
        assert!(!shown && said.contains(why), "{url}: {said}");
    }
}

#[tokio::test]
async fn many_operators_at_once_change_one_thing_after_the_other() {
    let one = engine().await;
    let before = file("", &[one.url()]);
    let gateway = Gateway::start_yaml(&before);
    let add = async |nth: usize| {
        let new = value!({"name": format!("n{nth}"), "base-url": one.url(), "instance-id": nth.to_string()});
        let (status, said) =
            call(&gateway, "POST", "/api/config/instance/chat", &new.to_string()).await;
        assert_eq!(status, 201, "{said}");
        let path = format!("/api/config/instance/chat/{nth}");
        let (status, said) = call(&gateway, "PUT", &path, r#"{"weight":7}"#).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(ask_model(&gateway, &format!("n{nth}")).await, 200);
    };
    join_all((0..20).map(add)).await;
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    assert_eq!((text.matches("weight: 7").count(), text.starts_with(&before)), (20, true));
    let (_, said) = call(&gateway, "GET", "/api/config/version/current", "").await;
    assert_eq!(said["data"], value!(41));
    join_all((0..20).map(async |nth: usize| {
        let path = format!("/api/config/instance/chat/{nth}");
        assert_eq!(call(&gateway, "DELETE", &path, "").await.0, 200);
    }))
    .await;
    assert_eq!(fs::read_to_string(gateway.config_path()).unwrap(), before);
}
