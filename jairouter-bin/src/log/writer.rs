//! A thread that writes the lines of the log, so that nobody else waits for whoever reads them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// How many lines wait to be written: some MiB, where nobody reads them.
const MOST_WAITING: usize = 1 << 13;

/// How much is written at once, where lines come faster than one by one.
const LARGEST_WRITE: usize = 32 << 10;

/// How long a first line waits for others. To be woken for each of them costs whoever writes it more than the line.
const GATHERING: Duration = Duration::from_millis(10);

/// How long the end of the process waits for the last lines to be read.
const LAST: Duration = Duration::from_secs(1);

/// Lines that nobody will read, in this process.
static DROPPED: AtomicU64 = AtomicU64::new(0);

enum Message {
    Line(Box<[u8]>),
    /// Everything before it is written.
    Written(SyncSender<()>),
}

/// Where lines are put. What finds no room is dropped and counted.
#[derive(Clone)]
pub(super) struct Lines(SyncSender<Message>);

/// Waits for the last lines when it is dropped, as long as they may take.
#[must_use = "dropping it ends the log"]
pub struct Guard(Lines);

/// How many lines were dropped since the process began.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Lines are written here from now on.
///
/// # Errors
///
/// If there is no thread to be had.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Lines, Guard)> {
    let (sender, receiver) = sync_channel(MOST_WAITING);
    thread::Builder::new().name("log".into()).spawn(move || write(&receiver, out))?;
    let lines = Lines(sender);
    Ok((lines.clone(), Guard(lines)))
}

fn write(lines: &Receiver<Message>, mut out: impl Write) {
    let mut text = Vec::new();
    while let Ok(message) = lines.recv() {
        #[expect(clippy::disallowed_methods, reason = "this thread serves nobody else")]
        if matches!(message, Message::Line(_)) {
            thread::sleep(GATHERING);
        }
        let (mut next, mut count, mut written) = (Some(message), 0, None);
        while let Some(message) = next.take() {
            match message {
                Message::Line(line) => {
                    text.extend_from_slice(&line);
                    count += 1;
                }
                Message::Written(told) => written = Some(told),
            }
            if written.is_none() && text.len() < LARGEST_WRITE {
                next = lines.try_recv().ok();
            }
        }
        if out.write_all(&text).and_then(|()| out.flush()).is_err() {
            DROPPED.fetch_add(count, Ordering::Relaxed);
        }
        text.clear();
        if let Some(told) = written {
            // Whoever has asked may have waited long enough.
            let _ = told.try_send(());
        }
    }
}

/// A line each time: `tracing` writes whole ones.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Message::Line(line.into())).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (told, written) = sync_channel(1);
        let lines = self.0.0.clone();
        // By a thread, since there may be no room to ask. What is stuck ends with the process.
        let ask = move || drop(lines.send(Message::Written(told)));
        if thread::Builder::new().spawn(ask).is_ok() {
            let _ = written.recv_timeout(LAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, MutexGuard};

    use super::*;

    /// Takes what it is given while nobody holds it.
    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<u8>>>);

    impl Out {
        fn held(&self) -> MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap()
        }
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.held().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_whole_and_in_order_and_those_that_find_no_room_are_counted() {
        let out = Out::default();
        let (lines, guard) = start(out.clone()).unwrap();
        let put = |number: usize| (&lines).write_all(format!("{number}\n").as_bytes()).unwrap();
        let before = dropped();
        let held = out.held();
        let all = 3 * MOST_WAITING;
        (0..all).for_each(put);
        let lost = (dropped() - before) as usize;
        assert!(lost > MOST_WAITING && lost <= all - MOST_WAITING, "{lost}");
        drop(held);
        drop(guard);
        put(all);
        drop(Guard(lines.clone()));
        let text = String::from_utf8(out.held().clone()).unwrap();
        let written: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert!(written.is_sorted() && written.last() == Some(&all));
        assert_eq!(written.len(), all + 1 - lost);
    }
}
