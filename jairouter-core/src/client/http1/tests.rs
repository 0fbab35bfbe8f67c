//! Whatever a server sends, cut wherever, is read as hyper reads it.

use std::ops::Range;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::framing::Framing;
use super::head::Heads;
use super::{Fault, outgoing::Outgoing};
use crate::payload::Payload;

/// What is read of an answer, if it is one.
#[derive(Debug, PartialEq)]
struct Answer {
    status: StatusCode,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    /// Whether it is whole.
    is_whole: bool,
}

fn named(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let pair = |(name, value): (&http::HeaderName, &HeaderValue)| {
        (name.to_string(), value.as_bytes().to_vec())
    };
    let mut named: Vec<_> = headers.iter().map(pair).collect();
    // Those of one name stay in order.
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}

/// Reads these pieces, and then the end of the connection. And whether the connection could be used again before that.
fn ours(pieces: &[&[u8]]) -> (Result<Answer, Fault>, bool) {
    let mut heads = Heads::new(false, HeaderMap::new());
    let mut begun: Option<(Response<()>, Framing, bool)> = None;
    let mut body = Vec::new();
    let answer = |response: &Response<()>, body: &[u8], is_whole| Answer {
        status: response.status(),
        headers: named(response.headers()),
        body: body.to_vec(),
        is_whole,
    };
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let mut rest = *piece;
        if begun.is_none() {
            match heads.push(piece) {
                Ok(None) => continue,
                Ok(Some((head, length))) => {
                    rest = &piece[length..];
                    begun = Some((head.response, head.framing, head.keeps));
                }
                Err(fault) => return (Err(fault), false),
            }
        }
        let Some((response, framing, keeps)) = &mut begun else { continue };
        let (data, taken) = framing.take(rest);
        body.extend_from_slice(&data);
        *keeps &= taken == rest.len();
        if framing.fault().is_some() {
            return (Ok(answer(response, &body, false)), false);
        }
    }
    let Some((response, mut framing, keeps)) = begun else { return (Err(heads.end()), false) };
    let keeps = keeps && framing.is_over();
    let is_whole = framing.end().is_ok();
    (Ok(answer(&response, &body, is_whole)), keeps)
}

/// What hyper makes of it, but for what it takes that we do not: see [`Fault::UnknownCoding`].
async fn hypers(bytes: &[u8]) -> Result<Answer, ()> {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let (mut sender, connection) =
        http1::Builder::new().max_headers(128).handshake(TokioIo::new(near)).await.map_err(drop)?;
    let driven = tokio::spawn(connection);
    let request = Request::post("/").header("host", "h").body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request);
    let bytes = bytes.to_vec();
    let server = async move {
        let mut asked = [0; 1024];
        let _ = far.read(&mut asked).await;
        let _ = far.write_all(&bytes).await;
        // The end of the connection.
        drop(far);
    };
    let (answer, ()) = tokio::join!(answer, server);
    let (mut parts, mut body) = answer.map_err(drop)?.into_parts();
    let codings: Vec<_> = parts.headers.get_all(TRANSFER_ENCODING).iter().collect();
    let is_chunked =
        matches!(codings[..], [one] if one.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !codings.is_empty() && !is_chunked {
        return Err(());
    }
    if is_chunked {
        parts.headers.remove(CONTENT_LENGTH);
    }
    let (mut read, mut is_whole) = (Vec::new(), true);
    let _ = body.size_hint();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => is_whole = false,
        }
    }
    driven.abort();
    Ok(Answer { status: parts.status, headers: named(&parts.headers), body: read, is_whole })
}

fn cut<'a>(bytes: &'a [u8], at: &[usize]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = at.iter().map(|at| at % (bytes.len() + 1)).collect();
    at.sort_unstable();
    let ends = at.iter().copied().chain([bytes.len()]);
    let begins = [0].into_iter().chain(at.iter().copied());
    begins
        .zip(ends)
        .map(|(begin, end): (usize, usize)| &bytes[Range { start: begin, end }])
        .collect()
}

