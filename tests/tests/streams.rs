//! Streams after their first token: whole, broken, silent, abandoned.

use std::time::Duration;

use jairouter_tests::client::{Answer, RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, Fin, LastChunk, Read, Rst, Send, Sleep, Stall};
use jairouter_tests::upstream::{Seen, Step, Upstream, event_stream, json};
use jairouter_tests::{chat, token, until};
use tokio::time::Instant;

const CLOCKS: &str = "  timeouts: { first-token: 5s, idle: 400ms, total: 2s }\n";

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::start_with("", &model(CLOCKS, &[upstream.url()]))
}

/// A gateway of which only the caller can have ended anything.
fn patient(upstream: &Upstream) -> Gateway {
    Gateway::start(&[upstream.url()])
}

fn chunk(text: &str) -> Step {
    Chunk(text.into())
}

/// What a caller sees of a stream of two tokens and then this.
async fn after_two_tokens(more: Vec<Step>) -> Answer {
    let begin = vec![Read, event_stream(), chunk(&token("a")), chunk(&token("b"))];
    let steps = [begin, more].concat();
    let upstream = Upstream::start(move |_| steps.clone()).await;
    ask(gateway(&upstream).address(), post("/v1/chat/completions", &chat("m", true))).await
}

fn assert_honest(answer: &Answer, code: &str) {
    let text = answer.text();
    let (tokens, end) = text.split_at(token("a").len() + token("b").len());
    assert_eq!(tokens, token("a") + &token("b"));
    let event = end.strip_prefix("event:error\n").unwrap_or(end);
    assert!(event.starts_with("data: {\"error\"") && end.contains(code), "{code}: {end:?}");
    assert!(end.ends_with("}\n\n") && end.matches("data:").count() == 1, "{end:?}");
    assert!(!text.contains("[DONE]") && !answer.complete, "a cut stream never looks complete");
}

#[tokio::test]
async fn a_whole_stream_passes_byte_for_byte_however_oddly_it_is_framed() {
    let odd = ": ping\r\n\r\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n\
        event: x\nid: 7\nretry: 10\ndata:{\"choices\":[{\"delta\":{\"content\":\"\u{e9}\\u00e9\"}}],\"n\":1e999}\r\r\
        data: not json\ndata: two lines\n\n:\n\ndata: [DONE]\n\n: bye\n\n";
    for size in [1, 3, 7, 1000] {
        let pieces = odd.as_bytes().chunks(size).map(|piece| Chunk(piece.to_vec()));
        let steps: Vec<_> =
            [Read, event_stream()].into_iter().chain(pieces).chain([LastChunk]).collect();
        let upstream = Upstream::start(move |_| steps.clone()).await;
        let request = post("/v1/chat/completions", &chat("m", true));
        let answer = ask(gateway(&upstream).address(), request).await;
        assert_eq!(answer.text(), odd, "in pieces of {size}");
        assert!(answer.complete);
    }
}

// fault: U6
#[tokio::test]
async fn a_stream_that_falls_silent_ends_with_an_error_event() {
    assert_honest(&after_two_tokens(vec![Stall]).await, "upstream_stalled");
}

// fault: U7, U8
#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_event() {
    for more in [
        vec![Rst],
        vec![Fin],
        vec![Send(b"1f\r\ndata: {\"half".to_vec()), Fin],
        vec![chunk("data: {\"half an event"), Fin],
        vec![chunk("data: {\"choices\":[]}\n"), Rst],
        vec![Send(b"zz\r\n".to_vec()), Stall],
    ] {
        assert_honest(&after_two_tokens(more).await, "upstream_broken");
    }
}

// fault: U9
#[tokio::test]
async fn a_stream_that_ends_with_its_connection_needs_its_done() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    for (end, whole) in [("data: [DONE]\n\n", true), ("", false), ("data: [DO", false)] {
        let body = format!("{head}{}{}{end}", token("a"), token("b"));
        let upstream = Upstream::start(move |_| vec![Read, Send(body.clone().into()), Fin]).await;
        let request = post("/v1/chat/completions", &chat("m", true));
        let answer = ask(gateway(&upstream).address(), request).await;
        assert_eq!(answer.complete, whole, "{end:?}");
        if !whole {
            assert_honest(&answer, "upstream_broken");
        }
    }
}

