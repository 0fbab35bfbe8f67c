use std::convert::Infallible;

use futures::executor::block_on;
use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use serde_json::json;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::backend::{Backend, Route};
use crate::endpoint::Endpoint;
use crate::request::InferenceRequest;
use crate::{Body, Payload, Upstream};

/// What comes of an answer of these frames, and how it ends.
fn read(content_type: &str, status: u16, frames: &[&[u8]]) -> (Vec<Piece>, Option<Error>) {
    let frames: Vec<_> = frames.iter().map(|frame| Bytes::copy_from_slice(frame)).collect();
    let frames = frames.into_iter().map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
    let body = StreamBody::new(stream::iter(frames));
    let answer = Response::builder().header("content-type", content_type).status(status);
    all(Reply::new(answer.body(body).unwrap()))
}

fn all<B>(reply: Reply<B>) -> (Vec<Piece>, Option<Error>)
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let (mut pieces, mut fault) = (Vec::new(), None);
    let mut told = block_on(reply.collect::<Vec<_>>()).into_iter();
    for piece in told.by_ref() {
        match piece {
            Ok(piece) => pieces.push(piece),
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    assert_eq!(told.count(), 0, "nothing comes behind an error");
    (pieces, fault)
}

fn text(text: &str) -> Piece {
    Piece::Text { choice: 0, text: text.to_owned() }
}

fn finished(reason: &str) -> Piece {
    Piece::Finished { choice: 0, reason: reason.to_owned() }
}

const STREAM: &str = "text/event-stream; charset=utf-8";
const JSON: &str = "application/json";

const CHAT: &str = concat!(
    ": ping\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\",\"reasoning_content\":\"hm\",\"content\":null}}]}\n\n",
    "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},{\"delta\":{\"content\":\"a\\n\"}}]}\r\n\r\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":2,\"id\":\"c\",\"type\":\"function\",",
    "\"function\":{\"name\":\"f\",\"arguments\":\"\"}},{\"index\":2,\"function\":{\"arguments\":\"{\\\"x\\\"\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"refusal\":\"no\"},\"finish_reason\":null}],\"unknown\":[1]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"error\":null}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n",
    "data: [DONE]\n\n",
);

fn chat() -> Vec<Piece> {
    let call = |id: Option<&str>, name: Option<&str>, arguments: &str| Piece::ToolCall {
        choice: 0,
        index: 2,
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        arguments: arguments.to_owned(),
    };
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7 });
    let usage: crate::usage::Told = serde_json::from_value(usage).unwrap();
    vec![
        Piece::Reasoning { choice: 0, text: "hm".into() },
        Piece::Text { choice: 1, text: "b".into() },
        text("a\n"),
        call(Some("c"), Some("f"), ""),
        call(None, None, "{\"x\""),
        Piece::Refusal { choice: 0, text: "no".into() },
        finished("stop"),
        Piece::Used(usage.into()),
    ]
}

