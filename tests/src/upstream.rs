//! An upstream that does exactly what it is told, byte by byte, and remembers what it saw.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

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
    /// Waits.
    Sleep(Duration),
    /// Does nothing until the other side closes.
    Stall,
    /// Closes its side properly, and the socket with it.
    Fin,
    /// Resets the connection.
    Rst,
}

/// What happened on one connection or to one request of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Somebody connected.
    Connected,
    /// A request was read, with these exact bytes.
    Request(Vec<u8>),
    /// The other side closed or reset while the upstream still had something to do.
    Left,
    /// The upstream did all it was told.
    Finished,
}

type Script = dyn Fn(usize) -> Vec<Step> + Send + Sync;

/// A running upstream. It stops when this is dropped.
pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Does, on each connection, what `script` says for it; they are counted from 0.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub async fn start(script: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, Arc::new(script), Arc::clone(&seen)));
        Self { address, seen, task }
    }

    /// Answers every request alike, on connections that stay open.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_| {
            let exchange = [Step::Read, Step::Send(answer.clone())];
            exchange.into_iter().cycle().take(20_000).collect()
        })
        .await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it saw so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    /// The requests it read, as text.
    pub fn requests(&self) -> Vec<String> {
        let text = |seen| match seen {
            Seen::Request(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        };
        self.seen().into_iter().filter_map(text).collect()
    }

    /// How often this happened.
    pub fn count(&self, what: &Seen) -> usize {
        self.seen().iter().filter(|seen| *seen == what).count()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address where nobody listens.
///
/// # Panics
///
/// If there is no free port.
pub async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    listener.local_addr().expect("it is bound")
}

fn lock(seen: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, script: Arc<Script>, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut connections = tokio::task::JoinSet::new();
    let mut count = 0;
    while let Ok((stream, _)) = listener.accept().await {
        lock(&seen).push(Seen::Connected);
        let (steps, seen) = (script(count), Arc::clone(&seen));
        count += 1;
        connections.spawn(async move {
            let end = match play(stream, steps, &seen).await {
                Ok(()) => Seen::Finished,
                Err(_) => Seen::Left,
            };
            lock(&seen).push(end);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn play(mut stream: TcpStream, steps: Vec<Step>, seen: &Mutex<Vec<Seen>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut pending = Vec::new();
    for step in steps {
        match step {
            Step::Read => {
                let request = read_request(&mut stream, &mut pending).await?;
                lock(seen).push(Seen::Request(request));
            }
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Chunk(bytes) => {
                let head = format!("{:x}\r\n", bytes.len());
                stream.write_all(&[head.as_bytes(), &bytes, b"\r\n"].concat()).await?;
            }
            Step::LastChunk => stream.write_all(b"0\r\n\r\n").await?,
            Step::Sleep(time) => tokio::select! {
                () = sleep(time) => {}
                gone = gone(&mut stream) => return Err(gone),
            },
            Step::Stall => return Err(gone(&mut stream).await),
            Step::Fin => {
                stream.shutdown().await?;
                return Ok(());
            }
            Step::Rst => {
                // Nothing lingers: closing is a reset.
                SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Resolves when the other side is gone.
async fn gone(stream: &mut TcpStream) -> io::Error {
    let mut byte = [0; 1024];
    loop {
        match stream.read(&mut byte).await {
            Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

/// One request: its head, and as many bytes as its length says.
async fn read_request(stream: &mut TcpStream, pending: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        if let Some(length) = whole(pending) {
            let rest = pending.split_off(length);
            return Ok(std::mem::replace(pending, rest));
        }
        if stream.read_buf(pending).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
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