#[tokio::test]
async fn a_done_is_seen_wherever_the_network_cuts_it() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    for cut in 0..="data: [DONE]\n\n".len() {
        let (first, second) = "data: [DONE]\n\n".split_at(cut);
        let body = format!("{head}{}{first}", token("a"));
        let steps = vec![
            Read,
            Send(body.into()),
            Sleep(Duration::from_millis(20)),
            Send(second.into()),
            Fin,
        ];
        let upstream = Upstream::start(move |_| steps.clone()).await;
        let answer =
            ask(gateway(&upstream).address(), post("/v1/chat/completions", &chat("m", true))).await;
        let expected = token("a") + "data: [DONE]\n\n";
        assert_eq!((answer.text(), answer.complete), (expected, true), "cut at {cut}");
    }
}

#[tokio::test]
async fn after_its_done_a_stream_is_whole_however_its_connection_ends() {
    for end in [vec![Fin], vec![Rst], vec![Stall], vec![Send("zz\r\n".into()), Stall]] {
        let answer = after_two_tokens([vec![chunk("data: [DONE]\n\n")], end].concat()).await;
        let expected = token("a") + &token("b") + "data: [DONE]\n\n";
        assert_eq!((answer.text(), answer.complete), (expected, true));
    }
}

// fault: U9
#[tokio::test]
async fn a_chat_that_ends_without_saying_so_is_cut_off_even_if_its_transport_ends_well() {
    let half = "data: {\"choices\":[{\"delta\":{\"con";
    for more in [vec![LastChunk], vec![chunk(half), LastChunk]] {
        assert_honest(&after_two_tokens(more).await, "upstream_broken");
    }
    // Some engines leave out the one, some the other.
    let stop = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let usage = "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n";
    for more in [vec![chunk(stop), chunk(usage), LastChunk], vec![chunk("data: [DONE]"), LastChunk]]
    {
        assert!(after_two_tokens(more).await.complete);
    }
}

