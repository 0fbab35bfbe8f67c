//! An observer of one's own, which sees each answer as it passes: how much each model says, and how it ends.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example custom_observer
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jairouter_core::observe::{Observe, ObserveLayer, Record};
use jairouter_core::{BodyGuard, End, Endpoint, InferenceRequest, Reply, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use serde_json::json;
use tower::{Layer, ServiceExt};

/// How many answers each model began and finished, and their bytes.
#[derive(Debug, Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, [u64; 3]>>>);

/// The story of one answer.
struct Story {
    counts: Counts,
    model: String,
}

impl Story {
    fn add(&self, column: usize, amount: u64) {
        let mut all = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(self.model.clone()).or_default()[column] += amount;
    }
}

impl Observe for Counts {
    type Record = Story;

    fn begin(&self, request: &InferenceRequest) -> Story {
        let story = Story { counts: self.clone(), model: request.model.to_string() };
        story.add(0, 1);
        story
    }
}

impl Record for Story {}

impl BodyGuard for Story {
    fn data(&mut self, data: &Bytes) {
        self.add(2, data.len() as u64);
    }

    fn end(self, end: End) {
        self.add(1, u64::from(end == End::Complete));
    }
}

/// What is counted of one answer that is read and one that is not.
async fn ask() -> Result<BTreeMap<String, [u64; 3]>, Box<dyn Error>> {
    let counts = Counts::default();
    let engine = Upstream::new(OpenAi::new(), "simulated://engine".parse()?, Engine::default());
    let stack = ObserveLayer::new(counts.clone()).layer(engine);
    for model in ["read", "left"] {
        let question = json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": "Hi!" }] });
        let request = InferenceRequest::json(Endpoint::ChatCompletions, &question)?;
        let reply = Reply::new(stack.clone().oneshot(request).await?);
        if model == "read" {
            reply.text().await?;
        }
    }
    Ok(counts.0.lock().map_err(|_| "a thread has panicked")?.clone())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("begun, finished, bytes: {:?}", ask().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_the_caller_leaves_is_not_finished() {
        let counts = ask().await.unwrap();
        let ([begun, finished, bytes], left) = (counts["read"], counts["left"]);
        assert_eq!((begun, finished, left), (1, 1, [1, 0, 0]));
        assert!(bytes > 100, "{bytes}");
    }
}
