//! nginx: `upstream` and what passes to it.

use std::collections::BTreeMap;

use super::Notes;
use super::nginx_settings::{Settings, millis};
use super::nginx_words::{Directive, parse};
use super::tree::{Item, Tree};
use super::yaml::texts;

/// Which service answers below a location, by a part of its path.
const SERVICES: [(&str, &str); 7] = [
    ("embeddings", "embedding"),
    ("rerank", "rerank"),
    ("audio/speech", "tts"),
    ("audio/trans", "stt"),
    ("images/generations", "imgGen"),
    ("images/edits", "imgEdit"),
    ("moderations", "moderation"),
];

/// What is made of the file, as it is read.
struct Reading<'a> {
    upstreams: BTreeMap<&'a str, (&'a Directive, bool)>,
    server: Tree,
    /// Whether there is a listener yet.
    has_server: bool,
    services: Vec<(&'static str, Service)>,
}

#[derive(Default)]
struct Service {
    settings: Tree,
    strategy: Option<&'static str>,
    urls: Vec<String>,
    instances: Vec<Item>,
}

pub(super) fn import(text: &str, notes: &mut Notes) -> Result<Tree, String> {
    let directives = parse(text)?;
    let mut reading = Reading {
        upstreams: BTreeMap::new(),
        server: Tree::default(),
        has_server: false,
        services: Vec::new(),
    };
    let http = directives.iter().filter(|one| one.name == "http").flat_map(Directive::inside);
    let all: Vec<&Directive> =
        directives.iter().filter(|one| one.name != "http").chain(http).collect();
    for one in all.iter().filter(|one| one.name == "upstream") {
        reading.upstreams.insert(one.word(), (one, false));
    }
    let mut settings = Settings::default();
    for one in &all {
        match &*one.name {
            "upstream" | "server" => {}
            _ if settings.take(one, notes) || reading.listener(one, notes) => {}
            _ => notes.none(one.line, &one.name),
        }
    }
    for one in all.iter().filter(|one| one.name == "server") {
        reading.server(one, &settings, notes);
    }
    // A file of upstreams alone is included by another one.
    if reading.services.is_empty() {
        let names: Vec<_> = reading.upstreams.keys().copied().collect();
        for name in names {
            reading.pass(["/"; 2], &format!("http://{name}"), &settings, 1, notes);
        }
    }
    for (name, (one, is_used)) in &reading.upstreams {
        if !is_used {
            notes.add(one.line, format!("the upstream '{name}' is left out: nothing passes to it"));
        }
    }
    if reading.services.is_empty() {
        return Err(
            "1: there is no 'upstream' or 'proxy_pass' that could be served here".to_owned()
        );
    }
    notes.add(
        1,
        "nginx knows no models: each instance is asked which it has, and a request goes to those that have its \
         model. Name them ('name', 'models') where an engine lists none",
    );
    Ok(reading.tree())
}

impl<'a> Reading<'a> {
    fn tree(self) -> Tree {
        let (mut tree, mut model) = (Tree::default(), Tree::default());
        for (name, Service { settings, strategy, instances, .. }) in self.services {
            let service = model.under("services").under(name);
            service.under("load-balance").text("type", strategy.unwrap_or("round-robin"));
            service.append(settings);
            service.list("instances", instances);
        }
        tree.map("server", self.server);
        tree.map("model", model);
        tree
    }

    /// A `server` block.
    fn server(&mut self, server: &'a Directive, outer: &Settings, notes: &mut Notes) {
        let mut settings = outer.clone();
        let locations = |one: &&Directive| one.name == "location";
        for one in server.inside().iter().filter(|one| !locations(one)) {
            if !settings.take(one, notes) && !self.listener(one, notes) {
                notes.none(one.line, &one.name);
            }
        }
        self.has_server = true;
        for one in server.inside().iter().filter(locations) {
            self.location(one, &settings, notes);
        }
    }

    fn listener(&mut self, one: &Directive, notes: &mut Notes) -> bool {
        let is_first = !self.has_server;
        match &*one.name {
            "listen" if is_first && !self.server.has("port") => self.listen(one, notes),
            "listen" => {
                notes.add(one.line, "'listen': there is one listener of callers here, the first");
            }
            "ssl_certificate" | "ssl_certificate_key" | "ssl_client_certificate"
                if one.word().contains('$') =>
            {
                notes.add(
                    one.line,
                    format!("'{}' is left out: its path is known at run time", one.name),
                );
            }
            "ssl_certificate" if is_first => {
                self.server.under("tls").text("certificate", one.word());
            }
            "ssl_certificate_key" if is_first => self.server.under("tls").text("key", one.word()),
            "ssl_client_certificate" if is_first => {
                self.server.under("tls").text("client-ca", one.word());
            }
            "server_name" => notes.add(one.line, "'server_name': callers may call it by any name"),
            "client_max_body_size" => match size(one.word()) {
                Some(bytes @ 1..) => self.server.word("max-request-body", bytes),
                _ => notes
                    .add(one.line, "'client_max_body_size': a body has a bound here, of 32 MiB"),
            },
            name @ ("client_body_timeout" | "client_header_timeout" | "send_timeout") => {
                let key = match name {
                    "client_body_timeout" => "body-timeout",
                    "client_header_timeout" => "header-timeout",
                    _ => "write-timeout",
                };
                match millis(one.word()) {
                    Some(time @ 1..) => self.server.word(key, format!("{time}ms")),
                    _ => notes.none(one.line, name),
                }
            }
            "set_real_ip_from" => {
                let mut known = self.server.texts("trusted-proxies");
                known.push(one.word().to_owned());
                let is_address = one.word().parse::<ipnet::IpNet>().is_ok()
                    || one.word().parse::<std::net::IpAddr>().is_ok();
                if is_address {
                    self.server.list("trusted-proxies", texts(known.iter().map(String::as_str)));
                } else {
                    notes.none(one.line, "set_real_ip_from");
                }
            }
            _ => return false,
        }
        true
    }