fn line() -> impl Strategy<Value = String> {
    let odd = select(vec![
        "Connection: close",
        "connection: keep-alive",
        "Content-Length: 5",
        "content-length: 5, 5",
        "Content-Length: 0",
        "content-length: 7",
        "content-length: +5",
        "content-length: ",
        "content-length: 99999999999999999999",
        "Transfer-Encoding: chunked",
        "transfer-encoding: gzip",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: Chunked",
        "X-One: 1",
        "x-one: \u{e9}\t2",
        "x-empty:",
        "set-cookie: a=b",
        "set-cookie: c=d",
        " folded: 1",
        "bad name: 1",
        "nothing",
    ]);
    odd.prop_map(str::to_owned)
}

fn first_line() -> impl Strategy<Value = &'static str> {
    select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 429 ",
        "HTTP/1.1 500",
        "HTTP/1.0 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/1.1 99 Low",
        "HTTP/1.1 2000 High",
        "http/1.1 200 OK",
        "\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 201 Created",
    ])
}

fn body() -> impl Strategy<Value = String> {
    select(vec![
        "",
        "hello",
        "hello and more",
        "5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n6;a=\"b\"\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "05\r\nhello\r\n000\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello\r\n",
        "5\r\nhel",
        "5\r\nhello\rx0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\rxhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\rx",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "A\r\n0123456789\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        ";a\r\nhello\r\n0\r\n\r\n",
        "\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello",
        "10000000000000000\r\nhello",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nx-trailer: 1\nx: 2\r\n\r\n",
        "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ])
    .prop_map(str::to_owned)
}

fn answers() -> impl Strategy<Value = Vec<u8>> {
    let spoiled = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2);
    let lines = proptest::collection::vec(line(), 0..5);
    let ends = select(vec!["\r\n", "\r\n", "\r\n", "\n"]);
    (first_line(), lines, ends, body(), spoiled).prop_map(|(first, lines, end, body, spoiled)| {
        let head: String = lines.iter().flat_map(|line| [line.as_str(), end]).collect();
        let mut bytes = format!("{first}{end}{head}{end}{body}").into_bytes();
        for (at, byte) in spoiled {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

/// What hyper and we see otherwise, and mean to.
fn is_ours_to_refuse(bytes: &[u8], ours: &Result<Answer, Fault>) -> bool {
    // A change of protocols nobody has asked for is an answer without a body; hyper hands over the connection.
    let is_change = |answer: &Answer| answer.status == StatusCode::SWITCHING_PROTOCOLS;
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    // HTTP/1.0 knows no chunks: hyper refuses them there or takes them for data, and both are read as chunks here.
    let is_old = text.contains("http/1.0") && text.contains("transfer-encoding");
    // A trailer's line ends in both of its bytes.
    let is_bare = text
        .rsplit("\r\n0\r\n")
        .next()
        .is_some_and(|trailers| trailers.replace("\r\n", "").contains('\n'));
    ours.as_ref().is_ok_and(is_change) || is_old || (is_bare && text.contains("\r\n0\r\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    // fault: U8, U11, U12, U14
    #[test]
    fn whatever_comes_is_read_as_hyper_reads_it_wherever_it_is_cut(
        bytes in answers(),
        at in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (whole, keeps) = ours(&[&bytes]);
        let theirs = runtime.block_on(hypers(&bytes));
        if !is_ours_to_refuse(&bytes, &whole) {
            prop_assert_eq!(whole.as_ref().ok(), theirs.as_ref().ok());
        }
        let (in_pieces, kept) = ours(&cut(&bytes, &at));
        prop_assert_eq!(&in_pieces, &whole);
        prop_assert_eq!(kept, keeps);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(ours(&single), (whole, keeps));
    }
}

// fault: U11
#[test]
fn a_trailer_is_read_as_hyper_reads_it_whatever_byte_it_has() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
    let trailers = b"x-a: 1\r\n\r\n";
    for at in 0..trailers.len() {
        // hyper takes some lines that end in a bare line feed, and we none: see `is_ours_to_refuse`.
        for byte in (0..=u8::MAX).filter(|byte| *byte != b'\n') {
            let mut bytes = [&answer[..], &trailers[..]].concat();
            bytes[answer.len() + at] = byte;
            let theirs = runtime.block_on(hypers(&bytes));
            assert_eq!(ours(&[&bytes]).0.ok(), theirs.ok(), "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn a_head_has_its_bounds_however_it_comes() {
    let line = format!("x: {}\r\n", "y".repeat(1000));
    for (lines, expected) in [(100, None), (127, None), (129, Some(Fault::Invalid))] {
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{}\r\n", "x: y\r\n".repeat(lines));
        assert_eq!(ours(&[head.as_bytes()]).0.err(), expected, "{lines} lines");
    }
    let large = format!("HTTP/1.1 200 OK\r\n{}\r\n", line.repeat(127));
    assert_eq!(ours(&[large.as_bytes()]).0.err(), None);
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(140_000));
    let pieces: Vec<&[u8]> = endless.as_bytes().chunks(8192).collect();
    assert_eq!(ours(&pieces).0.err(), Some(Fault::TooLarge));
    let whole = format!("{endless}\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(ours(&[whole.as_bytes()]).0.err(), Some(Fault::TooLarge));
}

/// A server's single bytes do not cost us a look at all that came before them.
#[test]
fn a_head_that_dribbles_in_is_not_read_anew_with_each_byte() {
    let mut heads = Heads::new(false, HeaderMap::new());
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "y".repeat(100_000));
    for byte in head.as_bytes().chunks(1) {
        assert!(heads.push(byte).unwrap().is_none());
    }
    assert!(heads.looks() < 40, "{} looks", heads.looks());
    assert!(heads.push(b"\r\n").unwrap().is_some());
}

// fault: U14
/// What an engine is sent, its key included, is nobody's answer.
#[test]
fn of_the_headers_whose_memory_an_answer_takes_none_is_left() {
    let sent = ["authorization", "content-type", "x-own"].map(http::HeaderName::from_static);
    let sent = sent.map(|name| (name, HeaderValue::from_static("sent")));
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\n\r\n";
    for at in [0, 10, 25] {
        let mut heads = Heads::new(false, sent.clone().into_iter().collect());
        let (begin, rest) = head.split_at(at);
        assert!(heads.push(begin).unwrap().is_none());
        let (head, _) = heads.push(rest).unwrap().unwrap();
        assert_eq!(named(head.response.headers()), [("content-type".into(), b"a/b".to_vec())]);
    }
}

#[test]
fn what_follows_an_answer_makes_its_connection_unfit() {
    for (bytes, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok!", false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1",
            false,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x, Close\r\n\r\nok", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok", true),
        ("HTTP/1.1 200 OK\r\n\r\nok", false),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", false),
    ] {
        assert_eq!(ours(&[bytes.as_bytes()]).1, expected, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_request_is_sent_whole_however_little_is_taken_at_a_time() {
    let payloads = [
        Payload::default(),
        Payload::from("{}"),
        Payload::from(Bytes::from(vec![b'x'; 100_000])),
        ["a".repeat(5000), "b".repeat(3000), "c".into()].map(Bytes::from).into_iter().collect(),
    ];
    for payload in payloads {
        let request = Request::post("/v1/x?y=z")
            .header("host", "engine")
            .header("content-length", "17")
            .header("transfer-encoding", "chunked")
            .body(())
            .unwrap();
        let (mut near, mut far) = tokio::io::duplex(7);
        let mut outgoing = Outgoing::new(&request.into_parts().0, payload.clone());
        let sent = async {
            std::future::poll_fn(|cx| outgoing.poll_send(&mut near, cx)).await.unwrap();
            drop(near);
        };
        let mut read = Vec::new();
        let ((), length) = tokio::join!(sent, far.read_to_end(&mut read));
        let body = payload.to_bytes();
        let head = format!(
            "POST /v1/x?y=z HTTP/1.1\r\nhost: engine\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        assert_eq!(length.unwrap(), head.len() + body.len());
        assert_eq!(read, [head.as_bytes(), &body].concat());
    }
}
