//! The sections whose layers are not built yet: checked in full, and noted as not active.

use jairouter_core::ServiceType;

use super::map::Map;
use super::names::{fold, unknown};
use super::reader::Field;
use super::value::{self, flag, positive, whole};

pub(super) fn rate_limit(field: &Field<'_>) {
    let Some(mut map) = field.map() else { return };
    let enabled = enabled(&mut map, false);
    let algorithms = ["token-bucket", "leaky-bucket", "sliding-window", "warm-up"];
    check_name(&mut map, "algorithm", "algorithm", &algorithms);
    check_name(&mut map, "scope", "scope", &["service", "model", "client-ip", "instance"]);
    check(&mut map, "capacity", |text| whole(text, 1, u64::MAX).map(drop));
    check(&mut map, "rate", |text| positive(text).map(drop));
    check(&mut map, "key", |_| Ok(()));
    check(&mut map, "client-ip-enable", |text| flag(text).map(drop));
    check(&mut map, "warm-up-period", |text| positive(text).map(drop));
    map.finish();
    if enabled {
        field.inactive("rate limits are not enforced yet");
    }
}

pub(super) fn circuit_breaker(field: &Field<'_>) {
    let Some(mut map) = field.map() else { return };
    let enabled = enabled(&mut map, false);
    for key in ["failure-threshold", "success-threshold", "minimum-requests"] {
        check(&mut map, key, |text| whole(text, 1, u32::MAX.into()).map(drop));
    }
    for key in ["timeout", "window-size"] {
        check(&mut map, key, |text| value::timeout(text).map(drop));
    }
    map.finish();
    if enabled {
        field.inactive("circuit breakers do not open yet");
    }
}

pub(super) fn fallback(field: &Field<'_>) {
    let Some(mut map) = field.map() else { return };
    let enabled = enabled(&mut map, false);
    check_name(&mut map, "strategy", "strategy", &["default", "cache"]);
    check(&mut map, "cache-size", |text| whole(text, 1, u32::MAX.into()).map(drop));
    check(&mut map, "cache-ttl", |text| value::timeout(text).map(drop));
    map.finish();
    if enabled {
        field.inactive("there is no fallback yet");
    }
}

pub(super) fn health_check(field: &Field<'_>) {
    let Some(mut map) = field.map() else { return };
    let enabled = enabled(&mut map, true);
    check(&mut map, "path", |text| path(text).map(drop));
    for key in ["interval", "timeout"] {
        check(&mut map, key, |text| value::timeout(text).map(drop));
    }
    map.finish();
    if enabled {
        field.inactive("instances are not probed yet; what requests meet counts");
    }
}

/// Frameworks by configuration. Returns their names, which are refused where they are used.
pub(super) fn adapter_definitions(field: &Field<'_>) -> Vec<String> {
    let definitions = field.named().unwrap_or_default();
    let names: Vec<String> = definitions.iter().map(|(name, _)| fold(name)).collect();
    for (name, definition) in definitions {
        if jairouter_adapters::by_name(name).is_some() {
            definition.error_at_key(format!("the adapter '{name}' is there already"));
        }
        let Some(mut map) = definition.map() else { continue };
        let types = ["openai-compatible", "ollama-compatible", "extend"];
        check_name(&mut map, "type", "type", &types);
        check(&mut map, "parent", |text| match names.contains(&fold(text)) {
            true => Ok(()),
            false => adapter(text).map(drop),
        });
        if let Some(field) = map.take("capabilities") {
            for capability in field.list().unwrap_or_default() {
                capability.parse(service_type);
            }
        }
        if let Some(field) = map.take("auth")
            && let Some(mut map) = field.map()
        {
            check(&mut map, "header-name", |text| super::instance::name(text).map(drop));
            check(&mut map, "header-prefix", |text| super::instance::secret(text).map(drop));
            map.finish();
        }
        if let Some(field) = map.take("additional-headers") {
            super::instance::headers(&field);
        }
        map.finish();
        definition.inactive("adapters by configuration cannot be used yet");
    }
    names
}

/// The adapter's own name, however it is written.
pub(super) fn adapter(text: &str) -> Result<String, String> {
    match jairouter_adapters::by_name(text) {
        Some(backend) => Ok(backend.name().to_owned()),
        None => Err(unknown("adapter", text, jairouter_adapters::NAMES)),
    }
}

/// A service type, by any of its names.
pub(super) fn service_type(text: &str) -> Result<ServiceType, String> {
    let names = ServiceType::ALL.map(ServiceType::as_str);
    text.parse().map_err(|_| unknown("service", text, &names))
}

fn enabled(map: &mut Map<'_>, default: bool) -> bool {
    map.take("enabled").and_then(|field| field.parse(flag)).unwrap_or(default)
}

fn check(map: &mut Map<'_>, key: &'static str, check: impl FnOnce(&str) -> Result<(), String>) {
    if let Some(field) = map.take(key) {
        field.parse(check);
    }
}

fn check_name(map: &mut Map<'_>, key: &'static str, what: &str, names: &[&str]) {
    if let Some(field) = map.take(key) {
        let choices: Vec<_> = names.iter().map(|name| (*name, ())).collect();
        field.one_of(what, &choices);
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
