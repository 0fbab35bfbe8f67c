//! A connection to an upstream, in whole requests.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A connection, and what was read of it beyond the last request.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    pub(super) pending: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, pending: Vec::new() }
    }

    /// Resolves when the other side is gone.
    pub(super) async fn gone(&mut self) -> io::Error {
        loop {
            match self.stream.read_buf(&mut self.pending).await {
                Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    /// One request: its head, and as many bytes as its length says.
    pub(super) async fn request(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(length) = whole(&self.pending) {
                let rest = self.pending.split_off(length);
                return Ok(std::mem::replace(&mut self.pending, rest));
            }
            if self.stream.read_buf(&mut self.pending).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = head + length.map_or(0, |length| length.trim().parse().unwrap_or(0));
    (bytes.len() >= length).then_some(length)
}
