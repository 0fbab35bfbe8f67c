//! Keys: who may ask, known by the digests of what they hold.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response};
use jairouter_core::gateway::VisibleModels;
use jairouter_core::rate_limit::Limiter;
use jairouter_core::request::Principal;
use jairouter_core::trace::trace_id;
use jairouter_core::waiting_room::Priority;
use jairouter_core::{Endpoint, Error, InferenceRequest, Kind, ServiceType};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::config;
use crate::jwt::{self, Denied, Door};
use crate::neighbours::Neighbours;
use crate::serving::{endpoint_of, told};

/// What a new key begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "jr-";

/// What the caller is told, whatever it is.
const NOT_VALID: &str = "the API key is not valid";

/// The longest key that is looked at, in bytes.
const LONGEST: usize = 512;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Those who may ask.
#[derive(Default)]
pub struct Keys {
    by_digest: Option<HashMap<[u8; 32], Arc<Key>>>,
    door: Option<Door>,
    failures: Option<Arc<dyn Limiter>>,
    neighbours: Option<Neighbours>,
}

/// Why a request is not let in.
pub struct Refused {
    pub(crate) error: Error,
    /// For the log alone.
    pub(crate) why: &'static str,
}

/// What whoever was not let in is answered.
#[derive(Debug)]
#[non_exhaustive]
pub struct TurnedAway {
    /// The answer, without the request's id in its head.
    pub response: Response<Bytes>,
    /// Whether its address has sent too many requests without a good key: a server may close its connection.
    pub is_one_too_many: bool,
}

/// Which services have each model.
pub(crate) type Served = HashMap<Box<str>, Vec<ServiceType>>;

/// A key, and the limits of its holder.
pub(crate) struct Key {
    pub(crate) settings: config::Key,
    pub(crate) limits: Vec<Arc<dyn Limiter>>,
    principal: Principal,
    /// Which services have which models, if it is not for all of them.
    served: Option<Arc<Served>>,
}

impl Keys {
    /// These, and those whom the issuer's tokens name, or anybody if there is neither: who comes from a page of
    /// the web, then, only if it is a neighbour's.
    pub(crate) fn new(
        keys: Option<Vec<Key>>,
        door: Option<Door>,
        failures: Option<Arc<dyn Limiter>>,
        neighbours: Option<Neighbours>,
    ) -> Self {
        let by_digest = |keys: Vec<Key>| {
            keys.into_iter().map(|key| (key.settings.digest, Arc::new(key))).collect()
        };
        Self { by_digest: keys.map(by_digest), door, failures, neighbours }
    }

    /// Lets a request in, and notes who sent it; its credential goes no further.
    ///
    /// # Errors
    ///
    /// [`Kind::Unauthorized`] if keys are asked for and it has none that is good. Which of the reasons it
    /// is the caller is not told.
    pub fn admit<B>(
        &self,
        request: &mut Request<B>,
        now: fn() -> Timestamp,
    ) -> Result<(), Refused> {
        if self.are_none() {
            let neighbours = self.neighbours.as_ref();
            return neighbours.map_or(Ok(()), |neighbours| neighbours.admit(request.headers()));
        }
        let (header, token) = credential(request.headers())?;
        let key = self.holder(&header, token, now)?;
        request.headers_mut().remove(header);
        // An engine's own key may be there beside it; one of ours goes to no engine.
        let beside = request.headers().get(AUTHORIZATION).map(|value| bearer(value.as_bytes()));
        if beside.is_some_and(|token| self.knows(token.trim_ascii())) {
            request.headers_mut().remove(AUTHORIZATION);
        }
        key.note(request.extensions_mut());
        Ok(())
    }

