//! A fallback of one's own: what no instance here can answer is asked somewhere else altogether.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example custom_fallback
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use jairouter_core::balance::{Instance, LoadBalanceLayer, RoundRobin};
use jairouter_core::{Endpoint, Error, InferenceRequest, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::{Engine, Failure};
use serde_json::json;
use tower::util::Oneshot;
use tower::{Layer, Service, ServiceExt};

/// Asks the second service where the first one could not, and not where the caller is to blame.
#[derive(Debug, Clone)]
struct Elsewhere<S> {
    here: S,
    there: S,
    model: &'static str,
}

impl<S> Service<InferenceRequest> for Elsewhere<S>
where
    S: Service<InferenceRequest, Error = Error, Future: Send> + Clone + Send + 'static,
    S::Response: Send,
{
    type Response = S::Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<S::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Which of the two is to be ready is not known yet: `Oneshot` sees to it.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        let Self { here, there, model } = self.clone();
        async move {
            match Oneshot::new(here, request.clone()).await {
                Err(error) if error.kind().may_fall_back() => {
                    Oneshot::new(there, request.with_model(model)).await
                }
                answer => answer,
            }
        }
        .boxed()
    }
}

/// Who answers, if this is what becomes of requests here.
async fn ask(here: Engine, question: &serde_json::Value) -> Result<String, Error> {
    let [here, there] = [("here", here), ("there", Engine::default())].map(|(name, engine)| {
        let target = "simulated://engine".parse().expect("a URL of our own");
        let engine = Instance::new(name, Upstream::new(OpenAi::new(), target, engine));
        LoadBalanceLayer::new(RoundRobin::new()).layer([engine])
    });
    let request = InferenceRequest::json(Endpoint::ChatCompletions, question)?;
    let answer = Elsewhere { here, there, model: "large" }.oneshot(request).await?;
    Ok(answer.headers()["x-jairouter-instance"].to_str().unwrap_or_default().to_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let question = json!({ "model": "small", "messages": [{ "role": "user", "content": "Hi!" }] });
    println!("well: {}", ask(Engine::default(), &question).await?);
    let failing = Engine::builder().failure_rate(1.0).failure(Failure::Refuse).build();
    println!("down: {}", ask(failing, &question).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_fails_here_is_asked_there_and_what_is_wrong_is_not() {
        let question =
            json!({ "model": "small", "messages": [{ "role": "user", "content": "Hi!" }] });
        let failing = |failure| Engine::builder().failure_rate(1.0).failure(failure).build();
        assert_eq!(ask(Engine::default(), &question).await.unwrap(), "here");
        let answer = ask(failing(Failure::Refuse), &question).await;
        assert_eq!(answer.unwrap(), "there");
        for status in [400, 422] {
            let refused = ask(failing(Failure::Status(status)), &question).await.unwrap_err();
            assert_eq!(refused.status(), status);
        }
    }
}
