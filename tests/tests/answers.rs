//! The shapes an instance's answer may come in, and that its bytes pass in any of them.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use jairouter_core::Kind;
use jairouter_tests::stack::Stack;
use jairouter_tests::token;
use jairouter_tests::upstream::Step::{Chunk, Fin, LastChunk, Send};
use jairouter_tests::upstream::{Step, Upstream, event_stream, json};

const DONE: &str = "data: [DONE]\n\n";

async fn doing(steps: Vec<Step>) -> (Stack, Upstream) {
    let upstream = Upstream::serving(move |_, _| steps.clone()).await;
    (Stack::new(&[upstream.url()]), upstream)
}

fn head(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{lines}\r\n")
}

/// Numbers that look random and are the same in every run.
fn numbers(seed: u64) -> impl Iterator<Item = usize> {
    let step = |state: &u64| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    std::iter::successors(Some(seed), step).skip(1).map(|state| (state >> 40) as usize)
}

/// What a stream may hold between its first token and its end: anything.
fn anything(seed: u64) -> Vec<u8> {
    let pieces: [&[u8]; 14] = [
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"data:",
        b"data: x",
        b": ",
        b"event: y\n",
        b"\xef\xbb\xbf",
        b"\xff\x00",
        "é\u{2028}".as_bytes(),
        b"{\"choices\":[]}",
        b"{\"x\":",
        b"id",
    ];
    let mut numbers = numbers(seed);
    let count = numbers.next().unwrap_or(0) % 60;
    numbers.take(count).flat_map(|number| pieces[number % pieces.len()]).copied().collect()
}

// fault: U23
#[tokio::test]
async fn any_bytes_in_any_pieces_and_any_framing_pass_unchanged() {
    for seed in 0..60 {
        let body = [token("a").as_bytes(), &anything(seed), b"\n\n", DONE.as_bytes()].concat();
        let (mut rest, mut pieces) = (body.as_slice(), Vec::new());
        for number in numbers(seed + 1000) {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((number % 30 + 1).min(rest.len()));
            pieces.push(piece.to_vec());
            rest = tail;
        }
        let length = head(&format!("content-length: {}\r\n", body.len()));
        let send = |piece: &Vec<u8>| Send(piece.clone());
        let chunked = [event_stream()].into_iter().chain(pieces.iter().cloned().map(Chunk));
        let sized = [Send(length.into())].into_iter().chain(pieces.iter().map(send));
        let closed = [Send(head("").into())].into_iter().chain(pieces.iter().map(send));
        for steps in [
            chunked.chain([LastChunk]).collect::<Vec<_>>(),
            sized.collect(),
            closed.chain([Fin]).collect(),
        ] {
            let (stack, _upstream) = doing(steps.clone()).await;
            let answer = stack.ask(true).await.unwrap_or_else(|e| panic!("{steps:?}: {e:?}"));
            assert!(answer.broken.is_none(), "{steps:?}: {:?}", answer.broken);
            assert_eq!(answer.text, String::from_utf8_lossy(&body), "{steps:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_of_known_length_that_is_short_is_broken() {
    let body = token("a") + &token("b");
    let long = head(&format!("content-length: {}\r\n", body.len() + 20));
    let (stack, _upstream) = doing(vec![Send(long.into()), Send(body.clone().into()), Fin]).await;
    let answer = stack.ask(true).await.unwrap();
    assert!(answer.text.starts_with(&body) && answer.text.contains("upstream_broken"));
    assert_eq!(answer.broken.map(|error| error.kind()), Some(Kind::Broken));
    assert_eq!(answer.head.headers.get(CONTENT_LENGTH), None, "it may grow by an error event");
}

#[tokio::test]
async fn an_event_of_any_size_passes() {
    let large = token(&"x".repeat(3 << 20));
    for steps in [
        vec![event_stream(), Chunk(large.clone().into()), Chunk(DONE.into()), LastChunk],
        vec![
            event_stream(),
            Chunk(token("a").into()),
            Chunk(large.clone().into()),
            Chunk(DONE.into()),
            LastChunk,
        ],
    ] {
        let (stack, _upstream) = doing(steps).await;
        let answer = stack.ask(true).await.unwrap();
        assert!(answer.broken.is_none() && answer.text.contains(&large));
    }
}

#[tokio::test]
async fn informational_answers_are_not_the_answer() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    let answer = [hints.as_bytes(), &json("200 OK", "{}")].concat();
    let (stack, upstream) = doing(vec![Send(answer)]).await;
    for _ in 0..2 {
        assert_eq!(stack.ask(false).await.unwrap().text, "{}");
    }
    assert_eq!(upstream.requests().len(), 2);
}

// fault: U22
#[tokio::test]
async fn what_was_not_asked_for_is_never_relabelled() {
    let (stack, _upstream) = doing(vec![Send(json("200 OK", r#"{"a":1}"#))]).await;
    let answer = stack.ask(true).await.unwrap();
    assert_eq!(answer.head.headers[CONTENT_TYPE], "application/json");
    assert_eq!(answer.text, r#"{"a":1}"#);
    let stream = vec![event_stream(), Chunk(token("a").into()), Chunk(DONE.into()), LastChunk];
    let (stack, _upstream) = doing(stream).await;
    let answer = stack.ask(false).await.unwrap();
    assert_eq!(answer.head.headers[CONTENT_TYPE], "text/event-stream");
    assert_eq!(answer.text, token("a") + DONE);
}

#[tokio::test]
async fn a_coded_body_passes_as_it_is() {
    let gzip = b"\x1f\x8b\x08\x00not really";
    let lines = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", gzip.len());
    let (stack, _upstream) = doing(vec![Send(head(&lines).into()), Send(gzip.to_vec())]).await;
    let answer = stack.ask(true).await.unwrap();
    assert_eq!(answer.head.headers[CONTENT_ENCODING], "gzip");
    assert_eq!(answer.text, String::from_utf8_lossy(gzip));
}

// fault: U11, U12
#[tokio::test]
async fn an_answer_that_can_be_read_in_two_ways_poisons_nothing() {
    for lines in [
        "content-length: 2\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 2\r\n",
    ] {
        let two = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{lines}\r\n2\r\n{{}}\r\n0\r\n\r\n"
        );
        let (stack, upstream) = doing(vec![Send(two.into())]).await;
        for _ in 0..3 {
            match stack.ask(false).await {
                Ok(answer) => assert_eq!(answer.text, "{}", "{lines}"),
                Err(error) => assert_eq!(error.kind(), Kind::Broken, "{lines}"),
            }
        }
        assert_eq!(upstream.requests().len(), 3, "{lines}");
    }
}

// fault: U11
#[tokio::test]
async fn an_answer_with_two_lengths_is_as_long_as_its_coding_says() {
    for length in [2, 500] {
        let body = r#"{"choices":[{"message":{"content":"hello"}}]}"#;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
        let (stack, _upstream) =
            doing(vec![Send(head.into()), Chunk(body.into()), LastChunk]).await;
        let answer = stack.ask(false).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.broken.is_none()), (body, true));
        assert_eq!(answer.head.headers.get(CONTENT_LENGTH), None);
    }
}

#[tokio::test]
async fn what_protocol_an_instance_speaks_is_not_the_caller_s_concern() {
    let answer = "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let (stack, _upstream) = doing(vec![Send(answer.into()), Fin]).await;
    assert_eq!(stack.ask(false).await.unwrap().head.version, http::Version::HTTP_11);
}
