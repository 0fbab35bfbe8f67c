//! As much of HTTP/1.1 as callers and engines need that trust each other, so that they cost little.

use std::io;

use memchr::memmem;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Where a head ends, behind its empty line.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// What a head says of the length of what follows.
pub(crate) fn content_length(head: &[u8]) -> Option<usize> {
    let text = str::from_utf8(head).ok()?;
    let value = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    text.split("\r\n").find_map(value)
}

/// A connection to a gateway, and what has come on it.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) read: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(to: std::net::SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(4096) })
    }

    /// More of what comes, which is an error if nothing does.
    pub(crate) async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the gateway has closed")),
            _ => Ok(()),
        }
    }

    /// The head of the answer, which is to be a 200; it is taken out of what was read.
    pub(crate) async fn head(&mut self) -> io::Result<Vec<u8>> {
        let end = loop {
            if let Some(end) = head_end(&self.read) {
                break end;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        match head.get(9..12) {
            Some(b"200") => Ok(head),
            _ => {
                let _ = self.more().await;
                let body = String::from_utf8_lossy(&self.read).into_owned();
                let head = String::from_utf8_lossy(&head).into_owned();
                Err(io::Error::other(format!("no answer of 200: {head}{body}")))
            }
        }
    }

    /// Reads a whole answer of a known length.
    pub(crate) async fn whole(&mut self) -> io::Result<usize> {
        let head = self.head().await?;
        let length = content_length(&head).ok_or_else(|| {
            let head = String::from_utf8_lossy(&head).into_owned();
            io::Error::other(format!("an answer of no known length: {head}"))
        })?;
        while self.read.len() < length {
            self.more().await?;
        }
        match self.read.len() == length {
            true => self.read.clear(),
            false => return Err(io::Error::other("more than an answer")),
        }
        Ok(length)
    }
}
