//! What a token costs on its way from Ollama's words to `OpenAI`'s.
#![cfg(test)]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame};
use http_body_util::StreamBody;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest};
use jairouter_ollama::Ollama;

fn asked(endpoint: Endpoint) -> InferenceRequest {
    let ask =
        r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],"prompt":"x"}"#;
    InferenceRequest::new(endpoint, HeaderMap::new(), ask.into()).unwrap()
}

#[test]
fn a_token_costs_at_most_three_allocations() {
    let at = r#""model":"m","created_at":"2026-11-24T12:00:00.123456789Z""#;
    for (endpoint, said) in [
        (Endpoint::ChatCompletions, r#""message":{"role":"assistant","content":"token "}"#),
        (Endpoint::ChatCompletions, r#""message":{"role":"assistant","thinking":"token "}"#),
        (Endpoint::Completions, r#""response":"token ""#),
    ] {
        let line = Bytes::from(format!("{{{at},{said},\"done\":false}}\n"));
        let frames = (0..50).map(move |_| Ok::<_, Error>(Frame::data(line.clone())));
        let answer = Response::builder()
            .header("content-type", "application/x-ndjson")
            .body(Body::new(StreamBody::new(stream::iter(frames))))
            .unwrap();
        let mut body = pin!(Ollama::new().decode(&asked(endpoint), answer).into_body());
        let mut cx = Context::from_waker(Waker::noop());
        for nth in 0..50 {
            let counted = measure(|| {
                let frame = body.as_mut().poll_frame(&mut cx);
                assert!(matches!(frame, Poll::Ready(Some(Ok(_)))), "token {nth}");
            });
            // The first one learns who answers.
            let most = if nth == 0 { 12 } else { 3 };
            assert!(counted.count_total <= most, "token {nth} of {said}: {counted:?}");
        }
    }
}
