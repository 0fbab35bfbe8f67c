//! `server` and `management`.

use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;

use super::map::Map;
use super::reader::Field;
use super::tls;
use super::types::{Log, LogFormat, Management, Server};
use super::value::{self, whole};
use crate::keys;

/// How long an operator's token is, in bytes: no one guesses one.
const LEAST_TOKEN: usize = 16;
const LONGEST_TOKEN: usize = 1024;

pub(super) fn server(field: &Field<'_>, server: &mut Server) {
    let Some(mut map) = field.map() else { return };
    listener(&mut map, &mut server.address, &mut server.port);
    map.refuse_blank("tls", "this says nothing; leave it out, and no TLS is spoken with callers");
    let tls = map.take("tls");
    server.tls = tls.as_ref().and_then(tls::identity);
    set(&mut map, "http2", &mut server.http2, |text| match value::flag(text)? {
        true if tls.is_none() => Err("HTTP/2 is spoken over TLS alone: there is no 'tls'".into()),
        http2 => Ok(http2),
    });
    set(&mut map, "max-request-body", &mut server.max_request_body, value::size);
    set(&mut map, "max-body-memory", &mut server.max_body_memory, value::size);
    if server.max_body_memory < server.max_request_body {
        map.error("'max-body-memory' is less than 'max-request-body': no body so long would fit");
    }
    set(&mut map, "header-timeout", &mut server.header_timeout, value::timeout);
    set(&mut map, "body-timeout", &mut server.body_timeout, value::timeout);
    set(&mut map, "write-timeout", &mut server.write_timeout, value::timeout);
    set(
        &mut map,
        "stream-keep-alive",
        &mut server.stream_keep_alive,
        |text| match value::duration(text)? {
            Duration::ZERO => {
                Err("0 is no interval; leave it out, and there are no comments".into())
            }
            every => Ok(Some(every)),
        },
    );
    set(&mut map, "shutdown-delay", &mut server.shutdown_delay, value::duration);
    set(&mut map, "drain-timeout", &mut server.drain_timeout, value::duration);
    let count = |text: &str| whole(text, 1, u64::MAX).map(|count| Some(count as usize));
    set(&mut map, "max-connections", &mut server.max_connections, count);
    set(&mut map, "max-connections-per-client", &mut server.max_connections_per_client, count);
    set(&mut map, "workers", &mut server.workers, |text| {
        whole(text, 1, 1024).map(|count| NonZeroUsize::new(count as usize))
    });
    if let Some(proxies) = map.take("trusted-proxies") {
        let items = proxies.list().unwrap_or_default();
        server.trusted_proxies = items.iter().filter_map(|item| item.parse(net)).collect();
    }
    if let Some(hosts) = map.take("allowed-hosts") {
        let items = hosts.list().unwrap_or_default();
        server.allowed_hosts = items.iter().filter_map(|item| item.parse(host)).collect();
    }
    if let Some(field) = map.take("log") {
        log(&field, &mut server.log);
    }
    map.finish();
}

pub(super) fn management(field: &Field<'_>, management: &mut Management) {
    let Some(mut map) = field.map() else { return };
    if let Some(field) = map.take("server")
        && let Some(mut map) = field.map()
    {
        management.enabled = true;
        listener(&mut map, &mut management.address, &mut management.port);
        map.refuse_blank(
            "token",
            "this says nothing; leave it out, and only this machine is heard",
        );
        if let Some(field) = map.take("token") {
            // No message repeats it.
            management.token = field.parse(|text| match text.len() {
                LEAST_TOKEN..=LONGEST_TOKEN => Ok(keys::digest(text)),
                _ => {
                    Err("a token is 16 to 1024 bytes; `openssl rand -hex 24` makes one".to_owned())
                }
            });
        }
        map.finish();
    }
    for foreign in ["endpoints", "endpoint", "metrics", "health", "tracing"] {
        if let Some(field) = map.foreign(foreign) {
            field.inactive("Spring's actuator is not here");
        }
    }
    map.finish();
}

fn listener(map: &mut Map<'_>, address: &mut std::net::IpAddr, port: &mut u16) {
    set(map, "address", address, |text| {
        let text = if text == "localhost" { "127.0.0.1" } else { text };
        text.parse().map_err(|_| format!("'{text}' is not an IP address"))
    });
    set(map, "port", port, |text| whole(text, 0, u16::MAX.into()).map(|port| port as u16));
}

fn log(field: &Field<'_>, log: &mut Log) {
    let Some(mut map) = field.map() else { return };
    if let Some(field) = map.take("level") {
        let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
        log.level = field.one_of("log level", &levels).unwrap_or("info").to_owned();
    }
    if let Some(field) = map.take("format") {
        let formats =
            [("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)];
        log.format = field.one_of("log format", &formats).unwrap_or(LogFormat::Auto);
    }
    map.finish();
}

/// Replaces a value if its key is there.
pub(super) fn set<T>(
    map: &mut Map<'_>,
    key: &'static str,
    value: &mut T,
    parse: impl FnOnce(&str) -> Result<T, String>,
) {
    put(map.take(key), value, parse);
}

/// The same with a key that is taken already.
pub(super) fn put<T>(
    field: Option<Field<'_>>,
    value: &mut T,
    parse: impl FnOnce(&str) -> Result<T, String>,
) {
    if let Some(parsed) = field.and_then(|field| field.parse(parse)) {
        *value = parsed;
    }
}

/// A host's name, without a port; or any.
fn host(text: &str) -> Result<String, String> {
    let is_one = |text: &str| {
        text.parse::<http::uri::Authority>().is_ok_and(|authority| authority.host() == text)
    };
    match text == "*" || is_one(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "'{text}' is no host's name: give it without a port, as in api.example.com"
        )),
    }
}

fn net(text: &str) -> Result<IpNet, String> {
    let address = || text.parse().ok().map(|address: std::net::IpAddr| address.into());
    text.parse().ok().or_else(address).ok_or_else(|| {
        format!("'{text}' is neither an IP address nor a network such as 10.0.0.0/8")
    })
}
