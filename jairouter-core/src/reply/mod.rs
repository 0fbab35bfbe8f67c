//! [`Reply`]: an answer as the model's words, for whoever asks in process.
//!
//! A stack of layers is a service: whoever has one asks it, with a request made by
//! [`InferenceRequest::json`](crate::InferenceRequest::json), and no socket is between them. What comes
//! back is HTTP, as an engine wrote it. This reads it:
//!
//! ```
//! use http::Response;
//! use jairouter_core::reply::{Piece, Reply};
//! use jairouter_core::{Body, Endpoint, Error, InferenceRequest};
//! use serde_json::json;
//! use tower::{ServiceExt, service_fn};
//!
//! # futures::executor::block_on(async {
//! // In its place stands a `Router`, or any other stack.
//! let engine = service_fn(async |_: InferenceRequest| {
//!     let says = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello!\"}}]}\n\n\
//!                 data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
//!                 data: [DONE]\n\n";
//!     let answer = Response::builder().header("content-type", "text/event-stream");
//!     Ok::<_, Error>(answer.body(Body::from(says)).unwrap())
//! });
//! let question = json!({
//!     "model": "qwen3",
//!     "stream": true,
//!     "messages": [{ "role": "user", "content": "Hi!" }],
//! });
//! let request = InferenceRequest::json(Endpoint::ChatCompletions, &question)?;
//! let mut reply = Reply::new(engine.oneshot(request).await?);
//! let mut text = String::new();
//! while let Some(piece) = reply.next().await {
//!     match piece? {
//!         Piece::Text { text: more, .. } => text.push_str(&more),
//!         Piece::Finished { reason, .. } => assert_eq!(reason, "stop"),
//!         _ => {}
//!     }
//! }
//! assert_eq!(text, "Hello!");
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```

mod read;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;

use crate::error::{BoxError, Error, Kind};
use crate::refusal;
use crate::translate::{Events, LARGEST_MESSAGE};
use crate::usage::Usage;
use read::Progress;

/// What a model says, in the order it says it.
///
/// Of the answers to one request (`n`) each has its number, from 0 on; their pieces come mixed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece {
    /// Some more of the answer. Never empty.
    Text {
        /// Of which of the answers.
        choice: u32,
        /// What is to be put behind what came before.
        text: String,
    },
    /// Some more of what the model thinks before it answers, from an engine that tells. Never empty.
    Reasoning {
        /// Of which of the answers.
        choice: u32,
        /// What is to be put behind what came before.
        text: String,
    },
    /// Some more of a refusal to answer. Never empty.
    Refusal {
        /// Of which of the answers.
        choice: u32,
        /// What is to be put behind what came before.
        text: String,
    },
    /// Some more of a call of one of the tools that were offered.
    ToolCall {
        /// Of which of the answers.
        choice: u32,
        /// Which of its calls, from 0 on.
        index: u32,
        /// What the result is to be sent with. In the first piece of a call.
        id: Option<String>,
        /// The name of the function. In the first piece of a call.
        name: Option<String>,
        /// What is to be put behind what came before of this call, which together is JSON. It may be empty.
        arguments: String,
    },
    /// This answer is over.
    Finished {
        /// Which of the answers.
        choice: u32,
        /// Why: `stop`, `length`, `tool_calls`, `content_filter`, or what the engine calls it.
        reason: String,
    },
    /// What all of it took. Some engines say so more than once: the last counts.
    Used(Usage),
}

pin_project! {
    /// The answer to a chat or a completion, [piece](Piece) by piece, whether it is streamed or whole.
    ///
    /// It is a [`Stream`], and has a [`next`](Self::next) and a [`text`](Self::text) of its own for whoever has no
    /// crate for streams. For each token it allocates that token's text and nothing else. Answers to other
    /// endpoints have other words, which are for [`translate::stream`](crate::translate::stream()).
    ///
    /// # Errors
    ///
    /// What the body ends with, or what the engine says instead of an answer, in the stream or with its status.
    /// [`Kind::Broken`] if an event or an answer is no JSON, has choices that cannot be read or is over
    /// [`LARGEST_MESSAGE`], if it is none to a chat or a completion, or if a stream ends before it has said `[DONE]`
    /// or, for each of its answers, why. What came before the error is given before it, and nothing behind it.
    ///
    /// Dropping it is the only cancellation, and closes the engine's connection.
    pub struct Reply<B> {
        #[pin]
        body: B,
        status: StatusCode,
        headers: HeaderMap,
        kind: Format,
        pieces: VecDeque<Piece>,
        // What is told when the pieces in front of it are.
        fault: Option<Error>,
        is_over: bool,
    }
}

/// How an answer is written.
enum Format {
    /// As events.
    Events { events: Events, progress: Progress, is_done: bool },
    /// As one text, of which this has come.
    Whole(Vec<u8>),
}

// === impl Reply ===

impl<B> Reply<B> {
    /// Reads this answer: as events if its `Content-Type` says so and its status is one of success.
    pub fn new(answer: Response<B>) -> Self {
        let (parts, body) = answer.into_parts();
        let kind = match parts.status.is_success() && is_event_stream(&parts.headers) {
            true => Format::Events {
                events: Events::default(),
                progress: Progress::default(),
                is_done: false,
            },
            false => Format::Whole(Vec::new()),
        };
        let (status, headers) = (parts.status, parts.headers);
        let pieces = VecDeque::new();
        Self { body, status, headers, kind, pieces, fault: None, is_over: false }
    }

    /// The headers of the answer, as [which instance](crate::balance) gave it.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl<B> Reply<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    /// The next piece; `None` at the end. To drop the future loses nothing.
    ///
    /// # Errors
    ///
    /// Those of the [reply](Self).
    pub async fn next(&mut self) -> Option<Result<Piece, Error>>
    where
        B: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// All of the text of the first answer, and nothing of what it thinks.
    ///
    /// # Errors
    ///
    /// Those of the [reply](Self): a text that was cut off is none.
    pub async fn text(mut self) -> Result<String, Error>
    where
        B: Unpin,
    {
        let mut all = String::new();
        while let Some(piece) = self.next().await {
            if let Piece::Text { choice: 0, text } = piece? {
                all.push_str(&text);
            }
        }
        Ok(all)
    }
}

impl<B> Stream for Reply<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    type Item = Result<Piece, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if let Some(piece) = this.pieces.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if *this.is_over {
                return Poll::Ready(this.fault.take().map(Err));
            }
            let read = match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.data_ref() {
                    Some(data) => this.kind.push(data, this.pieces),
                    None => Ok(()),
                },
                Some(Err(error)) => {
                    *this.is_over = true;
                    this.kind.broke(Error::from(error.into()))
                }
                None => {
                    *this.is_over = true;
                    this.kind.end(*this.status, this.headers, this.pieces)
                }
            };
            if let Err(error) = read {
                (*this.is_over, *this.fault) = (true, Some(error));
            }
        }
    }
}

impl<B> fmt::Debug for Reply<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}

// === impl Format ===

impl Format {
    fn push(&mut self, data: &[u8], pieces: &mut VecDeque<Piece>) -> Result<(), Error> {
        match self {
            // To its end it is polled all the same, which tells whoever holds something until then.
            Self::Events { is_done: true, .. } => Ok(()),
            Self::Events { events, progress, is_done } => {
                events.push(data, |event| match event.data.trim_ascii() {
                    _ if *is_done => Ok(()),
                    b"" => Ok(()),
                    b"[DONE]" => {
                        *is_done = true;
                        Ok(())
                    }
                    _ if event.name == b"error" => Err(refusal::in_stream(event.data)),
                    data => progress.read(data, pieces),
                })
            }
            Self::Whole(whole) if whole.len() + data.len() > LARGEST_MESSAGE => {
                Err(Error::new(Kind::Broken, "the answer is too large to be read"))
            }
            Self::Whole(whole) => {
                whole.extend_from_slice(data);
                Ok(())
            }
        }
    }

    /// The body has ended with this error.
    fn broke(&self, error: Error) -> Result<(), Error> {
        match self {
            Self::Events { is_done: true, .. } => Ok(()),
            _ => Err(error),
        }
    }

    /// The body has ended.
    fn end(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        pieces: &mut VecDeque<Piece>,
    ) -> Result<(), Error> {
        match self {
            Self::Events { is_done: true, .. } => Ok(()),
            Self::Events { .. } => {
                // An engine may leave out the blank line behind its last event.
                self.push(b"\n\n", pieces)?;
                match self {
                    Self::Events { progress, is_done: false, .. } => progress.check(),
                    _ => Ok(()),
                }
            }
            Self::Whole(whole) if status.is_success() => {
                let mut progress = Progress::default();
                progress.read(whole, pieces)?;
                progress.check_begun()
            }
            Self::Whole(whole) => {
                let mut answer = Response::new(Bytes::from(std::mem::take(whole)));
                (*answer.status_mut(), *answer.headers_mut()) = (status, headers.clone());
                Err(refusal::classify(&answer))
            }
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let (name, rest) = value.split_at(value.len().min(EVENTS.len()));
    name.eq_ignore_ascii_case(EVENTS) && matches!(rest.trim_ascii_start(), [] | [b';', ..])
}

#[cfg(test)]
mod tests;
