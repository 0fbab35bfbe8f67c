//! A body whose messages are rewritten as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;

use super::{Events, Framing, Lines, Translate};
use crate::body::Body;
use crate::error::Error;

/// `body`, with each of its messages rewritten by `translate`. Nothing waits: what an upstream
/// frame completes leaves in one frame of ours.
pub fn stream<T: Translate + 'static>(body: Body, framing: Framing, translate: T) -> Body {
    let splitter = match framing {
        Framing::Sse => Splitter::Sse(Events::default()),
        Framing::Ndjson => Splitter::Ndjson(Lines::default()),
    };
    Body::new(Stream { body, splitter, translate, out: BytesMut::new(), state: State::Open })
}

enum Splitter {
    Sse(Events),
    Ndjson(Lines),
}

enum State {
    Open,
    /// The error to yield after what was written before it.
    Failed(Option<Error>),
    Ended,
}

pin_project! {
    struct Stream<T> {
        #[pin]
        body: Body,
        splitter: Splitter,
        translate: T,
        out: BytesMut,
        state: State,
    }
}

impl<T: Translate> HttpBody for Stream<T> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        loop {
            if !this.out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(this.out.split().freeze()))));
            }
            match this.state {
                State::Open => {}
                State::Failed(error) => {
                    let error = error.take();
                    *this.state = State::Ended;
                    return Poll::Ready(error.map(Err));
                }
                State::Ended => return Poll::Ready(None),
            }
            let result = match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.data_ref() {
                    Some(data) => {
                        this.out.reserve(data.len() * 2);
                        let each =
                            |message: super::Message<'_>| this.translate.message(message, this.out);
                        match this.splitter {
                            Splitter::Sse(events) => events.push(data, each),
                            Splitter::Ndjson(lines) => lines.push(data, each),
                        }
                    }
                    None => Ok(()),
                },
                Some(Err(error)) => Err(error),
                None => {
                    *this.state = State::Ended;
                    let last = match this.splitter {
                        // An event without its blank line is not one.
                        Splitter::Sse(_) => Ok(()),
                        Splitter::Ndjson(lines) => {
                            lines.finish(|message| this.translate.message(message, this.out))
                        }
                    };
                    last.and_then(|()| this.translate.end(this.out))
                }
            };
            if let Err(error) = result {
                *this.state = State::Failed(Some(error));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.out.is_empty() && matches!(self.state, State::Ended)
    }
}
