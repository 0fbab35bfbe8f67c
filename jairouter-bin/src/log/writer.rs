//! A thread that writes the lines of the log, so that nobody else waits for whoever reads them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How much waits to be written, in bytes, where nobody reads it.
const MOST_WAITING: usize = 4 << 20;

/// How much room for what waits is kept, in bytes.
const KEPT: usize = 64 << 10;

/// How long lines behind one that was written wait for others. To be woken for each of them costs whoever writes it more
/// than the line.
const GATHERING: Duration = Duration::from_millis(10);

/// How long the end of the process waits for the last lines to be read.
const LAST: Duration = Duration::from_secs(1);

/// Lines that nobody will read, in this process.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Where lines are put. What finds no room is dropped and counted.
#[derive(Clone)]
pub(super) struct Lines(Arc<Open>);

/// Waits for the last lines when it is dropped, as long as they may take.
#[must_use = "dropping it ends the log"]
pub struct Guard(Lines);

/// The thread ends when this is dropped.
struct Open(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is a first line, or something else to do.
    told: Condvar,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    lines: u64,
    /// Who is to be told when everything so far is written.
    asked: Vec<SyncSender<()>>,
    is_closed: bool,
}

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
    let shared = Arc::new(Shared::default());
    let lines = Lines(Arc::new(Open(Arc::clone(&shared))));
    thread::Builder::new().name("log".into()).spawn(move || shared.write(out))?;
    Ok((lines.clone(), Guard(lines)))
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes until nothing more can.
    fn write(&self, mut out: impl Write) {
        // Of two buffers one is filled while the other is written.
        let mut text = Vec::new();
        loop {
            let is_idle = |waiting: &mut Waiting| waiting.text.is_empty() && !waiting.is_urgent();
            let waiting = self.told.wait_while(self.waiting(), is_idle);
            let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut waiting.text, &mut text);
            let (lines, asked) =
                (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.asked));
            let is_closed = waiting.is_closed;
            drop(waiting);
            if out.write_all(&text).and_then(|()| out.flush()).is_err() {
                DROPPED.fetch_add(lines, Ordering::Relaxed);
            }
            text.clear();
            text.shrink_to(KEPT);
            for one in asked {
                // Whoever has asked may have waited long enough.
                let _ = one.try_send(());
            }
            if is_closed {
                return;
            }
            let is_calm = |waiting: &mut Waiting| !waiting.is_urgent();
            drop(self.told.wait_timeout_while(self.waiting(), GATHERING, is_calm));
        }
    }
}

impl Waiting {
    /// Whether it does not wait for more.
    fn is_urgent(&self) -> bool {
        self.is_closed || !self.asked.is_empty()
    }
}

/// A line each time: `tracing` writes whole ones.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Open(shared) = &*self.0;
        let mut waiting = shared.waiting();
        if waiting.text.len() + line.len() > MOST_WAITING {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let is_first = waiting.text.is_empty();
        waiting.text.extend_from_slice(line);
        waiting.lines += 1;
        drop(waiting);
        if is_first {
            shared.told.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.waiting().is_closed = true;
        self.0.told.notify_one();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (told, written) = sync_channel(1);
        let Open(shared) = &*self.0.0;
        shared.waiting().asked.push(told);
        shared.told.notify_one();
        // What is stuck ends with the process.
        let _ = written.recv_timeout(LAST);
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

    const LENGTH: usize = 128;

    #[test]
    fn lines_come_whole_and_in_order_and_those_that_find_no_room_are_counted() {
        let out = Out::default();
        let (lines, guard) = start(out.clone()).unwrap();
        let put = |number: usize| {
            let line = format!("{number:>width$}\n", width = LENGTH - 1);
            (&lines).write_all(line.as_bytes()).unwrap();
        };
        let before = dropped();
        let held = out.held();
        // All of the same length, and more than can wait and be on its way together.
        let fit = MOST_WAITING / LENGTH;
        let all = 3 * fit;
        (0..all).for_each(put);
        let lost = (dropped() - before) as usize;
        assert!(lost >= fit && lost <= all - fit, "{lost}");
        drop(held);
        drop(guard);
        put(all);
        drop(Guard(lines.clone()));
        let text = String::from_utf8(out.held().clone()).unwrap();
        let written: Vec<usize> = text.lines().map(|line| line.trim().parse().unwrap()).collect();
        assert!(written.is_sorted() && written.last() == Some(&all));
        assert_eq!(written.len(), all + 1 - lost);
    }
}
