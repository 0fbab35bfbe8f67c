//! What an upstream can be told to do.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

/// One thing the upstream does on a connection.
#[derive(Debug, Clone)]
pub enum Step {
    /// Reads a request, head and body, and remembers it.
    Read,
    /// Writes these bytes.
    Send(Vec<u8>),
    /// Writes these bytes as one chunk of a chunked body.
    Chunk(Vec<u8>),
    /// Ends a chunked body.
    LastChunk,
    /// Waits, unless the other side closes.
    Sleep(Duration),
    /// Waits until it is told to go on, unless the other side closes.
    Wait(Arc<Notify>),
    /// Waits without a look at the socket: nothing is read, and nobody's leaving is noticed.
    Ignore(Duration),
    /// Does nothing until the other side closes.
    Stall,
    /// Closes its side properly, and the socket with it.
    Fin,
    /// Resets the connection.
    Rst,
}

/// An answer with this JSON.
pub fn json(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The head of a chunked stream of events.
pub fn event_stream() -> Step {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    Step::Send(head.into())
}
