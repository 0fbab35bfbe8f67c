use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::time::Instant;

use super::*;

async fn embed(engine: &Engine, more: &Value) -> Value {
    let mut ask = json!({"model": "m"});
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value(post(engine, "/v1/embeddings", &ask).await.unwrap()).await
}

fn floats(answer: &Value, index: usize) -> Vec<f32> {
    serde_json::from_value(answer["data"][index]["embedding"].clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn vectors_are_the_same_for_the_same_text_in_either_form() {
    let engine = Engine::default();
    let ask = |format: &str| json!({"input": ["a b", "c", "a b"], "encoding_format": format, "dimensions": 8});
    let plain = embed(&engine, &ask("float")).await;
    let coded = embed(&engine, &ask("base64")).await;
    assert_eq!(plain["data"][0]["embedding"], plain["data"][2]["embedding"]);
    assert_ne!(plain["data"][0]["embedding"], plain["data"][1]["embedding"]);
    assert_eq!(plain["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    for index in 0..3 {
        let numbers = floats(&plain, index);
        let bytes =
            BASE64_STANDARD.decode(coded["data"][index]["embedding"].as_str().unwrap()).unwrap();
        let decoded: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        assert_eq!(numbers.len(), 8);
        assert_eq!(numbers, decoded);
        let norm: f32 = numbers.iter().map(|number| number * number).sum();
        assert!((norm - 1.0).abs() < 1e-5);
        assert_eq!(plain["data"][index]["index"], index);
    }
}

#[tokio::test(start_paused = true)]
async fn texts_and_tokens_come_one_or_many() {
    let engine = Engine::default();
    for (input, vectors, tokens) in [
        (json!("a b"), 1, 2),
        (json!(["a b", "c"]), 2, 3),
        (json!([7, 8, 9]), 1, 3),
        (json!([[1, 2], [3]]), 2, 3),
    ] {
        let answer = embed(&engine, &json!({"input": input})).await;
        assert_eq!(answer["data"].as_array().unwrap().len(), vectors, "{input}");
        assert_eq!(answer["usage"]["prompt_tokens"], tokens, "{input}");
        assert_eq!(floats(&answer, 0).len(), 64, "{input}");
    }
}

#[tokio::test(start_paused = true)]
async fn they_take_as_long_as_a_first_token() {
    let begun = Instant::now();
    embed(&Engine::default(), &json!({"input": "x"})).await;
    assert_eq!(begun.elapsed().as_millis().abs_diff(200), 0);
}

#[tokio::test(start_paused = true)]
async fn more_than_anybody_needs_is_refused() {
    let engine = Engine::default();
    for (more, param) in [
        (json!({"input": vec!["x"; 2049]}), "input"),
        (json!({"input": "x", "dimensions": 4097}), "dimensions"),
        (json!({"input": "x", "encoding_format": "hex"}), "encoding_format"),
    ] {
        assert_eq!(embed(&engine, &more).await["error"]["param"], param);
    }
}