    /// Counts a request that is not let in, of this address. How long it is to stay away, if it was one too
    /// many: who has a good key is let in all the same.
    fn failed(&self, client: IpAddr) -> Option<Duration> {
        let failures = self.failures.as_ref()?;
        // Limits are of requests to models; whose it is here is all that counts.
        let json = Bytes::from_static(br#"{"model":"m"}"#);
        let any = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), json).ok()?;
        let refusal = failures.acquire(&any.with_client(Some(client)), Instant::now()).err()?;
        Some(refusal.retry_after)
    }

    /// Whether neither a key nor a token is asked for.
    pub fn are_none(&self) -> bool {
        self.by_digest.is_none() && self.door.is_none()
    }

    /// What whoever is not let in is answered, in the words of what it asked; the log has a line of it. Who comes without
    /// a good key is counted by this address: one that has come too often is told so.
    pub fn turn_away<B>(
        &self,
        request: &Request<B>,
        refused: Refused,
        client: Option<IpAddr>,
        id: &HeaderValue,
    ) -> TurnedAway {
        let Refused { mut error, why } = refused;
        let endpoint = endpoint_of(request.uri().path());
        let is_stranger = error.kind() == Kind::Unauthorized;
        let wait = client.filter(|_| is_stranger).and_then(|client| self.failed(client));
        let client = client.map(tracing::field::display);
        if let Some(wait) = wait {
            let message = "there were too many requests without a good API key";
            error = Error::new(Kind::RateLimited, message).with_retry_after(wait);
            tracing::debug!(target: "access", error = "too_many_failures", client, "refused at the door");
        } else {
            // Any other path may be long, or hold what is none of the log's business.
            tracing::info!(
                target: "access",
                request_id = id.to_str().ok(),
                trace_id = trace_id(request.headers()).map(tracing::field::display),
                endpoint = endpoint.map(Endpoint::path),
                status = error.status().as_u16(),
                error = error.kind().code(),
                why,
                client,
                "refused at the door"
            );
        }
        let mut response = told(endpoint, &error.with_request_id(id.clone()));
        if is_stranger {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        TurnedAway { response, is_one_too_many: wait.is_some() }
    }

    fn holder(
        &self,
        header: &HeaderName,
        token: &[u8],
        now: fn() -> Timestamp,
    ) -> Result<Arc<Key>, Refused> {
        let digest = digest(token);
        let key = self.by_digest.as_ref().and_then(|keys| keys.get(&digest));
        let key = key.filter(|key| bool::from(key.settings.digest.ct_eq(&digest)));
        match (key, &self.door) {
            (Some(key), _) if key.settings.expires.is_none_or(|expires| now() < expires) => {
                Ok(Arc::clone(key))
            }
            (Some(_), _) => Err(refused(NOT_VALID, "the key has expired")),
            (None, Some(door)) if *header == AUTHORIZATION && Door::is_for(token) => {
                door.admit(token, &digest, now()).map_err(|denied| match denied {
                    Denied::Bad(why) => refused(NOT_VALID, why),
                    Denied::Full => Refused {
                        error: Error::new(Kind::Overloaded, "too many are asking at once")
                            .with_retry_after(Duration::from_secs(5)),
                        why: "the limits of more holders of tokens have no room",
                    },
                })
            }
            (None, _) => Err(refused(NOT_VALID, "nobody has this key")),
        }
    }

    /// Whether this would let, or once has let, somebody in.
    fn knows(&self, token: &[u8]) -> bool {
        let keys = self.by_digest.as_ref();
        keys.is_some_and(|keys| keys.contains_key(&digest(token)))
            || self.door.as_ref().is_some_and(|door| door.has_signed(token))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.by_digest.iter().flat_map(HashMap::values).map(|key| &key.settings.name);
        f.debug_list().entries(names).finish()
    }
}

/// What a request shows, and in which header: `X-API-Key`, or else `Authorization`.
fn credential(headers: &HeaderMap) -> Result<(HeaderName, &[u8]), Refused> {
    let one = |name: &HeaderName| -> Result<Option<&HeaderValue>, Refused> {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(refused("there is more than one API key", "there is more than one key")),
        }
    };
    let (header, token) = match (one(&API_KEY)?, one(&AUTHORIZATION)?) {
        (Some(key), _) => (API_KEY, key.as_bytes()),
        (None, Some(value)) => (AUTHORIZATION, bearer(value.as_bytes())),
        (None, None) => {
            return Err(refused(
                "an API key is needed, as 'Authorization: Bearer …' or 'X-API-Key: …'",
                "there is no key",
            ));
        }
    };
    let token = token.trim_ascii();
    if token.is_empty() {
        return Err(refused(NOT_VALID, "the key is empty"));
    }
    let longest = if Door::is_for(token) { jwt::LONGEST } else { LONGEST };
    if token.len() > longest {
        return Err(refused(NOT_VALID, "the key is too long"));
    }
    Ok((header, token))
}

