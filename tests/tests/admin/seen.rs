//! What is seen, and what is said of this hour: drained instances, closed breakers.

use super::*;

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
    // A configuration does not bring it back, whether it leaves it as it is or not.
    let headers = r#"{"headers":{"x-other":"1"},"health-check":{"interval":"6s"}}"#;
    let i1 = "/api/config/instance/chat/i1";
    assert_eq!(call(&gateway, "PUT", path, headers).await.0, 200);
    assert_eq!(call(&gateway, "PUT", i1, r#"{"weight":2}"#).await.0, 200);
    let (_, said) = call(&gateway, "GET", path, "").await;
    assert_eq!(said["data"]["state"], "draining");
    for _ in 0..4 {
        assert_eq!(ask_model(&gateway, "m").await, 200);
    }
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
    let admitted = async {
        while raw(&gateway, "HEAD", "/api/status/events", "", head).await.status != 200 {}
    };
    timeout(PATIENCE, admitted).await.expect("who has left makes room");
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
