use jairouter_core::upstream::{Target, UpstreamBody};
use jairouter_core::{Endpoint, InferenceRequest, Kind, Upstream};

use super::*;
use crate::Simulated;

async fn ask(url: &str, more: &Value) -> Result<Response<UpstreamBody>, Error> {
    let target: Target = url.parse().unwrap();
    let engine: Engine = url.parse().unwrap();
    let upstream = Upstream::new(Simulated::new(), target, engine);
    let payload = Bytes::from(question(more).to_string());
    let request =
        InferenceRequest::new(Endpoint::ChatCompletions, http::HeaderMap::new(), payload).unwrap();
    upstream.oneshot(request).await
}

#[tokio::test(start_paused = true)]
async fn below_an_upstream_it_answers_like_an_engine_on_the_network() {
    for url in ["simulated://demo", "simulated://demo/v1?rate=50", "simulated://demo/?seed=1"] {
        let answer = ask(url, &json!({"stream": true})).await.unwrap();
        let stream = answer.into_body().collect().await.unwrap().to_bytes();
        let stream = chunks(std::str::from_utf8(&stream).unwrap());
        assert!(said(&stream, "/choices/0/delta/content").starts_with("This is the simulated"));
        assert_eq!(ask(url, &json!({})).await.unwrap().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn its_failures_are_what_the_gateway_takes_them_for() {
    for (failure, kind) in [
        ("500", Kind::Failed),
        ("429", Kind::Busy),
        ("400", Kind::Rejected),
        ("refuse", Kind::Unreachable),
        ("break", Kind::Broken),
        ("silent", Kind::Timeout),
    ] {
        let url = format!("simulated://demo?failure-rate=1&failure={failure}");
        for stream in [false, true] {
            let error = ask(&url, &json!({"stream": stream})).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{failure}, stream: {stream}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_behind_its_first_token_has_no_clean_end() {
    for failure in ["break-midway", "stall", "error-event"] {
        let url = format!("simulated://demo?failure-rate=1&failure={failure}");
        let mut body = ask(&url, &json!({"stream": true})).await.unwrap().into_body();
        let mut seen = String::new();
        let error = loop {
            match body.frame().await.expect("the stream ends with an error") {
                Ok(frame) => seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
                Err(error) => break error,
            }
        };
        assert!(seen.contains(r#"data: {"error":"#), "{failure}");
        assert!(!seen.contains("[DONE]"), "{failure}");
        let expected = if failure == "stall" { Kind::Stalled } else { Kind::Broken };
        assert_eq!(error.kind(), expected, "{failure}");
    }
}
