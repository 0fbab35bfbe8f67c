use http::StatusCode;

use super::*;

/// Everything there is: another model, a cache, and words.
fn everything() -> FallbackLayer {
    FallbackLayer::new()
        .models(ModelChain::new(["small"]))
        .cache(Cache::builder().any(true).build())
        .answer(CannedAnswer::text("later"))
}

/// Every kind, and what the model does that fails with it.
const KINDS: [(Kind, Does); 24] = [
    (Kind::Invalid, || fails(Kind::Invalid)),
    (Kind::Unsupported, || fails(Kind::Unsupported)),
    (Kind::TooLarge, || fails(Kind::TooLarge)),
    (Kind::SlowRequest, || fails(Kind::SlowRequest)),
    (Kind::NoEndpoint, || fails(Kind::NoEndpoint)),
    (Kind::BadMethod, || fails(Kind::BadMethod)),
    (Kind::BadMediaType, || fails(Kind::BadMediaType)),
    (Kind::NoModel, || fails(Kind::NoModel)),
    (Kind::Unauthorized, || fails(Kind::Unauthorized)),
    (Kind::Forbidden, || fails(Kind::Forbidden)),
    (Kind::RateLimited, || fails(Kind::RateLimited)),
    (Kind::Busy, || fails(Kind::Busy)),
    (Kind::BreakerOpen, || fails(Kind::BreakerOpen)),
    (Kind::NoInstance, || fails(Kind::NoInstance)),
    (Kind::Overloaded, || fails(Kind::Overloaded)),
    (Kind::Unreachable, || fails(Kind::Unreachable)),
    (Kind::Broken, || fails(Kind::Broken)),
    (Kind::Stalled, || fails(Kind::Stalled)),
    (Kind::Timeout, || fails(Kind::Timeout)),
    (Kind::Failed, || fails(Kind::Failed)),
    (Kind::UpstreamAuth, || fails(Kind::UpstreamAuth)),
    (Kind::ModelAbsent, || fails(Kind::ModelAbsent)),
    (Kind::Rejected, || fails(Kind::Rejected)),
    (Kind::Internal, || fails(Kind::Internal)),
];

