//! One request of a connection, from its head to the end of its answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use jairouter_core::Error;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::super::Phase;
use super::super::connection::Shared;
use super::super::received::Received;

/// The most of an answer that waits for the caller's window at a time.
const LARGEST_PIECE: usize = 16 * 1024;

/// What a stream knows of its connection.
#[derive(Clone)]
pub(super) struct Carrier {
    pub(super) shared: Arc<Shared>,
    /// How often the connection has written what its streams gave it.
    pub(super) written: Arc<AtomicU32>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) write_timeout: Duration,
}

/// For how long what comes of a body that nobody reads is thrown away. A caller may look for its answer only
/// when it has sent all, and some lose an answer that a reset follows at once.
const LINGER: Duration = Duration::from_secs(2);

/// What is kept of a request that is given away.
pub(super) struct Asked {
    is_head: bool,
    expects: bool,
    /// What nobody has read of its body.
    unread: oneshot::Receiver<RecvStream>,
}

impl Asked {
    pub(super) fn of(request: Request<RecvStream>) -> (Self, Request<Received>) {
        let headers = request.headers();
        let expects = headers.get(EXPECT).is_some_and(|value| value.as_bytes() == b"100-continue");
        let length = headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let is_head = request.method() == Method::HEAD;
        let (parts, stream) = request.into_parts();
        let (body, unread) = Received::stream(stream, length);
        (Self { is_head, expects, unread }, Request::from_parts(parts, body))
    }
}

impl Carrier {
    /// Answers, unless the caller takes its request back: then all that was begun for it is dropped.
    pub(super) async fn answer<F, B>(
        mut self,
        mut asked: Asked,
        mut respond: SendResponse<Bytes>,
        serving: F,
    ) where
        F: Future<Output = Result<Response<B>, Infallible>>,
        B: HttpBody<Data = Bytes, Error = Error>,
    {
        let Some(response) = self.response(&asked, &mut respond, serving).await else { return };
        let (mut head, body) = response.into_parts();
        head.headers.remove(CONNECTION);
        head.headers.entry(DATE).or_insert_with(now);
        if let Some(length) = body.size_hint().exact() {
            head.headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        let ends = asked.is_head || body.is_end_stream();
        // If it cannot be sent the caller has left.
        let Ok(stream) = respond.send_response(Response::from_parts(head, ()), ends) else {
            return;
        };
        if ends || self.send(stream, body).await {
            // The answer is out; a caller that still sends after that is told to stop.
            let _ = timeout(LINGER, discard(&mut asked.unread)).await;
        }
    }

    async fn response<F, B>(
        &mut self,
        asked: &Asked,
        respond: &mut SendResponse<Bytes>,
        serving: F,
    ) -> Option<Response<B>>
    where
        F: Future<Output = Result<Response<B>, Infallible>>,
    {
        let mut serving = pin!(serving);
        let mut expects = asked.expects;
        loop {
            let polled = poll_fn(|cx| match serving.as_mut().poll(cx) {
                Poll::Ready(Ok(response)) => Poll::Ready(Some(response)),
                Poll::Ready(Err(never)) => match never {},
                Poll::Pending => {
                    // It was not refused by its head alone.
                    if std::mem::take(&mut expects) {
                        let mut go_on = Response::new(());
                        *go_on.status_mut() = StatusCode::CONTINUE;
                        // Whoever does not hear it sends the body all the same, only later.
                        let _ = respond.send_informational(go_on);
                    }
                    respond.poll_reset(cx).map(|_| None)
                }
            });
            tokio::select! {
                biased;
                () = cut(&mut self.phase, &self.shared) => {}
                response = polled => return response,
            }
        }
    }

    /// Sends the answer's body. Whether that was all of it.
    async fn send<B>(&mut self, mut stream: SendStream<Bytes>, body: B) -> bool
    where
        B: HttpBody<Data = Bytes, Error = Error>,
    {
        let mut body = pin!(body);
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = cut(&mut self.phase, &self.shared) => continue,
                _ = poll_fn(|cx| stream.poll_reset(cx)) => return false,
            };
            let mut data = match frame {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(_)) => {
                    self.written().await;
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return false;
                }
                None => return stream.send_data(Bytes::new(), true).is_ok(),
            };
            while !data.is_empty() {
                let wanted = data.len().min(LARGEST_PIECE);
                let free = poll_fn(|cx| poll_window(&mut stream, wanted, cx));
                let free = match timeout(self.write_timeout, free).await {
                    Ok(Some(free)) => free,
                    Ok(None) => return false,
                    Err(_) => {
                        stream.send_reset(Reason::CANCEL);
                        return false;
                    }
                };
                let piece = data.split_to(free.min(data.len()));
                let ends = data.is_empty() && body.is_end_stream();
                match stream.send_data(piece, ends) {
                    Ok(()) if !ends => {}
                    sent => return sent.is_ok(),
                }
            }
        }
    }

    /// Until the connection has written what it was given. A reset drops what waits to be written.
    async fn written(&self) {
        let before = self.written.load(Ordering::Relaxed);
        poll_fn(|cx| match self.written.load(Ordering::Relaxed) == before {
            true => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            false => Poll::Ready(()),
        })
        .await;
    }
}

/// How much the caller's windows take now, once they take anything; nothing if it has left.
fn poll_window(
    stream: &mut SendStream<Bytes>,
    wanted: usize,
    cx: &mut Context<'_>,
) -> Poll<Option<usize>> {
    stream.reserve_capacity(wanted);
    loop {
        match stream.capacity() {
            0 => match ready!(stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(None),
            },
            free => return Poll::Ready(Some(free)),
        }
    }
}

/// Resolves once, when every answer has to end, and tells the answers so.
async fn cut(phase: &mut watch::Receiver<Phase>, shared: &Shared) {
    if shared.is_cut() {
        std::future::pending::<()>().await;
    }
    // Nobody is left who could say anything else.
    let _ = phase.wait_for(|phase| *phase == Phase::Cut).await;
    shared.cut();
}

/// Throws away what comes of a body.
async fn discard(unread: &mut oneshot::Receiver<RecvStream>) {
    let Ok(mut stream) = unread.try_recv() else { return };
    while let Some(Ok(data)) = poll_fn(|cx| stream.poll_data(cx)).await {
        // This much has come.
        let _ = stream.flow_control().release_capacity(data.len());
    }
}

fn now() -> HeaderValue {
    let now = httpdate::fmt_http_date(SystemTime::now());
    HeaderValue::try_from(now).unwrap_or(HeaderValue::from_static(""))
}
