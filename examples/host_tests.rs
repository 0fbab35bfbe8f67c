//! Tests of a program that asks a model, without a model: against the simulated engine, on a clock that they set.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example host_tests
//! $ cargo test -p jairouter-examples --example host_tests
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use jairouter_core::balance::LeastConnections;
use jairouter_core::router::Group;
use jairouter_core::upstream::Timeouts;
use jairouter_core::{Endpoint, Error, InferenceRequest, Reply, Router, ServiceType, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use serde_json::json;
use tower::ServiceExt;

/// The program: it finds titles for texts, and does without where no model answers.
struct Titles<C> {
    router: Router<OpenAi, C>,
}

impl Titles<Engine> {
    /// Over these engines. Outside of tests they are `Upstream::http`, and the type says `HttpClient`.
    fn over(engines: impl IntoIterator<Item = Engine>) -> Self {
        let mut chat = Group::new(LeastConnections::new());
        for (number, engine) in engines.into_iter().enumerate() {
            let target = format!("simulated://{number}").parse().expect("a URL of our own");
            let upstream = Upstream::new(OpenAi::new(), target, engine);
            chat = chat.instance("titles", upstream.with_timeouts(Timeouts::default()));
        }
        Self { router: Router::builder().service(ServiceType::Chat, chat).build() }
    }

    async fn of(&self, text: &str) -> Result<String, Error> {
        let messages = json!([{ "role": "user", "content": format!("A title for: {text}") }]);
        let question = json!({ "model": "titles", "messages": messages });
        let request = InferenceRequest::json(Endpoint::ChatCompletions, &question)?;
        match self.router.clone().oneshot(request).await {
            Ok(answer) => Reply::new(answer).text().await,
            Err(error) if error.kind().may_fall_back() => Ok("Untitled".to_owned()),
            Err(error) => Err(error),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    println!("{}", Titles::over([Engine::default()]).of("a text").await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jairouter_simulated::Failure;
    use tokio::time::Instant;

    use super::*;

    fn failing(failure: Failure) -> Engine {
        Engine::builder().failure_rate(1.0).failure(failure).build()
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_two_that_fails_is_noticed_by_nobody() {
        let well = Engine::builder().length(3).build();
        let titles = Titles::over([failing(Failure::Refuse), well.clone()]);
        assert_ne!(titles.of("a text").await.unwrap(), "Untitled");
        assert_eq!(well.requests(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_model_there_is_no_title_and_no_error() {
        let titles = Titles::over([failing(Failure::Status(503)), failing(Failure::Refuse)]);
        assert_eq!(titles.of("a text").await.unwrap(), "Untitled");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_model_is_waited_for_only_so_long() {
        let slow = Engine::builder().first_token(Duration::from_secs(3600)).build();
        let begun = Instant::now();
        let title = Titles::over([slow]).of("a text").await;
        assert!(begun.elapsed() < Duration::from_secs(1800), "{:?}: {title:?}", begun.elapsed());
    }
}
