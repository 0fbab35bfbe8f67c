//! [`WaitingRoom`]: requests wait, in order and not for long, while every instance is busy.
//!
//! An engine that has all the requests it can work on is not broken: in a moment one of them is over.
//! To refuse what comes until then wastes that moment, and sends callers into a race of retries that
//! the luckiest wins. To let all of it wait is worse: a queue without bounds grows until every request
//! in it is older than its caller's patience, and the engines work for nobody. So there are so many
//! places, each for so long; whoever finds none, or waits in vain, is told at once and when to come
//! back.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! use bytes::Bytes;
//! use http::{HeaderMap, Response};
//! use jairouter_core::waiting_room::{Room, Settings, WaitingRoomLayer};
//! use jairouter_core::{Body, Endpoint, Error, InferenceRequest, Kind};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // An engine that takes one request, and only when it is free.
//! let free = &AtomicBool::new(false);
//! let engine = service_fn(async |_: InferenceRequest| match free.swap(false, Ordering::Relaxed) {
//!     true => Ok(Response::new(Body::empty())),
//!     false => Err(Error::new(Kind::Busy, "the engine is busy").unsent()),
//! });
//! let room = Arc::new(Room::new(Settings::default().with_places(100)));
//! let service =
//!     ServiceBuilder::new().layer(WaitingRoomLayer::new(Arc::clone(&room))).service(engine);
//!
//! let payload = Bytes::from_static(br#"{"model":"m"}"#);
//! let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload)?;
//! let (answer, ()) = tokio::join!(service.oneshot(request), async {
//!     assert_eq!(room.waiting(), 1);
//!     free.store(true, Ordering::Relaxed);
//!     room.released();
//! });
//! assert!(answer.is_ok());
//! # Ok(())
//! # }
//! ```
//!
//! # Who waits
//!
//! A request waits if the service inside refuses it with [`Kind::Busy`] and says that it is
//! [unsent](crate::Error::unsent): every instance is at its concurrency. What an instance itself has
//! refused is passed on, for it has cost that instance something to say so; and so is what a
//! [rate](crate::rate_limit) of an instance refuses, for it may be one of this caller alone, and those
//! behind would wait for nothing.
//! While somebody waits, whoever comes stands behind them without asking, or those who wait would be
//! overtaken for as long as there is more to come than can be done.
//!
//! A balancer inside lets a request wait itself that not every instance will do for: one that an
//! instance has failed, cannot express, or refuses for a limit of its caller's own. It stands in the
//! same line, waits for the others alone, and holds up nobody: what is of no use to it is offered to
//! those behind it.
//!
//! # In what order
//!
//! 1. By [`Priority`], the highest first.
//! 2. Within one, those that come for the first time, and behind them those whose
//!    `x-stainless-retry-count` is above 0. The official OpenAI SDKs count their attempts in it.
//! 3. Within these, as they were received.
//!
//! A full room turns away whoever comes next, with one exception: a request that comes for the first
//! time takes the place of the last that was retried, unless that one is the more urgent. Any other
//! place that was given is kept.
//!
//! # When they are served
//!
//! Each [`Room::released`] calls one request, the first, and that one asks again; those who are called
//! ask independently of each other, so that one whose task is slow holds up no other. A request that
//! is refused once more stands again where it stood. One that is dropped when it was called, and has
//! not asked, hands the call on. Not everything that makes room is a release: a rate limit has filled
//! up again, an instance has come back, two have become free before anybody waited for them. So the
//! first in line asks without being called, too, when the refusal's `retry_after` is over and at least
//! once a second, and whoever is let in on such a trial has the next one try.
//!
//! # When it is over
//!
//! A wait ends when the service inside takes the request, in [`Settings::with_timeout`], or with the
//! request's deadline; dropping the future ends it at once. A request whose deadline is nearer than its
//! turn, at the pace of late, is refused rather than kept. Each refusal is
//! [`Kind::Overloaded`], 503 with a `Retry-After` of 1 to 60 s: the time in which all who wait will
//! have been served, by the mean time between releases, of which an eighth is the latest one.
//!
//! # What it costs
//!
//! While nobody waits, a request costs one load of an atomic when it comes, a fence and one more when
//! it goes, and no allocation. Only where somebody waits is there a lock, and it is the one on the way of a request:
//! first come first served, with priorities, and with whoever leaves taken out of the middle, is an
//! order that no single word can hold. It is held for a look into a tree of at most as many entries as
//! there are places, never across an await, and nobody is woken under it. There is no task; a request
//! that waits has one timer.
//!
//! Use tower's `limit::concurrency` instead where all requests are alike, an answer is over with its
//! head, and the queue may grow as it will.
//!
//! [`Kind::Busy`]: crate::Kind::Busy
//! [`Kind::Overloaded`]: crate::Kind::Overloaded

mod future;
mod layer;
mod line;
mod pace;
mod place;
mod queue;
mod room;
mod service;
mod settings;
mod stay;

pub use future::ResponseFuture;
pub use layer::WaitingRoomLayer;
pub use place::Priority;
pub use room::Room;
pub use service::WaitingRoom;
pub use settings::Settings;
pub(crate) use stay::{Find, LastCall, Stay};

#[cfg(test)]
#[cfg(jairouter_loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(jairouter_loom))]
mod tests;
