use std::task::{Context, Poll, Waker};

use http_body::Body as HttpBody;
use tokio::time::Instant;
use tower::Service;

use super::*;

/// The frames of a stream and when they came, in milliseconds.
async fn timed(engine: &Engine, more: &Value) -> Vec<(u128, String)> {
    let begun = Instant::now();
    let mut body = chat(engine, more).await.unwrap().into_body();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        frames.push((begun.elapsed().as_millis(), String::from_utf8(data.to_vec()).unwrap()));
    }
    frames
}

#[tokio::test(start_paused = true)]
async fn tokens_come_one_by_one_each_when_it_is_due() {
    let engine = Engine::builder().first_token(Duration::from_secs(1)).rate(10.0).length(5).build();
    let frames = timed(&engine, &json!({"stream": true})).await;
    let times: Vec<_> = frames.iter().map(|(time, _)| *time).collect();
    // The role comes with the first token. The timer is exact to a millisecond.
    let due = [1000, 1000, 1100, 1200, 1300, 1400, 1500];
    assert_eq!(times.len(), due.len());
    assert!(times.iter().zip(due).all(|(time, due)| time.abs_diff(due) <= 5), "{times:?}");
    assert!(frames[0].1.contains(r#""role":"assistant""#));
    assert!(frames[1..6].iter().all(|(_, frame)| frame.matches("data: ").count() == 1));
    assert_eq!((engine.running(), engine.requests()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_late_reader_gets_at_once_what_was_due() {
    let engine = Engine::builder().rate(10.0).length(5).build();
    let mut body = chat(&engine, &json!({"stream": true})).await.unwrap().into_body();
    tokio::time::advance(Duration::from_secs(1)).await;
    let begun = Instant::now();
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_what_the_whole_answer_says_and_takes_as_long() {
    let engine = Engine::builder().length(20).build();
    let function = json!([{"type": "function", "function": {"name": "f", "parameters": {
        "required": ["a", "é"], "properties": {"a": {"type": "string", "minLength": 40}},
    }}}]);
    for ask in [
        json!({}),
        json!({"max_tokens": 3}),
        json!({"max_tokens": 1, "n": 3}),
        json!({"stop": "This"}),
        json!({"stop": ["mul"], "n": 2}),
        json!({"tools": function}),
        json!({"tools": function, "max_completion_tokens": 2}),
        json!({"response_format": {"type": "json_object"}}),
    ] {
        let begun = Instant::now();
        let whole = value(chat(&engine, &ask).await.unwrap()).await;
        let took = begun.elapsed();
        let mut more = ask.clone();
        more["stream"] = json!(true);
        more["stream_options"] = json!({"include_usage": true});
        let begun = Instant::now();
        let mut stream = chunks(&text(chat(&engine, &more).await.unwrap()).await);
        let streamed = begun.elapsed();
        assert!(took.abs_diff(streamed) <= Duration::from_millis(5), "{took:?}, {streamed:?}");

        let last = stream.pop().unwrap();
        assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &whole["usage"]), "{ask}");
        for (index, choice) in whole["choices"].as_array().unwrap().iter().enumerate() {
            let own: Vec<_> = stream
                .iter()
                .filter(|chunk| chunk["choices"][0]["index"] == index)
                .map(|chunk| chunk["choices"][0].clone())
                .collect();
            let message = &choice["message"];
            assert_eq!(said(&own, "/delta/role"), message["role"].as_str().unwrap(), "{ask}");
            let content = message["content"].as_str().unwrap_or_default();
            assert_eq!(said(&own, "/delta/content"), content, "{ask}");
            for field in ["name", "arguments"] {
                let place = format!("/tool_calls/0/function/{field}");
                let expected = message.pointer(&place).and_then(Value::as_str);
                let pieces = said(&own, &format!("/delta{place}"));
                assert_eq!(pieces, expected.unwrap_or_default(), "{ask}");
            }
            let finish = own.last().unwrap();
            assert_eq!(finish["finish_reason"], choice["finish_reason"], "{ask}");
            assert_eq!(finish["delta"], json!({}));
            let unfinished = &own[..own.len() - 1];
            assert!(unfinished.iter().all(|chunk| chunk["finish_reason"].is_null()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_completion_s_stream_is_its_text() {
    let engine = Engine::default();
    let ask = json!({"model": "m", "prompt": "x", "max_tokens": 4, "stream": true});
    let stream = chunks(&text(post(&engine, "/v1/completions", &ask).await.unwrap()).await);
    assert_eq!(said(&stream, "/choices/0/text"), "This is the simulated");
    assert_eq!(stream.last().unwrap()["choices"][0]["finish_reason"], "length");
    assert!(stream.iter().all(|chunk| chunk["object"] == "text_completion"));
    assert!(stream.iter().all(|chunk| chunk.get("usage").is_none()), "nobody asked for it");
}

#[tokio::test(start_paused = true)]
async fn a_stream_dropped_at_any_token_is_not_running() {
    let engine = Engine::builder().length(4).build();
    for kept in 0..7 {
        let mut body = chat(&engine, &json!({"stream": true})).await.unwrap().into_body();
        for _ in 0..kept {
            if let Some(frame) = body.frame().await {
                frame.unwrap();
            }
        }
        assert_eq!(engine.running(), u32::from(!body.is_end_stream()), "after {kept}");
        assert_eq!(body.is_end_stream(), kept == 6, "after {kept}");
        drop(body);
        assert_eq!(engine.running(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_before_the_answer_is_not_running() {
    let engine = Engine::default();
    for more in [json!({}), json!({"stream": true})] {
        let left = tokio::time::timeout(Duration::from_millis(100), chat(&engine, &more));
        let running = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            engine.running()
        };
        let (left, running) = tokio::join!(left, running);
        assert!(left.is_err());
        assert_eq!((running, engine.running()), (1, 0));
    }
}

#[test]
fn without_a_delay_nothing_waits_and_no_timer_is_needed() {
    let mut engine = Engine::builder().first_token(Duration::ZERO).rate(0.0).build();
    let cx = &mut Context::from_waker(Waker::noop());
    for stream in [false, true] {
        let ask = question(&json!({"stream": stream})).to_string();
        let request = Request::post(CHAT).body(Payload::from(Bytes::from(ask))).unwrap();
        let Poll::Ready(Ok(answer)) = engine.call(request).as_mut().poll(cx) else {
            panic!("it waits");
        };
        let mut body = std::pin::pin!(answer.into_body());
        let mut frames = 0;
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(cx) {
            frame.unwrap();
            frames += 1;
        }
        assert!(body.is_end_stream());
        // The role, the tokens, the end.
        assert_eq!(frames, if stream { 66 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn settings_out_of_bounds_are_taken_as_the_nearest_bound() {
    let slow = Engine::builder().first_token(Duration::MAX).rate(f64::MIN_POSITIVE).length(0);
    let engine = slow.failure_rate(f64::NAN).concurrency(0).build();
    let frames = timed(&engine, &json!({"stream": true})).await;
    assert_eq!(frames.last().unwrap().0 / 1000, 3600 + 1000, "an hour, and a token of 1000 s");
    assert_eq!(frames.len(), 3);
    let long = Engine::builder().rate(f64::INFINITY).length(usize::MAX).build();
    let answer = value(chat(&long, &json!({})).await.unwrap()).await;
    assert_eq!(answer["usage"]["completion_tokens"], 1_000_000);
}
