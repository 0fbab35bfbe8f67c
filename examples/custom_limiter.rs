//! A limit of one's own: each caller has a budget of requests, which is the host's to fill.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example custom_limiter
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Extensions;
use jairouter_core::rate_limit::{Grant, Limiter, RateLimitLayer, Refusal};
use jairouter_core::request::Principal;
use jairouter_core::{Endpoint, InferenceRequest, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use serde_json::json;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

/// What each caller has left.
struct Budgets(Mutex<HashMap<Box<str>, u32>>);

impl Budgets {
    fn of<T>(&self, request: &InferenceRequest, change: impl FnOnce(&mut u32) -> T) -> T {
        let who = request.extensions.get::<Principal>().map_or("", |who| who.name());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(who.into()).or_default())
    }
}

/// Callers are told it with 429.
fn spent() -> Refusal {
    Refusal::new("your budget", Duration::from_secs(3600)).of_client(true)
}

impl Limiter for Budgets {
    fn check(&self, request: &InferenceRequest, _: Instant) -> Result<(), Refusal> {
        self.of(request, |left| (*left > 0).then_some(()).ok_or_else(spent))
    }

    fn acquire(&self, request: &InferenceRequest, _: Instant) -> Result<Grant, Refusal> {
        // Another request may have had the last of it since the look.
        self.of(request, |left| left.checked_sub(1).map(|less| *left = less)).ok_or_else(spent)?;
        Ok(Grant::default())
    }

    fn give_back(&self, request: &InferenceRequest, _: Instant) {
        self.of(request, |left| *left += 1);
    }
}

/// The status of each answer to these callers, of whom each has this much.
async fn ask(budgets: &[(&str, u32)], callers: &[&str]) -> Result<Vec<u16>, Box<dyn Error>> {
    let budgets = budgets.iter().map(|(who, left)| ((*who).into(), *left)).collect();
    let engine = Upstream::new(OpenAi::new(), "simulated://engine".parse()?, Engine::default());
    let stack = RateLimitLayer::new(Arc::new(Budgets(Mutex::new(budgets)))).layer(engine);
    let mut statuses = Vec::new();
    for who in callers {
        // Behind a `Gateway` the host's own authentication puts it into the HTTP request's extensions.
        let mut known = Extensions::new();
        known.insert(Principal::new(*who));
        let question = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi!" }] });
        let request = InferenceRequest::json(Endpoint::ChatCompletions, &question)?;
        let answer = stack.clone().oneshot(request.with_extensions(known)).await;
        statuses
            .push(answer.map_or_else(|error| error.status(), |answer| answer.status()).as_u16());
    }
    Ok(statuses)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{:?}", ask(&[("ann", 2), ("bob", 1)], &["ann", "bob", "bob", "ann", "ann"]).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_has_its_own_and_a_stranger_has_none() {
        let callers = ["ann", "bob", "bob", "ann", "ann", "eve"];
        let statuses = ask(&[("ann", 2), ("bob", 1)], &callers).await.unwrap();
        assert_eq!(statuses, [200, 200, 429, 200, 429, 429]);
    }

    #[test]
    fn what_goes_no_further_is_given_back_and_the_last_is_taken_once() {
        let budgets = Budgets(Mutex::new(HashMap::from([("".into(), 1)])));
        let question = json!({ "model": "m", "messages": [] });
        let request = InferenceRequest::json(Endpoint::ChatCompletions, &question).unwrap();
        let now = Instant::now();
        assert!(budgets.acquire(&request, now).is_ok());
        assert!(budgets.check(&request, now).is_err() && budgets.acquire(&request, now).is_err());
        budgets.give_back(&request, now);
        assert!(budgets.check(&request, now).is_ok());
    }
}
