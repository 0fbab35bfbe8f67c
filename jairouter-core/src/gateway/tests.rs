use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::body::Body;
use crate::error::Kind;

/// Tells the model and the client it was asked by, and how often it was asked at all.
fn gateway(
    asked: &Arc<AtomicUsize>,
) -> Gateway<
    impl Service<InferenceRequest, Response = Response<Body>, Error = Error, Future: Send> + Clone,
> {
    let asked = Arc::clone(asked);
    let engine = service_fn(move |request: InferenceRequest| {
        asked.fetch_add(1, Ordering::Relaxed);
        let id = request.headers["x-request-id"].clone();
        async move {
            let text = format!("{} {:?}", request.model, request.client);
            let mut response = Response::new(Body::from(text));
            response.headers_mut().insert("x-asked-as", id);
            Ok(response)
        }
    });
    Gateway::new(engine).with_models(["org/a", "b:1", "b:1"]).with_max_body(64)
}

fn post(body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
    request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
}

async fn answer<B>(request: Request<B>) -> (http::response::Parts, Bytes)
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    let (parts, body) = gateway(&Arc::default()).oneshot(request).await.unwrap().into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

fn code(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap();
    value["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_question_reaches_the_service_with_its_client_and_its_id() {
    for path in ["/v1/chat/completions", "/api/v1/chat/completions?beta=true"] {
        let mut request = post(r#"{"model":"m"}"#);
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert("x-request-id", "mine".parse().unwrap());
        request.extensions_mut().insert(ClientAddr([10, 0, 0, 7].into()));
        let (parts, body) = answer(request).await;
        assert_eq!(body, "m Some(10.0.0.7)", "{path}");
        assert_eq!(parts.headers["x-request-id"], "mine");
        assert_eq!(parts.headers["x-asked-as"], "mine");
    }
}

// fault: A1
#[tokio::test]
async fn a_path_is_matched_exactly_and_anything_else_is_404() {
    let asked = Arc::default();
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1//chat/completions",
        "/v1/chat/completions/",
        "/V1/chat/completions",
        "/v1/%63hat/completions",
        "/v1/chat/completions;x",
        "/v1/./chat/completions",
        "/api/chat/completions",
        "/api/api/v1/chat/completions",
        "/apiv1/chat/completions",
        "/v1/models/",
        "/chat/completions",
    ] {
        let mut request = post(r#"{"model":"m"}"#);
        *request.uri_mut() = path.parse().unwrap();
        let response = gateway(&asked).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(code(&body), "unknown_endpoint", "{path}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

// fault: B20
#[tokio::test]
async fn a_wrong_method_is_405_and_says_which_is_right() {
    for (method, path, allowed) in [
        (Method::GET, "/v1/chat/completions", "POST"),
        (Method::PUT, "/v1/embeddings", "POST"),
        (Method::PUT, "/v1/models", "GET"),
        (Method::DELETE, "/v1/models/b:1", "GET"),
    ] {
        let mut request = post("{}");
        (*request.method_mut(), *request.uri_mut()) = (method, path.parse().unwrap());
        let (parts, body) = answer(request).await;
        assert_eq!(parts.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(parts.headers["allow"], allowed, "{path}");
        assert_eq!(parts.headers["connection"], "close", "the body was not read");
        assert_eq!(code(&body), "method_not_allowed");
    }
}

// fault: B17, B18, P12
#[tokio::test]
async fn a_body_of_another_type_or_coding_is_415_and_a_strange_expectation_417() {
    let table = [
        ("content-type", "text/plain", 415),
        ("content-type", "application/x-www-form-urlencoded", 415),
        ("content-type", "application/jsonx", 415),
        ("content-type", "Application/JSON ; charset=utf-8", 200),
        ("content-encoding", "gzip", 415),
        ("content-encoding", "identity", 200),
        ("expect", "100-continue", 200),
        ("expect", "200-ok", 417),
    ];
    for (name, value, status) in table {
        let mut request = post(r#"{"model":"m"}"#);
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(answer(request).await.0.status, status, "{name}: {value}");
    }
    let mut bare = post(r#"{"model":"m"}"#);
    bare.headers_mut().remove("content-type");
    assert_eq!(answer(bare).await.0.status, 415);
}

#[tokio::test]
async fn models_are_listed_once_each_and_found_however_their_name_is_written() {
    let get = |path: &str| Request::get(path).body(Full::<Bytes>::default()).unwrap();
    let (_, body) = answer(get("/v1/models")).await;
    let list: Value = serde_json::from_slice(&body).unwrap();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|card| &card["id"]).collect();
    assert_eq!(ids, ["org/a", "b:1"]);
    assert_eq!(list["object"], "list");
    for path in ["/v1/models/org/a", "/v1/models/org%2Fa", "/api/v1/models/org%2fa"] {
        let (parts, body) = answer(get(path)).await;
        assert_eq!(parts.status, 200, "{path}");
        let card: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&card["id"], &card["object"]), (&"org/a".into(), &"model".into()));
    }
    let (parts, body) = answer(get("/v1/models/unknown")).await;
    assert_eq!((parts.status.as_u16(), code(&body)), (404, "model_not_found".into()));
}

// fault: B3, B4
#[tokio::test]
async fn a_body_over_the_limit_is_413_declared_or_not() {
    let long = || Bytes::from(vec![b' '; 65]);
    let declared = post("").map(|_| Full::new(long()));
    let streamed = post("").map(|_| {
        let frames = long().chunks(13).map(Bytes::copy_from_slice).collect::<Vec<_>>();
        StreamBody::new(stream::iter(frames).map(|data| Ok::<_, Error>(Frame::data(data))))
    });
    for (parts, body) in [answer(declared).await, answer(streamed).await] {
        assert_eq!(parts.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(parts.headers["connection"], "close");
        assert_eq!(code(&body), "request_too_large");
    }
}

type Frames = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Error>>>;

fn streamed(frames: Vec<Bytes>, then: BoxStream<'static, Result<Frame<Bytes>, Error>>) -> Frames {
    let frames = stream::iter(frames).map(|data| Ok(Frame::data(data)));
    StreamBody::new(frames.chain(then).boxed())
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let pieces =
        [r#"{"mo"#, "", r#"del":"#, r#""m"}"#].map(|piece| Bytes::from_static(piece.as_bytes()));
    let body = streamed(pieces.into(), stream::empty().boxed());
    assert_eq!(answer(post("").map(|_| body)).await.1, "m None");
}

// fault: S3
#[tokio::test(start_paused = true)]
async fn a_body_that_stops_arriving_is_408() {
    let begun = tokio::time::Instant::now();
    let body = streamed(vec![Bytes::from_static(b"{")], stream::pending().boxed());
    let (parts, body) = answer(post("").map(|_| body)).await;
    assert_eq!((parts.status.as_u16(), code(&body)), (408, "request_timeout".into()));
    assert_eq!(parts.headers["connection"], "close");
    assert!(begun.elapsed() >= Duration::from_secs(10));
}

// fault: S3
#[tokio::test(start_paused = true)]
async fn a_body_that_dribbles_is_408_in_the_end() {
    let begun = tokio::time::Instant::now();
    let dribble = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        Some((Ok(Frame::data(Bytes::from_static(b" "))), ()))
    });
    let (parts, _) = answer(post("").map(|_| streamed(Vec::new(), dribble.boxed()))).await;
    assert_eq!(parts.status, 408);
    assert!(begun.elapsed() <= Duration::from_secs(31), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let broken = stream::once(async { Err(Error::new(Kind::Broken, "reset")) });
    let body = streamed(vec![Bytes::from_static(b"{")], broken.boxed());
    let (parts, body) = answer(post("").map(|_| body)).await;
    assert_eq!((parts.status.as_u16(), code(&body)), (400, "invalid_body".into()));
}

// fault: B6
#[tokio::test]
async fn bodies_share_a_bounded_memory_and_give_it_back_with_their_last_reference() {
    let json = format!(r#"{{"model":"m","x":"{}"}}"#, "x".repeat(30_000));
    let request = || post("").map(|_| Full::new(Bytes::from(json.clone())));
    let hold = service_fn(async |request: InferenceRequest| {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(request);
        Ok::<_, Error>(response)
    });
    let gateway = Gateway::new(hold).with_max_body_memory(50_000);
    let held = gateway.clone().oneshot(request()).await.unwrap();
    assert_eq!(held.status(), 200);
    let refused = gateway.clone().oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let small = gateway.clone().oneshot(post(r#"{"model":"m"}"#)).await.unwrap();
    assert_eq!(small.status(), 200, "a small one is not counted");
    drop(held);
    assert_eq!(gateway.settings.memory.used(), 0);
    assert_eq!(gateway.clone().oneshot(request()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_error_of_the_service_is_an_envelope_with_its_id() {
    let busy = service_fn(async |_: InferenceRequest| {
        let error = Error::new(Kind::Busy, "full").with_retry_after(Duration::from_millis(1500));
        Err::<Response<Body>, _>(error)
    });
    let response = Gateway::new(busy).oneshot(post(r#"{"model":"m"}"#)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "2");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(id.len(), 32);
    assert!(response.headers().get("connection").is_none());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(code(&body), "instance_busy");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["request_id"], id);
}