#[tokio::test]
async fn a_stream_of_speech_has_no_done() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
        data: {\"type\":\"speech.audio.delta\",\"audio\":\"QUJD\"}\n\n\
        data: {\"type\":\"speech.audio.done\"}\n\n";
    let upstream = Upstream::start(move |_| vec![Read, Send(answer.into()), Fin]).await;
    let tts = model(CLOCKS, &[upstream.url()]).replace("chat:", "tts:");
    let gateway = Gateway::start_with("", &tts);
    let ask = ask(gateway.address(), post("/v1/audio/speech", r#"{"model":"m","input":"x"}"#));
    let answer = ask.await;
    assert!(answer.complete && answer.text().ends_with("done\"}\n\n"), "{answer:?}");
}

// fault: U27
#[tokio::test]
async fn an_instance_s_own_error_event_passes_and_nothing_behind_it() {
    let error = "data: {\"error\":{\"message\":\"cuda upstream_broken\"}}\n\n";
    let done = "data: [DONE]\n\n";
    for more in [
        vec![chunk(error), chunk(done), LastChunk],
        vec![chunk(&format!("{error}{done}")), LastChunk],
        vec![chunk(error.trim_end()), LastChunk],
        vec![
            chunk(&error.replace("data: {\"error\":{", "event:error\ndata: {\"error\":{")),
            LastChunk,
        ],
    ] {
        let answer = after_two_tokens(more).await;
        assert_honest(&answer, "cuda");
    }
}

#[tokio::test]
async fn a_stream_that_never_ends_is_cut_by_the_total_clock() {
    let more = (0..100).flat_map(|_| [chunk(": ping\n\n"), Sleep(Duration::from_millis(50))]);
    let answer = after_two_tokens(more.collect()).await;
    assert!(answer.text().contains("upstream_timeout") && !answer.complete);
}

// fault: S6, S7
#[tokio::test]
async fn a_caller_that_leaves_ends_the_upstream_s_work_in_every_phase() {
    let before_the_head = vec![Read, Stall];
    let before_a_token = vec![Read, event_stream(), chunk(": ping\n\n"), Stall];
    let between_tokens = vec![Read, event_stream(), chunk(&token("a")), Stall];
    let in_a_body =
        vec![Read, Send(json("200 OK", "{ }")[..].split_last().unwrap().1.to_vec()), Stall];
    for (steps, stream, marker) in [
        (before_the_head.clone(), false, None),
        (before_the_head, true, None),
        (before_a_token, true, None),
        (between_tokens, true, Some("content")),
        (in_a_body, false, Some("{")),
    ] {
        for reset in [false, true] {
            let own = steps.clone();
            let upstream = Upstream::start(move |_| own.clone()).await;
            let gateway = patient(&upstream);
            let mut client = RawClient::connect(gateway.address()).await;
            client.post("/v1/chat/completions", &chat("m", stream)).await;
            until("the request arrived", || !upstream.requests().is_empty()).await;
            if let Some(marker) = marker {
                client.read_until("\r\n\r\n").await;
                client.read_until(marker).await;
            }
            assert_eq!(upstream.count(&Seen::Left), 0, "it works on {steps:?}");
            if reset {
                client.reset();
            } else {
                drop(client);
            }
            until("the upstream was let go", || upstream.count(&Seen::Left) == 1).await;
            let log = gateway.logged("caller left").await;
            assert!(log.contains("\"status\":499") || log.contains("\"status\":200"), "{log}");
        }
    }
}

// fault: S8
#[tokio::test]
async fn a_caller_that_sent_a_byte_too_many_is_seen_leaving_too() {
    for reset in [false, true] {
        let upstream = Upstream::start(|_| vec![Read, Stall]).await;
        let gateway = patient(&upstream);
        let mut client = RawClient::connect(gateway.address()).await;
        client.send(post("/v1/chat/completions", &chat("m", false)) + "G").await;
        until("the request arrived", || !upstream.requests().is_empty()).await;
        let left = Instant::now();
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        until("the upstream was let go", || upstream.count(&Seen::Left) == 1).await;
        // Who only sends no more may still read, and has five seconds; who resets does not.
        assert!(!reset || left.elapsed() < Duration::from_secs(4), "{:?}", left.elapsed());
    }
}

// fault: S4
#[tokio::test]
async fn a_caller_that_does_not_read_stops_the_upstream_and_is_cut_off_in_the_end() {
    let megabyte = token(&"x".repeat(1 << 20));
    let upstream = Upstream::start(move |_| {
        let flood = (0..64).map(|_| chunk(&megabyte));
        [Read, event_stream()].into_iter().chain(flood).chain([LastChunk]).collect()
    })
    .await;
    let clocks = "  write-timeout: 500ms\n";
    let gateway = Gateway::start_with(clocks, &model("", &[upstream.url()]));
    let mut client = RawClient::connect(gateway.address()).await;
    client.post("/v1/chat/completions", &chat("m", true)).await;
    client.read_until("content").await;
    until("the upstream was let go", || upstream.count(&Seen::Left) == 1).await;
    assert_eq!(upstream.count(&Seen::Finished), 0, "64 MiB were not swallowed");
    gateway.logged("caller left").await;
}

#[tokio::test]
async fn a_caller_that_pauses_is_not_taken_for_an_instance_that_does() {
    let large = token(&"x".repeat(1 << 20));
    let upstream = Upstream::start(move |_| {
        let flood = (0..24).map(|_| chunk(&large));
        let end = [chunk("data: [DONE]\n\n"), LastChunk];
        [Read, event_stream()].into_iter().chain(flood).chain(end).collect()
    })
    .await;
    let gateway = gateway(&upstream);
    let mut client = RawClient::connect(gateway.address()).await;
    client.post("/v1/chat/completions", &chat("m", true)).await;
    client.read_until("content").await;
    // More than twice the instance's idle time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let answer = client.answer().await;
    assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_stream_that_is_silent_has_comments_between_its_events_and_no_other_answer_has() {
    let pause = || Sleep(Duration::from_millis(1100));
    let upstream = Upstream::serving(move |_, request| {
        if !request.contains("\"stream\":true") {
            let head =
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
            return vec![
                Send(head.to_vec()),
                Send(b"{\"a\":".to_vec()),
                pause(),
                Send(b"123}".to_vec()),
            ];
        }
        let (first, last) = (Chunk(token("a").into()), Chunk(b"data: [DONE]\n\n".to_vec()));
        vec![event_stream(), first, pause(), last, LastChunk]
    })
    .await;
    let server = "  stream-keep-alive: 500ms\n";
    let gateway = Gateway::start_with(server, &model("", &[upstream.url()]));
    let answer = ask(gateway.address(), post("/v1/chat/completions", &chat("m", true))).await;
    let comments = ": keep-alive\n\n".repeat(answer.text().matches(": keep-alive").count());
    assert!(!comments.is_empty());
    assert_eq!(answer.text(), token("a") + &comments + "data: [DONE]\n\n");
    assert!(answer.complete);
    let answer = ask(gateway.address(), post("/v1/chat/completions", &chat("m", false))).await;
    assert_eq!((answer.text().as_str(), answer.complete), (r#"{"a":123}"#, true));
}
