//! Whether a connection is used, and whether its caller is still there.

use std::task::{Context, Waker};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How often is looked.
pub(super) const LOOK: Duration = Duration::from_secs(25);

/// For how many looks in a row nothing may be asked: 75 to 100 s, as HTTP/1 has it.
const MOST_IDLE: u32 = 3;

/// What has become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    InUse,
    /// Nobody has asked for long.
    Idle,
    /// The caller no longer answers a ping.
    Gone,
}

/// Looks at a connection every now and then.
pub(super) struct Clock {
    looks: Interval,
    pings: Option<PingPong>,
    /// Since when a ping is unanswered.
    pinged: Option<Instant>,
    /// How long one may be.
    patience: Duration,
    /// How many requests there were at the last look, and for how many looks there were no more.
    asked: u32,
    idle: u32,
}

impl Clock {
    /// A ping waits behind what the caller does not read, so it has as much time as that.
    pub(super) fn new(pings: Option<PingPong>, write_timeout: Duration) -> Self {
        let mut looks = interval_at(Instant::now() + LOOK, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let patience = write_timeout.max(LOOK);
        Self { looks, pings, pinged: None, patience, asked: 0, idle: 0 }
    }

    /// When it is time to look again.
    pub(super) async fn due(&mut self) {
        self.looks.tick().await;
    }

    /// Looks: so many requests there were, and some of them are being answered or not.
    pub(super) fn look(&mut self, asked: u32, is_answering: bool) -> Found {
        let is_new = std::mem::replace(&mut self.asked, asked) != asked;
        self.idle = if is_new || is_answering { 0 } else { self.idle + 1 };
        if self.idle >= MOST_IDLE {
            return Found::Idle;
        }
        let Some(pings) = &mut self.pings else { return Found::InUse };
        let mut cx = Context::from_waker(Waker::noop());
        match self.pinged {
            Some(_) if pings.poll_pong(&mut cx).is_ready() => self.pinged = None,
            Some(since) if since.elapsed() >= self.patience => return Found::Gone,
            _ => {}
        }
        if self.pinged.is_none() && is_answering && pings.send_ping(Ping::opaque()).is_ok() {
            self.pinged = Some(Instant::now());
        }
        Found::InUse
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::future::join;
    use h2::{client, server};
    use tokio::io::duplex;

    use super::*;

    const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

    /// How long it takes until a caller is found gone who is asked for as long as this.
    async fn gone_after(is_there: bool, most: Duration) -> Option<Duration> {
        let (ours, theirs) = duplex(64 * 1024);
        let both = join(server::handshake(ours), client::handshake(theirs));
        let (serving, asking) = Box::pin(both).await;
        let (mut serving, (sender, asking)) = (serving.unwrap(), asking.unwrap());
        let mut clock = Clock::new(serving.ping_pong(), WRITE_TIMEOUT);
        tokio::spawn(async move { while serving.accept().await.is_some() {} });
        let _held = match is_there {
            true => Err(tokio::spawn(asking)),
            false => Ok(asking),
        };
        let begun = Instant::now();
        while begun.elapsed() < most {
            clock.due().await;
            if clock.look(1, true) == Found::Gone {
                return Some(begun.elapsed());
            }
        }
        drop::<client::SendRequest<Bytes>>(sender);
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_answers_no_ping_is_gone_once_it_had_the_time_to_read() {
        let most = WRITE_TIMEOUT * 10;
        assert_eq!(Box::pin(gone_after(true, most)).await, None);
        let gone = Box::pin(gone_after(false, most)).await.expect("nobody is there");
        assert!(gone > WRITE_TIMEOUT && gone < WRITE_TIMEOUT * 2, "{gone:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_once_nothing_was_asked_for_three_looks() {
        let mut clock = Clock::new(None, LOOK);
        let looks = [(1, true), (1, true), (1, false), (1, false), (2, false), (2, false)];
        for (asked, is_answering) in looks {
            clock.due().await;
            assert_eq!(clock.look(asked, is_answering), Found::InUse);
        }
        assert_eq!(clock.look(2, false), Found::InUse);
        assert_eq!(clock.look(2, false), Found::Idle);
    }
}
