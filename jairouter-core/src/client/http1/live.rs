//! One open connection, and the exchange on it.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use super::body::Driven;
use super::framing::Framing;
use super::head::{Head, Heads};
use super::outgoing::Outgoing;
use super::pool::Pool;
use super::{Fault, broken, scratch};
use crate::client::Wire;
use crate::client::body::ResponseBody;
use crate::error::Error;
use crate::payload::Payload;

/// An open connection.
pub(in crate::client) struct Live {
    stream: Wire,
    reused: bool,
    /// What is left of the request.
    outgoing: Option<Outgoing>,
    /// What is left of its answer.
    framing: Framing,
    /// Whether it may be used again behind that.
    keeps: bool,
    /// Where it goes then.
    pool: Option<Arc<Pool>>,
}

impl Live {
    pub(in crate::client) fn new(stream: Wire) -> Box<Self> {
        Box::new(Self {
            stream,
            reused: false,
            outgoing: None,
            framing: Framing::Length(0),
            keeps: true,
            pool: None,
        })
    }

    /// Sends a request, and waits until the answer's head is there.
    pub(in crate::client) async fn send(
        mut self: Box<Self>,
        request: Request<Payload>,
        pool: Arc<Pool>,
    ) -> Result<Response<ResponseBody>, Error> {
        let (parts, payload) = request.into_parts();
        self.outgoing = Some(Outgoing::new(&parts, payload));
        let mut heads = Heads::new(parts.method == Method::HEAD, parts.headers);
        let mut has_heard = false;
        let begun = poll_fn(|cx| self.poll_head(&mut heads, &mut has_heard, cx)).await;
        match begun {
            // It had lain unused for too long just as the request came: what is told is of the connection.
            Ok((response, _))
                if self.reused
                    && !self.keeps
                    && response.status() == StatusCode::REQUEST_TIMEOUT =>
            {
                Err(Error::from(Fault::Cut).stale())
            }
            Ok((response, first)) => {
                self.pool = Some(pool);
                let body = ResponseBody::driven(Driven::new(self, first));
                Ok(response.map(|()| body))
            }
            Err(error) if self.reused && !has_heard => Err(error.stale()),
            Err(error) => Err(error),
        }
    }

    /// The head, and what has come with it.
    fn poll_head(
        &mut self,
        heads: &mut Heads,
        has_heard: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Response<()>, Bytes), Error>> {
        let unsent = self.poll_send(cx);
        loop {
            let read = scratch::poll_read(&mut self.stream, cx, |input| {
                if input.is_empty() {
                    return Err(heads.end());
                }
                *has_heard = true;
                let Some((mut head, length)) = heads.push(input)? else { return Ok(None) };
                let rest = &input[length..];
                let (first, taken) = head.framing.take(rest);
                head.keeps &= taken == rest.len();
                Ok(Some((head, first)))
            });
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Ok(None))) => {}
                Poll::Ready(Ok(Ok(Some((head, first))))) => {
                    let Head { response, framing, keeps } = head;
                    (self.framing, self.keeps) = (framing, keeps);
                    return Poll::Ready(Ok((response, first)));
                }
                Poll::Ready(Ok(Err(fault))) => {
                    // Why it could not be sent says more than that nothing has come.
                    let unsent = unsent.filter(|_| fault == Fault::Cut).map(broken);
                    return Poll::Ready(Err(unsent.unwrap_or_else(|| fault.into())));
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(broken(unsent.unwrap_or(error))));
                }
            }
        }
    }

    /// More of the answer's data. There may be none in what has come.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        if self.poll_send(cx).is_some() {
            // It is answered all the same.
            (self.outgoing, self.keeps) = (None, false);
        }
        if let Some(fault) = self.framing.fault() {
            return Poll::Ready(Err(fault.into()));
        }
        let (framing, keeps) = (&mut self.framing, &mut self.keeps);
        let read = scratch::poll_read(&mut self.stream, cx, |input| {
            if input.is_empty() {
                return framing.end().map(|()| Bytes::new());
            }
            let (data, taken) = framing.take(input);
            *keeps &= taken == input.len();
            Ok(data)
        });
        read.map(|read| Ok(read.map_err(broken)??))
    }

    /// Sends what is left. Who does not take all of it may answer all the same, so that the error is for later.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        match self.outgoing.as_mut()?.poll_send(&mut self.stream, cx) {
            Poll::Pending => None,
            Poll::Ready(Ok(())) => {
                self.outgoing = None;
                None
            }
            Poll::Ready(Err(error)) => Some(error),
        }
    }

    pub(super) fn framing(&self) -> &Framing {
        &self.framing
    }

    /// The answer is over: the connection goes to the next request, if both sides are through with this one.
    pub(super) fn give_back(mut self: Box<Self>) {
        if let Some(pool) = self.pool.take()
            && self.keeps
            && self.outgoing.is_none()
            && self.is_usable()
        {
            pool.put(self);
        }
    }

    /// Whether another request may be sent: the server has sent nothing since, not even the end.
    pub(super) fn is_usable(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        scratch::poll_read(&mut self.stream, &mut cx, |_| ()).is_pending()
    }

    pub(super) fn reused(mut self: Box<Self>) -> Box<Self> {
        self.reused = true;
        self
    }
}
