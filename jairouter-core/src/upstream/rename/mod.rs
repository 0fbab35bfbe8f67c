//! The model's name in an answer, as the caller called it.

mod finder;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};

use crate::body::Body;
use crate::error::Error;
use finder::{Finder, Found};

/// The longest name that is looked at, as it is written.
const LONGEST: usize = 4096;

/// `body`, JSON or events of JSON, in which the name of its model is `to`, a JSON string, where it is
/// `from`, however that is written.
///
/// What else is called `model`, in what a model writes or in the arguments of a tool, is not touched. A
/// frame passes as it is but for that name; only a name that is cut waits for its end.
pub(super) fn renamed(body: Body, is_events: bool, from: String, to: String) -> Body {
    let finder = Finder::new(is_events);
    Body::new(Renamed { body, from, to, finder, held: Bytes::new(), ended: false })
}

struct Renamed {
    body: Body,
    from: String,
    to: String,
    finder: Finder,
    /// The beginning of a name.
    held: Bytes,
    ended: bool,
}

impl Renamed {
    /// What can pass of these bytes. The rest is held.
    fn take(&mut self, data: Bytes) -> Bytes {
        let seen = self.held.len();
        let data = match seen {
            0 => data,
            _ => [&std::mem::take(&mut self.held)[..], &data].concat().into(),
        };
        let mut out = BytesMut::new();
        // What is written of it already, and where a name begins.
        let (mut written, mut name) = (0, (seen > 0).then_some(0));
        for (at, byte) in data.iter().enumerate().skip(seen) {
            match self.finder.next(*byte) {
                Found::Nothing => {}
                Found::Opens => name = Some(at),
                Found::Closes => {
                    let start = name.take().unwrap_or(at);
                    if self.is_ours(&data[start..=at]) {
                        out.extend_from_slice(&data[written..start]);
                        out.extend_from_slice(self.to.as_bytes());
                        written = at + 1;
                    }
                }
            }
        }
        let end = match name {
            Some(start) if data.len() - start <= LONGEST => start,
            Some(_) => {
                self.finder.give_up();
                data.len()
            }
            None => data.len(),
        };
        self.held = data.slice(end..);
        if written == 0 {
            return data.slice(..end);
        }
        out.extend_from_slice(&data[written..end]);
        out.freeze()
    }

    fn is_ours(&self, written: &[u8]) -> bool {
        serde_json::from_slice::<String>(written).is_ok_and(|name| name == self.from)
    }
}

impl HttpBody for Renamed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        while !this.ended {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let passed = this.take(data);
                    if !passed.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(passed))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.ended = true,
            }
        }
        let held = std::mem::take(&mut this.held);
        Poll::Ready((!held.is_empty()).then(|| Ok(Frame::data(held))))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    use super::*;

    fn pass(pieces: &[&[u8]], is_events: bool) -> String {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, Error>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let body = renamed(body, is_events, "own/\u{901a}".into(), "\"asked\"".into());
        let bytes = block_on(body.collect()).unwrap().to_bytes().to_vec();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// In one piece, in two at every cut, and byte by byte.
    fn check(answer: &str, is_events: bool, expected: &str) {
        for cut in 0..=answer.len() {
            let (a, b) = answer.as_bytes().split_at(cut);
            assert_eq!(pass(&[a, b], is_events), expected, "cut at {cut}");
        }
        let bytes: Vec<_> = answer.as_bytes().chunks(1).collect();
        assert_eq!(pass(&bytes, is_events), expected, "byte by byte");
    }

    #[test]
    fn the_answer_s_own_model_is_the_caller_s_and_nothing_else_that_is_called_so() {
        let names = ["own/\u{901a}", r"own/\u901a", r"own\/\u901A", r"\u006fwn/\u901a"];
        for name in names {
            for template in [
                r#"{"model":"@","x":1}"#,
                r#" { "a" : [ {"model":"own/\u901a"} ] , "model" : "@" } "#,
                r#"{"type":"t","response":{"tools":[{"model":"own/\u901a"}],"model":"@"},"b":2}"#,
                r#"{"message":{"content":[],"usage":{"model":"own/\u901a"},"model":"@"}}"#,
            ] {
                let answer = template.replace('@', name);
                check(&answer, false, &template.replace('@', "asked"));
            }
        }
    }

    #[test]
    fn what_is_further_inside_or_another_s_passes_as_it_is() {
        for answer in [
            r#"{"choices":[{"message":{"model":"own/\u901a"}}],"model":"other"}"#,
            r#"{"input":{"model":"own/\u901a"},"xmodel":"own/\u901a","model":["own/\u901a"]}"#,
            r#"{"response":[{"model":"own/\u901a"}],"model":{"model":"own/\u901a"}}"#,
            r#"{"text":"\"model\":\"own/\u901a\"","model":7,"message":"model"}"#,
            r#"[{"model":"own/\u901a"}]"#,
            r#""model":"own/\u901a""#,
            "{\"model\":\"own",
            "no JSON {{{ \"model\"",
        ] {
            check(answer, false, answer);
        }
        let long = format!("{{\"model\":\"{}", "x".repeat(2 * LONGEST));
        assert_eq!(pass(&[long.as_bytes(), b"y\",\"a\":1}"], false), long + "y\",\"a\":1}");
    }

    #[test]
    fn in_a_stream_it_is_so_in_the_data_of_each_event() {
        let stream = r#": a {"model":"own/\u901a"

event: {"
data: {"model":"@","choices":[{"text":"}"}]}

data: {"a":
data: {},"model":"@"}

data: {"cut":{
data: {"model":"own/\u901a"}

data:{"type":"response.created","response":{"model":"@"}}

data: [DONE]

"#;
        for ends in ["\n", "\r\n", "\r"] {
            let stream = stream.replace('\n', ends);
            check(&stream.replace('@', r"own/\u901a"), true, &stream.replace('@', "asked"));
        }
    }

    proptest! {
        #[test]
        fn anything_else_passes_unchanged_in_any_cut(
            text in r#"["model: owna{}\[\],\n\\]{0,80}"#, cut in any::<prop::sample::Index>(),
            is_events in any::<bool>(),
        ) {
            let (a, b) = text.as_bytes().split_at(cut.index(text.len() + 1));
            prop_assert_eq!(pass(&[a, b], is_events), text);
        }
    }
}
