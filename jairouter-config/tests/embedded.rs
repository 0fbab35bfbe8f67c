//! A configuration in a host that has a server, a runtime and metrics of its own.
#![cfg(test)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use jairouter_config::hooks::{Calls, Hooks, Outcome, Selected};
use jairouter_config::keys::digest;
use jairouter_config::served::Served;
use jairouter_config::{Config, Known, Live, LoadError, Serving, config};
use jairouter_core::balance::FailedAttempt;
use jairouter_core::gateway::ClientAddr;
use jairouter_core::observe::Exchange;
use jairouter_core::rate_limit::Limiter;
use jairouter_core::{End, Gateway, InferenceRequest, Kind};
use tower::ServiceExt;
use tower::util::MapRequest;

const CHAT: &str = r#"{"model":"demo","messages":[{"role":"user","content":"Hello!"}]}"#;
const STREAM: &str =
    r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
const QUICK: &str = "?first-token=0&rate=none";

/// These instances, and these lines beside `services` and at the top.
fn parse(instances: &str, model: &str, top: &str) -> Config {
    let yaml =
        format!("{top}\nmodel:\n  services: {{ chat: {{ instances: [ {instances} ] }} }}\n{model}");
    Config::parse(&yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn demo(at: &str) -> String {
    format!("{{ name: demo, adapter: simulated, base-url: 'simulated://{at}{QUICK}' }}")
}

/// Only the holder of `jr-alice` may ask, for this model.
fn for_alice(model: &str) -> String {
    let digest = config::written(&digest("jr-alice"));
    format!(
        "security: {{ api-keys: [ {{ name: alice, digest: '{digest}', models: [{model}] }} ] }}"
    )
}

fn request(body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
    request.body(body.into()).unwrap()
}

fn with_key(key: &str) -> Request<Full<Bytes>> {
    let mut request = request(CHAT);
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

async fn ask(
    gateway: &Serving,
    request: Request<Full<Bytes>>,
) -> (StatusCode, http::HeaderMap, String) {
    let answer = gateway.clone().oneshot(request).await.unwrap();
    let (parts, body) = Response::into_parts(answer);
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn status(gateway: &Serving, request: Request<Full<Bytes>>) -> u16 {
    ask(gateway, request).await.0.as_u16()
}

#[tokio::test]
async fn whoever_has_no_key_is_told_so_and_the_holder_of_one_asks_what_it_is_for() {
    let mut live = Live::start(parse(&demo("a"), "", &for_alice("demo"))).await.unwrap();
    let gateway = live.core();
    let (code, headers, body) = ask(&gateway, request(CHAT)).await;
    assert_eq!(code, 401);
    assert_eq!(headers["www-authenticate"], "Bearer");
    let id = headers["x-request-id"].to_str().unwrap();
    assert!(body.contains("an API key is needed") && body.contains(id), "{body}");
    assert_eq!(status(&gateway, with_key("jr-bob")).await, 401);
    assert_eq!(status(&gateway, with_key("jr-alice")).await, 200);

    live.take(parse(&demo("a"), "", &for_alice("other"))).unwrap();
    assert_eq!(status(&gateway, with_key("jr-alice")).await, 403, "the key is for another model");
}

#[tokio::test]
async fn strangers_are_counted_by_the_address_that_the_host_says() {
    let top = format!("{}\n", for_alice("demo").replace("{ api", "{ failures-per-minute: 2, api"));
    let mut live = Live::start(parse(&demo("a"), "", &top)).await.unwrap();
    let gateway = live.core();
    let from = |last: u8, key: &str| {
        let mut request = with_key(key);
        let address: IpAddr = Ipv4Addr::new(10, 0, 0, last).into();
        request.extensions_mut().insert(ClientAddr(address));
        request
    };
    for expected in [401, 401, 429] {
        assert_eq!(status(&gateway, from(1, "jr-bob")).await, expected);
    }
    assert_eq!(status(&gateway, from(2, "jr-bob")).await, 401, "another one has its own");
    assert_eq!(status(&gateway, from(1, "jr-alice")).await, 200, "and a good key is good");
    for _ in 0..5 {
        assert_eq!(status(&gateway, with_key("jr-bob")).await, 401, "nobody knows whose it is");
    }
}

#[tokio::test]
async fn a_host_that_knows_its_callers_asks_for_no_key() {
    let mut live = Live::start(parse(&demo("a"), "", &for_alice("other"))).await.unwrap();
    let gateway = live.core().without_keys();
    assert_eq!(status(&gateway, request(CHAT)).await, 200);
    assert_eq!(status(&gateway, with_key("jr-bob")).await, 200);
}

#[tokio::test]
async fn where_the_host_listens_is_not_what_the_file_says() {
    // The program would listen at 127.0.0.1, and refuse the names of others.
    let mut live = Live::start(parse(&demo("a"), "", "")).await.unwrap();
    let gateway = live.core();
    let mut foreign = request(CHAT);
    foreign.headers_mut().insert("host", "api.example.com".parse().unwrap());
    foreign.headers_mut().insert("origin", "https://chat.example.com".parse().unwrap());
    assert_eq!(status(&gateway, foreign).await, 200);
}

#[tokio::test]
async fn what_is_left_of_a_limit_outlives_a_reload_and_another_limit_is_new() {
    let limit = |capacity: u32| {
        format!("  rate-limit: {{ enabled: true, capacity: {capacity}, rate: 0.001 }}\n")
    };
    let mut live = Live::start(parse(&demo("a"), &limit(2), "")).await.unwrap();
    let (gateway, other, reload) = (live.core(), live.core(), live.reload());
    let running = tokio::spawn(live.run());
    assert_eq!(status(&gateway, request(CHAT)).await, 200);
    reload.take(parse(&demo("b"), &limit(2), "")).await.unwrap();
    let (code, headers, _) = ask(&other, request(CHAT)).await;
    assert_eq!(
        (code.as_u16(), &headers["x-jairouter-instance"]),
        (200, &"demo@b".parse().unwrap())
    );
    assert_eq!(status(&gateway, request(CHAT)).await, 429, "two are two on all cores");
    reload.take(parse(&demo("b"), &limit(3), "")).await.unwrap();
    assert_eq!(status(&gateway, request(CHAT)).await, 200);

    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let over = reload.take(parse(&demo("c"), "", "")).await.unwrap_err();
    assert!(over.is_over(), "{over}");
    let (_, headers, _) = ask(&gateway, request(CHAT)).await;
    assert_eq!(headers["x-jairouter-instance"], "demo@b", "and what served is served on");
}

#[tokio::test]
async fn an_instance_without_names_is_asked_for_them_before_it_is_served() {
    let asked = format!("{{ adapter: simulated, base-url: 'simulated://a{QUICK}' }}");
    let mut live = Live::start(parse(&asked, "", "")).await.unwrap();
    let models = live.models();
    assert!(!models.is_empty());
    let served = live.served();
    assert_eq!(served.known.len(), 1);
    assert_eq!(served.each().count(), 1);
    let gateway = live.core();
    let models_of = Request::get("/v1/models").body(Full::default()).unwrap();
    let (_, _, list) = ask(&gateway, models_of).await;
    assert!(list.contains(&format!("\"id\":\"{}\"", models[0])), "{list}");
}

#[tokio::test]
async fn what_an_instance_was_asked_for_before_a_reload_is_served_at_once() {
    let asked = |at: &str| {
        let instance = format!(
            "{{ instance-id: one, adapter: simulated, base-url: 'simulated://{at}{QUICK}' }}"
        );
        parse(&instance, "", "")
    };
    let mut live = Live::start(asked("a")).await.unwrap();
    let models = live.models();
    // At another place, and nobody has asked there.
    live.take(asked("b")).unwrap();
    assert_eq!(live.models(), Vec::<String>::new());
    let mut next = asked("c");
    let known = next.ask().await;
    live.take_with(next, known).unwrap();
    assert_eq!(live.models(), models);
    // What is said of nobody is nobody's.
    let strangers = Known::from([("stranger".to_owned(), vec!["x".into()])]);
    live.take_with(asked("c"), strangers).unwrap();
    assert_eq!((live.models(), live.served().known.len()), (models, 1));
}

#[tokio::test]
async fn the_router_alone_stands_behind_layers_of_the_host_s_and_is_kept_up_to_date() {
    let mut live = Live::start(parse(&demo("a"), "", &for_alice("other"))).await.unwrap();
    // Whoever comes asks for the one model.
    let renamed =
        MapRequest::new(live.router(), |request: InferenceRequest| request.with_model("demo"));
    let gateway = Gateway::new(renamed);
    for at in ["a", "b"] {
        live.take(parse(&demo(at), "", "")).unwrap();
        let other = Full::from(CHAT.replace("demo", "gpt"));
        let answer = gateway.clone().oneshot(request(CHAT).map(|_| other)).await.unwrap();
        assert_eq!(answer.headers()["x-jairouter-instance"], format!("demo@{at}"));
    }
}

/// What a host counts.
#[derive(Default)]
struct Told {
    exchanges: Mutex<Vec<(u16, End)>>,
    attempts: Mutex<Vec<(String, Kind)>>,
    outcomes: Arc<Mutex<Vec<(String, Outcome)>>>,
    limits: Mutex<Vec<(&'static str, &'static str)>>,
    served: Mutex<Vec<usize>>,
    begun: Arc<AtomicUsize>,
}

struct Counted {
    of: String,
    begun: Arc<AtomicUsize>,
    outcomes: Arc<Mutex<Vec<(String, Outcome)>>>,
}

impl Calls for Counted {
    fn begun(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn over(&self, outcome: Outcome, _: Duration) {
        self.outcomes.lock().unwrap().push((self.of.clone(), outcome));
    }
}

impl Hooks for Told {
    fn exchange(&self, exchange: &Exchange) {
        self.exchanges.lock().unwrap().push((exchange.status.as_u16(), exchange.end));
    }

    fn attempt(&self, failed: &FailedAttempt<'_>) {
        self.attempts.lock().unwrap().push((failed.instance.id().to_owned(), failed.kind));
    }

    fn requests(&self, to: &Selected<'_>) -> Option<Arc<dyn Calls>> {
        let of = format!("{} {} {}", to.service.as_str(), to.strategy, to.instance);
        let (begun, outcomes) = (Arc::clone(&self.begun), Arc::clone(&self.outcomes));
        Some(Arc::new(Counted { of, begun, outcomes }))
    }

    fn limit(
        &self,
        limit: Arc<dyn Limiter>,
        service: &'static str,
        algorithm: &'static str,
    ) -> Arc<dyn Limiter> {
        self.limits.lock().unwrap().push((service, algorithm));
        limit
    }

    fn serve(&self, served: &Arc<Served>) {
        self.served.lock().unwrap().push(served.instances.len());
    }
}

#[tokio::test]
async fn a_host_is_told_of_requests_attempts_calls_limits_and_what_is_served() {
    let told: &'static Told = Box::leak(Box::default());
    // Nobody listens at port 1.
    let dead = "{ name: demo, base-url: 'http://127.0.0.1:1', health-check: { enabled: false } }";
    let balance = "  load-balance: { type: round-robin }\n  rate-limit: { enabled: true, \
                   algorithm: leaky-bucket, capacity: 100, rate: 100 }\n";
    let both = format!("{dead}, {}", demo("a"));
    let mut live = Live::watched(parse(&both, balance, ""), Known::new(), told).unwrap();
    let gateway = live.core();
    for _ in 0..2 {
        assert_eq!(status(&gateway, request(CHAT)).await, 200);
    }
    let left = gateway.clone().oneshot(request(STREAM)).await.unwrap();
    drop(left);
    live.take(parse(&demo("a"), balance, "")).unwrap();

    let exchanges = told.exchanges.lock().unwrap();
    let expected = [(200, End::Complete), (200, End::Complete), (200, End::Abandoned)];
    assert_eq!(*exchanges, expected);
    let attempts = told.attempts.lock().unwrap();
    assert!(!attempts.is_empty());
    let dead = ("demo@127.0.0.1:1".to_owned(), Kind::Unreachable);
    assert!(attempts.iter().all(|attempt| *attempt == dead), "{attempts:?}");
    let outcomes = told.outcomes.lock().unwrap();
    assert_eq!(told.begun.load(Ordering::Relaxed), outcomes.len());
    let of = |outcome| outcomes.iter().filter(|one| one.1 == outcome).count();
    assert_eq!((of(Outcome::Status(200)), of(Outcome::Failed(dead.1))), (3, attempts.len()));
    assert!(outcomes.iter().any(|one| one.0 == "chat round-robin demo@a"), "{outcomes:?}");
    assert_eq!(*told.limits.lock().unwrap(), [("chat", "leaky-bucket")], "it went on");
    assert_eq!(*told.served.lock().unwrap(), [2, 1]);
}

#[test]
fn every_error_is_told_at_once_with_its_line() {
    let wrong =
        "server:\n  port: x\nmodel:\n  services:\n    chat: { instances: [ {} ] }\n  no: 1\n";
    let error = Config::parse(wrong).unwrap_err();
    let lines: Vec<_> = error.diagnostics().iter().map(|one| one.line).collect();
    assert!(lines.len() >= 3 && lines.is_sorted() && lines[0] == 2, "{error}");
    assert_eq!(error.to_string().lines().count(), lines.len());
    assert!(error.to_string().starts_with("2:9: server.port: "), "{error}");

    let missing = Config::read("/nowhere/jairouter.yaml").unwrap_err();
    assert!(matches!(missing, LoadError::Unreadable(_)) && missing.diagnostics().is_empty());
}
