//! The end of the process, from the first signal to the last answer.

use std::io;
use std::sync::atomic::Ordering;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Phase, Status};

/// Waits for a signal, then until every worker is done with its answers or the time is up.
pub(super) async fn supervise(phase: &watch::Sender<Phase>, status: &Status) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    status.draining.store(true, Ordering::Relaxed);
    let connections = status.connections.load(Ordering::Relaxed);
    tracing::info!(signal = name, connections, "draining: no new connections, answers may finish");
    phase.send_replace(Phase::Draining);
    tokio::select! {
        // Each worker holds a receiver until its last connection has ended.
        () = phase.closed() => {}
        () = sleep(status.settings().drain_timeout) => {
            let connections = status.connections.load(Ordering::Relaxed);
            tracing::warn!(connections, "the time to drain is up: cutting the answers that are left");
            phase.send_replace(Phase::Cut);
            phase.closed().await;
        }
        _ = terminate.recv() => at_once(),
        _ = interrupt.recv() => at_once(),
    }
    Ok(())
}

/// A second signal means it: whatever is open is cut by the kernel.
fn at_once() {
    tracing::warn!("a second signal: ending at once");
    std::process::exit(1);
}
