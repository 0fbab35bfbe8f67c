//! What nginx says of passing on, at whichever level.

use super::Notes;
use super::nginx_words::Directive;
use super::tree::Tree;
use super::yaml::texts;

/// What a location has, and what it has from the levels around it.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    connect: Option<u64>,
    read: Option<u64>,
    attempts: Option<u64>,
    on: Option<Vec<&'static str>>,
    headers: Vec<(String, String)>,
    ca: Option<String>,
}

/// What is so here without being said.
const NEEDLESS: [&str; 12] = [
    "proxy_http_version",
    "proxy_buffering",
    "proxy_request_buffering",
    "proxy_buffers",
    "proxy_buffer_size",
    "proxy_busy_buffers_size",
    "proxy_redirect",
    "proxy_cache",
    "chunked_transfer_encoding",
    "tcp_nodelay",
    "tcp_nopush",
    "proxy_pass_request_headers",
];

/// Headers that the gateway makes itself.
const OWN: [&str; 9] = [
    "host",
    "connection",
    "upgrade",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-request-id",
];

impl Settings {
    /// Takes this directive, if it is one of these.
    pub(super) fn take(&mut self, one: &Directive, notes: &mut Notes) -> bool {
        let name = &*one.name;
        match name {
            "proxy_connect_timeout" | "proxy_read_timeout" => match millis(one.word()) {
                Some(time @ 1..) if name == "proxy_connect_timeout" => self.connect = Some(time),
                Some(time @ 1..) => self.read = Some(time),
                _ => notes.none(one.line, name),
            },
            "proxy_next_upstream" => self.next(one, notes),
            "proxy_next_upstream_tries" => match one.word().parse::<u64>() {
                Ok(0) => self.attempts = Some(8),
                Ok(tries) => self.attempts = Some(tries.min(8)),
                Err(_) => notes.none(one.line, name),
            },
            "proxy_set_header" => self.header(one, notes),
            "proxy_ssl_trusted_certificate" => self.ca = Some(one.word().to_owned()),
            "proxy_ssl_verify" if one.word() == "on" => {}
            "proxy_ssl_verify" => {
                notes.add(
                    one.line,
                    "'proxy_ssl_verify off' is not here: name the certificate as 'tls.ca'",
                );
            }
            "proxy_ssl_server_name" | "proxy_ssl_name" | "proxy_ssl_session_reuse" => {
                notes.add(
                    one.line,
                    format!("'{name}': the name of the base URL is asked for, always"),
                );
            }
            _ if NEEDLESS.contains(&name) => {
                notes.add(
                    one.line,
                    format!("'{name}' is not needed: bytes pass as they come, both ways"),
                );
            }
            _ => return false,
        }
        true
    }

    fn next(&mut self, one: &Directive, notes: &mut Notes) {
        let mut on = Vec::new();
        for word in &one.words {
            match &**word {
                "off" => self.attempts = Some(1),
                "error" => on.extend(["unreachable", "broken"]),
                "timeout" => on.push("timeout"),
                "invalid_header" => on.push("broken"),
                "http_500" | "http_502" | "http_504" => on.push("failed"),
                "http_503" => on.extend(["failed", "busy"]),
                "http_429" => on.push("busy"),
                "non_idempotent" => {}
                word => notes
                    .add(one.line, format!("'proxy_next_upstream {word}' has no counterpart here")),
            }
        }
        on.sort_unstable();
        on.dedup();
        if !on.is_empty() {
            self.on = Some(on);
        }
    }

    fn header(&mut self, one: &Directive, notes: &mut Notes) {
        let name = one.word().to_owned();
        let value = one.words.get(1).cloned().unwrap_or_default();
        let is_own = OWN.contains(&name.to_lowercase().as_str());
        if is_own || value.is_empty() {
            notes.add(
                one.line,
                format!(
                    "'proxy_set_header {name}' is not needed: the gateway sends what is needed"
                ),
            );
        } else if value.contains('$') {
            notes.add(
                one.line,
                format!(
                    "'proxy_set_header {name}' is left out: what it sends is known at run time"
                ),
            );
        } else {
            self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
            self.headers.push((name, value));
        }
    }

    pub(super) fn of_service(&self, service: &mut Tree) {
        if let Some(attempts) = self.attempts {
            service.under("retry").word("max-attempts", attempts);
        }
        if let Some(on) = &self.on {
            service.under("retry").list("on", texts(on.iter().copied()));
        }
    }

    pub(super) fn of_instance(&self, instance: &mut Tree, is_tls: bool) {
        if let Some(time) = self.connect {
            instance.under("timeouts").word("connect", format!("{time}ms"));
        }
        if let Some(time) = self.read {
            // To the head, and between two reads behind it.
            instance.under("timeouts").word("first-token", format!("{time}ms"));
            instance.under("timeouts").word("idle", format!("{time}ms"));
        }
        for (name, value) in &self.headers {
            instance.under("headers").text(name, value);
        }
        if let Some(ca) = self.ca.as_ref().filter(|_| is_tls) {
            instance.under("tls").text("ca", ca);
        }
    }
}

/// A time of nginx's, in milliseconds: seconds, or numbers with units one after the other.
pub(super) fn millis(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1000).filter(|time| *time <= YEAR);
    }
    let mut rest = text;
    let mut all = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let unit = match unit.trim() {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        all = all.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = behind;
    }
    Some(all).filter(|time| !text.is_empty() && *time <= YEAR)
}

/// The longest duration that ours takes.
const YEAR: u64 = 365 * 24 * 3_600_000;
