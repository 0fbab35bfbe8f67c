//! Streams of events as their callers see them: when each event comes, and whether all of them do.

use std::io;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::answer::Connection;

/// When events came.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// From the request to the first event, in seconds.
    pub(crate) first: Vec<f64>,
    /// From one event to the next; nothing where they came together.
    pub(crate) between: Vec<f64>,
}

/// Tells events in bytes that come in pieces, whatever chunks they come in.
#[derive(Debug, Default)]
struct Events {
    /// Whether the last byte was a line's end.
    is_line_over: bool,
}

impl Events {
    /// How many end in this piece.
    fn count(&mut self, piece: &[u8]) -> u32 {
        let mut count = 0;
        for at in memchr::memchr_iter(b'\n', piece) {
            let is_line_over = match at.checked_sub(1) {
                Some(before) => piece[before] == b'\n',
                None => self.is_line_over,
            };
            count += u32::from(is_line_over);
        }
        self.is_line_over = piece.last().map_or(self.is_line_over, |last| *last == b'\n');
        count
    }
}

/// Tells the last chunk by the last bytes, which may come one by one.
#[derive(Debug, Default)]
struct End {
    last: Vec<u8>,
}

impl End {
    const OF_CHUNKS: &[u8] = b"\r\n0\r\n\r\n";

    fn is_in(&mut self, piece: &[u8]) -> bool {
        let length = Self::OF_CHUNKS.len();
        self.last.extend_from_slice(&piece[piece.len().saturating_sub(length)..]);
        self.last.drain(..self.last.len().saturating_sub(length));
        self.last == Self::OF_CHUNKS
    }
}

/// Sends a request and reads its stream to the end; `came` is told how many events come, as they do.
pub(crate) async fn read(
    connection: &mut Connection,
    request: &[u8],
    expected: u32,
    times: &mut Times,
    mut came: impl FnMut(u32),
) -> io::Result<()> {
    let asked = Instant::now();
    connection.stream.write_all(request).await?;
    connection.head().await?;
    let (mut events, mut end, mut total, mut last) =
        (Events::default(), End::default(), 0, None::<Instant>);
    loop {
        let count = events.count(&connection.read);
        if count > 0 {
            let now = Instant::now();
            match last {
                None => times.first.push((now - asked).as_secs_f64()),
                Some(last) => times.between.push((now - last).as_secs_f64()),
            }
            times.between.extend(std::iter::repeat_n(0.0, count as usize - 1));
            last = Some(now);
            total += count;
            came(count);
        }
        let is_over = end.is_in(&connection.read);
        connection.read.clear();
        if is_over {
            break;
        }
        connection.more().await?;
    }
    match total == expected + 1 {
        true => Ok(()),
        false => {
            Err(io::Error::other(format!("{total} events came, and not {expected} and the last")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_the_end_are_seen_wherever_a_stream_is_cut() {
        let stream = b"9\r\ndata: 1\n\n\r\n12\r\ndata: 2\n\ndata: 3\n\n\r\n0\r\n\r\n";
        for cut in 0..=stream.len() {
            let (mut events, mut end) = (Events::default(), End::default());
            let (first, second) = stream.split_at(cut);
            assert_eq!(events.count(first) + events.count(second), 3, "at {cut}");
            assert_eq!(end.is_in(first), cut == stream.len());
            assert!(end.is_in(second), "at {cut}");
        }
    }
}
