//! `security.jwt`: whose tokens let their holders in.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::instance::model_name;
use super::map::Map;
use super::reader::Field;
use super::security::{Rights, rights};
use super::server::set;
use super::tls::{self, Tls, file};
use super::value;
use crate::jwt::{Algorithm, KeySet};

/// The longest leeway: clocks of one network are never further apart.
const MOST_LEEWAY: Duration = Duration::from_secs(600);

/// Whose tokens are taken, and what their holders may ask.
#[derive(Clone)]
#[non_exhaustive]
pub struct Jwt {
    /// `algorithms`, at least one.
    pub algorithms: Vec<Algorithm>,
    /// `secret`, `jwks-file` or `jwks-url`.
    pub(crate) source: KeySource,
    /// Whether the URL was asked before this is served, and what it has said.
    pub(crate) asked: bool,
    pub(crate) fetched: Option<Arc<KeySet>>,
    /// `issuer`: one of these. With a secret there may be none, and then any is taken.
    pub issuers: Vec<String>,
    /// `audience`: one of these; likewise.
    pub audiences: Vec<String>,
    /// `leeway`: for clocks that differ. Default 30 s.
    pub leeway: Duration,
    /// `holder-claim`. Default `sub`.
    pub holder_claim: String,
    /// `rights-claim`. Default `jairouter`.
    pub rights_claim: String,
    /// What holders may ask of whom their token says nothing else.
    pub rights: Rights,
}

/// Where the keys come from that tokens are checked with.
#[derive(Clone)]
pub(crate) enum KeySource {
    /// They are there.
    Known(Arc<KeySet>),
    /// They are fetched.
    Url(Jwks),
}

/// A JWKS that is fetched.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Jwks {
    /// As it was written.
    pub(crate) url: String,
    pub(crate) uri: Uri,
    /// `refresh`. Default 10 min.
    pub(crate) refresh: Duration,
    /// With `https`.
    pub(crate) tls: Option<Arc<Tls>>,
}

/// Never prints a secret.
impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("algorithms", &self.algorithms)
            .field("issuers", &self.issuers)
            .field("audiences", &self.audiences)
            .field("rights", &self.rights)
            .finish_non_exhaustive()
    }
}

/// Reads `security.jwt`.
pub(super) fn jwt(field: &Field<'_>) -> Option<Arc<Jwt>> {
    let mut map = field.map()?.strict();
    let algorithms = map.take("algorithms").map(|field| {
        let fields = field.list().unwrap_or_default();
        // Exactly as tokens have them: `hs256` is none.
        let one = |field: &Field<'_>| field.parse(named);
        fields.iter().filter_map(one).collect::<Vec<_>>()
    });
    let algorithms = algorithms.unwrap_or_default();
    if algorithms.is_empty() {
        map.error("this needs 'algorithms', the ones that tokens may be signed by");
    }
    let source = source(&mut map, &algorithms);
    let (issuers, audiences) = (names(&mut map, "issuer"), names(&mut map, "audience"));
    if !matches!(&source, Some((_, true))) {
        // Whoever has the same issuer's token for something else is not to be let in.
        for (key, names) in [("issuer", &issuers), ("audience", &audiences)] {
            if names.is_empty() {
                map.error(format!("tokens that others sign need an '{key}' to be taken by"));
            }
        }
    }
    let mut leeway = Duration::from_secs(30);
    set(&mut map, "leeway", &mut leeway, |text| match value::duration(text)? {
        leeway if leeway <= MOST_LEEWAY => Ok(leeway),
        _ => Err(format!("'{text}' is more than ten minutes")),
    });
    let (mut holder_claim, mut rights_claim) = ("sub".to_owned(), "jairouter".to_owned());
    set(&mut map, "holder-claim", &mut holder_claim, model_name);
    set(&mut map, "rights-claim", &mut rights_claim, model_name);
    let rights = rights(&mut map);
    map.finish();
    Some(Arc::new(Jwt {
        algorithms,
        source: source?.0,
        asked: false,
        fetched: None,
        issuers,
        audiences,
        leeway,
        holder_claim,
        rights_claim,
        rights,
    }))
}

fn named(text: &str) -> Result<Algorithm, String> {
    let found = Algorithm::ALL.iter().find(|(name, _)| *name == text);
    found.map(|(_, algorithm)| *algorithm).ok_or_else(|| {
        let names: Vec<_> = Algorithm::ALL.iter().map(|(name, _)| *name).collect();
        format!("'{text}' is no algorithm here; there are: {}", names.join(", "))
    })
}

