//! Fetching the issuer's keys: before the program listens, again and again, and when a token names another one;
//! never while a request waits for it.

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Collected, Limited};
use jairouter_core::Payload;
use jairouter_core::client::{HttpClient, NewConnection};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::ServiceExt;

use super::{Current, KeySet};
use crate::config::{Config, Jwks, Jwt, KeySource};
use crate::reasons::chain;

/// How long the program waits for the keys before it listens without them.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long one fetch may take, all in all.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long after a fetch unknown keys do not cause another one.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(60);

/// When a fetch that failed is tried again, the first time; then twice as long each time.
const AGAIN: Duration = Duration::from_secs(1);

/// The longest set read, in bytes.
const LARGEST: usize = 1 << 20;

/// Asks the URL of this configuration, if it has one, and waits a little for what it says.
pub(crate) async fn first(config: &mut Config) {
    let Some(jwt) = &mut config.security.jwt else { return };
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
    let mut again = AGAIN;
    let mut is_there = jwt.fetched.is_some();
    let mut asked = is_there.then(Instant::now);
    loop {
        if let Some(asked) = asked {
            let pause = if is_there { jwks.refresh } else { again };
            let due = sleep_until(asked + pause);
            let wanted = async {
                current.wanted.notified().await;
                sleep_until(asked + UNKNOWN_PAUSE).await;
            };
            tokio::select! {
                () = due => {}
                () = wanted, if is_there => {}
            }
        }
        asked = Some(Instant::now());
        match ask(jwks, &jwt).await {
            Ok(set) => {
                if current.replace(Arc::new(set)) {
                    tracing::info!(url = jwks.url, "the keys that tokens are checked with");
                }
                (is_there, again) = (true, AGAIN);
            }
            Err(reason) => {
                failed(jwks, &reason);
                if is_there {
                    is_there = false;
                } else {
                    again = again.saturating_mul(2).min(jwks.refresh.min(UNKNOWN_PAUSE));
                }
                // One that fails at once is not asked all the time, however the clock goes.
                sleep(Duration::from_millis(100)).await;
            }
        }
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
        Some(tls) => client.tls(tls.config()),
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
