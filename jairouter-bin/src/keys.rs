//! Keys: who may ask, known by the digests of what they hold.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request};
use jairouter_core::gateway::VisibleModels;
use jairouter_core::rate_limit::Limiter;
use jairouter_core::request::Principal;
use jairouter_core::waiting_room::Priority;
use jairouter_core::{Error, InferenceRequest, Kind};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config;

/// What a new key begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "jr-";

/// The longest credential that is looked at, in bytes.
const LONGEST: usize = 512;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Those who may ask.
#[derive(Default)]
pub struct Keys(Option<HashMap<[u8; 32], Arc<Key>>>);

/// A key, and the limits of its holder.
pub(crate) struct Key {
    pub(crate) settings: config::Key,
    pub(crate) limits: Vec<Arc<dyn Limiter>>,
    principal: Principal,
    /// The models of its services, if it is not for all of them.
    served: Option<HashSet<Box<str>>>,
}

impl Keys {
    /// These, or anybody if there is no list.
    pub(crate) fn new(keys: Option<Vec<Key>>) -> Self {
        let by_digest = |keys: Vec<Key>| {
            keys.into_iter().map(|key| (key.settings.digest, Arc::new(key))).collect()
        };
        Self(keys.map(by_digest))
    }

    /// Lets a request in, and notes who sent it; its credential goes no further.
    ///
    /// # Errors
    ///
    /// [`Kind::Unauthorized`] if keys are asked for and it has none that is good. Which of the reasons it
    /// is the caller is not told.
    pub(crate) fn admit<B>(&self, request: &mut Request<B>, now: Timestamp) -> Result<(), Error> {
        let Some(keys) = &self.0 else { return Ok(()) };
        let (header, token) = credential(request.headers())?;
        let digest = digest_of(token);
        let key = keys.get(&digest).filter(|key| {
            let is_same: bool = key.settings.digest.ct_eq(&digest).into();
            is_same && key.settings.expires.is_none_or(|expires| now < expires)
        });
        let key = Arc::clone(key.ok_or_else(|| refused("the API key is not valid"))?);
        request.headers_mut().remove(header);
        // An engine's own key may be there beside it; one of ours goes to no engine.
        let beside = request.headers().get(AUTHORIZATION).map(|value| bearer(value.as_bytes()));
        if beside.is_some_and(|token| keys.contains_key(&digest_of(token.trim_ascii()))) {
            request.headers_mut().remove(AUTHORIZATION);
        }
        key.note(request.extensions_mut());
        Ok(())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.iter().flat_map(HashMap::values).map(|key| &key.settings.name);
        f.debug_list().entries(names).finish()
    }
}

/// What a request shows, and in which header: `X-API-Key`, or else `Authorization`.
fn credential(headers: &HeaderMap) -> Result<(HeaderName, &[u8]), Error> {
    let one = |name: &HeaderName| -> Result<Option<&HeaderValue>, Error> {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(refused("there is more than one API key")),
        }
    };
    let (header, token) = match (one(&API_KEY)?, one(&AUTHORIZATION)?) {
        (Some(key), _) => (API_KEY, key.as_bytes()),
        (None, Some(value)) => (AUTHORIZATION, bearer(value.as_bytes())),
        (None, None) => {
            return Err(refused(
                "an API key is needed, as 'Authorization: Bearer …' or 'X-API-Key: …'",
            ));
        }
    };
    let token = token.trim_ascii();
    if token.is_empty() || token.len() > LONGEST {
        return Err(refused("the API key is not valid"));
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

fn refused(message: &'static str) -> Error {
    Error::new(Kind::Unauthorized, message)
}

// === impl Key ===

impl Key {
    pub(crate) fn new(settings: config::Key, limits: Vec<Arc<dyn Limiter>>) -> Self {
        // A name may be given to another key one day.
        let id = settings.digest.first_chunk().map_or(0, |id| u64::from_le_bytes(*id));
        let principal = Principal::new(settings.name.as_str()).with_id(id);
        Self { settings, limits, principal, served: None }
    }

    /// The same where it is known which models the services have that it is for.
    pub(crate) fn seeing(self, served: HashSet<Box<str>>) -> Self {
        Self { served: Some(served), ..self }
    }

    fn note(self: Arc<Self>, extensions: &mut Extensions) {
        extensions.insert(self.principal.clone());
        extensions.insert(Priority(self.settings.priority));
        if self.settings.models.is_some() || self.served.is_some() {
            let key = Arc::clone(&self);
            extensions.insert(VisibleModels::new(move |name| key.may_see(name)));
        }
        extensions.insert(Held(self));
    }

    fn may_see(&self, model: &str) -> bool {
        self.may_name(model) && self.served.as_ref().is_none_or(|served| served.contains(model))
    }

    fn may_name(&self, model: &str) -> bool {
        let patterns = self.settings.models.as_ref();
        patterns.is_none_or(|patterns| patterns.iter().any(|pattern| matches(pattern, model)))
    }

    /// Whether its holder may ask this.
    ///
    /// # Errors
    ///
    /// [`Kind::Forbidden`] if not.
    pub(crate) fn permit(&self, request: &InferenceRequest) -> Result<(), Error> {
        let service = request.endpoint.service_type();
        let services = self.settings.services.as_ref();
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
pub(crate) fn new() -> Result<String, String> {
    let mut chance = [0; 32];
    getrandom::fill(&mut chance).map_err(|error| format!("the system has no chance: {error}"))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(chance)))
}

/// What is kept of a key.
pub(crate) fn digest(key: &str) -> [u8; 32] {
    digest_of(key.as_bytes())
}

pub(crate) fn digest_of(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
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