#[test]
fn a_stream_is_read_alike_wherever_it_is_cut() {
    let bytes = CHAT.as_bytes();
    for cut in 0..=bytes.len() {
        let (pieces, fault) = read(STREAM, 200, &[&bytes[..cut], &bytes[cut..]]);
        assert_eq!(pieces, chat(), "cut at {cut}");
        assert!(fault.is_none(), "{fault:?}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(STREAM, 200, &single).0, chat());
}

#[test]
fn a_whole_answer_says_the_same_as_a_stream() {
    let answer = json!({
        "choices": [{
            "message": {
                "role": "assistant",
                "reasoning_content": "hm",
                "content": "a",
                "tool_calls": [{ "id": "c", "function": { "name": "f", "arguments": "{}" } }],
            },
            "finish_reason": "tool_calls",
        }],
        "usage": { "prompt_tokens": 3, "completion_tokens": 4 },
    });
    let answer = answer.to_string();
    let (before, behind) = answer.as_bytes().split_at(20);
    let (pieces, fault) = read(JSON, 200, &[before, behind]);
    assert!(fault.is_none(), "{fault:?}");
    let [thought, said, call, end, Piece::Used(usage)] = &pieces[..] else { panic!("{pieces:?}") };
    assert_eq!(*thought, Piece::Reasoning { choice: 0, text: "hm".into() });
    assert_eq!((said, end), (&text("a"), &finished("tool_calls")));
    assert!(matches!(call, Piece::ToolCall { index: 0, arguments, .. } if arguments == "{}"));
    assert_eq!((usage.input, usage.output, usage.total()), (3, 4, 7));

    let completion = br#"{"choices":[{"text":"t","finish_reason":"length"}],"usage":null}"#;
    assert_eq!(read(JSON, 200, &[completion]).0, [text("t"), finished("length")]);
}

#[test]
fn what_is_no_answer_is_an_error_behind_what_came_before_it() {
    let said = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    for (rest, kind) in [
        ("", Kind::Broken),
        ("data: {\"choices\":[{\"delta\":{\"content\":7}}]}\n\n", Kind::Broken),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}],\"\\ud800\":1}\n\n", Kind::Broken),
        (
            "data: {\"object\":\"error\",\"message\":\"m\",\"code\":500}\n\ndata: [DONE]\n\n",
            Kind::Broken,
        ),
        ("data: {\"choices\":[{\"del", Kind::Broken),
        ("data: {\"choices\":[{\"delta\":\n\n", Kind::Broken),
        ("data: {\"choices\":[]} x\n\n", Kind::Broken),
        ("data: {\"choices\":7}\n\n", Kind::Broken),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"b\"}},{\"index\":-1}]}\n\n", Kind::Broken),
        ("data: {\"choices\":[{\"delta\":{\"tool_calls\":[7]}}]}\n\n", Kind::Broken),
        ("data: {\"error\":{\"message\":\"m\",\"code\":400}}\n\ndata: [DONE]\n\n", Kind::Rejected),
        ("event: error\ndata: {\"message\":\"m\"}\n\n", Kind::Broken),
    ] {
        let (pieces, fault) = read(STREAM, 200, &[said.as_bytes(), rest.as_bytes()]);
        assert_eq!(pieces, [text("a")], "{rest}");
        assert_eq!(fault.map(|fault| fault.kind()), Some(kind), "{rest}");
        // In one frame.
        let (pieces, fault) = read(STREAM, 200, &[format!("{said}{rest}").as_bytes()]);
        assert_eq!((pieces.len(), fault.is_some()), (1, true), "{rest}");
    }
    for (status, body, kind) in [
        (200, "", Kind::Broken),
        (200, "{}", Kind::Broken),
        (200, "null", Kind::Broken),
        (200, "{\"choices\":[]}", Kind::Broken),
        (200, "{\"object\":\"error\",\"message\":\"m\",\"code\":500}", Kind::Broken),
        (200, "{\"choices\":", Kind::Broken),
        (200, "{\"error\":{\"message\":\"m\",\"code\":429}}", Kind::Busy),
        (400, "{\"error\":{\"message\":\"m\"}}", Kind::Rejected),
        (503, "down", Kind::Failed),
    ] {
        let (pieces, fault) = read(JSON, status, &[body.as_bytes()]);
        assert_eq!(pieces, [], "{status} {body}");
        assert_eq!(fault.map(|fault| fault.kind()), Some(kind), "{status} {body}");
    }
    let large = vec![b' '; LARGEST_MESSAGE];
    let fault = read(JSON, 200, &[&large, b"{}"]).1;
    assert_eq!(fault.map(|fault| fault.kind()), Some(Kind::Broken));
}

