//! A stream of events of which some are rewritten, and the others pass byte for byte.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;

use super::{Events, LARGEST_MESSAGE, Message, first_blank_line};
use crate::body::Body;
use crate::error::{Error, Kind};

/// Rewrites some events of one answer. It may keep state, and never awaits.
pub trait Edit: Send {
    /// Whether this event may have to be another. It is given as it stands, with its name, its
    /// comments and its blank line: a look that parses nothing.
    ///
    /// Every event is shown once, and in order. One that ends with the body instead of a blank line
    /// is always edited, since it may be half of one.
    fn concerns(&mut self, event: &[u8]) -> bool;

    /// Writes what goes out for an event that does concern it.
    ///
    /// # Errors
    ///
    /// If the event is itself an error, or cannot be understood. The stream fails with it, after
    /// what has been written.
    fn edit(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<Edited, Error>;

    /// The upstream's body came to a proper end. What is written comes last.
    ///
    /// # Errors
    ///
    /// If the answer is not complete.
    fn end(&mut self, out: &mut BytesMut) -> Result<(), Error>;
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Edited {
    /// It passes as it is, behind what was written.
    Kept,
    /// What was written stands for it; if that is nothing, it is gone.
    Replaced,
}

/// `body`, a stream of server-sent events, with those rewritten that concern `edit`. The others are
/// not copied, and an event waits for its own end alone.
pub fn edit<E: Edit + 'static>(body: Body, edit: E) -> Body {
    Body::new(Editing {
        body,
        events: Editor { edit, partial: BytesMut::new(), searched: 0, out: VecDeque::new() },
        state: State::Open,
    })
}

enum State {
    Open,
    /// The error to yield after what goes before it.
    Failed(Option<Error>),
    Ended,
}

pin_project! {
    struct Editing<E> {
        #[pin]
        body: Body,
        events: Editor<E>,
        state: State,
    }
}

struct Editor<E> {
    edit: E,
    /// An event whose end has not come.
    partial: BytesMut,
    /// How much of it holds no blank line.
    searched: usize,
    out: VecDeque<Bytes>,
}

impl<E: Edit> Editor<E> {
    fn push(&mut self, frame: Bytes) -> Result<(), Error> {
        if frame.is_empty() {
            return Ok(());
        }
        let mut data = if self.partial.is_empty() {
            frame
        } else {
            self.partial.extend_from_slice(&frame);
            // A blank line may be cut in two.
            let from = self.searched.saturating_sub(3);
            if first_blank_line(&self.partial[from..]).is_none() {
                return self.wait();
            }
            self.partial.split().freeze()
        };
        let (mut kept, mut at) = (0, 0);
        let mut result = Ok(());
        while let Some(length) = first_blank_line(&data[at..]) {
            let end = at + length;
            // The other half of a line break may still come.
            if end == data.len() && data.ends_with(b"\r") {
                break;
            }
            let mut written = BytesMut::new();
            let event = &data[at..end];
            let edited = match self.edit.concerns(event) {
                true => self.event(event, &mut written),
                false => Ok(Edited::Kept),
            };
            if !matches!(edited, Ok(Edited::Kept)) || !written.is_empty() {
                self.give(data.slice(kept..at));
                self.give(written.freeze());
                kept = if matches!(edited, Ok(Edited::Kept)) { at } else { end };
            }
            at = end;
            if let Err(error) = edited {
                result = Err(error);
                break;
            }
        }
        if result.is_ok() {
            self.partial.extend_from_slice(&data[at..]);
        }
        // No second handle: making the first one of a buffer allocates what counts them.
        data.truncate(at);
        data.advance(kept);
        self.give(data);
        result?;
        self.wait()
    }

    fn wait(&mut self) -> Result<(), Error> {
        self.searched = self.partial.len();
        if self.searched > LARGEST_MESSAGE {
            return Err(Error::new(Kind::Broken, "the instance sent a message over 16 MiB"));
        }
        Ok(())
    }

    fn event(&mut self, event: &[u8], written: &mut BytesMut) -> Result<Edited, Error> {
        let mut edited = Edited::Kept;
        Events::default().push(event, |message| {
            edited = self.edit.edit(message, written)?;
            Ok(())
        })?;
        Ok(edited)
    }

