use std::sync::{Arc, Mutex};

use futures::stream;
use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::body::Body;
use crate::endpoint::Endpoint;

/// What the engine is asked, and the caller gets, in these frames.
async fn exchange(
    endpoint: Endpoint,
    payload: &str,
    frames: &[&'static str],
) -> (String, Vec<String>) {
    let seen = Arc::new(Mutex::new(Bytes::new()));
    let (asked, told) = (Arc::clone(&seen), frames.to_vec());
    let engine = service_fn(move |request: InferenceRequest| {
        *asked.lock().unwrap() = request.payload.clone();
        assert_eq!(request.with_model("x").with_model("m").payload, request.payload);
        let frames: Vec<_> =
            told.iter().map(|frame| Ok::<_, Error>(Frame::data(Bytes::from(*frame)))).collect();
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        async move { Ok::<_, Error>(Response::new(body)) }
    });
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    let request = InferenceRequest::new(endpoint, HeaderMap::new(), payload).unwrap();
    let answer = StreamUsageLayer::new(true).layer(engine).oneshot(request).await.unwrap();
    let mut body = answer.into_body();
    let mut got = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        got.push(String::from_utf8(data.to_vec()).unwrap());
    }
    let seen = String::from_utf8(seen.lock().unwrap().to_vec()).unwrap();
    (seen, got)
}

#[tokio::test]
async fn a_stream_is_asked_for_its_usage_by_one_field_and_no_other_byte_changes() {
    for (payload, asked) in [
        (
            r#" { "model":"m", "stream":true, "seed":18446744073709551616}"#,
            r#" {"stream_options":{"include_usage":true}, "model":"m", "stream":true, "seed":18446744073709551616}"#,
        ),
        (
            r#"{"stream":true,"stream_options": null ,"model":"m"}"#,
            r#"{"stream":true,"stream_options": {"include_usage":true} ,"model":"m"}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":false,"x":1},"model":"m","stream":true}"#,
            r#"{"stream_options":{"include_usage":true,"x":1},"model":"m","stream":true}"#,
        ),
    ] {
        for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions] {
            let (seen, _) = exchange(endpoint, payload, &[]).await;
            assert_eq!(seen, asked);
            let value: Value = serde_json::from_str(&seen).unwrap();
            assert_eq!(value["stream_options"]["include_usage"], json!(true));
        }
    }
}

#[tokio::test]
async fn what_is_asked_already_or_cannot_be_passes_in_both_directions() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
    for (endpoint, payload) in [
        (
            Endpoint::ChatCompletions,
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (Endpoint::ChatCompletions, r#"{"model":"m","stream":true,"stream_options":7}"#),
        (Endpoint::ChatCompletions, r#"{"model":"m"}"#),
        (Endpoint::Messages, r#"{"model":"m","stream":true}"#),
    ] {
        let (seen, got) = exchange(endpoint, payload, &[usage]).await;
        assert_eq!((seen.as_str(), got), (payload, vec![usage.to_owned()]));
    }
}

#[tokio::test]
async fn what_tells_of_the_usage_is_left_out_and_nothing_else() {
    let ask = r#"{"model":"m","stream":true}"#;
    let chunk = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\\"usage\\\":{\"}}],\"usage\":null}\n\n";
    let with_choice =
        "data: {\"choices\":[{\"index\":0}],\"usage\": {\"prompt_tokens\":1} ,\"x\":1}\n\n";
    let without = "data: {\"choices\":[{\"index\":0}],\"usage\": null ,\"x\":1}\n\n";
    let bare = "data: {\"usage\":{\"prompt_tokens\":1},\"model\":\"m\"}\n\n";
    let cited = "data: {\"usage\":{\"prompt_tokens\":1},\"citations\":[1]}\n\n";
    let hidden = "data: {\"usage\":null,\"citations\":[1]}\n\n";
    let lines = "id: 7\ndata: {\"choices\":[1],\ndata: \"usage\":{\"a\":1},\ndata: \"x\":2}\n\n";
    let line = "id: 7\ndata: {\"choices\":[1], \"usage\":null, \"x\":2}\n\n";
    let alone = "data: {\"id\":\"x\",\"choices\": [ ],\"usage\" : {\"prompt_tokens\":1}}\r\n\r\n";
    let (done, ping) = ("data: [DONE]\n\n", ": ping\n\n");
    let frames = [chunk, with_choice, alone, bare, cited, lines, ping, done];
    let (_, got) = exchange(Endpoint::ChatCompletions, ask, &frames).await;
    assert_eq!(got, [chunk, without, hidden, line, ping, done], "no frame is empty");
    let joined: &'static str = Box::leak(frames.concat().into_boxed_str());
    let (_, got) = exchange(Endpoint::Completions, ask, &[joined]).await;
    assert_eq!(got, [[chunk, without, hidden, line, ping, done].concat()]);
}

#[tokio::test]
async fn the_usage_is_left_out_wherever_the_network_cuts_it() {
    for blank in ["\n\n", "\r\n\r\n", "\r\r"] {
        for last in ["", "data: [DONE]"] {
            let text = "data: {\"choices\":[1]}".to_owned() + blank;
            let usage =
                format!("data: {{\"choices\": [], \"usage\": {{\"total_tokens\":1}}}}{blank}");
            let stream: &'static str = format!("{text}{usage}{last}").leak();
            let payload = r#"{"model":"m","stream":true}"#;
            let single: Vec<_> = (0..stream.len()).map(|at| &stream[at..=at]).collect();
            let halves = (0..=stream.len()).map(|cut| [&stream[..cut], &stream[cut..]].to_vec());
            for pieces in halves.chain([single]) {
                let (_, got) = exchange(Endpoint::ChatCompletions, payload, &pieces).await;
                assert_eq!(got.concat(), text.clone() + last, "{pieces:?}");
            }
        }
    }
}

#[test]
fn what_has_been_asked_for_is_found_wherever_a_model_s_name_has_moved_it() {
    for payload in [
        r#"{"model":"m","stream":true}"#,
        r#"{"model":"m","stream":true,"stream_options": {"x":1} }"#,
        r#"{"stream_options":null,"stream":true,"model":"m"}"#,
    ] {
        let payload = Bytes::from(payload);
        let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload);
        let request = request.unwrap().with_model("a longer name");
        let asked = ask::for_usage(&request).unwrap().with_model("n");
        assert!(ask::for_usage(&asked).is_none(), "it asks already: {:?}", asked.payload);
        let value: Value = serde_json::from_slice(&asked.payload).unwrap();
        assert_eq!(
            (&value["model"], &value["stream_options"]["include_usage"]),
            (&json!("n"), &json!(true))
        );
    }
}