#[test]
fn json_that_is_another_s_says_nothing() {
    let others = "data: {\"type\":\"response.completed\"}\n\n";
    let (pieces, fault) = read(STREAM, 200, &[others.as_bytes()]);
    assert_eq!(pieces, []);
    let told = fault.map(|fault| fault.message().to_owned());
    assert_eq!(told.as_deref(), Some("this is no answer to a chat or a completion"));

    let others = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n\
                  data: {\"usage\":7}\n\ndata: [1]\n\ndata: {\"choices\":null}\n\n\
                  data: {\"choices\":[{\"index\":null,\"delta\":{\"tool_calls\":null}}]}\n\n\
                  data: [DONE]\n\n";
    let (pieces, fault) = read(STREAM, 200, &[others.as_bytes()]);
    assert_eq!(pieces, []);
    assert!(fault.is_none(), "{fault:?}");
}

#[test]
fn what_engines_write_otherwise_is_read() {
    let chunk = |choice: &str| format!("data: {{\"choices\":[{choice}]}}\n\n");
    let said = |choices: &[&str]| {
        let stream: String = choices.iter().map(|choice| chunk(choice)).collect();
        let (pieces, fault) = read("Text/Event-Stream ;charset=utf-8", 200, &[stream.as_bytes()]);
        assert!(fault.is_none(), "{choices:?}: {fault:?}");
        pieces
    };
    let end = r#"{"delta":{},"finish_reason":"stop"}"#;
    // Parts, and a delta that is empty beside a message.
    let parts = r#"{"delta":{},"message":{"content":[{"type":"text","text":"a"},{"text":"b"}]}}"#;
    assert_eq!(said(&[parts, end]), [text("ab"), finished("stop")]);
    // Calls without numbers: those that are called by something are others.
    let calls = [
        r#"{"delta":{"tool_calls":[{"id":"a","function":{"name":"f"}}]}}"#,
        r#"{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}"#,
        r#"{"delta":{"tool_calls":[{"id":"b","function":{"name":"g","arguments":{"x":1}}}]}}"#,
        end,
    ];
    let call = |index, id: Option<&str>, name: Option<&str>, arguments: &str| Piece::ToolCall {
        choice: 0,
        index,
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        arguments: arguments.to_owned(),
    };
    let expected = [
        call(0, Some("a"), Some("f"), ""),
        call(0, None, None, "{}"),
        call(1, Some("b"), Some("g"), r#"{"x":1}"#),
        finished("stop"),
    ];
    assert_eq!(said(&calls), expected);
    let old = r#"{"delta":{"function_call":{"name":"f","arguments":"{}"}},"finish_reason":"stop"}"#;
    assert_eq!(said(&[old]), [call(0, None, Some("f"), "{}"), finished("stop")]);
    // Nothing to keep a connection open with, an error that is none, an event without its blank line.
    let odd = "data:\n\ndata: {\"choices\":[],\"error\":\"\"}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"},\
               \"error\":false,\"finish_reason\":\"stop\"}]}\n";
    let (pieces, fault) = read(STREAM, 200, &[odd.as_bytes()]);
    assert_eq!((pieces, fault.is_none()), (vec![text("a"), finished("stop")], true));
    let done = read(STREAM, 200, &[chunk(r#"{"text":"a"}"#).as_bytes(), b"data:  [DONE] "]);
    assert_eq!((done.0, done.1.is_none()), (vec![text("a")], true));
    // Of another type, and whole: what only begins like it.
    assert!(read("text/event-streams", 200, &[chunk(end).as_bytes()]).1.is_some());
}

#[test]
fn one_of_several_answers_that_is_over_is_not_all_of_them() {
    let chunk = |index: u32, end: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"a\"}}{end}}}]}}\n\n"
        )
    };
    let end = ",\"finish_reason\":\"stop\"";
    let cut = [chunk(0, ""), chunk(1, end)].concat();
    let fault = read(STREAM, 200, &[cut.as_bytes()]).1;
    assert_eq!(fault.map(|fault| fault.kind()), Some(Kind::Broken));
    for whole in [[&cut, &*chunk(0, end)], [&cut, "data: [DONE]\n\n"]] {
        assert!(read(STREAM, 200, &[whole.concat().as_bytes()]).1.is_none());
    }
}

#[test]
fn a_message_that_says_too_much_is_not_read() {
    let many = |calls: usize| {
        let calls = vec![r#"{"id":"a"}"#; calls].join(",");
        format!(
            r#"{{"choices":[{{"message":{{"tool_calls":[{calls}]}},"finish_reason":"stop"}}]}}"#
        )
    };
    assert_eq!(read(JSON, 200, &[many(9_000).as_bytes()]).0.len(), 9_001);
    // Of many messages that come together each has its own bound.
    let token = "data: {\"choices\":[{\"text\":\"a\"}]}\n\n";
    let (pieces, fault) =
        read(STREAM, 200, &[(token.repeat(11_000) + "data: [DONE]\n\n").as_bytes()]);
    assert_eq!((pieces.len(), fault.is_none()), (11_000, true));
    let (pieces, fault) = read(JSON, 200, &[many(11_000).as_bytes()]);
    assert_eq!((pieces.len(), fault.map(|fault| fault.kind())), (0, Some(Kind::Broken)));
}

#[test]
fn a_body_that_breaks_and_an_engine_that_refuses_are_told_as_they_are() {
    let said = Bytes::from("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    for content_type in [STREAM, JSON] {
        let frames = [Ok(Frame::data(said.clone())), Err(Error::new(Kind::Timeout, "too slow"))];
        let answer = Response::builder().header("content-type", content_type);
        let reply = Reply::new(answer.body(StreamBody::new(stream::iter(frames))).unwrap());
        let (pieces, fault) = all(reply);
        assert_eq!(pieces.len(), usize::from(content_type == STREAM));
        assert_eq!(fault.map(|fault| fault.kind()), Some(Kind::Timeout), "{content_type}");
    }
    let told = b"event: error\ndata: {\"message\":\"m\"}\n\n";
    let fault = read(STREAM, 200, &[told]).1.unwrap();
    assert_eq!(fault.message(), "the instance reported an error in its stream");
    // A refusal is one whatever its type.
    let answer = Response::builder().status(429).header("content-type", STREAM);
    let answer = answer.header("retry-after", "7").body(Full::from("{\"error\":\"later\"}"));
    let fault = all(Reply::new(answer.unwrap())).1.unwrap();
    assert_eq!(
        (fault.kind(), fault.retry_after()),
        (Kind::Busy, Some(std::time::Duration::from_secs(7)))
    );
}

#[test]
fn behind_done_nothing_counts() {
    let done = b"data: [DONE]\n\n".as_slice();
    let late = b"data: {\"choices\":[{\"delta\":{\"content\":\"late\"}}]}\n\ndata: no JSON\n\n";
    let (pieces, fault) = read(STREAM, 200, &[done, late]);
    assert_eq!((pieces.len(), fault.is_none()), (0, true));

    let frames = [Ok(Frame::data(Bytes::from_static(done))), Err(Error::new(Kind::Broken, "cut"))];
    let answer = Response::builder().header("content-type", STREAM);
    let body = StreamBody::new(stream::iter(frames));
    assert!(all(Reply::new(answer.body(body).unwrap())).1.is_none());
}

struct Plain;

impl Backend for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn path(&self, route: &Route<'_>) -> Option<std::borrow::Cow<'static, str>> {
        Some(route.endpoint.path().into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_headers_reaches_an_engine_as_json_and_its_answer_is_the_text() {
    let client = service_fn(async |asked: http::Request<Payload>| {
        let own = asked.headers().get("x-own").is_some();
        let expected = if own { "application/json; charset=utf-8" } else { "application/json" };
        assert_eq!(asked.headers()["content-type"], expected);
        assert_eq!(asked.body().to_bytes(), r#"{"messages":[],"model":"m"}"#);
        let answer = r#"{"choices":[{"message":{"content":"Hello!"},"finish_reason":"stop"}]}"#;
        let response = Response::builder().header("content-type", JSON);
        Ok::<_, Infallible>(response.body(Body::from(answer)).unwrap())
    });
    let engine = Upstream::new(Plain, "http://engine".parse().unwrap(), client);
    let question = json!({ "model": "m", "messages": [] });
    let request = InferenceRequest::json(Endpoint::ChatCompletions, &question).unwrap();
    let answer = engine.clone().oneshot(request.clone()).await.unwrap();
    assert_eq!(Reply::new(answer).text().await.unwrap(), "Hello!");
    let own = [("x-own", "1"), ("content-type", "application/json; charset=utf-8")];
    let own = own.map(|(name, value)| {
        (http::HeaderName::from_static(name), HeaderValue::from_static(value))
    });
    engine.with_headers(own.into_iter().collect()).oneshot(request).await.unwrap();
}

#[test]
fn a_request_that_is_none_is_refused() {
    for (endpoint, payload) in [
        (Endpoint::ChatCompletions, json!({ "messages": [] })),
        (Endpoint::ChatCompletions, json!([])),
        (Endpoint::Transcriptions, json!({ "model": "m" })),
    ] {
        let refused = InferenceRequest::json(endpoint, &payload).unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid, "{payload}");
    }
    let keys = std::collections::HashMap::from([((1, 2), 3)]);
    let refused = InferenceRequest::json(Endpoint::ChatCompletions, &keys).unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid);
}

#[test]
fn the_first_answer_s_text_is_put_together() {
    let answer = Response::builder().header("content-type", STREAM);
    let reply = Reply::new(answer.body(Full::from(CHAT)).unwrap());
    assert_eq!(block_on(reply.text()).unwrap(), "a\n");
}
