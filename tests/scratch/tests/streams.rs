//! Asked over a socket, as a stranger's callers would.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use jairouter_core::Payload;
use jairouter_core::client::{HttpClient, ResponseBody};
use jairouter_simulated::{Engine, Failure};
use scratch::tally::{Ends, TallyLayer};
use tokio::net::TcpListener;
use tower::ServiceExt;

const STREAM: &str =
    r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello!"}]}"#;

/// Serves it on a port of its own, and returns a client of that.
async fn serve(tally: &TallyLayer, engines: impl IntoIterator<Item = Engine>) -> HttpClient {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let authority = listener.local_addr().unwrap().to_string().parse().unwrap();
    let app = scratch::app(tally, engines).unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    HttpClient::new(&authority)
}

async fn ask(client: &HttpClient, path: &str, question: &'static str) -> Response<ResponseBody> {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Payload::from(question))
        .unwrap();
    client.clone().oneshot(request).await.unwrap()
}

async fn text(answer: Response<ResponseBody>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_program_s_own_route_and_the_gateway_s_answer_beside_each_other() {
    let client = serve(&TallyLayer::default(), [Engine::default()]).await;
    let get = |path| Request::get(path).body(Payload::default()).unwrap();
    let own = client.clone().oneshot(get("/")).await.unwrap();
    assert_eq!(text(own).await, "my own route\n");
    let models = client.clone().oneshot(get("/v1/models")).await.unwrap();
    assert!(text(models).await.contains(r#""id":"demo""#));
}

#[tokio::test]
async fn a_stream_comes_in_parts_and_its_end_is_counted_by_the_layer_between() {
    let tally = TallyLayer::default();
    // Once the first has arrived there is an hour's wait for the next.
    let slow = Engine::builder().first_token(Duration::ZERO).rate(0.001).build();
    let client = serve(&tally, [slow]).await;
    let answer = ask(&client, "/v1/chat/completions", STREAM).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    let part = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(part.starts_with(b"data: "));
    assert_eq!(tally.of("demo"), Ends::default(), "it goes on");

    drop(body);
    while tally.of("demo") == Ends::default() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(tally.of("demo"), Ends { abandoned: 1, ..Ends::default() });
}

#[tokio::test]
async fn a_stream_ends_with_done_after_an_instance_that_fails() {
    let tally = TallyLayer::default();
    let quick = || Engine::builder().first_token(Duration::ZERO).rate(0.0);
    let fails = quick().failure_rate(1.0).failure(Failure::Status(500)).build();
    let client = serve(&tally, [fails.clone(), quick().build()]).await;
    for _ in 0..4 {
        let answer = ask(&client, "/v1/chat/completions", STREAM).await;
        assert_eq!(answer.headers()["x-jairouter-instance"], "simulated://1");
        assert!(text(answer).await.ends_with("data: [DONE]\n\n"));
    }
    assert!(fails.requests() > 0, "it was asked, and nobody saw it");
    assert_eq!(tally.of("demo"), Ends { complete: 4, ..Ends::default() });
}

#[tokio::test]
async fn what_nobody_has_is_refused_in_openai_s_envelope_and_counted() {
    let tally = TallyLayer::default();
    let client = serve(&tally, [Engine::default()]).await;
    let answer = ask(&client, "/v1/chat/completions", r#"{"model":"gpt","messages":[]}"#).await;
    assert_eq!(answer.status(), 404);
    assert!(text(answer).await.contains("model_not_found"));
    assert_eq!(tally.of("gpt"), Ends { broken: 1, ..Ends::default() });
}
