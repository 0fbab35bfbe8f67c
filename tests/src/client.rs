//! A caller that sends exact bytes and reads to the end, whatever that is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::PATIENCE;
pub use crate::answer::Answer;
use crate::answer::parse;

/// A connection of a caller.
pub struct RawClient {
    stream: TcpStream,
    read: Vec<u8>,
}

impl RawClient {
    /// Connects.
    ///
    /// # Panics
    ///
    /// If nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        Self { stream, read: Vec::new() }
    }

    /// Connects from this address.
    ///
    /// # Panics
    ///
    /// If nobody listens.
    pub async fn connect_from(from: IpAddr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("it is ours");
        let stream = socket.connect(address).await.expect("somebody listens");
        Self { stream, read: Vec::new() }
    }

    /// Connects with a receive buffer as small as the kernel grants, and segments as on a network: those of
    /// loopback have the other side's kernel hold megabytes.
    ///
    /// # Panics
    ///
    /// If nobody listens.
    pub async fn connect_narrowly(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(1).expect("it is open");
        SockRef::from(&socket).set_tcp_mss(1400).expect("it is open");
        let stream = socket.connect(address).await.expect("somebody listens");
        Self { stream, read: Vec::new() }
    }

    /// Sends these bytes.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the connection is open");
    }

    /// Sends these bytes, as far as the other side takes them.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Sends these bytes one at a time.
    pub async fn dribble(&mut self, bytes: &[u8], every: Duration) -> io::Result<()> {
        for byte in bytes {
            self.stream.write_all(&[*byte]).await?;
            sleep(every).await;
        }
        Ok(())
    }

    /// Posts this JSON.
    pub async fn post(&mut self, path: &str, json: &str) {
        self.send(post(path, json)).await;
    }

    /// Sends no more, and still reads.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("the connection is open");
    }

    /// Closes with a reset.
    pub fn reset(self) {
        // If it cannot be set the close is an ordinary one, and the test will say so.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Reads until this text has come.
    ///
    /// # Panics
    ///
    /// If it does not come.
    pub async fn read_until(&mut self, text: &str) {
        self.read_slowly(64 * 1024, Duration::ZERO, text).await;
    }

    /// Reads this many bytes at most at a time, with a pause behind each, until this text has come.
    ///
    /// # Panics
    ///
    /// If it does not come.
    pub async fn read_slowly(&mut self, bytes: usize, pause: Duration, text: &str) {
        let mut piece = vec![0; bytes];
        let mut searched = 0;
        while !self.read[searched..].windows(text.len()).any(|part| part == text.as_bytes()) {
            searched = self.read.len().saturating_sub(text.len());
            let count = timeout(PATIENCE, self.stream.read(&mut piece)).await;
            let count = count.expect("it comes in time").expect("it can be read");
            assert!(count > 0, "'{text}' never came: {}", String::from_utf8_lossy(&self.read));
            self.read.extend_from_slice(&piece[..count]);
            sleep(pause).await;
        }
    }

    /// Reads one answer: as long as its framing says, or to the end.
    ///
    /// # Panics
    ///
    /// If none comes in time.
    pub async fn answer(&mut self) -> Answer {
        let mut closed = false;
        loop {
            if let Some((answer, used)) = parse(&self.read, closed) {
                self.read.drain(..used);
                return answer;
            }
            assert!(!closed, "no answer: {:?}", String::from_utf8_lossy(&self.read));
            let count = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            closed = count.expect("it comes in time").unwrap_or(0) == 0;
        }
    }

    /// Reads until the connection is closed, and returns what came.
    ///
    /// # Panics
    ///
    /// If it stays open.
    pub async fn closed(&mut self) -> Vec<u8> {
        // However it was closed.
        let _ = self.ended().await;
        std::mem::take(&mut self.read)
    }

    /// Reads until the connection is closed.
    ///
    /// # Errors
    ///
    /// If it was reset.
    ///
    /// # Panics
    ///
    /// If it stays open.
    pub async fn ended(&mut self) -> io::Result<()> {
        loop {
            let count = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            if count.expect("it is closed in time")? == 0 {
                return Ok(());
            }
        }
    }
}

/// A request of this path.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n").into_bytes()
}

/// A request with this JSON.
pub fn post(path: &str, json: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{json}",
        json.len()
    )
}

/// Sends one request on a connection of its own, and reads the answer.
pub async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut client = RawClient::connect(address).await;
    client.send(request).await;
    client.answer().await
}
