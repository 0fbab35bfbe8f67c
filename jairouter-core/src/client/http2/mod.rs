//! HTTP/2, where TLS agrees on it: requests share connections, and each connection has a task that drives it.

mod exchange;
mod heard;
mod link;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::body::ResponseBody;
use super::connect::unreachable;
use super::http1::Live;
use super::{NewConnection, Shared, Wire, prepare};
use crate::error::{Error, Kind};
use crate::payload::Payload;
use link::{Link, Place};

pub(super) use exchange::Streamed;

/// What ALPN calls it.
const H2: &[u8] = b"h2";

/// The most connections to one origin at a time. One more request is told that the instance is busy.
const MOST_LINKS: usize = 256;

/// How many new connections of a request may be closed before it is on them.
const MOST_CLOSED: usize = 2;

/// Where a connection takes fewer requests than this, nobody waits for another's.
const WORTH_WAITING: usize = 16;

/// The connections to one origin.
///
/// There is one, until it is full or its instance closes it. Whoever needs another one waits while somebody
/// connects, since what comes of that may carry both.
pub(super) struct Http2 {
    links: ArcSwap<Vec<Arc<Link>>>,
    connecting: Semaphore,
    /// Whether the instance chose HTTP/1.1 the last time.
    declined: AtomicBool,
    /// How many requests its last connection took at a time.
    breadth: AtomicUsize,
    /// Whether nothing else is offered.
    alone: bool,
    idle_timeout: Duration,
}

impl Http2 {
    /// None, if it is not among what is offered.
    pub(super) fn offered(protocols: &[Vec<u8>], idle_timeout: Duration) -> Option<Self> {
        let is_offered = protocols.iter().any(|protocol| protocol == H2);
        is_offered.then(|| Self::new(protocols.len() == 1, idle_timeout))
    }

    fn new(alone: bool, idle_timeout: Duration) -> Self {
        Self {
            links: ArcSwap::default(),
            connecting: Semaphore::new(1),
            declined: AtomicBool::new(false),
            breadth: AtomicUsize::new(usize::MAX),
            alone,
            idle_timeout,
        }
    }

    /// No connections yet, with the same settings.
    pub(super) fn sibling(&self) -> Self {
        Self::new(self.alone, self.idle_timeout)
    }

    /// A place on the oldest connection that has one, so that what was needed for a while falls idle.
    fn place(&self) -> Option<Place> {
        self.links.load().iter().find_map(Link::place)
    }

    /// Whether another's connection is worth waiting for.
    fn may_share(&self) -> bool {
        !self.declined.load(Ordering::Relaxed)
            && self.breadth.load(Ordering::Relaxed) >= WORTH_WAITING
    }

    /// A place on a connection of somebody's, or a new connection.
    async fn reach(self: &Arc<Self>, shared: &Shared) -> Result<Reached, Error> {
        let deadline = shared.connector.deadline();
        let mut turn = None;
        if self.may_share() {
            let waited = timeout_at(deadline, self.connecting.acquire()).await;
            turn = waited
                .map_err(|late| {
                    unreachable("the instance did not accept a connection in time")
                        .with_source(late)
                })?
                .ok();
            if let Some(place) = self.place() {
                return Ok(Reached::Place(place));
            }
            if !self.may_share() {
                turn = None;
            }
        }
        if self.links.load().len() >= MOST_LINKS {
            let message = "the instance takes no more requests at a time";
            return Err(Error::new(Kind::Busy, message).unsent());
        }
        let wire = shared.connector.connect_by(deadline).await?;
        let is_http2 = speaks(&wire);
        self.declined.store(!is_http2, Ordering::Relaxed);
        if !is_http2 {
            if self.alone {
                return Err(unreachable("the instance does not speak HTTP/2"));
            }
            return Ok(Reached::Http1(wire));
        }
        let link = self.open(wire, deadline).await?;
        let place = Link::place(&link);
        drop(turn);
        place.map(Reached::Place).ok_or_else(|| unreachable("the instance takes no request"))
    }

    /// A connection that requests can share from now on.
    async fn open(self: &Arc<Self>, wire: Wire, deadline: Instant) -> Result<Arc<Link>, Error> {
        let (link, connection) =
            timeout_at(deadline, link::greet(wire)).await.map_err(|late| {
                unreachable("the instance did not greet in time").with_source(late)
            })??;
        self.breadth.store(link.breadth(), Ordering::Relaxed);
        self.links.rcu(|links| {
            let mut links = Vec::clone(links);
            links.push(Arc::clone(&link));
            links
        });
        let home = Arc::downgrade(self);
        drop(tokio::spawn(link::drive(connection, Arc::clone(&link), home, self.idle_timeout)));
        Ok(link)
    }

    fn forget(&self, link: &Arc<Link>) {
        self.links.rcu(|links| {
            links.iter().filter(|other| !Arc::ptr_eq(other, link)).cloned().collect::<Vec<_>>()
        });
    }
}

enum Reached {
    Place(Place),
    Http1(Wire),
}

fn speaks(wire: &Wire) -> bool {
    match wire {
        Wire::Left(_) => false,
        Wire::Right(secured) => secured.get_ref().1.alpn_protocol() == Some(H2),
    }
}

/// Asks in the protocol that was agreed on, and on a connection that is there if there is one.
pub(super) async fn ask(
    shared: Arc<Shared>,
    http2: Arc<Http2>,
    mut request: Request<Payload>,
) -> Result<Response<ResponseBody>, Error> {
    // What was dead of HTTP/2's is not there any more.
    let is_new = request.extensions().get::<NewConnection>().is_some();
    if is_new {
        shared.pool.clear();
    }
    let mut closed = 0..MOST_CLOSED;
    loop {
        if let Some(mut place) = http2.place() {
            if place.is_open() {
                return exchange::ask(place, request, &shared.host).await;
            }
            continue;
        }
        if !is_new && let Some(live) = shared.pool.take() {
            prepare(&mut request, &shared.host);
            return live.send(request, Arc::clone(&shared.pool)).await;
        }
        match http2.reach(&shared).await? {
            Reached::Place(mut place) => {
                if place.is_open() {
                    return exchange::ask(place, request, &shared.host).await;
                }
                if closed.next().is_none() {
                    return Err(unreachable("the instance closes its connections at once"));
                }
            }
            Reached::Http1(wire) => {
                prepare(&mut request, &shared.host);
                return Live::new(wire).send(request, Arc::clone(&shared.pool)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
