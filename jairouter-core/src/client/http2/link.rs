//! One connection, the requests on it, and the task that drives it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use super::super::connect::unreachable;
use super::Http2;
use super::heard::{Heard, Reads};
use crate::error::Error;

/// The most requests on a connection at a time, however many its instance takes.
const MOST_STREAMS: usize = 100;

/// How much of an answer may come before it is read; and enough for all of them, so that one whose caller does not
/// read never holds up another.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MOST_STREAMS as u32;

/// What h2 may spend on the pieces of that. It counts up to 256 bytes for each, and closes a connection that exceeds
/// it: events of 52 bytes fit for all at once, and any for one.
const PIECES: usize = 4 * CONNECTION_WINDOW as usize;

/// How many requests that were taken back are remembered, and for how long: their instances may not have heard of it
/// yet. What comes of others is answered with a reset, and counts as a mistake.
const REMEMBERED: usize = 1024;
const MEMORY: Duration = Duration::from_secs(10);

/// The largest head of an answer, in bytes, as HTTP/2 counts them.
const LARGEST_HEAD: u32 = 128 * 1024;

/// How often an instance that has a request is asked whether it is there. One that has not said so when it is
/// to be asked again is not.
const PULSE: Duration = Duration::from_secs(15);

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// That no request may begin on it any more. The other bits count those that have.
const RETIRED: usize = 1 << (usize::BITS - 1);

/// One connection.
pub(super) struct Link {
    sender: SendRequest<Bytes>,
    /// The requests on it, and whether it takes others: one word, so that the last one cannot leave a connection
    /// to the next one as that is closed.
    word: AtomicUsize,
    /// How many requests there were, or so.
    begun: AtomicU32,
    reads: Reads,
    /// Whether it was given up, for nobody answered.
    is_lost: AtomicBool,
}

/// A request's place on a connection.
pub(super) struct Place {
    link: Arc<Link>,
    pub(super) sender: SendRequest<Bytes>,
    /// Whether another one was there before.
    pub(super) is_reused: bool,
}

/// Greets and is greeted: from then on it is known how many requests it takes.
pub(super) async fn greet<T>(stream: T) -> Result<(Arc<Link>, Connection<Heard<T>, Bytes>), Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let reads = Reads::default();
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(PIECES)
        .max_concurrent_reset_streams(REMEMBERED)
        .reset_stream_duration(MEMORY)
        // It is ours to make: callers leave.
        .max_local_error_reset_streams(None)
        .max_header_list_size(LARGEST_HEAD);
    let failed = |error| unreachable("there is no HTTP/2 with the instance").with_source(error);
    let handshake = builder.handshake::<_, Bytes>(Heard::new(stream, reads.clone()));
    let (sender, mut connection) = handshake.await.map_err(failed)?;
    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(unreachable("the instance closed the connection"))),
        Poll::Ready(Err(error)) => Poll::Ready(Err(failed(error))),
        Poll::Pending if connection.max_concurrent_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let link = Link {
        sender,
        word: AtomicUsize::new(0),
        begun: AtomicU32::new(0),
        reads,
        is_lost: AtomicBool::new(false),
    };
    Ok((Arc::new(link), connection))
}

// === impl Link ===

impl Link {
    /// How many requests it takes at a time.
    pub(super) fn breadth(&self) -> usize {
        self.sender.current_max_send_streams().min(MOST_STREAMS)
    }

    /// A place on it, if it has one.
    pub(super) fn place(this: &Arc<Self>) -> Option<Place> {
        let most = this.breadth();
        let free = |word| (word < most).then_some(word + 1);
        this.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, free).ok()?;
        let is_reused = this.begun.fetch_add(1, Ordering::Relaxed) > 0;
        Some(Place { link: Arc::clone(this), sender: this.sender.clone(), is_reused })
    }

    /// Nothing begins on it any more.
    fn retire(&self) {
        self.word.fetch_or(RETIRED, Ordering::AcqRel);
    }

    /// Closes it to others if nobody is on it.
    fn retire_unused(&self) -> bool {
        let unused = |word| (word & !RETIRED == 0).then_some(RETIRED);
        self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, unused).is_ok()
    }
}

// === impl Place ===

impl Place {
    /// Whether a request can still be sent. One that its instance is closing is retired.
    pub(super) fn is_open(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let is_open = matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Ok(())));
        if !is_open {
            self.retire();
        }
        is_open
    }

    pub(super) fn retire(&self) {
        self.link.retire();
    }

    /// How often anything has come.
    pub(super) fn reads(&self) -> u32 {
        self.link.reads.count()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.link.is_lost.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.link.word.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Drives a connection to its end: its instance closes it, or no longer answers, or nobody has used it for long.
pub(super) async fn drive<T>(
    mut connection: Connection<T, Bytes>,
    link: Arc<Link>,
    home: Weak<Http2>,
    idle_timeout: Duration,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let every = (idle_timeout / 3).clamp(Duration::from_millis(50), PULSE);
    let mut pulse = Pulse { pings: connection.ping_pong(), asked: None, since: Instant::now() };
    let (mut begun, mut idle_since) = (0, Instant::now());
    loop {
        // Why it ended is known to whoever has a request on it.
        if timeout(every, &mut connection).await.is_ok() {
            link.retire();
            break;
        }
        let now = Instant::now();
        let word = link.word.load(Ordering::Acquire);
        let latest = link.begun.load(Ordering::Relaxed);
        if word & !RETIRED > 0 || latest != begun {
            (begun, idle_since) = (latest, now);
        }
        let is_over =
            word == RETIRED || home.strong_count() == 0 || now - idle_since >= idle_timeout;
        if is_over && link.retire_unused() {
            forget(&home, &link);
            // With the last handle it says goodbye.
            drop(link);
            let _ = timeout(GOODBYE, connection).await;
            return;
        }
        if word & !RETIRED > 0 && pulse.is_gone(now) {
            link.is_lost.store(true, Ordering::Relaxed);
            link.retire();
            break;
        }
    }
    forget(&home, &link);
}

fn forget(home: &Weak<Http2>, link: &Arc<Link>) {
    if let Some(home) = home.upgrade() {
        home.forget(link);
    }
}

/// Asks whether anybody is there.
struct Pulse {
    pings: Option<PingPong>,
    /// Since when an answer is owed.
    asked: Option<Instant>,
    since: Instant,
}

impl Pulse {
    fn is_gone(&mut self, now: Instant) -> bool {
        let Some(pings) = &mut self.pings else { return false };
        let mut cx = Context::from_waker(Waker::noop());
        if self.asked.is_some() && pings.poll_pong(&mut cx).is_ready() {
            self.asked = None;
        }
        match self.asked {
            Some(asked) => now - asked >= PULSE,
            None => {
                if now - self.since >= PULSE && pings.send_ping(Ping::opaque()).is_ok() {
                    (self.asked, self.since) = (Some(now), now);
                }
                false
            }
        }
    }
}