/// Where the keys come from, and whether that is a secret.
fn source(map: &mut Map<'_>, algorithms: &[Algorithm]) -> Option<(KeySource, bool)> {
    let (secret, path) = (map.take("secret"), map.take("jwks-file"));
    let url = map.take("jwks-url");
    let mut refresh = Duration::from_secs(600);
    let is_fetched = url.is_some();
    for key in ["refresh", "tls"] {
        if !is_fetched && let Some(field) = map.peek(key) {
            field.error_at_key("this goes with a 'jwks-url'");
        }
    }
    set(map, "refresh", &mut refresh, |text| match value::timeout(text)? {
        refresh if refresh >= Duration::from_secs(1) => Ok(refresh),
        _ => Err(format!("'{text}' is less than a second")),
    });
    let trusted = map.take("tls").map(|field| tls::tls(&field));
    let symmetric = algorithms.iter().filter(|algorithm| algorithm.is_symmetric()).count();
    let (is_secret, source) = match (secret, path, url) {
        (Some(secret), None, None) => (true, self::secret(&secret, algorithms)),
        (None, Some(path), None) => {
            let json = file(&path, &mut Vec::new())?;
            let read = |_: &str| KeySet::jwks(&json, algorithms).map_err(str::to_owned);
            (false, path.parse(read).map(|set| KeySource::Known(Arc::new(set))))
        }
        (None, None, Some(url)) => {
            let (uri, is_safe) = url.parse(self::url)?;
            let written = url.parse(|text| Ok(text.to_owned()))?;
            let tls = match (is_safe, trusted) {
                (false, _) => None,
                (true, Some(tls)) => Some(tls?),
                (true, None) => Some(Tls::of_the_system().map_err(|error| url.error(error)).ok()?),
            };
            (false, Some(KeySource::Url(Jwks { url: written, uri, refresh, tls })))
        }
        _ => {
            map.error("this needs one of 'secret', 'jwks-file' and 'jwks-url'");
            return None;
        }
    };
    match is_secret {
        true if symmetric < algorithms.len() => {
            map.error("a 'secret' goes with HS256, HS384 and HS512 alone");
        }
        false if symmetric > 0 => {
            map.error("HS256, HS384 and HS512 need a 'secret': they know no public keys");
        }
        _ => {}
    }
    Some((source?, is_secret))
}

/// No message repeats it.
fn secret(field: &Field<'_>, algorithms: &[Algorithm]) -> Option<KeySource> {
    let shortest = algorithms.iter().map(|algorithm| algorithm.shortest_secret()).max();
    field.parse(|text| match shortest {
        Some(shortest) if text.len() < shortest => {
            Err(format!("the secret is shorter than {shortest} bytes, which its algorithm needs"))
        }
        _ => Ok(KeySource::Known(Arc::new(KeySet::secret(text.as_bytes().to_vec())))),
    })
}

/// Where to fetch from, and whether over TLS. Plain HTTP stays on this machine: whoever could change the
/// keys on their way could sign tokens.
fn url(text: &str) -> Result<(Uri, bool), String> {
    // What is refused is not repeated: it may hold a password.
    let uri: Uri = text.parse().map_err(|_| "this is no URL".to_owned())?;
    let authority = uri.authority().ok_or("this is no URL: it has no host")?;
    if authority.as_str().contains('@') {
        return Err("a URL with a user name or a password is not taken".into());
    }
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok((uri, true)),
        Some("http") if is_here => Ok((uri, false)),
        Some("http") => Err("keys are fetched over https, or http from this machine alone".into()),
        _ => Err("this is no URL: it begins with https://".into()),
    }
}

/// One name, or a list of them.
fn names(map: &mut Map<'_>, key: &'static str) -> Vec<String> {
    let Some(field) = map.take(key) else { return Vec::new() };
    let name = |text: &str| match text.len() {
        1..=1024 => Ok(text.to_owned()),
        _ => Err("this is empty, or longer than 1024 bytes".to_owned()),
    };
    if !field.is_list() {
        return field.parse(name).into_iter().collect();
    }
    let fields = field.list().unwrap_or_default();
    if fields.is_empty() {
        field.error("there is none here, and nobody could be let in");
    }
    fields.iter().filter_map(|field| field.parse(name)).collect()
}
