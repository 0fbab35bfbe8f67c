//! A token in its compact form (RFC 7515, section 7.1): what it says, once its signature is known to be good.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::keys::{KeySet, LONGEST_ID, NoKey};

/// The longest token that is looked at, in bytes.
pub(crate) const LONGEST: usize = 8 << 10;

/// What a token says.
pub(super) type Claims = Map<String, Value>;

/// Why a token is not taken, for the log alone. None of them repeats anything of the token.
pub(super) type Why = &'static str;

/// A token whose key nobody here has.
pub(super) const UNKNOWN_KEY: Why = "the token's key is not in the set";

/// Whether it has the form of one.
pub(super) fn looks_like_one(token: &[u8]) -> bool {
    // `{"` in Base64: every header begins so.
    token.starts_with(b"eyJ") && token.split(|byte| *byte == b'.').count() == 3
}

/// What this token says, if it is signed by one of these keys, by one of these algorithms.
pub(super) fn read(token: &[u8], algorithms: &[Algorithm], keys: &KeySet) -> Result<Claims, Why> {
    if token.len() > LONGEST {
        return Err("the token is longer than 8 KiB");
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(claims), Some(signed), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("the token has not three parts");
    };
    let object = |part: &[u8]| -> Option<Claims> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let head = object(header).ok_or("the token's header is not JSON")?;
    if head.contains_key("crit") {
        // RFC 7515, section 4.1.11: what has to be understood is not.
        return Err("the token's header has critical extensions");
    }
    let algorithm = head.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
    let algorithm = algorithm
        .filter(|algorithm| algorithms.contains(algorithm))
        .ok_or("the token's algorithm is not one of those in the configuration")?;
    let id = match head.get("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= LONGEST_ID => Some(id.as_str()),
        Some(_) => return Err("the token's key id is none"),
    };
    let key = keys.find(algorithm, id).map_err(|error| match error {
        NoKey::Unknown => UNKNOWN_KEY,
        NoKey::Unclear => "no key of the set, or more than one, is for the token's algorithm",
    })?;
    let signed = URL_SAFE_NO_PAD.decode(signed).map_err(|_| "the token's signature is none")?;
    let message = &token[..=header.len() + claims.len()];
    if !algorithm.verify(key, message, &signed) {
        return Err("the token's signature is wrong");
    }
    object(claims).ok_or("the token's claims are not JSON")
}
