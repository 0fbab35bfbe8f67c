//! The sections that govern: limits, breakers, fallbacks, health.

use std::time::Duration;

use http::StatusCode;
use jairouter_core::ServiceType;
use jairouter_core::fallback::CannedAnswer;

use super::governed::{
    Cache, Canned, CircuitBreaker, Discovery, Fallback, HealthCheck, LimitAlgorithm, RateLimit,
    Said, Scope,
};
use super::map::Map;
use super::mentions::Mention;
use super::names::unknown;
use super::reader::Field;
use super::server::{put, set};
use super::value::{self, flag, positive, size, whole};

/// The most a sliding window counts: see `SlidingWindow`.
const WIDEST_WINDOW: u64 = (1 << 20) - 1;

/// A limit, if it is on.
pub(super) fn rate_limit(field: &Field<'_>) -> Option<RateLimit> {
    let mut map = field.map()?;
    let enabled = enabled(&mut map, false);
    let mut limit = RateLimit::default();
    let algorithms = LimitAlgorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
    choose(&mut map, "algorithm", "algorithm", &algorithms, &mut limit.algorithm);
    let scopes = [
        ("service", Scope::Service),
        ("model", Scope::Model),
        ("client-ip", Scope::ClientIp),
        ("instance", Scope::Instance),
    ];
    choose(&mut map, "scope", "scope", &scopes, &mut limit.scope);
    let widest = match limit.algorithm {
        LimitAlgorithm::SlidingWindow => WIDEST_WINDOW,
        _ => 1_000_000_000,
    };
    set(&mut map, "capacity", &mut limit.capacity, |text| whole(text, 1, widest));
    set(&mut map, "rate", &mut limit.rate, |text| match positive(text)? {
        rate if rate <= 1e9 => Ok(rate),
        _ => Err(format!("'{text}' is more than a billion a second")),
    });
    set(&mut map, "client-ip-enable", &mut limit.per_client, flag);
    set(&mut map, "warm-up-period", &mut limit.warm_up, |text| {
        // A bare number is in seconds here, as the original has it.
        match text.parse::<f64>() {
            Ok(_) => value::timeout(&format!("{text}s")),
            Err(_) => value::timeout(text),
        }
    });
    set(&mut map, "tokens-per-minute", &mut limit.tokens_per_minute, |text| match text {
        "unlimited" => Ok(None),
        text => whole(text, 1, 1_000_000_000).map(Some),
    });
    if let Some(field) = map.take("key") {
        field.inactive("the key of a rate limit means nothing here: see its scope");
    }
    map.finish();
    enabled.then_some(limit)
}

/// A breaker, as far as this level has something to say of it.
pub(super) fn circuit_breaker(field: &Field<'_>, breaker: &mut CircuitBreaker) {
    let Some(mut map) = field.map() else { return };
    breaker.enabled = enabled(&mut map, breaker.enabled);
    let settings = &mut breaker.settings;
    let count = |text: &str| whole(text, 1, 1000).map(|count| count as u32);
    if let Some(threshold) = taken(&mut map, "failure-threshold", count) {
        *settings = settings.with_failure_threshold(threshold);
    }
    if let Some(threshold) = taken(&mut map, "success-threshold", count) {
        *settings = settings.with_success_threshold(threshold);
    }
    if let Some(open_for) = taken(&mut map, "timeout", value::timeout) {
        *settings = settings.with_open_for(open_for);
    }
    if let Some(longest) = taken(&mut map, "max-timeout", value::timeout) {
        *settings = settings.with_max_open_for(longest);
    }
    if let Some(percent) = taken(&mut map, "failure-rate-percent", |text| whole(text, 1, 100)) {
        *settings = settings.with_failure_rate(percent as f64 / 100.0);
    }
    if let Some(least) = taken(&mut map, "minimum-requests", |text| whole(text, 1, 8000)) {
        *settings = settings.with_minimum_requests(least as u32);
    }
    if let Some(window) = taken(&mut map, "window-size", value::timeout) {
        *settings = settings.with_window(window);
    }
    map.finish();
}

/// What answers when nobody can, if it is on, and the models it names. It replaces the wider level's
/// as a whole.
pub(super) fn fallback<'a>(field: &Field<'a>, mentions: &mut Vec<Mention<'a>>) -> Option<Fallback> {
    #[derive(Clone, Copy, PartialEq)]
    enum Strategy {
        Default,
        Cache,
        Model,
    }
    let mut map = field.map()?;
    let enabled = enabled(&mut map, false);
    let (mut fallback, mut cache) = (Fallback::default(), Cache::default());
    let mut strategy = Strategy::Default;
    let strategies =
        [("default", Strategy::Default), ("cache", Strategy::Cache), ("model", Strategy::Model)];
    choose(&mut map, "strategy", "strategy", &strategies, &mut strategy);
    let caches = !enabled || strategy == Strategy::Cache;
    let mut cached = |key| {
        map.take(key).inspect(|field| {
            if !caches {
                field.inactive("answers are kept with 'strategy: cache' alone");
            }
        })
    };
    put(cached("cache-size"), &mut cache.entries, |text| {
        whole(text, 1, 1_000_000).map(|entries| entries as usize)
    });
    put(cached("cache-bytes"), &mut cache.bytes, size);
    put(cached("cache-ttl"), &mut cache.ttl, value::timeout);
    put(cached("cache-any"), &mut cache.any, flag);
    set(&mut map, "on-context-length", &mut fallback.on_context_length, flag);
    set(&mut map, "on-missing-model", &mut fallback.on_missing_model, flag);
    let field = map.take("models");
    fallback.models =
        field.map(|field| models(&field, fallback.on_missing_model, mentions)).unwrap_or_default();
    if let Some(field) = map.take("per-model") {
        for (name, field) in field.named().unwrap_or_default() {
            let before = mentions.len();
            let chain = models(&field, fallback.on_missing_model, mentions);
            if enabled && !chain.is_empty() && chain.iter().all(|model| model == name) {
                field.error("no other model stands in for this one here");
                mentions.truncate(before);
            }
            fallback.per_model.insert(name.to_owned(), chain);
            // One that nobody has may be stood in for, if that is wanted.
            if !fallback.on_missing_model {
                mentions.push(Mention { field, key: Some(name), for_missing: false });
            }
        }
    }
    fallback.response = map.take("response").and_then(|field| canned(&field));
    let unused = |key: &'static str, is_set: bool| {
        if is_set && enabled && fallback.models.is_empty() && fallback.per_model.is_empty() {
            map.error(format!("'{key}' says when other models are asked, and there are none"));
        }
    };
    unused("on-context-length", fallback.on_context_length);
    unused("on-missing-model", fallback.on_missing_model);
    if strategy == Strategy::Model && fallback.models.is_empty() && fallback.per_model.is_empty() {
        map.error("the strategy 'model' needs 'models', or 'per-model'");
    }
    map.finish();
    if !enabled {
        mentions.clear();
    }
    fallback.cache = (strategy == Strategy::Cache).then_some(cache);
    enabled.then_some(fallback)
}

