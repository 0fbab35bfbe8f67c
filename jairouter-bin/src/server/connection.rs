//! One caller's connection, from its first byte to its close.

use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use jairouter_core::Error;
use jairouter_core::doze::doze;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::Service;

use super::front::Front;
use super::http2::{self, Manner};
use super::received::Received;
use super::socket::{Socket, Wire};
use super::{Phase, Serve, Settings, Status};

/// The largest head taken, and the most that is read or written ahead. hyper's default is 400 KiB.
const LARGEST_BUFFER: usize = 64 * 1024;
const MOST_HEADERS: usize = 100;

/// How long an idle connection is kept for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a connection on which nothing is asked is kept at the end for a request that is on its way.
pub(super) const LULL: Duration = Duration::from_secs(1);

/// How long the last words to a caller may take, once it is being cut off.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the parts of a connection tell each other.
#[derive(Debug)]
pub(super) struct Shared {
    begun: Instant,
    /// How many requests there were, or so.
    asked: AtomicU32,
    /// When the last answer was over, in milliseconds from the beginning.
    over: AtomicU64,
    answering: AtomicU32,
    refused_unread: AtomicBool,
    cut: AtomicBool,
    reset: AtomicBool,
    last: AtomicBool,
    received: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            asked: AtomicU32::default(),
            over: AtomicU64::default(),
            answering: AtomicU32::default(),
            refused_unread: AtomicBool::default(),
            cut: AtomicBool::default(),
            reset: AtomicBool::default(),
            last: AtomicBool::default(),
            received: AtomicBool::default(),
        }
    }
}

impl Shared {
    /// A request's head was read; it is being answered until the guard is dropped.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.received.store(false, Ordering::Relaxed);
        self.answering.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    pub(super) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed) > 0
    }

    pub(super) fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Since when nothing is answered, if nothing is.
    fn over(&self) -> Option<Instant> {
        let after = Duration::from_millis(self.over.load(Ordering::Relaxed));
        (!self.is_answering()).then(|| self.begun + after)
    }

    /// Every answer has to end now.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// Bytes have come that are of no request yet.
    pub(super) fn receive(&self) {
        self.received.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is being asked or answered, as far as has come.
    fn is_quiet(&self) -> bool {
        !self.is_answering() && !self.received.load(Ordering::Relaxed)
    }

    /// Whether no request after this one is answered.
    pub(super) fn is_last(&self) -> bool {
        self.last.load(Ordering::Relaxed)
    }

    /// A request was refused before its body was read.
    pub(super) fn refuse_unread(&self) {
        self.refused_unread.store(true, Ordering::Relaxed);
    }

    /// An answer broke off that its caller cannot tell from a whole one by its end.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    pub(super) fn has_refused_unread(&self) -> bool {
        self.refused_unread.load(Ordering::Relaxed)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Shared>);