#[tokio::test(start_paused = true)]
async fn each_kind_falls_back_or_stays_the_caller_s() {
    for (kind, does) in KINDS {
        let models = Models::new([("large", does), ("small", || says(JSON, &["{}"]))]);
        let outcome = through(&everything(), &models, large()).await;
        if kind.may_fall_back() {
            assert_eq!(told(&outcome.unwrap()), (Some("model"), Some("small")), "{kind:?}");
            assert_eq!(models.asked(), ["large", "small"], "{kind:?}");
        } else {
            assert_eq!(outcome.unwrap_err().kind(), kind);
            assert_eq!(models.asked(), ["large"], "{kind:?} is asked about once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_caller_s_mistake_comes_back_unchanged_whatever_is_configured() {
    let envelope = r#"{ "error": {"message":"bad","type":"t","param":null,"code":"c"} }"#;
    let refuses: Does = || {
        let envelope = r#"{ "error": {"message":"bad","type":"t","param":null,"code":"c"} }"#;
        Err(Error::new(Kind::Rejected, "x")
            .with_status(StatusCode::UNPROCESSABLE_ENTITY)
            .with_answer(envelope.into()))
    };
    let models = Models::new([("large", (|| says(JSON, &["{}"])) as Does)]);
    let layer = everything();
    through(&layer, &models, large()).await.unwrap().into_body().collect().await.unwrap();
    models.set("large", refuses);
    models.asked();
    let error = through(&layer, &models, large()).await.unwrap_err();
    assert_eq!(error.status(), 422);
    assert_eq!(error.answer().unwrap(), envelope);
    assert_eq!(models.asked(), ["large"]);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_means_a_failure_falls_back_too() {
    let with = |status: u16| -> Does {
        match status {
            503 => || says(JSON, &["busy"]).map(|answer| of_status(answer, 503)),
            404 => || says(JSON, &["absent"]).map(|answer| of_status(answer, 404)),
            _ => || says(JSON, &["maximum context length"]).map(|answer| of_status(answer, 400)),
        }
    };
    let small: Does = || says(JSON, &["{}"]);
    let layer = FallbackLayer::new().models(ModelChain::new(["small"]).on_context_length(true));
    for (status, falls_back) in [(503, true), (404, false), (400, false)] {
        let models = Models::new([("large", with(status)), ("small", small)]);
        let answer = through(&layer, &models, large()).await.unwrap();
        assert_eq!(told(&answer).0, falls_back.then_some("model"), "{status}");
        models.set("small", || fails(Kind::Busy));
        let answer = through(&layer, &models, large()).await.unwrap();
        assert_eq!(answer.status(), status, "the original when all fail");
        assert_eq!(told(&answer), (None, None));
        assert!(!text(answer).await.is_empty(), "with its body");
    }
}

fn of_status(mut answer: Response<Frames>, status: u16) -> Response<Frames> {
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

#[tokio::test(start_paused = true)]
async fn the_original_error_comes_back_when_everything_fails() {
    let original: Does = || {
        let error = Error::new(Kind::Busy, "all of them").with_code("own");
        Err(error.with_retry_after(std::time::Duration::from_secs(7)))
    };
    let small: Does = || fails(Kind::Rejected);
    let models = Models::new([("large", original), ("small", small)]);
    let layer = FallbackLayer::new().models(ModelChain::new(["small", "gone"]));
    let error = through(&layer.cache(Cache::default()), &models, large()).await.unwrap_err();
    assert_eq!(models.asked(), ["large", "small", "gone"]);
    assert_eq!((error.kind(), error.message(), error.code()), (Kind::Busy, "all of them", "own"));
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(7)));
}

#[tokio::test(start_paused = true)]
async fn a_live_answer_beats_an_old_one_and_an_old_one_beats_words() {
    let models = Models::new([
        ("large", (|| says(JSON, &["{\"old\":1}"])) as Does),
        ("small", || says(JSON, &["{}"])),
    ]);
    let layer = everything();
    let answer = through(&layer, &models, large()).await.unwrap();
    assert_eq!(told(&answer), (None, None), "an answer that is as asked says nothing");
    text(answer).await;
    models.set("large", down);
    let fallback = async || {
        let answer = through(&layer, &models, large()).await.unwrap();
        answer.headers()[FALLBACK].clone()
    };
    assert_eq!(fallback().await, "model");
    models.set("small", down);
    assert_eq!(fallback().await, "cache");
    let other = through(&layer, &models, ask(r#"{"model":"large"}"#)).await.unwrap();
    assert_eq!(told(&other), (Some("default"), None));
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_beats_another_model_where_it_is_to_come_first() {
    let models = Models::new([
        ("large", (|| says(JSON, &["{\"old\":1}"])) as Does),
        ("small", || says(JSON, &["{}"])),
    ]);
    let layer = everything().cache_first(true);
    text(through(&layer, &models, large()).await.unwrap()).await;
    models.set("large", down);
    models.asked();
    let answer = through(&layer, &models, large()).await.unwrap();
    assert_eq!(told(&answer), (Some("cache"), Some("large")));
    assert_eq!(models.asked(), ["large"], "and nobody else");
    let other = through(&layer, &models, ask(r#"{"model":"large"}"#)).await.unwrap();
    assert_eq!(told(&other), (Some("model"), Some("small")), "without one as ever");
    models.set("small", down);
    let other = through(&layer, &models, ask(r#"{"model":"large"}"#)).await.unwrap();
    assert_eq!(told(&other), (Some("default"), None));
}

#[tokio::test(start_paused = true)]
async fn without_options_everything_passes() {
    let models = Models::new([("large", (|| says(SSE, &["a", "b"])) as Does)]);
    let layer = FallbackLayer::new();
    let answer = through(&layer, &models, large()).await.unwrap();
    assert_eq!(answer.headers().len(), 1);
    assert_eq!(text(answer).await, "ab");
    models.set("large", down);
    assert_eq!(through(&layer, &models, large()).await.unwrap_err().kind(), Kind::NoInstance);
    assert_eq!(models.asked(), ["large", "large"]);
}

#[tokio::test(start_paused = true)]
async fn each_model_is_waited_for_until_it_is_ready() {
    let (inner, mut models) = tower_test::mock::pair::<InferenceRequest, Response<Body>>();
    models.allow(0);
    let inner = inner.map_err(Error::from);
    let layer = FallbackLayer::new().models(ModelChain::new(["small"]));
    let mut service = tokio_test::task::spawn(layer.layer(inner));
    let ready = service.enter(|cx, mut service| service.poll_ready(cx));
    assert!(ready.is_ready(), "the fallback is, whatever is inside");
    let mut call = tokio_test::task::spawn(service.call(large()));
    assert!(call.poll().is_pending());
    models.allow(1);
    assert!(call.poll().is_pending());
    let (request, send) = models.next_request().await.unwrap();
    assert_eq!(&*request.model, "large");
    send.send_error(Error::new(Kind::Failed, "x"));
    assert!(call.poll().is_pending());
    models.allow(1);
    assert!(call.poll().is_pending());
    let (request, send) = models.next_request().await.unwrap();
    assert_eq!(&*request.model, "small");
    send.send_response(Response::new(Body::from("{}")));
    let answer = tokio_test::assert_ready!(call.poll());
    assert_eq!(told(&answer.unwrap()), (Some("model"), Some("small")));
}
