use jairouter_core::Kind;
use tokio::time::{Instant, timeout};

use super::*;
use crate::Failure;

fn failing(failure: Failure) -> Engine {
    Engine::builder().failure_rate(1.0).failure(failure).build()
}

#[tokio::test(start_paused = true)]
async fn a_status_or_a_refused_connection_comes_at_once() {
    for more in [json!({}), json!({"stream": true})] {
        let begun = Instant::now();
        for status in [429, 500, 503] {
            let engine = failing(Failure::Status(status));
            let answer = chat(&engine, &more).await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers().contains_key("retry-after"), status == 429);
            assert!(value(answer).await["error"]["message"].is_string());
            assert_eq!((engine.failed(), engine.running()), (1, 0));
        }
        let engine = failing(Failure::Refuse);
        assert_eq!(chat(&engine, &more).await.unwrap_err().kind(), Kind::Unreachable);
        assert_eq!((engine.failed(), engine.running()), (1, 0));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_lasts_until_the_caller_leaves() {
    for more in [json!({}), json!({"stream": true})] {
        let engine = failing(Failure::Silent);
        timeout(HOUR, chat(&engine, &more)).await.unwrap_err();
        assert_eq!(engine.running(), 0);
    }
}

/// What was heard of an answer, how it ended, and how many ran behind its end.
async fn heard(engine: &Engine, more: &Value) -> (String, &'static str, u32) {
    let answer = match chat(engine, more).await {
        Ok(answer) => answer,
        Err(error) => {
            assert_eq!(error.kind(), Kind::Broken);
            return (String::new(), "no head", engine.running());
        }
    };
    let mut seen = answer.status().to_string();
    let mut body = answer.into_body();
    loop {
        match timeout(HOUR, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
            Ok(Some(Err(error))) => {
                assert_eq!(error.kind(), Kind::Broken);
                assert!(body.frame().await.is_none(), "an error is the last word");
                return (seen, "broken", engine.running());
            }
            Ok(None) => return (seen, "end", engine.running()),
            Err(_) => return (seen, "silence", engine.running()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_fails_where_it_was_told_to() {
    for (failure, tokens, end, running) in [
        (Failure::Break, 0, "broken", 0),
        (Failure::BreakMidway, 32, "broken", 0),
        (Failure::Stall, 32, "silence", 1),
        (Failure::ErrorEvent, 32, "end", 0),
    ] {
        let engine = failing(failure);
        let (seen, ended, ran) = heard(&engine, &json!({"stream": true})).await;
        assert!(seen.starts_with("200 OK"), "{failure:?}");
        assert_eq!(seen.matches(r#""delta":{"content":"#).count(), tokens, "{failure:?}");
        assert_eq!(seen.contains(r#"data: {"error":"#), failure == Failure::ErrorEvent);
        assert!(!seen.contains("[DONE]"), "{failure:?}");
        assert_eq!((ended, ran), (end, running), "{failure:?}");
        assert_eq!(engine.running(), 0, "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_fails_where_it_was_told_to() {
    for (failure, head, end, running) in [
        (Failure::Break, "", "no head", 0),
        (Failure::BreakMidway, "200 OK{", "broken", 0),
        (Failure::Stall, "200 OK{", "silence", 1),
        (Failure::ErrorEvent, "500", "end", 0),
    ] {
        let engine = failing(failure);
        let (seen, ended, ran) = heard(&engine, &json!({})).await;
        assert!(seen.starts_with(head), "{failure:?}: {seen}");
        assert!(!seen.contains("total_tokens"), "{failure:?}");
        assert_eq!((ended, ran), (end, running), "{failure:?}");
        assert_eq!(engine.running(), 0, "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn embeddings_fail_like_any_whole_answer() {
    let engine = failing(Failure::Break);
    let ask = json!({"model": "m", "input": "x"});
    let error = post(&engine, "/v1/embeddings", &ask).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Broken);
    let engine = failing(Failure::BreakMidway);
    let answer = post(&engine, "/v1/embeddings", &ask).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap_err().kind(), Kind::Broken);
    assert_eq!(engine.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn which_requests_fail_is_decided_by_the_seed_and_not_by_probes() {
    let outcomes = async |seed, probes| {
        let engine = Engine::builder().failure_rate(0.5).seed(seed).build();
        let mut outcomes = Vec::new();
        for _ in 0..64 {
            for _ in 0..probes {
                let probe = Request::get("/health").body(Payload::default()).unwrap();
                assert_eq!(engine.clone().oneshot(probe).await.unwrap().status(), 200);
            }
            outcomes.push(chat(&engine, &json!({})).await.unwrap().status().as_u16());
        }
        let failed = outcomes.iter().filter(|status| **status == 500).count();
        assert_eq!((engine.requests(), engine.failed()), (64, failed as u64));
        assert!((16..=48).contains(&failed), "{failed}");
        outcomes
    };
    let first = outcomes(7, 0).await;
    assert_eq!(first, outcomes(7, 0).await);
    assert_eq!(first, outcomes(7, 3).await);
    assert_ne!(first, outcomes(8, 0).await);
}

#[tokio::test(start_paused = true)]
async fn over_its_concurrency_it_is_busy() {
    let engine = Engine::builder().concurrency(1).build();
    let held = chat(&engine, &json!({"stream": true})).await.unwrap();
    let busy = chat(&engine, &json!({})).await.unwrap();
    assert_eq!(busy.status(), 503);
    assert!(value(busy).await["error"]["message"].as_str().unwrap().contains("busy"));
    drop(held);
    assert_eq!(chat(&engine, &json!({})).await.unwrap().status(), 200);
}
