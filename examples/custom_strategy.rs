//! A strategy of one's own: the first instance has everything until it is busy, then the next has, and so on.
//! What is far away, or costs money, comes last and is asked for what the others cannot take.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example custom_strategy
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;

use jairouter_core::balance::{Candidates, Strategy};
use jairouter_core::router::Group;
use jairouter_core::{Endpoint, InferenceRequest, Reply, Router, ServiceType, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use serde_json::json;
use tower::ServiceExt;

/// Fills each instance up to this many requests before the next has any.
#[derive(Debug, Clone)]
struct FillUp(u32);

impl Strategy for FillUp {
    fn select(&self, _: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        // A candidate is up, and has not been asked yet for this request.
        let has_room = candidates.iter().find(|(_, instance)| instance.in_flight() < self.0);
        let least = || candidates.iter().min_by_key(|(_, instance)| instance.in_flight());
        has_room.or_else(least).map(|(index, _)| index)
    }
}

/// Who answers so many requests, none of which is over before the last has begun.
async fn ask(times: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let mut chat = Group::new(FillUp(2));
    for url in ["simulated://here", "simulated://there"] {
        chat = chat.instance("m", Upstream::new(OpenAi::new(), url.parse()?, Engine::default()));
    }
    let router = Router::builder().service(ServiceType::Chat, chat).build();
    let question =
        json!({ "model": "m", "stream": true, "messages": [{ "role": "user", "content": "Hi!" }] });
    let mut open = Vec::new();
    for _ in 0..times {
        let request = InferenceRequest::json(Endpoint::ChatCompletions, &question)?;
        open.push(Reply::new(router.clone().oneshot(request).await?));
    }
    let instance = |reply: &Reply<_>| Ok(reply.headers()["x-jairouter-instance"].to_str()?.into());
    open.iter().map(instance).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{:#?}", ask(5).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_second_has_what_is_too_much_for_the_first() {
        let (here, there) = ("simulated://here", "simulated://there");
        assert_eq!(ask(5).await.unwrap(), [here, here, there, there, here]);
    }
}
