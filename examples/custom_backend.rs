//! A backend of one's own: an engine that speaks OpenAI's API, at a path of its own and without one of its words.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example custom_backend
//! ```
//!
//! `custom_framework` is for one that speaks otherwise.

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use jairouter_core::{
    Backend, Body, Endpoint, Error, InferenceRequest, Payload, Reply, Route, Upstream,
};
use jairouter_openai::fields::Fields;
use serde_json::json;
use tower::{ServiceExt, service_fn};

#[derive(Debug)]
struct Parrot;

impl Backend for Parrot {
    fn name(&self) -> &'static str {
        "parrot"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        match route.endpoint {
            Endpoint::ChatCompletions => Some("/api/chat".into()),
            _ => None, // not offered: the caller is told so
        }
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        // What a parrot refuses. The other fields keep their order, and their numbers every digit.
        let mut asked = Fields::of_request(request)?;
        asked.take("user");
        Ok(asked.write())
    }

    fn key_header(&self) -> (HeaderName, Cow<'_, str>) {
        (HeaderName::from_static("x-parrot-key"), "".into())
    }
}

/// The engine. For one on the network: `Upstream::http(Parrot, "http://10.0.0.1:8000")?`.
async fn parrot(asked: Request<Payload>) -> Result<Response<Body>, Infallible> {
    let said = format!("{} {}", asked.uri(), String::from_utf8_lossy(&asked.body().to_bytes()));
    let answer =
        json!({ "choices": [{ "message": { "content": said }, "finish_reason": "stop" }] });
    Ok(Response::new(Body::from(answer.to_string())))
}

/// What the parrot has heard.
async fn ask(endpoint: Endpoint) -> Result<String, Error> {
    let target = "http://parrot".parse().expect("a URL of our own");
    let question = json!({ "model": "grey", "messages": [], "user": "ann" });
    let request = InferenceRequest::json(endpoint, &question)?;
    let engine = Upstream::new(Parrot, target, service_fn(parrot));
    Reply::new(engine.oneshot(request).await?).text().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    println!("{}", Box::pin(ask(Endpoint::ChatCompletions)).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use jairouter_core::Kind;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_where_it_listens_and_without_the_word() {
        let heard = Box::pin(ask(Endpoint::ChatCompletions)).await.unwrap();
        assert_eq!(heard, r#"http://parrot/api/chat {"messages":[],"model":"grey"}"#);
        let refused = Box::pin(ask(Endpoint::Embeddings)).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unsupported);
    }
}