fn models<'a>(
    field: &Field<'a>,
    for_missing: bool,
    mentions: &mut Vec<Mention<'a>>,
) -> Vec<String> {
    let mut models = Vec::new();
    for field in field.list().unwrap_or_default() {
        if let Some(name) = field.parse(super::instance::model_name) {
            models.push(name);
            mentions.push(Mention { field, key: None, for_missing });
        }
    }
    models
}

fn canned(field: &Field<'_>) -> Option<Canned> {
    let mut map = field.map()?;
    let mut status = StatusCode::OK;
    set(&mut map, "status", &mut status, |text| {
        let status = whole(text, 200, 599)?;
        StatusCode::from_u16(status as u16).map_err(|_| format!("'{text}' is not a status"))
    });
    let text = taken(&mut map, "text", |text| Ok(text.to_owned()));
    let body = taken(&mut map, "body", |text| Ok(text.to_owned()));
    let mut content_type = "application/json".to_owned();
    set(&mut map, "content-type", &mut content_type, |text| Ok(text.to_owned()));
    let said = match (text, body) {
        (Some(text), None) => Some(Said::Text(text)),
        (None, Some(body)) => Some(Said::Raw(content_type, body.into())),
        _ => {
            map.error("a response has either a 'text' or a 'body'");
            None
        }
    };
    let canned = Canned { status, said: said? };
    if let Err(error) = answer(&canned) {
        map.error(format!("this is no answer: {error}"));
    }
    map.finish();
    Some(canned)
}

/// The answer itself.
///
/// # Errors
///
/// Why it is none.
pub(crate) fn answer(canned: &Canned) -> Result<CannedAnswer, String> {
    let answer = match &canned.said {
        Said::Text(text) => CannedAnswer::text(text.as_str()),
        Said::Raw(content_type, body) => {
            CannedAnswer::raw(content_type, body.clone()).map_err(|error| error.to_string())?
        }
    };
    answer.with_status(canned.status).map_err(|error| match canned.said {
        Said::Text(_) => "a 'text' has a status from 200 to 299; an error is a 'body'".into(),
        Said::Raw(..) => error.to_string(),
    })
}

/// How instances are probed, as far as this level has something to say of it.
pub(super) fn health_check(field: &Field<'_>, check: &mut HealthCheck) {
    let Some(mut map) = field.map() else { return };
    check.enabled = enabled(&mut map, check.enabled);
    set(&mut map, "path", &mut check.path, |text| path(text).map(Some));
    set(&mut map, "interval", &mut check.interval, value::timeout);
    set(&mut map, "timeout", &mut check.timeout, value::timeout);
    if check.enabled && check.timeout >= check.interval {
        map.error("'timeout' is not less than 'interval': one probe would run into the next");
    }
    map.finish();
}

pub(super) fn discovery(field: &Field<'_>, discovery: &mut Discovery) {
    let Some(mut map) = field.map() else { return };
    set(&mut map, "interval", &mut discovery.interval, |text| match value::timeout(text)? {
        interval if interval >= Duration::from_secs(1) => Ok(interval),
        _ => Err(format!("'{text}' is less than a second")),
    });
    set(&mut map, "timeout", &mut discovery.timeout, value::timeout);
    map.finish();
}

/// A service type, by any of its names.
///
/// # Errors
///
/// If there is none of this name, which are those there are.
pub fn service_type(text: &str) -> Result<ServiceType, String> {
    let names = ServiceType::ALL.map(ServiceType::as_str);
    text.parse().map_err(|_| unknown("service", text, &names))
}

fn enabled(map: &mut Map<'_>, default: bool) -> bool {
    map.take("enabled").and_then(|field| field.parse(flag)).unwrap_or(default)
}

/// The value of this key, if it is there and can be read.
fn taken<T>(
    map: &mut Map<'_>,
    key: &'static str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    map.take(key).and_then(|field| field.parse(parse))
}

fn choose<T: Copy>(
    map: &mut Map<'_>,
    key: &'static str,
    what: &str,
    choices: &[(&str, T)],
    value: &mut T,
) {
    if let Some(chosen) = map.take(key).and_then(|field| field.one_of(what, choices)) {
        *value = chosen;
    }
}

/// A path below a base URL.
pub(super) fn path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok();
    match is_path && !text.contains('#') {
        true => Ok(text.to_owned()),
        false => Err(format!("'{text}' is not a path: it begins with '/' and holds no spaces")),
    }
}
