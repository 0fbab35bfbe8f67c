//! A caller's socket, with what hyper leaves to others: a clock for callers that do not read, an eye
//! on callers that leave, and a close that lets the answer arrive.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::connection::Shared;

/// How long what a refused caller still sends is read and thrown away. Closing at once would reset
/// the connection, and the reset can overtake the answer.
const LINGER: Duration = Duration::from_secs(2);

/// How long after its end of stream a caller with a pipelined request is still answered.
const AFTER_THE_END: Duration = Duration::from_secs(5);

/// What bytes travel on: a socket, or TLS on one.
pub(super) type Wire = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A caller's socket.
pub(super) struct Socket {
    stream: Wire,
    shared: Arc<Shared>,
    write_timeout: Duration,
    /// Whether it is always read from, so that a caller that leaves is seen without a look.
    is_multiplexed: bool,
    /// Runs while the caller owes us a read.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs once the caller was seen leaving.
    leaving: Option<Pin<Box<Sleep>>>,
    lingering: Option<Pin<Box<Sleep>>>,
    /// A byte that was read to see whether there is one.
    ahead: Option<u8>,
    /// Whether hyper has looked since it last flushed, and there was nothing.
    has_looked: bool,
}

impl Socket {
    pub(super) fn new(stream: Wire, shared: Arc<Shared>, write_timeout: Duration) -> Self {
        Self {
            stream,
            shared,
            write_timeout,
            is_multiplexed: false,
            stalled: None,
            leaving: None,
            lingering: None,
            ahead: None,
            has_looked: false,
        }
    }

    /// The same for HTTP/2.
    pub(super) fn multiplexed(mut self) -> Self {
        self.is_multiplexed = true;
        self
    }

    /// Passes on the outcome of a write, unless the caller has not read for too long.
    fn clocked<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let timeout = self.write_timeout;
        let clock = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(clock.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller does not read")))
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Wire::Left(stream) => stream,
            Wire::Right(secured) => secured.get_ref().0,
        }
    }

    /// hyper does not look for the end of the caller's stream while bytes of a next request lie in
    /// its buffer, so a caller that sent one byte too many could leave unseen. It does flush each
    /// time it is polled.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.has_looked) && self.leaving.is_none() {
            return Poll::Pending;
        }
        if self.leaving.is_none() {
            let mut byte = [0];
            let mut looked = ReadBuf::new(&mut byte);
            let found = match &mut self.stream {
                Wire::Left(stream) => stream.poll_peek(cx, &mut looked).map_ok(drop),
                // Under TLS the end is a record, which is to be read to be seen.
                Wire::Right(_) if self.ahead.is_some() => return Poll::Pending,
                Wire::Right(secured) => {
                    let read = Pin::new(secured).poll_read(cx, &mut looked);
                    self.ahead = looked.filled().first().copied();
                    read
                }
            };
            match found {
                Poll::Ready(Ok(())) if looked.filled().is_empty() => {}
                // Nobody is there any more, not even to read.
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending | Poll::Ready(Ok(())) => return Poll::Pending,
            }
        }
        let clock = self.leaving.get_or_insert_with(|| Box::pin(sleep(AFTER_THE_END)));
        clock.as_mut().poll(cx)
    }
}

/// An answer to a caller of HTTP/1.0 may end with its connection alone, so one that broke off ends
/// with a reset.
impl Drop for Socket {
    fn drop(&mut self) {
        if self.shared.is_reset() {
            // A socket that refuses it is closed all the same.
            let _ = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() > 0
            && let Some(byte) = self.ahead.take()
        {
            buf.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        // It is woken when there is something.
        self.has_looked = read.is_pending();
        ready!(read)?;
        if buf.filled().len() > before {
            self.shared.receive();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.clocked(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.clocked(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_multiplexed && self.shared.is_answering() && self.poll_left(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "left")));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            // Over HTTP/2 each stream sees to that itself.
            if this.is_multiplexed || !this.shared.has_refused_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        let clock = this.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut scratch = [0; 16 * 1024];
        loop {
            let mut unwanted = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.stream).poll_read(cx, &mut unwanted) {
                Poll::Ready(Ok(())) if !unwanted.filled().is_empty() => {
                    if Instant::now() >= clock.deadline() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return clock.as_mut().poll(cx).map(Ok),
            }
        }
    }
}
