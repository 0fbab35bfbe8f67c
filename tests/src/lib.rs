//! Real sockets for the tests: an upstream that misbehaves to the byte, a caller that does, and the
//! real program between them.

pub mod answer;
pub mod client;
pub mod collector;
pub mod gateway;
pub mod http2;
pub mod jwt;
pub mod stack;
pub mod tls;
pub mod upstream;

use std::time::Duration;

/// Longer than anything here takes on a busy machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds.
///
/// # Panics
///
/// If it does not hold in time.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = tokio::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A chat request's JSON.
pub fn chat(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#
    )
}

/// A chunk of a chat, as an event.
pub fn token(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}
