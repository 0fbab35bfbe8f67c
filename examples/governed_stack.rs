//! What governs, composed by hand: limits of callers and of an instance, a breaker around each
//! instance, a room to wait in, and an answer for the case that nobody is left.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example governed_stack
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use jairouter_core::balance::{Instance, InstanceState, LeastConnections, LoadBalanceLayer};
use jairouter_core::circuit_breaker::{Breaker, CircuitBreakerLayer, Settings, State};
use jairouter_core::fallback::{CannedAnswer, FallbackLayer};
use jairouter_core::rate_limit::{Limit, PerClient, RateLimitLayer, TokenBucket, TokensPerMinute};
use jairouter_core::upstream::Target;
use jairouter_core::waiting_room::{self, Room, WaitingRoomLayer};
use jairouter_core::{Gateway, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::{Engine, Failure};
use tokio::time::Instant;
use tower::layer::layer_fn;
use tower::{ServiceBuilder, ServiceExt};

/// What a caller saw: the status, who or what answered, and the text.
type Seen = (u16, String, String);

/// Asks so often, with one of two instances failing every time and then both, and returns what the
/// caller saw and the state of each breaker.
async fn ask(times: usize, failing: [bool; 2]) -> Result<(Vec<Seen>, Vec<State>), Box<dyn Error>> {
    let settings = Settings::default().with_failure_threshold(3);
    let breakers = [(); 2].map(|()| Arc::new(Breaker::new(settings)));
    let mut instances = Vec::new();
    for (number, fails) in failing.into_iter().enumerate() {
        let rate = if fails { 1.0 } else { 0.0 };
        let engine =
            Engine::builder().failure_rate(rate).failure(Failure::Refuse).length(4).build();
        let target: Target = format!("simulated://{number}").parse()?;
        let breaker = &breakers[number];
        // Innermost: what is of one instance alone.
        let service = ServiceBuilder::new()
            .layer(RateLimitLayer::of_instance(Arc::new(Limit::new(TokenBucket::new(50.0, 50)))))
            .layer(CircuitBreakerLayer::new(Arc::clone(breaker)))
            .service(Upstream::new(OpenAi::new(), target, engine));
        // The balancer passes an instance over while its breaker is open.
        let state = InstanceState::new(number.to_string()).with_breaker(Arc::clone(breaker));
        instances.push(Instance::with_state(Arc::new(state), service));
    }
    let limits = (
        PerClient::new(TokenBucket::new(10.0, 100)).named("your rate limit"),
        TokensPerMinute::new(1_000_000).named("the token limit"),
    );
    let room =
        waiting_room::Settings::default().with_places(10).with_timeout(Duration::from_secs(5));
    let stack = ServiceBuilder::new()
        .layer(layer_fn(Gateway::new))
        .layer(RateLimitLayer::new(Arc::new(limits)))
        .layer(FallbackLayer::new().answer(CannedAnswer::text("Back at ten.")))
        .layer(WaitingRoomLayer::new(Arc::new(Room::new(room))))
        .layer(LoadBalanceLayer::new(LeastConnections::new()))
        .service(instances);

    let mut seen = Vec::new();
    for _ in 0..times {
        let question = r#"{"model":"m","messages":[{"role":"user","content":"Hello!"}]}"#;
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(question.as_bytes())))?;
        let answer = stack.clone().oneshot(request).await?;
        let status = answer.status().as_u16();
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let from = header("x-jairouter-instance").or(header("x-jairouter-fallback"));
        let from = from.unwrap_or("the gateway").to_owned();
        let body = answer.into_body().collect().await?.to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body)?;
        let text = body["choices"][0]["message"]["content"].as_str().unwrap_or_default();
        seen.push((status, from, text.to_owned()));
    }
    let states = breakers.iter().map(|breaker| breaker.state(Instant::now())).collect();
    Ok((seen, states))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    for failing in [[true, false], [true, true]] {
        let (seen, states) = ask(8, failing).await?;
        println!("failing: {failing:?}, breakers in the end: {states:?}");
        for (status, from, text) in seen {
            println!("  {status} from {from}: {text}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_is_left_alone_and_when_all_do_the_stand_in_answers() {
        let (seen, states) = ask(8, [true, false]).await.unwrap();
        assert!(seen.iter().all(|(status, from, _)| (*status, &**from) == (200, "1")), "{seen:?}");
        assert_eq!(states[1], State::Closed);
        let (seen, states) = ask(8, [true, true]).await.unwrap();
        let stand_in = |(status, from, text): &Seen| {
            (*status, &**from, &**text) == (200, "default", "Back at ten.")
        };
        assert!(seen.iter().all(stand_in), "{seen:?}");
        assert_eq!(states, [State::Open, State::Open]);
    }
}
