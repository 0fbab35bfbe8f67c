//! A question and its tokens without a socket: the stack is a service, and a program that has one asks it.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example ask_in_process
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;

use jairouter_core::balance::RoundRobin;
use jairouter_core::reply::{Piece, Reply};
use jairouter_core::router::Group;
use jairouter_core::{Endpoint, InferenceRequest, Router, ServiceType, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use serde::Serialize;
use tower::ServiceExt;

/// As much of a question as this program asks.
#[derive(Serialize)]
struct Question<'a> {
    model: &'a str,
    stream: bool,
    messages: [Message<'a>; 1],
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

/// What the model says, and why it stopped.
async fn ask(content: &str) -> Result<(Vec<String>, String), Box<dyn Error>> {
    // For an engine on the network: `Upstream::http(OpenAi::new(), "http://127.0.0.1:8000")?`.
    let engine = Engine::builder().length(5).build();
    let engine = Upstream::new(OpenAi::new(), "simulated://engine".parse()?, engine);
    let chat = Group::new(RoundRobin::new()).instance("demo", engine);
    let router = Router::builder().service(ServiceType::Chat, chat).build();

    let messages = [Message { role: "user", content }];
    let question = Question { model: "demo", stream: true, messages };
    let request = InferenceRequest::json(Endpoint::ChatCompletions, &question)?;
    let mut reply = Reply::new(router.oneshot(request).await?);
    let (mut tokens, mut why) = (Vec::new(), String::new());
    while let Some(piece) = reply.next().await {
        match piece? {
            Piece::Text { text, .. } => tokens.push(text),
            Piece::Finished { reason, .. } => why = reason,
            _ => {}
        }
    }
    Ok((tokens, why))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (tokens, why) = ask("Hello!").await?;
    println!("{tokens:?}, and then {why}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_token_comes_and_why_there_are_no_more() {
        let (tokens, why) = ask("Hello!").await.unwrap();
        assert_eq!((tokens.len(), &*why), (5, "stop"), "{tokens:?}");
    }
}
