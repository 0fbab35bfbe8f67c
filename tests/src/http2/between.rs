//! A gateway before engines that speak HTTP/2, and what they answer.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::Asked;
use crate::client::{ask, post};
use crate::gateway::{Gateway, model};
use crate::tls::Authority;
use crate::{chat, token};

/// What is asked.
pub const CHAT: &str = "/v1/chat/completions";

/// What is answered.
pub const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;

/// A gateway of one worker that offers HTTP/2 to these instances.
pub fn offering(authority: &Authority, more: &str, urls: &[String]) -> Gateway {
    speaking(authority, "auto", more, urls)
}

/// The same with this `http2`.
pub fn speaking(authority: &Authority, http2: &str, more: &str, urls: &[String]) -> Gateway {
    let lines = format!("  tls: {{ ca: '{}' }}\n  http2: {http2}\n{more}", authority.file());
    Gateway::start_with("  workers: 1\n", &model(&lines, urls))
}

/// Reads all, and answers.
pub async fn answered(mut asked: Asked) {
    asked.body().await;
    asked.answer(200, ANSWER);
}

/// Answers with a stream, in the middle of which it waits.
///
/// # Panics
///
/// If nobody waits for it.
pub async fn streamed(mut asked: Asked, go_on: Arc<Notify>) {
    let mut stream = asked.begin(200, "text/event-stream");
    stream.send_data(token("Hi").into(), false).expect("it is waited for");
    go_on.notified().await;
    let done = Bytes::from_static(b"data: [DONE]\n\n");
    stream.send_data(done, true).expect("it is waited for");
}

/// The status of the answer to a chat.
pub async fn status(gateway: &Gateway) -> u16 {
    ask(gateway.address(), post(CHAT, &chat("m", false))).await.status
}
