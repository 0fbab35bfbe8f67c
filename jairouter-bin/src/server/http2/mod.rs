//! A caller's connection that has agreed on HTTP/2: its streams, its clocks, and its orderly end.
//!
//! h2 is used as it is, without hyper around it: an answer is given to it only as far as the caller's window
//! reaches, so that the clock of a caller that does not read is the clock of one stream. The streams are
//! futures of the connection's own task, and go with it.

mod clock;
mod stream;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use h2::server::Builder;
use http::{Request, Response};
use http_body::Body as HttpBody;
use jairouter_core::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tower::Service;

use super::connection::{LAST_WORDS, LULL, Shared, silence};
use super::front::Front;
use super::received::Received;
use super::socket::Socket;
use super::{Phase, Serve};
use clock::{Clock, Found};
use stream::{Asked, Carrier};

/// The most requests of a connection that are answered at a time.
const MOST_STREAMS: u32 = 100;

/// The largest head taken, in bytes, as HTTP/2 counts them.
const LARGEST_HEAD: u32 = 64 * 1024;

/// How much of a request, and of all of a connection, may come before it is read. Bodies are read as they come.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;

/// What h2 may spend on the pieces of that, of which it counts up to 256 bytes for each: what comes in pieces of a
/// hundred bytes is no flood, however much of it comes at once.
const PIECES: usize = 2 * CONNECTION_WINDOW as usize;

/// The most of an answer that waits to be written.
const SEND_BUFFER: usize = 64 * 1024;

/// How many requests may be taken back before they were looked at, and how many mistakes of a caller are
/// answered with a reset, before the connection is closed (CVE-2023-44487, CVE-2025-8671).
const MOST_TAKEN_BACK: usize = 20;
const MOST_MISTAKES: usize = 100;

/// For how long is remembered that an answer was broken off: the caller may not have heard of it yet. What comes of
/// others is a mistake.
const MEMORY: Duration = Duration::from_secs(10);

/// For how long at most goodbye is not said at the end while something is answered: there are callers who can read
/// nothing more once they have heard it, and others who would never stop asking.
const PARTING: Duration = Duration::from_secs(5);

/// How this connection is served.
pub(super) struct Manner {
    pub(super) shared: Arc<Shared>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) header_timeout: Duration,
    pub(super) write_timeout: Duration,
    /// When it was accepted.
    pub(super) since: Instant,
}

/// Serves a connection until it closes, or the process ends.
pub(super) async fn serve<S, B>(socket: Socket, front: Front<S>, manner: Manner)
where
    S: Serve,
    S::Service: Service<Request<Received>, Response = Response<B>, Error = Infallible> + Clone,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    let Manner { shared, mut phase, header_timeout, write_timeout, since } = manner;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(LARGEST_HEAD)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(PIECES)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MOST_TAKEN_BACK)
        .max_local_error_reset_streams(Some(MOST_MISTAKES))
        .max_concurrent_reset_streams(MOST_STREAMS as usize)
        .reset_stream_duration(MEMORY);
    let begun = since + header_timeout;
    // What it is about to ask may be on its way when the end begins.
    let mut watched = phase.clone();
    let late = async {
        let _ = watched.wait_for(|phase| *phase >= Phase::Draining).await;
        sleep(LULL).await;
    };
    let handshake = tokio::select! {
        handshake = builder.handshake::<_, Bytes>(socket) => handshake,
        () = sleep_until(begun) => return,
        () = late => return,
    };
    let Ok(mut connection) = handshake else { return };
    let mut clock = Clock::new(connection.ping_pong(), write_timeout);
    let written = Arc::new(AtomicU32::new(0));
    let carrier =
        Carrier { shared: Arc::clone(&shared), written, phase: phase.clone(), write_timeout };
    let mut streams = FuturesUnordered::new();
    let mut silent = pin!(silence(&shared, begun));
    let mut current = *phase.borrow_and_update();
    // When to say goodbye, and at the latest.
    let mut goodbye = None;
    let parting = || (Instant::now() + LULL, Instant::now() + PARTING);
    match current {
        Phase::Serving | Phase::Leaving => {}
        Phase::Draining => goodbye = Some(parting()),
        Phase::Cut => return,
    }
    let mut end = None;
    loop {
        tokio::select! {
            biased;
            changed = phase.changed(), if current != Phase::Cut => {
                current = changed.map_or(Phase::Cut, |()| *phase.borrow_and_update());
                match current {
                    Phase::Serving | Phase::Leaving => {}
                    Phase::Draining => goodbye = goodbye.or_else(|| Some(parting())),
                    Phase::Cut => {
                        connection.graceful_shutdown();
                        shared.cut();
                        (goodbye, end) = (None, Some(Instant::now() + LAST_WORDS));
                    }
                }
            }
            // What they have to say is written with what the connection does next.
            Some(()) = streams.next(), if !streams.is_empty() => {}
            accepted = poll_fn(|cx| {
                let accepted = connection.poll_accept(cx);
                carrier.written.fetch_add(1, Ordering::Relaxed);
                accepted
            }) => {
                // How it ended is known to whoever holds a request; the connection itself is gone.
                let Some(Ok((request, respond))) = accepted else { return };
                let (asked, request) = Asked::of(request);
                streams.push(carrier.clone().answer(asked, respond, front.ask(request)));
            }
            () = silent.as_mut() => return,
            () = clock.due() => match clock.look(shared.asked(), shared.is_answering()) {
                Found::InUse => {}
                // A caller that hears of it says so, and the connection is closed.
                Found::Idle if end.is_none() => {
                    connection.graceful_shutdown();
                    end = Some(Instant::now() + clock::LOOK);
                }
                Found::Idle | Found::Gone => return,
            },
            () = sleep_until(goodbye.map_or(since, |(at, _)| at)), if goodbye.is_some() => {
                let now = Instant::now();
                goodbye = goodbye.filter(|(_, latest)| shared.is_answering() && now < *latest);
                goodbye = goodbye.map(|(_, latest)| (now + LULL, latest));
                if goodbye.is_none() {
                    connection.graceful_shutdown();
                    end = Some(now + LAST_WORDS);
                }
            }
            () = sleep_until(end.unwrap_or(since)), if end.is_some() => {
                if current == Phase::Cut || !shared.is_answering() {
                    return;
                }
                // It was asked once more before it had heard of the end.
                let again = if current == Phase::Draining { LULL } else { clock::LOOK };
                end = Some(Instant::now() + again);
            }
        }
    }
}
