//! Exact frames (RFC 9113, section 4.1), for what no honest peer sends.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::PATIENCE;

/// The types of frames, and flags of them.
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// A head.
    pub const HEADERS: u8 = 1;
    /// The end of a stream before its end.
    pub const RST_STREAM: u8 = 3;
    /// What a peer takes.
    pub const SETTINGS: u8 = 4;
    /// A question whether anybody is there.
    pub const PING: u8 = 6;
    /// The end of a connection.
    pub const GOAWAY: u8 = 7;
    /// More of a head.
    pub const CONTINUATION: u8 = 9;
    /// The stream ends here; of settings and pings, it is the answer.
    pub const END_STREAM: u8 = 1;
    /// The head ends here.
    pub const END_HEADERS: u8 = 4;
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    fn bytes(&self) -> Vec<u8> {
        let length = (self.payload.len() as u32).to_be_bytes();
        let head = [length[1], length[2], length[3], self.kind, self.flags];
        [&head[..], &self.stream.to_be_bytes(), &self.payload].concat()
    }
}

/// A connection, frame by frame.
pub struct Frames<T> {
    stream: T,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Frames<T> {
    /// Says what a client says first.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub async fn connect(mut stream: T) -> io::Result<Self> {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        let mut frames = Self { stream };
        frames.send(&[Frame::new(kind::SETTINGS, 0, 0, [])]).await?;
        Ok(frames)
    }

    /// Hears what a client says first, and says what a server does.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub async fn accept(mut stream: T) -> io::Result<Self> {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await?;
        let mut frames = Self { stream };
        frames.send(&[Frame::new(kind::SETTINGS, 0, 0, [])]).await?;
        Ok(frames)
    }

    /// Sends these in one write.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub async fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// The next frame; nothing if the connection is closed.
    ///
    /// # Panics
    ///
    /// If nothing comes in time.
    pub async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.read()).await.expect("something comes in time").ok()
    }

    async fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, rest @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok(Frame { kind, flags, stream: u32::from_be_bytes(rest), payload })
    }

    /// The next frame of this type; nothing if the connection is closed before. Settings are agreed to.
    ///
    /// # Panics
    ///
    /// If nothing comes in time.
    pub async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind::SETTINGS && frame.flags == 0 {
                // Or it is closed, which the next read says.
                let _ = self.send(&[Frame::new(kind::SETTINGS, kind::END_STREAM, 0, [])]).await;
            }
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}

/// The head of a request with JSON, as HPACK without a table has it (RFC 7541, appendix A).
pub fn request(path: &str) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let (post, https) = (0x83, 0x87);
    let fields = [(0x44, path), (0x41, "localhost"), (0x5f, "application/json")];
    let fields = fields.into_iter().flat_map(|(name, value)| [vec![name], text(value)].concat());
    [post, https].into_iter().chain(fields).collect()
}