impl Answering {
    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// Whether the process is about to end, so that this answer must.
    pub(super) fn is_cut(&self) -> bool {
        self.0.is_cut()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // What came meanwhile was its body, or a request that is read next without waiting.
        self.0.received.store(false, Ordering::Relaxed);
        let after = self.0.begun.elapsed().as_millis() as u64;
        self.0.over.store(after, Ordering::Relaxed);
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Over when no head has come until then, and never once one has.
pub(super) async fn silence(shared: &Shared, until: Instant) {
    sleep_until(until).await;
    if shared.asked() > 0 {
        pending::<()>().await;
    }
}

/// Over when no head has come until then, or once one has, when none has come for so long since an answer was over.
///
/// hyper has such a clock, which it sets anew for each request; this one rings once in that time and looks.
async fn unasked(shared: &Shared, until: Instant, idle: Duration) {
    sleep_until(until).await;
    while shared.asked() > 0 {
        let now = Instant::now();
        let due = shared.over().unwrap_or(now) + idle;
        if due <= now {
            return;
        }
        sleep_until(due).await;
    }
}

/// Over when answers are only to finish, and a lull has been left for what is on its way.
async fn lull_after_serving(phase: &mut watch::Receiver<Phase>) {
    // Nobody is left to change it if it cannot be waited for.
    let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
    sleep(LULL).await;
}

/// Serves a connection until it closes, or the process ends; one that does not agree on TLS in the time for a
/// first head is closed.
pub(super) async fn serve<S, B>(
    stream: TcpStream,
    peer: IpAddr,
    service: S,
    settings: Arc<Settings>,
    status: Arc<Status>,
    mut phase: watch::Receiver<Phase>,
) where
    S: Serve,
    S::Service: Service<Request<Received>, Response = Response<B>, Error = Infallible> + Clone,
    B: HttpBody<Data = Bytes, Error = Error> + 'static,
{
    let since = Instant::now();
    let stream = match &settings.tls {
        None => Wire::Left(stream),
        Some(tls) => {
            // A box, so that connections without TLS are no larger for it.
            let agreed = timeout(settings.header_timeout, Box::pin(tls.accept(stream)));
            tokio::select! {
                agreed = agreed => match agreed {
                    Ok(Ok(stream)) => Wire::Right(Box::new(stream)),
                    Ok(Err(error)) => {
                        tracing::debug!(%peer, %error, "there is no TLS with a caller");
                        return;
                    }
                    Err(_) => return,
                },
                // Who has begun to agree has something to ask for; who is silent is not waited for.
                () = lull_after_serving(&mut phase) => return,
            }
        }
    };
    let shared = Arc::new(Shared::default());
    let is_http2 = is_http2(&stream);
    let (header_timeout, write_timeout) = (settings.header_timeout, settings.write_timeout);
    let socket = Socket::new(stream, Arc::clone(&shared), write_timeout);
    let front = Front::new(service, settings, status, Arc::clone(&shared), peer);
    if is_http2 {
        let manner = Manner { shared, phase, header_timeout, write_timeout, since };
        // A box, so that connections of HTTP/1 are no larger for it.
        return Box::pin(http2::serve(socket.multiplexed(), front, manner)).await;
    }
    let mut connection = pin!(
        http1::Builder::new()
            // What else it has a clock for is looked at by `unasked`.
            .header_read_timeout(None)
            .max_buf_size(LARGEST_BUFFER)
            .max_headers(MOST_HEADERS)
            .serve_connection(TokioIo::new(socket), front)
    );
    // The first head has a shorter time, since nobody connects in order to say nothing.
    let idle = KEEP_ALIVE.max(header_timeout);
    let mut silent = pin!(doze(unasked(&shared, since + header_timeout, idle)));
    let mut lull = pin!(sleep(LULL));
    let (mut is_draining, mut is_closing) = (false, false);
    let mut current = *phase.borrow_and_update();
    loop {
        match current {
            Phase::Leaving => shared.last.store(true, Ordering::Relaxed),
            // hyper would close at once what waits for a request, and the request may be on its way.
            Phase::Draining if !is_draining => {
                is_draining = true;
                shared.last.store(true, Ordering::Relaxed);
                lull.as_mut().reset(Instant::now() + LULL);
            }
            Phase::Serving | Phase::Draining => {}
            Phase::Cut => {
                shared.cut();
                connection.as_mut().graceful_shutdown();
                // However it ends, it is over.
                let _ = timeout(LAST_WORDS, connection).await;
                return;
            }
        }
        tokio::select! {
            // First of all, so that an answer which comes at the same time says that it is the last.
            biased;
            changed = doze(phase.changed()) => {
                current = changed.map_or(Phase::Cut, |()| *phase.borrow_and_update());
            }
            // How it ended is known to whoever holds the request; the connection itself is gone.
            _ = connection.as_mut() => return,
            () = silent.as_mut() => return,
            () = lull.as_mut(), if is_draining && !is_closing => {
                if shared.is_quiet() {
                    is_closing = true;
                    // What comes after all is read, so that the close is none that destroys an answer.
                    shared.refuse_unread();
                    connection.as_mut().graceful_shutdown();
                } else {
                    lull.as_mut().reset(Instant::now() + LULL);
                }
            }
        }
    }
}

/// Whether that is what was agreed on with the caller.
fn is_http2(stream: &Wire) -> bool {
    match stream {
        Wire::Left(_) => false,
        Wire::Right(secured) => secured.get_ref().1.alpn_protocol() == Some(b"h2"),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const IDLE: Duration = Duration::from_secs(75);

    /// Whether it is over by so many seconds after the beginning.
    async fn is_over_at(
        mut clock: std::pin::Pin<&mut impl Future<Output = ()>>,
        begun: Instant,
        seconds: u64,
    ) -> bool {
        sleep_until(begun + Duration::from_secs(seconds)).await;
        clock.as_mut().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_has_the_time_for_a_head() {
        let shared = Shared::default();
        let begun = Instant::now();
        let mut clock = pin!(unasked(&shared, begun + Duration::from_secs(10), IDLE));
        assert!(!is_over_at(clock.as_mut(), begun, 9).await);
        assert!(is_over_at(clock.as_mut(), begun, 10).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_kept_for_its_time_after_its_last_answer() {
        let shared = Arc::new(Shared::default());
        let begun = Instant::now();
        let mut clock = pin!(unasked(&shared, begun + Duration::from_secs(10), IDLE));
        let answering = shared.answer();
        assert!(!is_over_at(clock.as_mut(), begun, 500).await, "it is answered");
        drop(answering);
        assert!(!is_over_at(clock.as_mut(), begun, 560).await);
        drop(shared.answer());
        assert!(!is_over_at(clock.as_mut(), begun, 634).await);
        assert!(is_over_at(clock.as_mut(), begun, 635).await);
    }
}
