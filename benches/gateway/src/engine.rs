//! Engines that cost next to nothing: they find in a body what they are to answer, and read nothing else of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task;
use tokio::time::{Instant, sleep_until};

use crate::answer::{content_length, head_end};

/// What a request wants, which stands in its `user`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// How many events; an answer in one piece if none.
    pub(crate) events: u32,
    /// How long from one event to the next, in microseconds.
    pub(crate) gap: u64,
    /// The caller leaves before the end: what is to be sent until then, and by what name that is known.
    pub(crate) leaves: Option<(Left, u32)>,
}

/// When a caller leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Before there is a head.
    Waiting,
    /// Behind the first event, when nothing comes.
    Silent,
    /// In the middle of events.
    Busy,
}

/// When engines saw their callers leave.
pub(crate) type Seen = Rc<RefCell<HashMap<u32, Instant>>>;

/// How many of them there are.
pub(crate) const ENGINES: usize = 4;

/// Begins to serve, and says where.
pub(crate) async fn start(seen: &Seen) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for _ in 0..ENGINES {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?);
        let seen = Rc::clone(seen);
        task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Rc::clone(&seen);
                task::spawn_local(async move { drop(serve(stream, seen).await) });
            }
        });
    }
    Ok(addresses)
}

impl Wanted {
    /// As it stands in a `user`.
    pub(crate) fn written(self) -> String {
        let Self { events, gap, leaves } = self;
        let (kind, id) = match leaves {
            None => ('-', 0),
            Some((Left::Waiting, id)) => ('w', id),
            Some((Left::Silent, id)) => ('s', id),
            Some((Left::Busy, id)) => ('b', id),
        };
        format!("wanted {events} {gap} {kind} {id}.")
    }

    /// Of a body of which this is the end.
    fn read(end: &[u8]) -> Self {
        let Some(at) = memmem::rfind(end, b"\"wanted ") else { return Self::default() };
        let text = String::from_utf8_lossy(&end[at + 8..]);
        let mut words = text.split(['.', '"']).next().unwrap_or_default().split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (events, gap) = (word().parse().unwrap_or(0), word().parse().unwrap_or(0));
        let kind = match word() {
            "w" => Some(Left::Waiting),
            "s" => Some(Left::Silent),
            "b" => Some(Left::Busy),
            _ => None,
        };
        let id = word().parse().unwrap_or(0);
        Self { events, gap, leaves: kind.map(|kind| (kind, id)) }
    }
}

async fn serve(mut stream: TcpStream, seen: Seen) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(4096);
    loop {
        let Some(end) = request(&mut stream, &mut read).await? else { return Ok(()) };
        let body = &read[..end];
        let tail = &body[body.len().saturating_sub(1024)..];
        let (wanted, usage) = (Wanted::read(tail), memmem::find(tail, b"include_usage").is_some());
        // What is probed has no body.
        read.drain(..end);
        match wanted {
            Wanted { leaves: Some((kind, id)), .. } => {
                until_left(&mut stream, kind).await;
                seen.borrow_mut().insert(id, Instant::now());
                return Ok(());
            }
            Wanted { events: 0, .. } => stream.write_all(ANSWER).await?,
            Wanted { events, gap, .. } => events_of(&mut stream, events, gap, usage).await?,
        }
    }
}

/// Where the next request ends in what has been read, unless the connection has ended.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut end = None;
    loop {
        if end.is_none() {
            end = head_end(read).map(|head| head + content_length(&read[..head]).unwrap_or(0));
            read.reserve(end.unwrap_or(0).saturating_sub(read.len()).max(2048));
        }
        if let Some(end) = end
            && read.len() >= end
        {
            return Ok(Some(end));
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

/// Answers as far as it goes, and returns once nobody is there any more.
async fn until_left(stream: &mut TcpStream, kind: Left) {
    let mut scratch = [0; 64];
    if kind == Left::Waiting {
        drop(stream.read(&mut scratch).await);
        return;
    }
    let mut next = Instant::now();
    let first = [HEAD, EVENT].concat();
    drop(stream.write_all(&first).await);
    loop {
        next += Duration::from_millis(if kind == Left::Busy { 1 } else { 1_000_000 });
        tokio::select! {
            _ = stream.read(&mut scratch) => return,
            () = sleep_until(next) => if stream.write_all(EVENT).await.is_err() { return },
        }
    }
}

async fn events_of(stream: &mut TcpStream, events: u32, gap: u64, usage: bool) -> io::Result<()> {
    let mut next = Instant::now();
    stream.write_all(HEAD).await?;
    for _ in 0..events {
        stream.write_all(EVENT).await?;
        if gap == 0 {
            task::yield_now().await;
        } else {
            next += Duration::from_micros(gap);
            sleep_until(next).await;
        }
    }
    if usage {
        stream.write_all(USAGE).await?;
    }
    stream.write_all(DONE).await
}

const ANSWER: &[u8] = concat!(
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: uvicorn\r\ncontent-length: 364\r\n\r\n",
    r#"{"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion","created":1700000000,"#,
    r#""model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"It is warm and dry"#,
    r#" there for most of the year, and the evenings are cool."},"finish_reason":"stop","logprobs":null}],"#,
    r#""usage":{"prompt_tokens":64,"total_tokens":80,"completion_tokens":16}}"#
)
.as_bytes();

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    server: uvicorn\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// As vLLM writes them.
const EVENT: &[u8] = concat!(
    "cc\r\n",
    r#"data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","#,
    r#""created":1700000000,"model":"bench","choices":[{"index":0,"delta":{"content":" evening"},"#,
    r#""finish_reason":null}]}"#,
    "\n\n\r\n"
)
.as_bytes();

const USAGE: &[u8] = concat!(
    "d3\r\n",
    r#"data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","#,
    r#""created":1700000000,"model":"bench","choices":[],"usage":{"prompt_tokens":64,"total_tokens":"#,
    r#"80,"completion_tokens":16}}"#,
    "\n\n\r\n"
)
.as_bytes();

const DONE: &[u8] = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_found_where_it_was_written() {
        for wanted in [
            Wanted::default(),
            Wanted { events: 128, gap: 1000, leaves: None },
            Wanted { leaves: Some((Left::Busy, 17)), ..Wanted::default() },
        ] {
            let body = format!(r#"{{"user":"{}","stream":true}}"#, wanted.written());
            assert_eq!(Wanted::read(body.as_bytes()), wanted);
        }
    }

    #[test]
    fn lengths_are_those_of_what_follows() {
        let head = head_end(ANSWER).unwrap();
        assert_eq!(content_length(&ANSWER[..head]), Some(ANSWER.len() - head));
        for chunk in [EVENT, USAGE, &DONE[..DONE.len() - 5]] {
            let text = str::from_utf8(chunk).unwrap();
            let (length, rest) = text.split_once("\r\n").unwrap();
            assert_eq!(usize::from_str_radix(length, 16).unwrap(), rest.len() - 2, "{text}");
        }
    }
}
