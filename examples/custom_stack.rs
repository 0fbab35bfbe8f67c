//! A stack by hand: one of tower-http's layers, one of the example's own, and two of ours.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example custom_stack
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use jairouter_core::balance::{Instance, LoadBalanceLayer, RoundRobin};
use jairouter_core::observe::{Exchange, ObserveLayer};
use jairouter_core::upstream::Target;
use jairouter_core::{Gateway, InferenceRequest, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_http::timeout::TimeoutLayer;

/// To the head of an answer: a stream may go on for longer.
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// Gives a model a second name.
#[derive(Debug, Clone)]
struct RenameLayer {
    from: &'static str,
    to: &'static str,
}

impl<S> Layer<S> for RenameLayer {
    type Service = Rename<S>;

    fn layer(&self, inner: S) -> Rename<S> {
        Rename { inner, names: self.clone() }
    }
}

#[derive(Debug, Clone)]
struct Rename<S> {
    inner: S,
    names: RenameLayer,
}

impl<S: Service<InferenceRequest>> Service<InferenceRequest> for Rename<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: InferenceRequest) -> S::Future {
        let request = match *request.model == *self.names.from {
            true => request.with_model(self.names.to),
            false => request,
        };
        self.inner.call(request)
    }
}

/// Sends one request through the stack and returns each answer's instance and text.
async fn ask_twice() -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let instances = ["simulated://one", "simulated://two"].map(|url| {
        let target: Target = url.parse().expect("a URL of our own");
        Instance::new(url, Upstream::new(OpenAi::new(), target, Engine::default()))
    });
    let stack = ServiceBuilder::new()
        // tower-http's, around HTTP.
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TEN_MINUTES))
        .layer(layer_fn(Gateway::new))
        // Around the typed request: ours, the example's own, and ours.
        .layer(ObserveLayer::new(|exchange: &Exchange| {
            println!("{} took {:?}", exchange.model, exchange.total);
        }))
        .layer(RenameLayer { from: "gpt-4o", to: "demo" })
        .layer(LoadBalanceLayer::new(RoundRobin::new()))
        .service(instances);

    let mut answers = Vec::new();
    for _ in 0..2 {
        let question = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello!"}]}"#;
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(question.as_bytes())))?;
        let answer = stack.clone().oneshot(request).await?;
        let instance = answer.headers()["x-jairouter-instance"].to_str()?.to_owned();
        let text = String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?;
        answers.push((instance, text));
    }
    Ok(answers)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    for (instance, text) in ask_twice().await? {
        println!("{instance}: {text}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_instances_answer_for_the_model_by_its_other_name() {
        let answers = ask_twice().await.unwrap();
        let instances: Vec<_> = answers.iter().map(|(instance, _)| instance.as_str()).collect();
        assert_eq!(instances, ["simulated://one", "simulated://two"]);
        for (_, text) in answers {
            let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(answer["model"], "demo");
            assert!(!answer["choices"][0]["message"]["content"].as_str().unwrap().is_empty());
        }
    }
}
