use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, DATE};

use super::*;

const STREAM: [&str; 3] = ["data: {\"a\"", ":1}\n\nda", "ta: [DONE]\n\n"];

/// A model that answers, and one cache through several outages.
struct House {
    models: Models,
    cache: Cache,
    layer: FallbackLayer,
}

impl House {
    fn new(cache: CacheBuilder, does: Does) -> Self {
        let cache = cache.build();
        let layer = FallbackLayer::new().cache(cache.clone());
        Self { models: Models::new([("large", does)]), cache, layer }
    }

    /// Asks, and reads the answer to its end. Whether it had one.
    async fn ask(&self, request: InferenceRequest) -> bool {
        let answer = through(&self.layer, &self.models, request).await;
        let read = answer.unwrap().into_body().collect().await.is_ok();
        assert_eq!(self.cache.recording(), 0, "nothing is held of an answer that is over");
        read
    }

    /// What the cache has for this request.
    async fn cached(&self, request: InferenceRequest) -> Option<Response<Body>> {
        self.models.set("large", down);
        through(&self.layer, &self.models, request).await.ok()
    }
}

fn from(name: &'static str, key: &'static str) -> InferenceRequest {
    let headers = [(HeaderName::from_static(name), HeaderValue::from_static(key))];
    let payload = r#"{"model":"large","temperature":0}"#.into();
    InferenceRequest::new(Endpoint::ChatCompletions, headers.into_iter().collect(), payload)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_caller_gets_its_own_last_answer_and_nobody_else_s() {
    let house = House::new(Cache::builder(), || says(JSON, &["{\"secret\":1}"]));
    assert!(house.ask(from("authorization", "Bearer a")).await);
    for stranger in [
        from("authorization", "Bearer b"),
        from("x-api-key", "Bearer a"),
        from("x-other", "Bearer a"),
        from("x-other", "x").with_client(Some([10, 0, 0, 1].into())),
    ] {
        assert!(house.cached(stranger).await.is_none());
    }
    let other = ask(r#"{"model":"large","temperature":0 }"#);
    assert!(house.cached(other).await.is_none(), "nor for other bytes");
    let answer = house.cached(from("authorization", "Bearer a")).await.unwrap();
    assert_eq!(told(&answer), (Some("cache"), Some("large")));
    assert_eq!(text(answer).await, "{\"secret\":1}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_a_key_is_its_address_and_without_one_nobody() {
    let house = House::new(Cache::builder(), || says(JSON, &["{}"]));
    let at = |last| from("x-other", "x").with_client(Some([10, 0, 0, last].into()));
    house.ask(at(1)).await;
    house.ask(from("x-other", "x")).await;
    assert_eq!(house.cache.len(), 1);
    assert!(house.cached(at(2)).await.is_none());
    assert!(house.cached(from("x-other", "x")).await.is_none());
    assert!(house.cached(at(1)).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_as_old_as_it_says_and_good_for_its_time() {
    let house = House::new(Cache::builder().ttl(Duration::from_secs(60)), || says(JSON, &["{}"]));
    house.ask(large()).await;
    for (wait, age) in [(0, Some("0")), (1500, Some("1")), (58_499, Some("59")), (1, None)] {
        tokio::time::advance(Duration::from_millis(wait)).await;
        let answer = house.cached(large()).await;
        let said = answer.as_ref().map(|answer| answer.headers()[AGE].to_str().unwrap());
        assert_eq!(said, age, "after {wait} ms more");
    }
    assert!(house.cache.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_answer_that_was_least_recently_used_goes_first() {
    let house = House::new(Cache::builder().entries(2), || says(JSON, &["{}"]));
    let nth = |nth: u8| ask(&format!(r#"{{"model":"large","seed":{nth}}}"#));
    house.ask(nth(1)).await;
    house.ask(nth(2)).await;
    assert!(house.cached(nth(1)).await.is_some(), "and is the last used one now");
    house.models.set("large", || says(JSON, &["{}"]));
    house.ask(nth(3)).await;
    assert!(house.cached(nth(2)).await.is_none());
    assert!(house.cached(nth(1)).await.is_some() && house.cached(nth(3)).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn neither_an_answer_nor_all_of_them_take_more_than_their_bytes() {
    let house = House::new(Cache::builder().largest(9), || says("text/plain", &["12345", "6789"]));
    house.ask(large()).await;
    assert_eq!(house.cache.len(), 1, "as large as may be");
    house.cache.clear();
    house.models.set("large", || says("text/plain", &["12345", "67890"]));
    house.ask(large()).await;
    assert!(house.cache.is_empty());
    let house = House::new(Cache::builder().bytes(4000), || says("text/plain", &["x"]));
    for nth in 0..20 {
        house.ask(ask(&format!(r#"{{"model":"large","seed":{nth}}}"#))).await;
        assert!(house.cache.bytes() <= 4000);
    }
    assert!(house.cache.len() > 2);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_still_coming_have_a_bound_together() {
    let house = House::new(Cache::builder().bytes(1500), || says("text/plain", &["x"; 30]));
    let first = through(&house.layer, &house.models, large()).await.unwrap();
    let mut first = first.into_body();
    for _ in 0..29 {
        first.frame().await.unwrap().unwrap();
    }
    assert!(house.cache.recording() > 900, "small frames take more than their bytes");
    let other = through(&house.layer, &house.models, ask(r#"{"model":"large","seed":1}"#)).await;
    other.unwrap().into_body().collect().await.unwrap();
    assert!(house.cache.is_empty(), "there was no room to record it");
    first.collect().await.unwrap();
    assert_eq!((house.cache.len(), house.cache.recording()), (1, 0), "the first had its own");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_replayed_byte_for_byte_as_a_stream() {
    let house = House::new(Cache::builder(), || says("text/event-stream; charset=utf-8", &STREAM));
    house.ask(ask(r#"{"model":"large","stream":true,"seed":1}"#)).await;
    let again = house.cached(ask(r#"{"model":"large","stream":true,"seed":1}"#)).await.unwrap();
    assert_eq!(again.headers()[CONTENT_TYPE], "text/event-stream; charset=utf-8");
    assert_eq!(text(again).await, STREAM.concat());
}

#[tokio::test(start_paused = true)]
async fn what_did_not_come_to_a_good_end_is_not_kept() {
    let bad: [(&str, Does); 8] = [
        ("a break", || {
            says(SSE, &STREAM).map(|answer| {
                answer.map(|mut frames| {
                    frames.0.push_back(Err(Kind::Broken));
                    frames
                })
            })
        }),
        ("an error event", || says(SSE, &["data: {\"error\":{}}\n\n", "data: [DONE]\n\n"])),
        ("no [DONE]", || says(SSE, &STREAM[..2])),
        ("half of an object", || says(JSON, &["{\"a\":"])),
        ("an error that calls itself an answer", || says(JSON, &["{\"error\":\"x\"}"])),
        ("a length that is not kept to", || with(CONTENT_LENGTH, "9")),
        ("a coding", || with(CONTENT_ENCODING, "gzip")),
        ("a wish", || with(CACHE_CONTROL, "private, No-Store")),
    ];
    for (what, does) in bad {
        let house = House::new(Cache::builder(), does);
        house.ask(large()).await;
        assert!(house.cache.is_empty(), "{what}");
        // And the last good answer stays.
        house.models.set("large", || says(JSON, &["{}"]));
        house.ask(large()).await;
        house.models.set("large", does);
        house.ask(large()).await;
        assert_eq!(text(house.cached(large()).await.unwrap()).await, "{}", "{what}");
    }
}

fn with(name: HeaderName, value: &'static str) -> Result<Response<Frames>, Error> {
    let mut answer = says(JSON, &["{}"])?;
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    Ok(answer)
}

#[tokio::test(start_paused = true)]
async fn an_answer_abandoned_at_any_frame_is_not_kept_and_nothing_of_it_is_held() {
    let house = House::new(Cache::builder(), || says(SSE, &STREAM));
    for frames in 0..=STREAM.len() {
        let answer = through(&house.layer, &house.models, large()).await.unwrap();
        let mut body = answer.into_body();
        for _ in 0..frames {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        assert!(house.cache.is_empty(), "after {frames} frames");
        assert_eq!(house.cache.recording(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_asking_again_would_not_give_is_kept_only_if_any_is() {
    for any in [false, true] {
        let house = House::new(Cache::builder().any(any), || says(JSON, &["{}"]));
        house.ask(ask(r#"{"model":"large"}"#)).await;
        assert_eq!(house.cache.len(), usize::from(any));
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_ask_for_its_answer_not_to_be_kept() {
    let house = House::new(Cache::builder(), || says(JSON, &["{}"]));
    let mut headers = large().headers.clone();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let payload = large().payload.clone();
    house.ask(InferenceRequest::new(Endpoint::ChatCompletions, headers, payload).unwrap()).await;
    assert!(house.cache.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_what_describes_its_bytes_is_kept_of_a_head() {
    let house = House::new(Cache::builder(), || {
        let mut answer = says(JSON, &["{}"])?;
        for (name, value) in [
            (DATE, "Tue, 24 Nov 2026 12:00:00 GMT"),
            (CONTENT_LENGTH, "2"),
            (http::header::SET_COOKIE, "a=b"),
            (HeaderName::from_static("x-jairouter-instance"), "a"),
            (HeaderName::from_static("x-ratelimit-remaining"), "1"),
        ] {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        *answer.status_mut() = http::StatusCode::CREATED;
        Ok(answer)
    });
    house.ask(large()).await;
    let again = house.cached(large()).await.unwrap();
    assert_eq!(again.status(), 201);
    let mut names: Vec<_> = again.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["age", "content-type", "x-jairouter-fallback", "x-jairouter-model"]);
    assert_eq!(again.body().size_hint().exact(), Some(2), "for a length that is true");
}

#[tokio::test(start_paused = true)]
async fn what_stood_in_is_not_the_answer_of_the_model_that_was_asked() {
    let house = House::new(Cache::builder(), down);
    let layer = house.layer.clone().models(ModelChain::new(["small"]));
    house.models.set("small", || says(JSON, &["{}"]));
    text(through(&layer, &house.models, large()).await.unwrap()).await;
    assert!(house.cache.is_empty(), "another model's");
    house.models.set("large", || with(FALLBACK, "default"));
    house.ask(large()).await;
    assert!(house.cache.is_empty(), "nor that of a gateway behind this one");
}

#[tokio::test(start_paused = true)]
async fn a_kept_answer_holds_no_buffer_but_its_own() {
    let house = House::new(Cache::builder(), || says("text/plain", &["a", "b"]));
    house.ask(large()).await;
    let body = house.cached(large()).await.unwrap().into_body();
    let bytes = body.collect().await.unwrap().to_bytes();
    house.cache.clear();
    assert_eq!(bytes.try_into_mut().unwrap().capacity(), 2);
}
