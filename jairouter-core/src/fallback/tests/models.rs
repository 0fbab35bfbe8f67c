use std::time::Duration;

use tokio::time::Instant;
use tower::service_fn;

use super::*;
use crate::error::Attempt;
use crate::fallback::InVain;
use crate::rate_limit::{Concurrency, PerModel};

const ANSWERS: Does = || says(JSON, &["{}"]);

#[tokio::test(start_paused = true)]
async fn the_chain_is_asked_in_order_to_the_first_that_answers() {
    let models = Models::new([
        ("large", down as Does),
        ("medium", || fails(Kind::RateLimited)),
        ("small", ANSWERS),
        ("tiny", ANSWERS),
    ]);
    let layer = FallbackLayer::new().models(ModelChain::new(["medium", "small", "tiny"]));
    let answer = through(&layer, &models, large()).await.unwrap();
    assert_eq!(told(&answer), (Some("model"), Some("small")));
    assert_eq!(models.asked(), ["large", "medium", "small"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_twice() {
    let models = Models::new([("large", down as Does), ("small", down)]);
    let chain = ModelChain::new(["large", "small", "small", "large"]);
    let layer = FallbackLayer::new().models(chain);
    through(&layer, &models, large()).await.unwrap_err();
    assert_eq!(models.asked(), ["large", "small"]);
    through(&layer, &models, ask(r#"{"model":"small"}"#)).await.unwrap_err();
    assert_eq!(models.asked(), ["small", "large"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_s_own_chain_stands_in_for_the_common_one_even_if_it_is_empty() {
    let models = Models::new([("large", down as Does), ("medium", down), ("small", ANSWERS)]);
    let layer = FallbackLayer::new()
        .models(ModelChain::new(["small"]))
        .models_for("large", ModelChain::new(["medium"]))
        .models_for("alone", ModelChain::new::<&str>([]));
    through(&layer, &models, large()).await.unwrap_err();
    assert_eq!(models.asked(), ["large", "medium"], "and the chain of a chain is not followed");
    models.set("alone", down);
    through(&layer, &models, ask(r#"{"model":"alone"}"#)).await.unwrap_err();
    assert_eq!(models.asked(), ["alone"]);
    through(&layer, &models, ask(r#"{"model":"medium"}"#)).await.unwrap();
    assert_eq!(models.asked(), ["medium", "small"]);
}

const TOO_LONG: Does = || {
    let envelope = r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#;
    Err(Error::new(Kind::Rejected, "x").with_answer(envelope.into()))
};

#[tokio::test(start_paused = true)]
async fn a_prompt_too_long_goes_to_another_model_only_where_the_chain_says_so() {
    let chain = ModelChain::new(["wide"]);
    for (asks, expected) in [(false, vec!["large"]), (true, vec!["large", "wide"])] {
        let models = Models::new([("large", TOO_LONG), ("wide", ANSWERS)]);
        let layer = FallbackLayer::new().models(chain.clone().on_context_length(asks));
        assert_eq!(through(&layer, &models, large()).await.is_ok(), asks);
        assert_eq!(models.asked(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_too_long_and_a_missing_model_are_never_answered_from_memory() {
    let chain = ModelChain::new(["small"]).on_context_length(true).on_missing_model(true);
    let layer = FallbackLayer::new()
        .models(chain)
        .cache(Cache::default())
        .answer(CannedAnswer::text("later"));
    let models = Models::new([("large", ANSWERS), ("small", down)]);
    text(through(&layer, &models, large()).await.unwrap()).await;
    for (does, kind) in
        [(TOO_LONG, Kind::Rejected), ((|| fails(Kind::NoModel)) as Does, Kind::NoModel)]
    {
        models.set("large", does);
        models.asked();
        assert_eq!(through(&layer, &models, large()).await.unwrap_err().kind(), kind);
        assert_eq!(models.asked(), ["large", "small"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_model_is_stood_in_for_only_where_the_chain_says_so() {
    for does in [(|| fails(Kind::NoModel)) as Does, || fails(Kind::ModelAbsent)] {
        for stands_in in [false, true] {
            let models = Models::new([("large", does), ("small", ANSWERS)]);
            let chain = ModelChain::new(["small"]).on_missing_model(stands_in);
            let layer = FallbackLayer::new().models(chain);
            assert_eq!(through(&layer, &models, large()).await.is_ok(), stands_in);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_else_is_asked_once_the_deadline_has_passed() {
    let models = Models::new([("small", ANSWERS)]);
    let slow = service_fn(move |request: InferenceRequest| {
        let models = models.clone();
        async move {
            if *request.model == *"large" {
                tokio::time::sleep(Duration::from_secs(2)).await;
                return fails(Kind::Timeout);
            }
            models.oneshot(request).await
        }
    });
    let layer = FallbackLayer::new().models(ModelChain::new(["small"]));
    for (seconds, in_time) in [(3, true), (2, false), (1, false)] {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let request = large().with_deadline(Some(deadline));
        assert_eq!(layer.layer(slow.clone()).oneshot(request).await.is_ok(), in_time, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_stand_in_gets_the_request_as_it_was_but_for_the_name() {
    let inner = service_fn(async |request: InferenceRequest| match &*request.model {
        "large" => fails(Kind::Failed),
        _ => {
            assert_eq!(request.headers["authorization"], "Bearer caller");
            Ok(Response::new(Body::from(request.payload.clone())))
        }
    });
    let layer = FallbackLayer::new().models(ModelChain::new(["klein–ü"]));
    let answer = layer.layer(inner).oneshot(large()).await.unwrap();
    assert_eq!(answer.headers()[MODEL].as_bytes(), "klein–ü".as_bytes());
    assert_eq!(text(answer).await, r#"{"model":"klein–ü","temperature":0}"#);
}

/// How many instances it takes, and what the caller is told of them.
fn vain(answer: &Response<Body>) -> Option<Vec<&str>> {
    let InVain(attempts) = answer.extensions().get()?;
    Some(attempts.iter().map(|attempt| &*attempt.instance).collect())
}

fn tried(kind: Kind, instances: &[&str]) -> Result<Response<Frames>, Error> {
    let attempt = |name: &&str| Attempt::new(*name, kind, Duration::ZERO);
    let attempts = instances.iter().map(attempt).collect();
    Err(Error::new(kind, "x").with_attempts(attempts, false))
}

#[tokio::test(start_paused = true)]
async fn an_answer_instead_knows_who_was_asked_in_vain() {
    let models = Models::new([
        ("large", (|| tried(Kind::Failed, &["a", "b"])) as Does),
        ("medium", || tried(Kind::Broken, &["c"])),
        ("small", || {
            let mut answer = says(JSON, &["{}"])?;
            answer.headers_mut().insert("x-jairouter-attempts", HeaderValue::from_static("2"));
            Ok(answer)
        }),
    ]);
    let chain = ModelChain::new(["medium", "small"]);
    let layer = FallbackLayer::new().models(chain).answer(CannedAnswer::text("later"));
    let answer = through(&layer, &models, large()).await.unwrap();
    assert_eq!(vain(&answer), Some(vec!["a", "b", "c"]));
    assert_eq!(answer.headers()["x-jairouter-attempts"], "5");
    models.set("small", down);
    let answer = through(&layer, &models, large()).await.unwrap();
    assert_eq!((told(&answer).0, vain(&answer)), (Some("default"), Some(vec!["a", "b", "c"])));
    models.set("large", ANSWERS);
    assert_eq!(vain(&through(&layer, &models, large()).await.unwrap()), None);
}

#[tokio::test(start_paused = true)]
async fn who_stands_in_has_its_own_limits() {
    let models = Models::new([("large", down as Does), ("small", ANSWERS), ("tiny", ANSWERS)]);
    let limit = |name: &str| (Box::from(name), Concurrency::new(1));
    let layer = FallbackLayer::new()
        .models(ModelChain::new(["small", "tiny"]))
        .limit(PerModel::new([limit("small"), limit("large")]));
    let first = through(&layer, &models, large()).await.unwrap();
    assert_eq!(told(&first).1, Some("small"));
    let second = through(&layer, &models, large()).await.unwrap();
    assert_eq!(told(&second).1, Some("tiny"), "the next, while the first answer goes on");
    text(first).await;
    let third = through(&layer, &models, large()).await.unwrap();
    assert_eq!(told(&third).1, Some("small"));
    drop(third);
    models.set("small", down);
    through(&layer, &models, large()).await.unwrap();
    models.set("small", ANSWERS);
    let last = through(&layer, &models, large()).await.unwrap();
    assert_eq!(told(&last).1, Some("small"), "a failure holds nothing");
}
