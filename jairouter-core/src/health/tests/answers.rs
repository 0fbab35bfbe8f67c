//! Which answer is which outcome.

use super::super::probe::probe;
use super::*;

/// What a probe of 2 s finds, and how long it takes.
async fn find(reply: Reply) -> (Outcome, Duration) {
    let mut engine = Engine::new(reply);
    let start = Instant::now();
    let outcome = probe(&mut engine, Request::new(Payload::default()), start + 2 * SECOND).await;
    assert_eq!(engine.in_flight(), 0, "{reply:?} is over");
    (outcome, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_status_is_good_busy_unauthorized_or_a_failure() {
    let table = [
        (Outcome::Good, &[200, 204, 299, 404, 405][..]),
        (Outcome::Busy, &[429, 529]),
        (Outcome::Unauthorized, &[401, 403]),
        (Outcome::Failed, &[301, 304, 400, 407, 408, 418, 422, 500, 501, 502, 503, 504, 599]),
    ];
    for (expected, statuses) in table {
        for status in statuses {
            assert_eq!(find(Reply::Status(*status)).await.0, expected, "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_503_is_busy_only_if_it_says_so_and_loads_no_model() {
    let llama_cpp =
        r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
    let local_ai = r#"{"error":{"code":"model_loading","message":"the model is busy loading"}}"#;
    let admission =
        r#"{"error":{"type":"admission_rejected","message":"not admitted","code":503}}"#;
    let trt = "LLM is unavailable. Please check the server logs for more details.";
    let table = [
        (Reply::Text(503, ""), Outcome::Failed),
        (Reply::Text(503, llama_cpp), Outcome::Failed),
        (Reply::Text(503, local_ai), Outcome::Failed),
        (Reply::Text(503, trt), Outcome::Failed),
        (Reply::Text(503, r#"{"error":"unhealthy","error_type":"healthcheck"}"#), Outcome::Failed),
        (Reply::Later(r#"{"detail":"The model is Loading"}"#), Outcome::Failed),
        (Reply::Later(admission), Outcome::Busy),
        (Reply::Later(""), Outcome::Busy),
        (Reply::Text(503, "The request queue is full."), Outcome::Busy),
        (Reply::Text(503, r#"{"error":"server busy, please try again"}"#), Outcome::Busy),
    ];
    for (reply, expected) in table {
        assert_eq!(find(reply).await.0, expected, "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_was_never_reached_is_refused() {
    assert_eq!(find(Reply::Refuse).await.0, Outcome::Refused);
    assert_eq!(find(Reply::BreakOff).await.0, Outcome::Failed);
    assert_eq!(find(Reply::CutBody).await.0, Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn head_and_body_share_one_timeout() {
    for reply in [Reply::Stall, Reply::StallBody, Reply::Slow(2 * SECOND + MILLISECOND)] {
        let (outcome, time) = find(reply).await;
        assert_eq!(outcome, Outcome::TimedOut, "{reply:?}");
        assert!((2 * SECOND..=2 * SECOND + MILLISECOND).contains(&time), "{reply:?}: {time:?}");
    }
    assert_eq!(find(Reply::Slow(SECOND)).await.0, Outcome::Good);
}

#[tokio::test(start_paused = true)]
async fn of_a_body_without_an_end_64_kib_are_read() {
    let mut engine = Engine::new(Reply::EndlessBody);
    let request = Request::new(Payload::default());
    assert_eq!(probe(&mut engine, request, Instant::now() + SECOND).await, Outcome::Good);
    let read = engine.0.read.load(Ordering::Relaxed);
    assert!((64 * 1024..=65 * 1024).contains(&read), "{read}");
    assert_eq!(engine.in_flight(), 0, "the rest is dropped");
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_a_get_on_a_new_connection_with_the_instance_s_headers() {
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", http::HeaderValue::from_static("Bearer key"));
    let settings = Settings::default().with_headers(headers);
    let probed = Probed::new(Reply::Status(200), settings);
    probed.until_asked(1).await;
    let request = probed.engine.0.last.lock().unwrap().take().unwrap();
    assert_eq!((request.method().as_str(), request.uri().path()), ("GET", "/health"));
    assert_eq!(request.headers()["host"], "10.0.0.1:8000");
    assert_eq!(request.headers()["authorization"], "Bearer key");
    assert!(request.headers()["user-agent"].to_str().unwrap().starts_with("jairouter/"));
    #[cfg(feature = "client")]
    assert!(request.extensions().get::<crate::client::NewConnection>().is_some());
}

#[test]
fn the_path_is_the_settings_or_else_the_backend_s() {
    let uri = |settings: Settings| {
        let health = Arc::new(Health::new());
        let engine = Engine::new(Reply::Stall);
        let backend: Arc<dyn Backend> = Arc::new(Normal);
        let target = "http://h/v1".parse().unwrap();
        Prober::new(&*backend, &target, engine, health, settings)
            .map(|prober| format!("{prober:?}"))
    };
    assert!(uri(Settings::default()).unwrap().contains("http://h/health"));
    assert!(uri(Settings::default().with_path("/ready")).unwrap().contains("http://h/ready"));
    let error = uri(Settings::default().with_path("ready")).unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
}