    fn listen(&mut self, one: &Directive, notes: &mut Notes) {
        let word = one.word();
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ if word.bytes().all(|byte| byte.is_ascii_digit()) => ("0.0.0.0", word),
            _ => (word, "80"),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host == "*" { "0.0.0.0" } else { host };
        let address = if host == "localhost" { "127.0.0.1" } else { host };
        match (address.parse::<std::net::IpAddr>(), port.parse::<u16>()) {
            (Ok(address), Ok(port)) => {
                self.server.text("address", &address.to_string());
                self.server.word("port", port);
                if !address.is_loopback() {
                    let note = "'listen': no key is asked for, as by nginx, and whoever reaches this address may \
                                ask; see security.api-keys";
                    notes.add(one.line, note);
                }
            }
            _ => notes
                .add(one.line, format!("'listen {word}' is no address and port, and is left out")),
        }
    }

    /// A `location` block, and those in it.
    fn location(&mut self, location: &'a Directive, outer: &Settings, notes: &mut Notes) {
        let mut settings = outer.clone();
        let path = location.words.last().map_or("/", String::as_str);
        if location.words.len() > 1 && location.word() != "^~" && location.word() != "=" {
            notes.add(
                location.line,
                format!("'location {}': paths are those of the API here", location.words.join(" ")),
            );
        }
        // An expression says little of the path that is passed on.
        let place = if path.starts_with('/') { path } else { "/" };
        let place = if location.word().starts_with('~') { "/" } else { place };
        let mut target = None;
        for one in location.inside() {
            match &*one.name {
                "proxy_pass" => target = Some(one),
                "location" => {}
                _ if settings.take(one, notes) => {}
                _ => notes.none(one.line, &one.name),
            }
        }
        if let Some(one) = target {
            self.pass([path, place], one.word(), &settings, one.line, notes);
        } else if !location.inside().iter().any(|one| one.name == "location") {
            notes
                .add(location.line, format!("'location {path}' passes to nobody, and is left out"));
        }
        for one in location.inside().iter().filter(|one| one.name == "location") {
            self.location(one, &settings, notes);
        }
    }

    /// What is passed from this location, which begins so, to there.
    fn pass(
        &mut self,
        [path, place]: [&str; 2],
        target: &str,
        settings: &Settings,
        line: usize,
        notes: &mut Notes,
    ) {
        let Some((scheme, rest)) = target.split_once("://").filter(|_| !target.contains('$'))
        else {
            return notes.add(
                line,
                format!("'proxy_pass {target}' is left out: where it leads is known at run time"),
            );
        };
        let (host, uri) =
            rest.find('/').map_or((rest, None), |at| (&rest[..at], Some(&rest[at..])));
        let base = base(place, uri, line, notes);
        let services: Vec<&str> = match SERVICES.iter().find(|(part, _)| path.contains(part)) {
            Some((_, service)) => vec![service],
            None if ["chat", "completions", "messages"].iter().any(|part| path.contains(part)) => {
                vec!["chat"]
            }
            None => {
                let note = "what is passed on is under 'chat' and 'embedding' here, to be named under other services \
                            that the instances offer";
                notes.add(line, note);
                vec!["chat", "embedding"]
            }
        };
        let upstream = self.upstreams.get_mut(host).map(|(upstream, is_used)| {
            *is_used = true;
            *upstream
        });
        let servers = match upstream {
            Some(upstream) => servers(upstream, scheme, notes),
            None => vec![(host.to_owned(), Tree::default())],
        };
        for service in services {
            let at = self.services.iter().position(|(known, _)| *known == service);
            let at = at.unwrap_or_else(|| {
                self.services.push((service, Service::default()));
                self.services.len() - 1
            });
            let service = &mut self.services[at].1;
            let strategy = upstream.map_or("round-robin", |upstream| strategy(upstream, notes));
            if service.strategy.is_some_and(|known| known != strategy) {
                notes.add(line, "all instances of a service are balanced alike here, as the first upstream says");
            }
            service.strategy.get_or_insert(strategy);
            settings.of_service(&mut service.settings);
            for (server, own) in &servers {
                let url = format!("{scheme}://{server}{base}");
                if service.urls.contains(&url) {
                    continue;
                }
                let mut instance = Tree::default();
                instance.text("base-url", &url);
                instance.append(own.clone());
                settings.of_instance(&mut instance, scheme == "https");
                service.urls.push(url);
                service.instances.push(Item::Map(instance));
            }
        }
    }
}

