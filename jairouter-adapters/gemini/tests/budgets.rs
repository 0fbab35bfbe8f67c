//! What a token costs on its way from Gemini's words to `OpenAI`'s.
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
use jairouter_gemini::Gemini;

#[test]
fn a_token_costs_at_most_five_allocations() {
    let ask = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    let asked = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), ask.into());
    let asked = asked.unwrap();
    for part in [r#"{"text":"token "}"#, r#"{"text":"token ","thought":true}"#] {
        let event = Bytes::from(format!(
            "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{part}]}}}}],\
             \"usageMetadata\":{{\"promptTokenCount\":3}},\"modelVersion\":\"m\"}}\n\n"
        ));
        let frames = (0..50).map(move |_| Ok::<_, Error>(Frame::data(event.clone())));
        let answer = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
        let mut body = pin!(Gemini::new().decode(&asked, answer).into_body());
        let mut cx = Context::from_waker(Waker::noop());
        for nth in 0..50 {
            let counted = measure(|| {
                let frame = body.as_mut().poll_frame(&mut cx);
                assert!(matches!(frame, Poll::Ready(Some(Ok(_)))), "token {nth}");
            });
            // The first one brings the role along.
            let most = if nth == 0 { 12 } else { 5 };
            assert!(counted.count_total <= most, "token {nth} of {part}: {counted:?}");
        }
    }
}