    /// The last event may have no blank line; but then it may also be half of one, so that it has to
    /// be looked at whatever it is.
    fn end(&mut self) -> Result<(), Error> {
        let last = self.partial.split().freeze();
        let mut written = BytesMut::new();
        if !last.is_empty() {
            let closed = [&last[..], b"\n\n"].concat();
            self.edit.concerns(&closed);
            let edited = self.event(&closed, &mut written)?;
            self.give(written.split().freeze());
            if edited == Edited::Kept {
                self.give(last);
                let result = self.edit.end(&mut written);
                if !written.is_empty() {
                    self.give(Bytes::from_static(b"\n\n"));
                }
                self.give(written.freeze());
                return result;
            }
        }
        let result = self.edit.end(&mut written);
        self.give(written.freeze());
        result
    }

    fn give(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.out.push_back(bytes);
        }
    }
}

impl<E: Edit> HttpBody for Editing<E> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        loop {
            if let Some(bytes) = this.events.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
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
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.events.push(data),
                    Err(_) => Ok(()),
                },
                Some(Err(error)) => Err(error),
                None => {
                    *this.state = State::Ended;
                    this.events.end()
                }
            };
            if let Err(error) = result {
                *this.state = State::Failed(Some(error));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.events.out.is_empty() && matches!(self.state, State::Ended)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// Doubles events that say `twice`, drops those that say `never`, and fails with `fail`.
    struct Doubled;

    impl Edit for Doubled {
        fn concerns(&mut self, event: &[u8]) -> bool {
            event.windows(2).any(|pair| pair == b"! ")
        }

        fn edit(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<Edited, Error> {
            match message.data {
                b"! twice" => {
                    out.extend_from_slice(b"data: twice\n\n");
                    Ok(Edited::Kept)
                }
                b"! never" => Ok(Edited::Replaced),
                b"! fail" => Err(Error::new(Kind::Broken, "told so")),
                _ => Ok(Edited::Kept),
            }
        }

        fn end(&mut self, out: &mut BytesMut) -> Result<(), Error> {
            out.extend_from_slice(b"data: end\n\n");
            Ok(())
        }
    }

    fn edited(pieces: &[&[u8]]) -> (String, bool) {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, Error>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let body = Body::new(StreamBody::new(futures::stream::iter(frames)));
        let mut body = edit(body, Doubled);
        let (mut text, mut failed) = (String::new(), false);
        while let Some(frame) = block_on(body.frame()) {
            match frame {
                Ok(frame) => text.push_str(str::from_utf8(&frame.into_data().unwrap()).unwrap()),
                Err(_) => failed = true,
            }
        }
        (text, failed)
    }

    #[test]
    fn what_does_not_concern_it_keeps_its_bytes_wherever_it_is_cut() {
        let stream = ": ping\r\n\r\nid: 7\r\ndata: a\r\n\r\ndata: ! twice\n\ndata: ! x\r\rdata: b\n\n\
                      data: ! never\n\ndata: c\n\n";
        let expected = ": ping\r\n\r\nid: 7\r\ndata: a\r\n\r\ndata: twice\n\ndata: ! twice\n\n\
                        data: ! x\r\rdata: b\n\ndata: c\n\ndata: end\n\n";
        for cut in 0..=stream.len() {
            let (a, b) = stream.as_bytes().split_at(cut);
            assert_eq!(edited(&[a, b]), (expected.to_owned(), false), "cut at {cut}");
        }
        let single: Vec<_> = stream.as_bytes().chunks(1).collect();
        assert_eq!(edited(&single), (expected.to_owned(), false), "byte by byte");
    }

    #[test]
    fn an_error_comes_behind_what_was_before_it_and_nothing_comes_behind_the_error() {
        let stream = b"data: a\n\ndata: ! fail\n\ndata: b\n\n";
        assert_eq!(edited(&[stream]), ("data: a\n\n".to_owned(), true));
    }

    #[test]
    fn a_last_event_without_its_blank_line_is_one() {
        assert_eq!(edited(&[b"data: ! never"]), ("data: end\n\n".to_owned(), false));
        assert_eq!(edited(&[b"data: a"]), ("data: a\n\ndata: end\n\n".to_owned(), false));
        assert_eq!(edited(&[b"data: ! fail"]), (String::new(), true));
    }

    #[test]
    fn what_is_not_touched_is_not_copied() {
        let data = Bytes::from_static(b"data: a\n\ndata: b\n\n");
        let mut body = edit(Body::from(data.clone()), Doubled);
        let frame = block_on(body.frame()).unwrap().unwrap().into_data().unwrap();
        assert_eq!((frame.as_ptr(), frame.len()), (data.as_ptr(), data.len()));
    }
}