/// What stands behind `Bearer`; nothing if that is not what it is.
fn bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked(b"Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => token,
        _ => b"",
    }
}

fn refused(message: &'static str, why: &'static str) -> Refused {
    Refused { error: Error::new(Kind::Unauthorized, message), why }
}

// === impl Key ===

impl Key {
    /// A key where these models are served.
    pub(crate) fn new(
        settings: config::Key,
        limits: Vec<Arc<dyn Limiter>>,
        served: &Arc<Served>,
    ) -> Self {
        // A name may be given to another key one day.
        let id = settings.digest.first_chunk().map_or(0, |id| u64::from_le_bytes(*id));
        let principal = Principal::new(settings.name.as_str()).with_id(id);
        let served = settings.rights.services.is_some().then(|| Arc::clone(served));
        Self { settings, limits, principal, served }
    }

    fn note(self: Arc<Self>, extensions: &mut Extensions) {
        extensions.insert(self.principal.clone());
        let priority = Priority(self.settings.rights.priority);
        if priority != Priority::default() {
            extensions.insert(priority);
        }
        if self.settings.rights.models.is_some() || self.served.is_some() {
            let key = Arc::clone(&self);
            extensions.insert(VisibleModels::new(move |name| key.may_see(name)));
        }
        extensions.insert(Held(self));
    }

    fn may_see(&self, model: &str) -> bool {
        let (served, services) = (self.served.as_ref(), self.settings.rights.services.as_ref());
        let has = |served: &Arc<Served>| {
            let by = served.get(model).into_iter().flatten();
            by.into_iter().any(|one| services.is_none_or(|services| services.contains(one)))
        };
        self.may_name(model) && served.is_none_or(has)
    }

    fn may_name(&self, model: &str) -> bool {
        let patterns = self.settings.rights.models.as_ref();
        patterns.is_none_or(|patterns| patterns.iter().any(|pattern| matches(pattern, model)))
    }

    /// Whether its holder may ask this.
    ///
    /// # Errors
    ///
    /// [`Kind::Forbidden`] if not.
    pub(crate) fn permit(&self, request: &InferenceRequest) -> Result<(), Error> {
        let service = request.endpoint.service_type();
        let services = self.settings.rights.services.as_ref();
        if services.is_some_and(|services| !services.contains(&service)) {
            let message = format!("your API key is not for {}", request.endpoint);
            return Err(Error::new(Kind::Forbidden, message));
        }
        if !self.may_name(&request.model) {
            let message = format!("your API key is not for the model '{}'", request.model);
            return Err(Error::new(Kind::Forbidden, message).with_param("model"));
        }
        Ok(())
    }
}

/// In a request's extensions: the key it came with.
#[derive(Clone)]
pub(crate) struct Held(pub(crate) Arc<Key>);

/// Whether a name is of this pattern, in which a `*` is anything.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

/// A new key, of 256 bits of chance.
///
/// # Errors
///
/// If the system has none to give, as text.
pub fn new() -> Result<String, String> {
    let mut chance = [0; 32];
    getrandom::fill(&mut chance).map_err(|error| format!("the system has no chance: {error}"))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(chance)))
}

/// What is kept of a key: its SHA-256.
pub fn digest(key: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_anything_and_everything_else_itself() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("a*", "b", false),
            ("*", "", true),
            ("*b", "ab", true),
            ("a*a", "a", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*b*b", "ab", false),
            ("qwen3:*", "qwen3:1.7b", true),
            ("qwen3:*", "qwen2:1.7b", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_new_key_is_like_no_other_and_known_by_its_digest() {
        let (one, two) = (new().unwrap(), new().unwrap());
        assert!(one.starts_with("jr-") && one.len() == 46 && one != two);
        assert_ne!(digest(&one), digest(&two));
    }
}