/// What stands before `/v1` at the engine.
fn base(path: &str, uri: Option<&str>, line: usize, notes: &mut Notes) -> String {
    let before = |path: &str| path.find("/v1").map_or(path.to_owned(), |at| path[..at].to_owned());
    let asked = before(path);
    let asked = asked.trim_matches('/');
    if !asked.is_empty() {
        notes.add(line, format!("callers ask /v1/… here, and not /{asked}/v1/…"));
    }
    // Without a path of its own nginx passes on the one that it was asked.
    let base = uri.map_or_else(|| asked.to_owned(), |uri| before(uri).trim_matches('/').to_owned());
    if base.is_empty() { base } else { format!("/{base}") }
}

/// The servers of an upstream, and what is theirs.
fn servers(upstream: &Directive, scheme: &str, notes: &mut Notes) -> Vec<(String, Tree)> {
    let mut servers = Vec::new();
    for one in upstream.inside().iter().filter(|one| one.name == "server") {
        let address = one.word();
        if address.starts_with("unix:") {
            notes.add(
                one.line,
                format!("'server {address}' is left out: sockets of files are not connected to"),
            );
            continue;
        }
        let mut tree = Tree::default();
        for word in &one.words[1..] {
            parameter(word, one.line, &mut tree, notes);
        }
        let is_bare =
            !address.ends_with(|last: char| last.is_ascii_digit()) || !address.contains(':');
        // nginx's default is 80, whatever is spoken there.
        let port = if is_bare && scheme == "https" { ":80" } else { "" };
        servers.push((format!("{address}{port}"), tree));
    }
    servers
}

fn parameter(word: &str, line: usize, tree: &mut Tree, notes: &mut Notes) {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let number = value.parse::<u64>().ok();
    match (name, number) {
        ("weight", Some(weight @ 1..=65_535)) => tree.word("weight", weight),
        ("max_conns", Some(0)) => {}
        ("max_conns", Some(most)) => {
            tree.under("concurrency").word("limit", most.min(u32::MAX.into()));
        }
        ("max_fails", Some(0)) => tree.under("circuit-breaker").word("enabled", false),
        ("max_fails", Some(most)) => {
            let breaker = tree.under("circuit-breaker");
            breaker.word("enabled", true);
            breaker.word("failure-threshold", most.min(1000));
            notes.add(
                line,
                "'max_fails': failures are counted in a row here, and not in 'fail_timeout'",
            );
        }
        ("fail_timeout", _) if millis(value).is_some_and(|time| time > 0) => {
            let time = millis(value).unwrap_or_default();
            tree.under("circuit-breaker").word("timeout", format!("{time}ms"));
        }
        ("down", _) => tree.text("status", "inactive"),
        ("backup", _) => {
            tree.text("status", "inactive");
            let note = "'backup' is not here: the instance is there, and inactive. Make it active as one of the \
                        others, or serve another model from it and name that under 'fallback'";
            notes.add(line, note);
        }
        _ => notes.add(line, format!("'server … {word}' has no counterpart here")),
    }
}

/// How an upstream balances; what else it says has no counterpart.
fn strategy(upstream: &Directive, notes: &mut Notes) -> &'static str {
    let mut strategy = "round-robin";
    for one in upstream.inside() {
        let near = |here: &'static str, notes: &mut Notes| {
            let words = [&one.name, " ", &one.words.join(" ")].concat();
            notes.add(
                one.line,
                format!("'{}' is not here: '{here}' comes nearest", words.trim_end()),
            );
            here
        };
        strategy = match &*one.name {
            "server" => continue,
            "least_conn" => "least-connections",
            "ip_hash" => "ip-hash",
            "hash" => {
                let is_address = matches!(one.word(), "$remote_addr" | "$binary_remote_addr");
                let is_consistent = one.words.iter().any(|word| word == "consistent");
                let here = if is_consistent { "consistent-hash" } else { "ip-hash" };
                // Both go by the caller's address.
                if is_address { here } else { near(here, notes) }
            }
            "random" if one.word() == "two" => "power-of-two-choices",
            "random" => "random",
            "least_time" => near("least-connections", notes),
            "keepalive" | "keepalive_requests" | "keepalive_timeout" | "keepalive_time"
            | "zone" => {
                notes.add(
                    one.line,
                    format!("'{}' is not needed: connections are kept, and shared", one.name),
                );
                continue;
            }
            _ => {
                notes.none(one.line, &one.name);
                continue;
            }
        };
    }
    strategy
}

/// A size of nginx's, in bytes.
fn size(text: &str) -> Option<u64> {
    let (number, shift) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 10),
        None => match text.strip_suffix(['m', 'M']) {
            Some(number) => (number, 20),
            None => text.strip_suffix(['g', 'G']).map_or((text, 0), |number| (number, 30)),
        },
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes <= 1 << 30)
}
