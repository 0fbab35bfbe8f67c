//! `security`: who may ask, and what.

use std::collections::HashSet;
use std::sync::Arc;

use jairouter_core::ServiceType;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::instance::model_name;
use super::jwt::{Jwt, jwt};
use super::map::Map;
use super::reader::Field;
use super::sections::service_type;
use super::server::set;
use super::value::whole;

/// How a digest is written.
const SHA256: &str = "sha256:";

/// Who may ask. If nobody is named, anybody may.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Security {
    /// `api-keys`. Nothing if there is no such list; if there is no `jwt` either, no key is asked for.
    pub keys: Option<Vec<Key>>,
    /// `jwt`. Nothing if no tokens are taken.
    pub jwt: Option<Arc<Jwt>>,
    /// `failures-per-minute`: requests without a good key, of one address. Default 60.
    pub failures_per_minute: Option<u64>,
}

impl Default for Security {
    fn default() -> Self {
        Self { keys: None, jwt: None, failures_per_minute: Some(60) }
    }
}

impl Security {
    /// Whether anybody may ask.
    pub const fn is_open(&self) -> bool {
        self.keys.is_none() && self.jwt.is_none()
    }
}

/// A key that lets its holder in, and what it may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// `name`: what its holder is called in logs.
    pub name: String,
    /// `digest`: SHA-256 of the key, which is nowhere.
    pub digest: [u8; 32],
    /// What its holder may ask.
    pub rights: Rights,
    /// `expires`: from when on it lets nobody in. Default never.
    pub expires: Option<Timestamp>,
}

/// What somebody may ask, and how much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rights {
    /// `models`: names, in which a `*` is anything. Default all.
    pub models: Option<Vec<String>>,
    /// `services`. Default all.
    pub services: Option<Vec<ServiceType>>,
    /// `requests-per-minute`. Default unlimited.
    pub requests_per_minute: Option<u64>,
    /// `tokens-per-minute`. Default unlimited.
    pub tokens_per_minute: Option<u64>,
    /// `concurrency`: requests at a time. Default unlimited.
    pub concurrency: Option<u32>,
    /// `priority`: who waits is served by it, the highest first. Default 0.
    pub priority: u8,
}

/// Reads `security`.
pub(super) fn security(field: &Field<'_>) -> Security {
    let Some(mut map) = field.map().map(Map::strict) else { return Security::default() };
    let keys = map.take("api-keys").map(|field| {
        let (mut names, mut digests) = (HashSet::new(), HashSet::new());
        let mut keys = Vec::new();
        for field in field.list().unwrap_or_default() {
            let Some(key) = key(&field) else { continue };
            if !names.insert(key.name.clone()) {
                field.error(format!("another key has the name '{}'", key.name));
            }
            if !digests.insert(key.digest) {
                field.error("another key has this digest");
            }
            keys.push(key);
        }
        keys
    });
    let jwt = map.take("jwt").and_then(|field| jwt(&field));
    let mut failures_per_minute = Security::default().failures_per_minute;
    set(&mut map, "failures-per-minute", &mut failures_per_minute, limit);
    map.finish();
    Security { keys, jwt, failures_per_minute }
}

fn key(field: &Field<'_>) -> Option<Key> {
    let mut map = field.map()?.strict();
    let mut required = |key: &'static str| {
        let field = map.take(key);
        if field.is_none() {
            map.error(format!("this key has no '{key}'"));
        }
        field
    };
    let name = required("name").and_then(|field| field.parse(model_name));
    let digest = required("digest").and_then(|field| field.parse(digest));
    let rights = rights(&mut map);
    let mut expires = None;
    set(&mut map, "expires", &mut expires, |text| instant(text).map(Some));
    map.finish();
    Some(Key { name: name?, digest: digest?, rights, expires })
}

/// Reads what somebody may ask.
pub(super) fn rights(map: &mut Map<'_>) -> Rights {
    let models = map.take("models").map(|field| {
        let names = field.list().unwrap_or_default();
        names.iter().filter_map(|field| field.parse(model_name)).collect::<Vec<_>>()
    });
    let services = map.take("services").map(|field| {
        let names = field.list().unwrap_or_default();
        names.iter().filter_map(|field| field.parse(service_type)).collect::<Vec<_>>()
    });
    let (mut requests, mut tokens, mut concurrency) = (None, None, None);
    set(map, "requests-per-minute", &mut requests, limit);
    set(map, "tokens-per-minute", &mut tokens, limit);
    set(map, "concurrency", &mut concurrency, |text| match text {
        "unlimited" => Ok(None),
        text => whole(text, 1, u32::MAX.into()).map(|limit| Some(limit as u32)),
    });
    let mut priority = 0;
    set(map, "priority", &mut priority, |text| whole(text, 0, 255).map(|it| it as u8));
    Rights {
        models,
        services,
        requests_per_minute: requests,
        tokens_per_minute: tokens,
        concurrency,
        priority,
    }
}

fn limit(text: &str) -> Result<Option<u64>, String> {
    match text {
        "unlimited" => Ok(None),
        text => whole(text, 1, 1_000_000_000).map(Some),
    }
}

/// A digest as it is written. No message repeats it: somebody may have written the key itself.
fn digest(text: &str) -> Result<[u8; 32], String> {
    let wrong = || {
        "this is no digest: 'jairouter keys new' prints one, sha256: and 64 hexadecimal digits"
            .to_owned()
    };
    let digits = text.strip_prefix(SHA256).ok_or_else(wrong)?;
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let pair = str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

/// The digest of a key, as the file has it.
pub fn written(digest: &[u8; 32]) -> String {
    let digits = digest.iter().map(|byte| format!("{byte:02x}"));
    SHA256.chars().map(String::from).chain(digits).collect()
}

/// A day, which is when it begins in UTC, or an instant.
fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse() {
        return Ok(instant);
    }
    let is_day = text.len() == "2030-01-31".len();
    let day = text
        .parse::<Date>()
        .ok()
        .filter(|_| is_day)
        .and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    let wrong = || format!("'{text}' is no date: give 2030-01-31 or 2030-01-31T12:00:00Z");
    day.map(|day| day.timestamp()).ok_or_else(wrong)
}
