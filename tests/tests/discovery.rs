//! Instances that are asked which models they have, through the real program.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jairouter_tests::client::{ask, get, post};
use jairouter_tests::gateway::{Gateway, a_moment};
use jairouter_tests::upstream::Step::{self, Chunk, Fin, LastChunk, Send, Sleep};
use jairouter_tests::upstream::{Upstream, closed_port, event_stream, json};
use jairouter_tests::{chat, until};
use serde_json::Value;

const CHAT: &str = "/v1/chat/completions";

/// An engine that lists these models, and answers for any with its own name.
struct Engine {
    upstream: Upstream,
    list: Arc<Mutex<String>>,
}

impl Engine {
    async fn new(models: &[&str]) -> Self {
        let list = Arc::new(Mutex::new(list(models)));
        let told = Arc::clone(&list);
        let upstream = Upstream::serving(move |_, request| answer(&told, request)).await;
        Self { upstream, list }
    }

    fn says(&self, list: String) {
        *self.list.lock().expect("nobody panicked") = list;
    }

    fn asked(&self, path: &str) -> usize {
        let requests = self.upstream.requests();
        requests.iter().filter(|request| request.contains(path)).count()
    }
}

fn answer(list: &Mutex<String>, request: &str) -> Vec<Step> {
    if !request.starts_with("GET /v1/models") {
        return vec![Send(json("200 OK", r#"{"choices":[{"message":{"content":"Hi"}}]}"#))];
    }
    let mut list = list.lock().expect("nobody panicked");
    match &**list {
        "none, once" => {
            *list = self::list(&["a"]);
            vec![Send(json("200 OK", &self::list(&[])))]
        }
        "" => vec![Fin],
        "slow" => vec![Sleep(Duration::from_secs(5)), Fin],
        list => vec![Send(json("200 OK", list))],
    }
}

fn list(models: &[&str]) -> String {
    let cards = models.iter().map(|id| format!(r#"{{"id":"{id}","object":"model"}}"#));
    format!(r#"{{"object":"list","data":[{}]}}"#, cards.collect::<Vec<_>>().join(","))
}

fn yaml(lines: &str, instances: &[String]) -> String {
    format!(
        "{lines}  discovery: {{ interval: 1s, timeout: 500ms }}\n  services:\n    chat:\n      \
         instances:\n        - {}\n",
        instances.join("\n        - ")
    )
}

fn at(engine: &Engine, lines: &str) -> String {
    format!("{{ base-url: '{}'{lines} }}", engine.upstream.url())
}

/// Starts it beside the engines, which it asks before it listens.
async fn start(model: String) -> Gateway {
    let started = tokio::task::spawn_blocking(move || Gateway::start_with("", &model));
    started.await.expect("it listens")
}

async fn models(gateway: &Gateway) -> Vec<String> {
    let answer = ask(gateway.address(), get("/v1/models")).await;
    let list: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let ids = list["data"].as_array().expect("a list").iter();
    ids.map(|card| card["id"].as_str().expect("a name").to_owned()).collect()
}

async fn serves(gateway: &Gateway, expected: &[&str]) {
    for _ in 0..100 {
        if models(gateway).await == expected {
            return;
        }
        a_moment().await;
    }
    panic!("{:?} and not {expected:?}\n{}", models(gateway).await, gateway.log());
}

async fn status(gateway: &Gateway, model: &str) -> u16 {
    ask(gateway.address(), post(CHAT, &chat(model, false))).await.status
}

#[tokio::test]
async fn an_engine_s_models_are_served_as_they_come_and_go_under_the_names_it_has() {
    let [one, two] = [Engine::new(&["a", "b"]).await, Engine::new(&["b", "x\\ny", "b"]).await];
    let gateway = start(yaml("", &[at(&one, ""), at(&two, "")])).await;
    assert_eq!(models(&gateway).await, ["a", "b"], "at once");
    for _ in 0..20 {
        assert_eq!((status(&gateway, "a").await, status(&gateway, "b").await), (200, 200));
    }
    assert_eq!(status(&gateway, "c").await, 404);
    assert!(one.asked(r#""b""#) > 0 && two.asked(r#""b""#) > 0, "they are replicas of it");
    assert_eq!(two.asked(r#""a""#), 0);

    one.says(list(&["c", "a"]));
    serves(&gateway, &["a", "b", "c"]).await;
    assert_eq!((status(&gateway, "c").await, status(&gateway, "b").await), (200, 200));
    two.says(list(&[]));
    serves(&gateway, &["a", "c"]).await;
    assert_eq!(status(&gateway, "b").await, 404);
    gateway.logged(r#""added":"c","gone":"b""#).await;
}

#[tokio::test]
async fn a_gateway_whose_engines_list_no_model_is_not_ready() {
    let engine = Engine::new(&[]).await;
    let gateway = start(yaml("", &[at(&engine, "")])).await;
    let ready = async || ask(gateway.address(), get("/readyz")).await.status;
    assert_eq!(ready().await, 503);
    engine.says(list(&["a"]));
    serves(&gateway, &["a"]).await;
    assert_eq!(ready().await, 200);
}

#[tokio::test]
async fn one_that_says_nothing_is_left_with_what_it_said_last() {
    let engine = Engine::new(&["a"]).await;
    let gateway = start(yaml("", &[at(&engine, "")])).await;
    for nonsense in ["", "slow", "<html>", r#"{"error":"no"}"#] {
        engine.says(nonsense.to_owned());
        let before = engine.asked("/v1/models");
        until("it was asked again", || engine.asked("/v1/models") > before + 1).await;
        assert_eq!((models(&gateway).await, status(&gateway, "a").await), (vec!["a".into()], 200));
    }
    gateway.logged("does not list its models").await;
    engine.says(list(&["b"]));
    serves(&gateway, &["b"]).await;
    gateway.logged("lists its models again").await;
}

#[tokio::test]
async fn while_not_all_have_answered_an_unknown_model_is_503_and_then_404() {
    let (late, free) = (Engine::new(&["b"]).await, closed_port().await);
    late.says(String::new());
    let known = Engine::new(&["a"]).await;
    let instances =
        [at(&late, ""), at(&known, ""), format!("{{ base-url: 'http://{free}', name: named }}")];
    let gateway = start(yaml("", &instances)).await;
    assert_eq!((status(&gateway, "a").await, status(&gateway, "b").await), (200, 503));
    late.says(list(&["b"]));
    serves(&gateway, &["a", "b", "named"]).await;
    assert_eq!((status(&gateway, "b").await, status(&gateway, "c").await), (200, 404));
}

#[tokio::test]
async fn what_holds_for_an_instance_holds_for_all_its_models_and_outlives_a_new_list() {
    let engine = Engine::new(&["a", "b"]).await;
    let limit = ", rate-limit: { enabled: true, capacity: 3, rate: 0.001 }";
    let lines = "  fallback: { enabled: true, strategy: cache }\n";
    let gateway = start(yaml(lines, &[at(&engine, limit)])).await;
    assert_eq!((status(&gateway, "a").await, status(&gateway, "b").await), (200, 200));
    engine.says(list(&["a", "b", "c"]));
    serves(&gateway, &["a", "b", "c"]).await;
    assert_eq!((status(&gateway, "c").await, status(&gateway, "c").await), (200, 503));
    assert_eq!(status(&gateway, "a").await, 503, "what it had has not been given again");
}

#[tokio::test]
async fn a_model_that_is_gone_and_comes_back_has_what_was_left_of_its_limits() {
    let engine = Engine::new(&["a", "b"]).await;
    let limit = "  rate-limit: { enabled: true, capacity: 2, rate: 0.001, scope: model }\n";
    let gateway = start(yaml(limit, &[at(&engine, "")])).await;
    assert_eq!((status(&gateway, "a").await, status(&gateway, "a").await), (200, 200));
    engine.says(list(&["b"]));
    serves(&gateway, &["b"]).await;
    engine.says(list(&["a", "b"]));
    serves(&gateway, &["a", "b"]).await;
    assert_eq!((status(&gateway, "a").await, status(&gateway, "b").await), (429, 200));
}

#[tokio::test]
async fn a_list_that_lacks_a_model_counts_when_it_lacks_it_twice() {
    let engine = Engine::new(&["a"]).await;
    let gateway = start(yaml("", &[at(&engine, "")])).await;
    let asked = engine.asked("/v1/models");
    engine.says("none, once".to_owned());
    until("it was asked again", || engine.asked("/v1/models") > asked + 2).await;
    assert_eq!(models(&gateway).await, ["a"]);
    assert!(!gateway.log().contains(r#""gone":"a""#), "{}", gateway.log());
}

#[tokio::test]
async fn another_gateway_is_no_engine() {
    let engine = Engine::new(&["a"]).await;
    let inner = start(yaml("", &[at(&engine, "")])).await;
    let outer = start(yaml("", &[format!("{{ base-url: 'http://{}' }}", inner.address())])).await;
    outer.logged("it is a gateway itself").await;
    assert_eq!((models(&outer).await, status(&outer, "a").await), (Vec::<String>::new(), 503));
    let named = format!("{{ base-url: 'http://{}', models: [a] }}", inner.address());
    assert_eq!(status(&start(yaml("", &[named])).await, "a").await, 200);
}

#[tokio::test]
async fn a_stream_goes_on_while_another_set_of_models_is_served() {
    let engine = Engine::new(&["a"]).await;
    let told = Arc::clone(&engine.list);
    let streaming = Upstream::serving(move |_, request| {
        if request.starts_with("GET") {
            return answer(&told, request);
        }
        let event = |text: &str| {
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
            )
        };
        let mut steps = vec![event_stream(), Chunk(event("first").into())];
        for _ in 0..20 {
            steps.extend([Sleep(Duration::from_millis(100)), Chunk(event("more").into())]);
        }
        let last =
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        steps.extend([Chunk(format!("{last}data: [DONE]\n\n").into()), LastChunk]);
        steps
    })
    .await;
    let instance = format!("{{ base-url: '{}' }}", streaming.url());
    let gateway = start(yaml("", &[instance])).await;
    let address = gateway.address();
    let stream = tokio::spawn(async move { ask(address, post(CHAT, &chat("a", true))).await });
    until("it has begun", || streaming.live() == 1).await;
    engine.says(list(&["b"]));
    serves(&gateway, &["b"]).await;
    assert_eq!((status(&gateway, "a").await, stream.is_finished()), (404, false));
    let answer = stream.await.unwrap();
    let text = String::from_utf8_lossy(&answer.body);
    assert!(text.matches("more").count() == 20 && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn one_that_is_back_is_asked_at_once() {
    let engine = Engine::new(&["a"]).await;
    let probes = "  health-check: { interval: 400ms, timeout: 200ms }\n";
    let seldom = yaml(probes, &[at(&engine, "")]).replace("interval: 1s", "interval: 1h");
    let gateway = start(seldom).await;
    let address = engine.upstream.address();
    let list_of_old = Arc::clone(&engine.list);
    drop(engine);
    gateway.logged("the instance's health has changed").await;
    *list_of_old.lock().unwrap() = list(&["a", "new"]);
    let told = Arc::clone(&list_of_old);
    let _back = Upstream::serving_at(address, move |_, request| answer(&told, request)).await;
    serves(&gateway, &["a", "new"]).await;
}
