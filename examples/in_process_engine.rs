//! A model in the program itself, behind the layers that an engine on the network would be behind.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example in_process_engine
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::convert::Infallible;
use std::error::Error as StdError;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use jairouter_core::balance::{Instance, LeastConnections, LoadBalanceLayer};
use jairouter_core::router::ModelRouter;
use jairouter_core::{Body, Error, Gateway, InferenceRequest, translate};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

/// Says the last word of the question, letter by letter. The weights of a model would be captured by it.
async fn parrot(request: InferenceRequest) -> Result<Response<Body>, Error> {
    let question: Value = translate::parse(&request.payload)?;
    let said = question["messages"][0]["content"].as_str().unwrap_or_default();
    let word = said.split_whitespace().last().unwrap_or_default().to_owned();
    if !request.stream {
        let message = json!({ "role": "assistant", "content": word });
        let answer =
            json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] });
        let response = Response::builder().header("content-type", "application/json");
        return Ok(response.body(Body::from(answer.to_string())).expect("a head of our own"));
    }
    let letters =
        word.chars().map(|letter| json!({ "delta": { "content": letter } })).collect::<Vec<_>>();
    let choices = letters.into_iter().chain([json!({ "delta": {}, "finish_reason": "stop" })]);
    let events = stream::iter(choices).map(|choice| event(&json!({ "choices": [choice] })));
    let frames = events.chain(stream::iter([Bytes::from("data: [DONE]\n\n")]));
    let body =
        Body::new(StreamBody::new(frames.map(|data| Ok::<_, Infallible>(Frame::data(data)))));
    let response = Response::builder().header("content-type", "text/event-stream");
    Ok(response.body(body).expect("a head of our own"))
}

fn event(chunk: &Value) -> Bytes {
    let mut event = BytesMut::new();
    translate::event(&mut event, chunk);
    event.freeze()
}

/// What a caller of the gateway reads.
async fn ask(question: &Value) -> Result<String, Box<dyn StdError>> {
    let replicas = ["one", "two"].map(|name| Instance::new(name, service_fn(parrot)));
    let balanced = LoadBalanceLayer::new(LeastConnections::new()).layer(replicas);
    let gateway = Gateway::new(ModelRouter::new([("parrot", balanced)])).with_models(["parrot"]);
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(question.to_string())))?;
    let body = gateway.oneshot(request).await?.into_body().collect().await?;
    Ok(String::from_utf8(body.to_bytes().to_vec())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let messages = json!([{ "role": "user", "content": "Say hi" }]);
    println!("{}", ask(&json!({ "model": "parrot", "stream": true, "messages": messages })).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_model_of_the_host_s_own_answers_whole_and_in_a_stream() {
        let messages = json!([{ "role": "user", "content": "Say hi" }]);
        let stream = json!({ "model": "parrot", "stream": true, "messages": messages });
        let stream = ask(&stream).await.unwrap();
        assert_eq!(stream.matches("data: ").count(), 4, "{stream}");
        assert!(stream.contains(r#""content":"h""#) && stream.ends_with("data: [DONE]\n\n"));
        let whole = ask(&json!({ "model": "parrot", "messages": messages })).await.unwrap();
        assert!(whole.contains(r#""content":"hi""#), "{whole}");
        let other = ask(&json!({ "model": "other", "messages": messages })).await.unwrap();
        assert!(other.contains("model_not_found"), "{other}");
    }
}
