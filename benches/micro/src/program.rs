//! The stack as the program builds it from a file, over simulated engines. What they cost themselves is a
//! case of its own.

use std::hint::black_box;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use jairouter_adapters::simulated::Engine;
use jairouter_config::{Known, Serving, config};
use jairouter_core::Payload;
use jiff::Timestamp;
use tower::Service;

use crate::ask::{self, KEY_DIGEST, PLAIN, SIZES, SMALL};
use crate::{Case, engine, finish};

const CONFIG: &str = r#"
security:
  api-keys:
    - { name: somebody, digest: "{DIGEST}", models: ["qwen*"] }
model:
  load-balance: { type: least-connections }
  concurrency: { limit: 64 }
  rate-limit: { enabled: true, capacity: 1000000000, rate: 1000000000, client-ip-enable: true }
  circuit-breaker: { enabled: true, failure-threshold: 5, timeout: 60s, success-threshold: 2 }
  services:
    chat:
      instances:
        - { name: "qwen3:1.7b", adapter: simulated, base-url: "simulated://a?{AS}" }
        - { name: "qwen3:1.7b", adapter: simulated, base-url: "simulated://b?{AS}" }
        - { name: "qwen3:1.7b", adapter: simulated, base-url: "simulated://c?{AS}" }
        - { name: "qwen3:1.7b", adapter: simulated, base-url: "simulated://d?{AS}" }
"#;

/// How long they take, and how much they say.
const AS: &str = "first-token=0&rate=none&length=8";

pub(crate) fn cases() -> Vec<Case> {
    let whole = SIZES.map(|(size, called)| asked(format!("whole/{called}"), size, false));
    let stream = asked("stream/0.5KiB".to_owned(), SMALL, true);
    let alone = SIZES.map(|(size, called)| simulated(&format!("whole/{called}"), size, false));
    let told = simulated("stream/0.5KiB", SMALL, true);
    whole.into_iter().chain([stream]).chain(alone).chain([told]).collect()
}

/// One core of the program.
pub(crate) struct Program {
    core: Serving,
    // What the handles of it belong to.
    _whole: jairouter_bin::program::Program,
}

impl Program {
    pub(crate) fn new() -> Self {
        let text = CONFIG.replace("{DIGEST}", KEY_DIGEST).replace("{AS}", AS);
        let config = config::load(&text, &|_| None).expect("a configuration");
        let whole = jairouter_bin::program::Program::new(config, Known::default(), None);
        let mut whole = whole.expect("a stack");
        Self { core: whole.core(), _whole: whole }
    }

    /// Lets a request in.
    pub(crate) fn admit(&self, request: &mut Request<Full<Bytes>>, now: fn() -> Timestamp) {
        let (admitted, _) = self.core.ask(|keys| keys.admit(request, now).is_ok());
        assert!(admitted, "the key is good");
    }
}

/// From the look at its key to the end of its answer.
fn asked(name: String, size: usize, stream: bool) -> Case {
    Case::new(name, move || {
        let program = Program::new();
        let request = ask::http(ask::chat(PLAIN, size, stream));
        let now = || Timestamp::UNIX_EPOCH;
        move || {
            let mut request = request.clone();
            let (admitted, mut app) =
                program.core.ask(|keys| keys.admit(&mut request, now).is_ok());
            assert!(admitted, "the key is good");
            let Ok(answer) = finish(app.call(request));
            assert!(answer.status().is_success(), "{}", answer.status());
            let mut body = answer.into_body();
            while let Some(data) = engine::next(&mut body) {
                black_box(data);
            }
        }
    })
}

/// The engine alone.
fn simulated(name: &str, size: usize, stream: bool) -> Case {
    Case::new(format!("engine-alone/{name}"), move || {
        let mut engine: Engine = format!("simulated://a?{AS}").parse().expect("an engine");
        let payload = ask::chat(PLAIN, size, stream);
        move || {
            let mut request = Request::new(Payload::from(payload.clone()));
            *request.uri_mut() = http::Uri::from_static("simulated://a/v1/chat/completions");
            *request.method_mut() = http::Method::POST;
            let answer = finish(engine.call(request)).expect("an answer");
            let mut body = answer.into_body();
            while let Some(data) = engine::next(&mut body) {
                black_box(data);
            }
        }
    })
}
