//! The model's name in an answer, as the caller called it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use memchr::memmem;

use crate::body::Body;
use crate::error::Error;

const KEY: &[u8] = b"\"model\"";

/// The most spaces around a colon that are looked behind.
const MOST_SPACES: usize = 16;

/// `body`, in which the value of each key `model` that is `from` is `to` instead. Both are JSON texts.
///
/// In text that a model writes the quotes are escaped, so nothing of it is changed. A frame without
/// the key passes as it is; only what may be the first half of a key and its value waits for more.
pub(super) fn renamed(body: Body, from: String, to: String) -> Body {
    Body::new(Renamed { body, from, to, held: Bytes::new(), ended: false })
}

struct Renamed {
    body: Body,
    from: String,
    to: String,
    held: Bytes,
    ended: bool,
}

/// What follows a key.
enum Value {
    /// Ours, which ends here.
    Ours(usize),
    Other,
    /// Not to be told yet.
    Open,
}

impl Renamed {
    /// What can pass of these bytes. The rest is held.
    fn take(&mut self, data: Bytes) -> Bytes {
        let data = match self.held.is_empty() {
            true => data,
            false => [&std::mem::take(&mut self.held)[..], &data].concat().into(),
        };
        let mut out = BytesMut::new();
        // What is written of it already, and where the next key is looked for.
        let (mut written, mut from) = (0, 0);
        let end = loop {
            let Some(at) = memmem::find(&data[from..], KEY).map(|at| from + at) else {
                break data.len() - partial(&data[from..]);
            };
            match self.value(&data[at + KEY.len()..]) {
                Value::Open => break at,
                Value::Other => from = at + KEY.len(),
                Value::Ours(length) => {
                    from = at + KEY.len() + length;
                    out.extend_from_slice(&data[written..from - self.from.len()]);
                    out.extend_from_slice(self.to.as_bytes());
                    written = from;
                }
            }
        };
        self.held = data.slice(end..);
        if written == 0 {
            return data.slice(..end);
        }
        out.extend_from_slice(&data[written..end]);
        out.freeze()
    }

    fn value(&self, rest: &[u8]) -> Value {
        let value = rest.trim_ascii_start();
        let value = match value.split_first() {
            None if rest.len() <= MOST_SPACES => return Value::Open,
            Some((b':', value)) => value,
            _ => return Value::Other,
        };
        let spaces = value.len() - value.trim_ascii_start().len();
        let value = value.trim_ascii_start();
        if value.starts_with(self.from.as_bytes()) {
            Value::Ours(rest.len() - value.len() + self.from.len())
        } else if self.from.as_bytes().starts_with(value) && spaces <= MOST_SPACES {
            Value::Open
        } else {
            Value::Other
        }
    }
}

/// How much of the end of these bytes may be the beginning of a key.
fn partial(bytes: &[u8]) -> usize {
    let most = bytes.len().min(KEY.len() - 1);
    (1..=most).rev().find(|length| KEY.starts_with(&bytes[bytes.len() - length..])).unwrap_or(0)
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

    fn pass(pieces: &[&[u8]]) -> Vec<u8> {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, Error>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let body = renamed(body, "\"own\"".into(), "\"asked\"".into());
        block_on(body.collect()).unwrap().to_bytes().to_vec()
    }

    #[test]
    fn the_name_is_the_caller_s_wherever_the_answer_is_cut() {
        let answer = br#"data: {"model":"own","choices":[{"text":"\"model\":\"own\""}]}

data: {"a":"model","model" : "own","b":{"model":"other","x":"own"},"model":"own2"}"#;
        let expected = str::from_utf8(answer).unwrap();
        let expected = expected.replacen(r#""model":"own","#, r#""model":"asked","#, 1);
        let expected = expected.replacen(r#""model" : "own""#, r#""model" : "asked""#, 1);
        for cut in 0..=answer.len() {
            let (a, b) = answer.split_at(cut);
            assert_eq!(String::from_utf8(pass(&[a, b])).unwrap(), expected, "cut at {cut}");
        }
        let bytes: Vec<_> = answer.chunks(1).collect();
        assert_eq!(String::from_utf8(pass(&bytes)).unwrap(), expected);
    }

    #[test]
    fn what_may_be_a_name_is_not_kept_for_ever() {
        let spaces = format!("{{\"model\":{}1", " ".repeat(1000));
        assert_eq!(pass(&[spaces.as_bytes()]), spaces.as_bytes());
        for end in [r#"{"model"#, r#"{"model":"ow"#, r#"{"model" "#] {
            assert_eq!(pass(&[end.as_bytes()]), end.as_bytes(), "what is left passes in the end");
        }
    }

    proptest! {
        #[test]
        fn anything_else_passes_unchanged_in_any_cut(
            text in r#"["model: own]{0,60}"#, cut in any::<prop::sample::Index>(),
        ) {
            let text = text.replace("own\"", "owm\"");
            let (a, b) = text.as_bytes().split_at(cut.index(text.len() + 1));
            prop_assert_eq!(pass(&[a, b]), text.as_bytes());
        }
    }
}
