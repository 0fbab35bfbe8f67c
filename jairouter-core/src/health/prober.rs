use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::payload::Payload;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use tokio::time::{Instant, timeout_at};
use tower::Service;

use super::probe::{Outcome, probe};
use super::settings::{DOUBTFUL, Pace, Settings};
use super::state::{Health, Look};
use super::status::{Change, Status};
use crate::backend::Backend;
use crate::body::Body;
use crate::error::Error;
use crate::upstream::Target;

/// The least time between two probes, whoever asks for the second.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("jairouter/", env!("CARGO_PKG_VERSION")));

/// Asks an instance how it is, again and again, and tells its [`Health`]. See the [module](super).
///
/// The client is anything that takes HTTP requests, the instance's own among them: a probe then
/// fails for the reasons a request would.
///
/// Purposefully not `Clone`: an instance has one.
#[must_use = "a prober does nothing until it is run"]
pub struct Prober<C> {
    client: C,
    uri: Uri,
    headers: HeaderMap,
    health: Arc<Health>,
    settings: Settings,
}

impl<C> Prober<C> {
    /// A prober of the instance of this framework at this target.
    ///
    /// # Errors
    ///
    /// [`Kind::Internal`](crate::Kind::Internal) if the path, the settings' or else the backend's, is
    /// none.
    pub fn new<B: Backend + ?Sized>(
        backend: &B,
        target: &Target,
        client: C,
        health: Arc<Health>,
        settings: Settings,
    ) -> Result<Self, Error> {
        let path = settings.path.clone().unwrap_or_else(|| backend.health());
        let mut headers = backend.headers();
        headers.extend(settings.headers.clone());
        headers.entry(HOST).or_insert_with(|| target.host_header().clone());
        headers.entry(USER_AGENT).or_insert(AGENT);
        Ok(Self { client, uri: target.engine_uri(&path)?, headers, health, settings })
    }

    /// Probes the instance for as long as it is polled.
    ///
    /// `changed` is told of every change of status, whoever made it: a probe, a request or an
    /// operator. It hears at once, or when the probe under way is over; of what is undone until then
    /// it does not hear.
    ///
    /// It never returns, spawns nothing, and is cancelled by dropping it: a probe that is under way
    /// is closed and says nothing, and the instance is probed no longer.
    pub async fn run<R>(mut self, changed: impl FnMut(Change)) -> Infallible
    where
        C: Service<Request<Payload>, Response = Response<R>>,
        C::Error: Into<Error>,
        R: Into<Body>,
    {
        let _probing = self.health.probing();
        let mut waiter = Waiter { health: &self.health, last: self.health.status(), changed };
        // A refusal from here on is news.
        let mut look = self.health.look();
        let pace = if self.health.is_doubtful() { Pace::Doubtful } else { Pace::Settled };
        let now = Instant::now();
        waiter.wait(look, now, now + self.settings.first_pause(pace)).await;
        loop {
            look = self.health.look();
            let request = self.request();
            let started = Instant::now();
            let outcome = probe(&mut self.client, request, started + self.settings.timeout()).await;
            let ended = Instant::now();
            let (before, after) = self.health.judge(look, outcome, &self.settings, ended);
            if look == before.into() {
                look = after.into();
            }
            let pace = match outcome {
                _ if !after.is_doubtful() => Pace::Settled,
                Outcome::TimedOut => Pace::Stalled,
                _ if ended - started >= DOUBTFUL => Pace::Stalled,
                _ => Pace::Doubtful,
            };
            let due = started + self.settings.pause(pace);
            waiter.wait(look, ended + LEAST_PAUSE, due).await;
        }
    }

    fn request(&self) -> Request<Payload> {
        let mut request = Request::new(Payload::default());
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        #[cfg(feature = "client")]
        request.extensions_mut().insert(crate::client::NewConnection);
        request
    }
}

/// Never prints headers: they hold the instance's key.
impl<C> fmt::Debug for Prober<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober")
            .field("uri", &self.uri)
            .field("health", &self.health)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Waits from probe to probe, and tells of every change in the meantime.
struct Waiter<'a, F> {
    health: &'a Health,
    /// What was last told.
    last: Status,
    changed: F,
}

impl<F: FnMut(Change)> Waiter<'_, F> {
    /// Until a probe is due, or somebody else has found the instance down since this look.
    async fn wait(&mut self, look: Look, earliest: Instant, due: Instant) {
        let mut until = due.max(earliest);
        loop {
            let status = self.health.status();
            if let Some(change) = Change::between(self.last, status) {
                self.last = status;
                (self.changed)(change);
            }
            if self.health.is_down_since(look) {
                until = earliest;
            }
            if timeout_at(until, self.health.changed()).await.is_err() {
                return;
            }
        }
    }
}
