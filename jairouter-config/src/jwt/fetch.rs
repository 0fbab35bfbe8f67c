//! Fetching the issuer's keys: before they are needed, again and again, and when a token names another one;
//! never while a request waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::header::ACCEPT;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Collected, Limited};
use jairouter_core::Payload;
use jairouter_core::client::{HttpClient, NewConnection};
use tokio::time::{Instant, sleep_until, timeout};
use tower::ServiceExt;

use super::{Current, KeySet};
use crate::config::{Config, Http2, Jwks, Jwt, KeySource};
use crate::reasons::chain;

/// How long it is waited for the keys before it is served without them.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long one fetch may take, all in all.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long after a fetch unknown keys do not cause another one.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(60);

/// When a fetch that failed is tried again, the first time; then twice as long each time.
const AGAIN: Duration = Duration::from_secs(1);

/// The longest set read, in bytes.
const LARGEST: usize = 1 << 20;

/// Asks the URL of this configuration, if it has one and was not asked yet, and waits a little for what it says.
pub(crate) async fn first(config: &mut Config) {
    let Some(jwt) = &mut config.security.jwt else { return };
    if jwt.asked {
        return;
    }
    Arc::make_mut(jwt).asked = true;
    let KeySource::Url(jwks) = &jwt.source else { return };
    let fetched = match timeout(PATIENCE, ask(jwks, jwt)).await {
        Ok(Ok(set)) => set,
        Ok(Err(reason)) => return failed(jwks, &reason),
        Err(_) => return failed(jwks, &format!("no answer in {PATIENCE:?}")),
    };
    Arc::make_mut(jwt).fetched = Some(Arc::new(fetched));
}

/// Keeps the keys as the URL has them, for as long as it is polled. What cannot be had changes nothing.
pub(crate) async fn run(jwt: Arc<Jwt>, current: Arc<Current>) {
    let KeySource::Url(jwks) = &jwt.source else { return };
    let mut schedule = Schedule::new(jwks.refresh, jwt.fetched.is_some());
    loop {
        schedule.due(&current).await;
        let asked = ask(jwks, &jwt).await;
        schedule.done(asked.is_ok());
        match asked {
            Ok(set) => {
                if current.replace(Arc::new(set)) {
                    tracing::info!(url = jwks.url, "the keys that tokens are checked with");
                }
            }
            Err(reason) => failed(jwks, &reason),
        }
    }
}

/// When to fetch: so often, soon again if it fails, and once a minute at most for keys that nobody knows.
struct Schedule {
    refresh: Duration,
    again: Duration,
    worked: bool,
    /// When the last one ended: one that takes long is not followed by the next at once.
    last: Option<Instant>,
}

impl Schedule {
    fn new(refresh: Duration, is_there: bool) -> Self {
        Self { refresh, again: AGAIN, worked: is_there, last: is_there.then(Instant::now) }
    }

    /// Waits for the next one.
    async fn due(&self, current: &Current) {
        let Some(last) = self.last else { return };
        let wanted = async {
            current.wanted.notified().await;
            sleep_until(last + UNKNOWN_PAUSE).await;
        };
        tokio::select! {
            () = sleep_until(last + if self.worked { self.refresh } else { self.again }) => {}
            () = wanted, if self.worked => {}
        }
        // Whoever has come until now is served by the one that is due.
        let _ = current.wanted.notified().now_or_never();
    }

    fn done(&mut self, worked: bool) {
        self.again = match worked || self.worked {
            true => AGAIN,
            false => self.again.saturating_mul(2).min(self.refresh.min(UNKNOWN_PAUSE)),
        };
        (self.worked, self.last) = (worked, Some(Instant::now()));
    }
}

fn failed(jwks: &Jwks, reason: &str) {
    tracing::warn!(
        url = jwks.url,
        reason,
        "the keys that tokens are checked with cannot be fetched: those that are there stay"
    );
}

/// The keys that the URL has now.
///
/// # Errors
///
/// Why they cannot be had.
async fn ask(jwks: &Jwks, jwt: &Jwt) -> Result<KeySet, String> {
    match timeout(TIMEOUT, list(jwks)).await {
        Ok(json) => KeySet::jwks(&json?, &jwt.algorithms).map_err(str::to_owned),
        Err(_) => Err(format!("no answer in {TIMEOUT:?}")),
    }
}

async fn list(jwks: &Jwks) -> Result<Vec<u8>, String> {
    let client = HttpClient::builder();
    let client = match &jwks.tls {
        Some(tls) => client.tls(tls.config(Http2::Never)),
        None => client,
    };
    let authority = jwks.uri.authority().ok_or("the URL names no host")?;
    let mut request = Request::new(Payload::default());
    *request.uri_mut() = jwks.uri.clone();
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    request.extensions_mut().insert(NewConnection);
    let answer = client.build(authority).oneshot(request).await.map_err(|error| chain(&error))?;
    // A redirection is none of the places that the configuration names.
    if !answer.status().is_success() {
        return Err(format!("it answers with {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), LARGEST).collect().await;
    body.map(Collected::to_bytes).map(Into::into).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When it is fetched, in seconds, within so long, where unknown keys come at these times.
    async fn fetched(within: u64, unknown: &[u64], works: impl Fn(usize) -> bool) -> Vec<u64> {
        let (current, start) = (Current::default(), Instant::now());
        let mut times = Vec::new();
        let fetch = async {
            let mut schedule = Schedule::new(Duration::from_secs(600), false);
            loop {
                schedule.due(&current).await;
                times.push(start.elapsed().as_secs());
                schedule.done(works(times.len()));
            }
        };
        let come = async {
            for second in unknown {
                sleep_until(start + Duration::from_secs(*second)).await;
                current.wanted.notify_one();
            }
            std::future::pending::<()>().await;
        };
        let both = async {
            tokio::select! { () = fetch => {}, () = come => {} }
        };
        assert!(timeout(Duration::from_secs(within), both).await.is_err());
        times
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_has_them_fetched_once_a_minute_at_most() {
        assert_eq!(fetched(1300, &[], |_| true).await, [0, 600, 1200]);
        let many: Vec<_> = (5..59).collect();
        assert_eq!(fetched(130, &many, |_| true).await, [0, 60], "however often it comes");
        assert_eq!(fetched(400, &[100, 101, 300], |_| true).await, [0, 100, 160, 300]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_soon_and_then_less_and_less_often() {
        let times = fetched(300, &[], |_| false).await;
        assert_eq!(times, [0, 2, 6, 14, 30, 62, 122, 182, 242], "it has not worked yet");
        let times = fetched(660, &[], |number| number != 2).await;
        assert_eq!(times, [0, 600, 601], "it has worked before");
        let many: Vec<_> = (0..20).collect();
        assert_eq!(fetched(20, &many, |_| false).await, [0, 2, 6, 14], "and is not asked for more");
    }
}
