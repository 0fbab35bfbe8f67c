//! Callers that leave, and how long it takes until their engine knows.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::answer::Connection;
use crate::ask::request;
use crate::engine::{Left, Seen, Wanted};

/// From one caller that leaves to the next.
const EVERY: Duration = Duration::from_millis(25);

/// How long an engine is left to see it.
const LATEST: Duration = Duration::from_secs(5);

/// Callers that leave, one after another.
#[derive(Debug)]
pub(crate) struct Leavers {
    to: SocketAddr,
    seen: Seen,
    left: HashMap<u32, Instant>,
    next: u32,
}

impl Leavers {
    pub(crate) fn new(to: SocketAddr, seen: &Seen) -> Self {
        seen.borrow_mut().clear();
        Self { to, seen: Rc::clone(seen), left: HashMap::new(), next: 0 }
    }

    /// One more leaves, in each of the ways in turn.
    pub(crate) async fn leave(&mut self) -> Result<(), Failure> {
        self.next += 1;
        let kind = [Left::Waiting, Left::Silent, Left::Busy][self.next as usize % 3];
        let wanted = Wanted { leaves: Some((kind, self.next)), ..Wanted::default() };
        let mut connection = Connection::open(self.to).await?;
        connection.stream.write_all(&request(512, wanted)).await?;
        if kind != Left::Waiting {
            connection.head().await?;
            while connection.read.is_empty() {
                connection.more().await?;
            }
        }
        sleep(EVERY).await;
        drop(connection);
        self.left.insert(self.next, Instant::now());
        Ok(())
    }

    /// How long each took to be seen, in seconds, once all were or should have been.
    pub(crate) async fn freed(self) -> Result<Vec<f64>, Failure> {
        let since = Instant::now();
        let is_seen = |id| self.seen.borrow().contains_key(id);
        while !self.left.keys().all(is_seen) && since.elapsed() < LATEST {
            sleep(Duration::from_millis(1)).await;
        }
        let seen = self.seen.borrow();
        let freed = |(id, left): (&u32, &Instant)| {
            let seen = seen.get(id).ok_or("an engine was not told that its caller had left")?;
            Ok(seen.saturating_duration_since(*left).as_secs_f64())
        };
        self.left.iter().map(freed).collect()
    }
}
