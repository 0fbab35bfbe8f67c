//! The end of the process, from the first signal to the last answer.

use std::io;
use std::sync::atomic::Ordering;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use super::hand_over::HandOver;
use super::inherit::Predecessor;
use super::notify::notify;
use super::{Phase, Status};

/// What ends the process, or has it replaced.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    replace: Signal,
}

impl Signals {
    /// From here on they do not end the process by themselves. To be called where the main runtime is.
    ///
    /// # Errors
    ///
    /// If they cannot be waited for.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            replace: signal(SignalKind::user_defined2())?,
        })
    }

    async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Why the process ends.
enum Why {
    Signal(&'static str),
    /// This one serves in its place.
    Replaced(u32),
}

/// Waits for a signal, then until every worker is done with its answers or the time is up.
pub(super) async fn supervise(
    phase: &watch::Sender<Phase>,
    status: &Status,
    sockets: HandOver,
    predecessor: Option<Predecessor>,
    mut signals: Signals,
) {
    notify("READY=1");
    if let Some(predecessor) = predecessor {
        predecessor.replace();
    }
    let why = until_the_end(&mut signals, &sockets).await;
    status.draining.store(true, Ordering::Relaxed);
    let connections = status.crowd.len();
    match why {
        Why::Signal(signal) => {
            notify("STOPPING=1");
            leave(signal, &mut signals, phase, status).await;
            let connections = status.crowd.len();
            tracing::info!(signal, connections, "draining: no new connections, answers may finish");
        }
        Why::Replaced(pid) => {
            notify(&format!("MAINPID={pid}"));
            status.replaced.cancel();
            tracing::info!(pid, connections, "replaced: answers that have begun may finish");
        }
    }
    // The workers have handles of their own, and close them now.
    drop(sockets);
    phase.send_replace(Phase::Draining);
    // Who stops what replaced it may stop this one with it, which says nothing of its answers.
    let mut is_told = matches!(why, Why::Signal(_));
    let mut late = std::pin::pin!(sleep(status.settings().drain_timeout));
    loop {
        tokio::select! {
            // Each worker holds a receiver until its last connection has ended.
            () = phase.closed() => return,
            () = &mut late, if *phase.borrow() == Phase::Draining => {
                let connections = status.crowd.len();
                tracing::warn!(connections, "the time to drain is up: cutting the answers that are left");
                phase.send_replace(Phase::Cut);
            }
            signal = signals.end() => {
                if is_told {
                    at_once();
                }
                tracing::info!(signal, "draining already");
                is_told = true;
            }
        }
    }
}

/// Waits until a signal asks for the end, or another process serves.
async fn until_the_end(signals: &mut Signals, sockets: &HandOver) -> Why {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Why::Signal("SIGTERM"),
            _ = signals.interrupt.recv() => return Why::Signal("SIGINT"),
            _ = signals.replace.recv() => {}
        }
        tracing::info!("SIGUSR2: starting the program that is to replace this process");
        tokio::select! {
            // It is not let live: nobody has asked for two.
            signal = signals.end() => return Why::Signal(signal),
            started = sockets.start() => match started {
                Ok(pid) => return Why::Replaced(pid),
                Err(error) => {
                    tracing::error!(error, "it is not replaced, and goes on serving");
                }
            },
        }
    }
}

/// Goes on serving for as long as whoever sends requests may take to see that no more should be sent.
async fn leave(signal: &str, signals: &mut Signals, phase: &watch::Sender<Phase>, status: &Status) {
    let delay = status.settings().shutdown_delay;
    if delay.is_zero() {
        return;
    }
    tracing::info!(
        signal,
        ?delay,
        "not ready any more: everything is still served until the delay is over"
    );
    phase.send_replace(Phase::Leaving);
    tokio::select! {
        () = sleep(delay) => {}
        _ = signals.end() => at_once(),
    }
}

/// A second signal means it: whatever is open is cut by the kernel.
fn at_once() {
    tracing::warn!("a second signal: ending at once");
    std::process::exit(1);
}
