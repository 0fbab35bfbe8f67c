//! Health: which instances may be asked, found out before a request has to.
//!
//! Requests find out that an instance is gone one failure at a time, and that it is back not at all,
//! for nobody asks it any more. So each instance has a [`Prober`] that asks it how it is, at a path
//! that runs no inference, and a [`Health`] that says what is known:
//!
//! ```text
//!  requests ── refused, unauthorized, answered ──► ┌────────┐
//!                                                  │ Health │ ──► status: may it be asked?
//!  Prober ──── what a GET of its path has found ─► └────────┘
//!     ▲                                                │
//!     └──────────── look now: it refused ──────────────┘
//! ```
//!
//! | [`Status`] | found by | asked |
//! |---|---|---|
//! | up | an answer to a probe | yes |
//! | busy | 429 or 529 to a probe, or a 503 that says so | yes |
//! | misconfigured | 401 or 403, to a probe or to a request | if no other is left |
//! | down | a connection refused, or [failures in a row](Settings::with_failure_threshold) | no |
//! | draining | an operator | no |
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use jairouter_core::Payload;
//! use jairouter_core::Body;
//! use jairouter_core::health::{Health, Prober, Settings, Status};
//! use tower::service_fn;
//! # use std::borrow::Cow;
//! # use jairouter_core::{Backend, Route};
//! # struct Normal;
//! # impl Backend for Normal {
//! #     fn name(&self) -> &'static str { "normal" }
//! #     fn path(&self, _: &Route<'_>) -> Option<Cow<'static, str>> { None }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An `HttpClient`, or any other; this one plays an engine that has lost its GPU.
//! let client = service_fn(async |probe: Request<Payload>| {
//!     assert_eq!(probe.uri(), "http://10.0.0.1:8000/health");
//!     let mut answer = Response::new(Body::empty());
//!     *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
//!     Ok::<_, Infallible>(answer)
//! });
//! let target = "http://10.0.0.1:8000".parse()?;
//! let health = Arc::new(Health::new());
//! let prober = Prober::new(&Normal, &target, client, Arc::clone(&health), Settings::default())?;
//!
//! let (tell, mut told) = tokio::sync::mpsc::channel(1);
//! let probing = tokio::spawn(prober.run(move |change| drop(tell.try_send(change))));
//! let change = told.recv().await.ok_or("the prober runs")?;
//! assert_eq!((change.from, change.to), (Status::Up, Status::Down));
//! assert!(!health.status().may_be_asked());
//!
//! probing.abort(); // Dropping it ends it. What nobody probes is up, as far as anybody knows.
//! # assert!(probing.await.is_err());
//! assert_eq!(health.status(), Status::Up);
//! # Ok(())
//! # }
//! ```
//!
//! # What a probe says
//!
//! | answer | verdict |
//! |---|---|
//! | 2xx, whole or longer than 64 KiB | good |
//! | 404, 405 | good: there is no such path, but somebody answers HTTP there |
//! | 429, 529; 503 with `Retry-After`, or words such as "busy", and none of loading | busy |
//! | 401, 403 | misconfigured |
//! | any other 503 | a failure |
//! | any other status, an answer cut off, nonsense | a failure |
//! | none within the [timeout](Settings::with_timeout) | a failure |
//! | [not reached](crate::Kind::Unreachable): refused, no route, no such name | down at once |
//!
//! **A 503 is a failure, not business.** On a health path llama.cpp and LocalAI say with it that the
//! model is still loading, vLLM that its engine died, TGI and TensorRT-LLM that they are not well, and a
//! proxy that nobody is behind it; none of them would answer a request. Triton says the same with 400.
//!
//! **A 404 is trusted only as far as a connection is.** It keeps an engine without the path in
//! service. Behind an ingress that answers 404 for a backend that is gone, set a
//! [path](Settings::with_path) that exists.
//!
//! Each probe is a GET on a new connection, if the client knows `client::NewConnection`: that one from
//! before still stands says nothing of those to come, and an old one that died says nothing either.
//!
//! # What requests say
//!
//! * [`Health::refused`]: nobody listens there. It is down at once, and the prober looks within
//!   milliseconds whether that is so, so that a refusal by mistake costs no more than these.
//! * [`Health::unauthorized`]: the key was refused. Many engines keep their health path open to
//!   everybody, so a good probe says nothing of the key. For [30 s](Settings) it undoes nothing;
//!   then a request finds out whether the key is good now. An answer to a request undoes it at once.
//! * [`Health::answered`]: failures in a row are in a row no longer, for an engine at the limit of
//!   its strength may be slow to say that it is well. It does *not* bring an instance back that is
//!   down: the answer may be one to a request from before.
//!
//! Other failures of requests are a circuit breaker's business: they need not be the instance's, and
//! a probe would not reproduce them.
//!
//! Whoever is not probed is up, whatever requests say, or nothing would bring it back. What was known
//! is kept for the next prober, so it is all the same in which order a reload ends one prober and
//! starts another.
//!
//! # When it looks
//!
//! Every [interval](Settings::with_interval) ± 20 %, from the start of a probe to that of the next,
//! and for the first time at a random moment of the first interval, or gateways that are started
//! together would probe together for ever.
//!
//! * An instance that is **down**, or may be, for a failure was seen, is looked at every second ± 20 %
//!   (or every interval, if that is shorter). A restart is so seen within 1.2 s, with no request.
//! * If that failure was **no answer in time**, or took a second to come, the next probe is due an
//!   interval later, or 5 s if that is shorter: an engine that is too slow to answer gets no more
//!   questions than one that is well. Should it wake up it answers the probe that is waiting, or the
//!   next one.
//! * One that is **busy or misconfigured** is looked at no more often than one that is up: more probes
//!   are the last thing it needs, and it takes a person to correct a key.
//! * After a **refused** request at once, but no sooner than 100 ms after the last probe ended.
//!
//! One probe is in flight at a time, because one task sends them, one after another; a probe is over
//! when its body is, and by its timeout at the latest. A verdict on a probe that was sent before the
//! instance was found otherwise is not heard: it is news from before.
//!
//! # Where to put it
//!
//! One [`Health`] for each instance, kept across reloads for as long as its address and key stay the
//! same, next to the balancer's [`InstanceState`](crate::balance::InstanceState). One [`Prober`] for
//! each, wherever there is a runtime: it spawns nothing, and dropping its future ends it. Use a
//! [circuit breaker](crate::circuit_breaker) as well: an engine that answers `/health` may still fail
//! every request, and one that answers requests may be down in a second.

mod probe;
mod prober;
mod settings;
mod state;
mod status;
mod word;

pub use probe::Outcome;
pub use prober::Prober;
pub use settings::Settings;
pub use state::{Health, Look, Probing};
pub use status::{Change, Status};

#[cfg(test)]
#[cfg(jairouter_loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(jairouter_loom))]
mod tests;
