//! What a token has to say to be taken, and what it says of its holder.

use std::collections::HashSet;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::token::{Claims, Why};
use crate::config::{self, Jwt, Rights, is_model_name};

/// The most models that a token names.
const MOST_MODELS: usize = 1000;

/// Who holds a token, what it is for, and when.
pub(super) struct Holder {
    pub(super) name: String,
    /// Of the issuer and the name: two issuers may each have an "alice".
    pub(super) id: [u8; 32],
    pub(super) rights: Rights,
    /// In seconds since 1970, the leeway included.
    pub(super) from: f64,
    pub(super) until: f64,
}

/// What these claims say, if they are for this gateway and this moment.
pub(super) fn holder(claims: &Claims, of: &Jwt, now: f64) -> Result<Holder, Why> {
    let leeway = of.leeway.as_secs_f64();
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or("the token has a time that is no number"),
    };
    let until = time("exp")?.ok_or("the token does not say when it expires")? + leeway;
    let from = time("nbf")?.map_or(f64::NEG_INFINITY, |from| from - leeway);
    if now >= until {
        return Err("the token has expired");
    }
    if now < from {
        return Err("the token is not valid yet");
    }
    let issuer = claims.get("iss").and_then(Value::as_str);
    if !of.issuers.is_empty()
        && !issuer.is_some_and(|issuer| of.issuers.iter().any(|known| known == issuer))
    {
        return Err("the token is of another issuer");
    }
    let is_ours =
        |name: &Value| name.as_str().is_some_and(|name| of.audiences.iter().any(|a| a == name));
    let is_for_us = match claims.get("aud") {
        Some(Value::Array(names)) => names.iter().any(is_ours),
        Some(name) => is_ours(name),
        None => false,
    };
    if !of.audiences.is_empty() && !is_for_us {
        return Err("the token is for another audience");
    }
    let name = claims.get(&of.holder_claim).and_then(Value::as_str);
    let name =
        name.filter(|name| is_model_name(name)).ok_or("the token does not name its holder")?;
    let rights = match claims.get(&of.rights_claim) {
        None => of.rights.clone(),
        Some(claim) => rights(claim, &of.rights)
            .ok_or("what the token says of its holder's rights is wrong")?,
    };
    let mut id = Sha256::new();
    id.update(issuer.unwrap_or_default().as_bytes());
    // Neither can hold it: a name has no control characters.
    id.update([0]);
    id.update(name.as_bytes());
    Ok(Holder { name: name.to_owned(), id: id.finalize().into(), rights, from, until })
}

/// Rights as a key in the file has them. One that cannot be read might be a restriction: then there are none.
fn rights(claim: &Value, otherwise: &Rights) -> Option<Rights> {
    let mut rights = otherwise.clone();
    let texts = |value: &Value| -> Option<Vec<String>> {
        let texts = value.as_array().filter(|list| list.len() <= MOST_MODELS)?;
        texts.iter().map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let limit = |value: &Value| match value {
        Value::String(text) if text == "unlimited" => Some(None),
        value => value.as_u64().filter(|most| (1..=1_000_000_000).contains(most)).map(Some),
    };
    let mut named = HashSet::new();
    for (name, value) in claim.as_object()? {
        let name = config::fold(name);
        if !named.insert(name.clone()) {
            return None;
        }
        match name.as_str() {
            "models" => rights.models = Some(texts(value)?),
            "services" => {
                let services = texts(value)?;
                rights.services =
                    Some(services.iter().map(|name| name.parse().ok()).collect::<Option<_>>()?);
            }
            "requestsperminute" => rights.requests_per_minute = limit(value)?,
            "tokensperminute" => rights.tokens_per_minute = limit(value)?,
            "concurrency" => rights.concurrency = limit(value)?.map(|most| most as u32),
            "priority" => rights.priority = u8::try_from(value.as_u64()?).ok()?,
            _ => return None,
        }
    }
    Some(rights)
}
