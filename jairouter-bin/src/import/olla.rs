//! Olla's configuration.

use jairouter_config::config;

use super::Notes;
use super::tree::{Item, Tree};
use super::yaml::{Found, Section, id, plain, texts};

/// What Olla calls a kind of engine, and how it is spoken to here.
const TYPES: [(&str, &str); 16] = [
    ("ollama", "ollama"),
    ("vllm", "vllm"),
    ("vllm-mlx", "vllm"),
    ("sglang", "sglang"),
    ("llamacpp", "llamacpp"),
    ("llama.cpp", "llamacpp"),
    ("llama-cpp", "llamacpp"),
    ("openai", "normal"),
    ("openai-compatible", "normal"),
    ("openai_compatible", "normal"),
    ("lm-studio", "normal"),
    ("lmstudio", "normal"),
    ("lm_studio", "normal"),
    ("litellm", "normal"),
    ("lemonade", "normal"),
    ("lmdeploy", "normal"),
];

/// Where engines are usually asked for their models, which our adapters know.
const USUAL_LISTS: [&str; 5] =
    ["/v1/models", "/api/tags", "/api/v0/models", "/models", "/api/v1/models"];

pub(super) fn import(text: &str, notes: &mut Notes) -> Result<Tree, String> {
    let root = config::parse(text).map_err(|error| error.to_string())?;
    let mut top = Section::new("", &root, notes);
    let mut tree = Tree::default();
    let mut model = Tree::default();
    let mut of_services = Tree::default();
    server(&mut top, &mut tree, &mut model, &mut of_services, notes);
    let by_priority = proxy(&mut top, &mut model, notes);

    let mut discovery = top.section("discovery", notes);
    let list = discovery.section("static", notes).take("endpoints");
    let list = list.ok_or("1: there is no 'discovery.static.endpoints'")?;
    let kind = discovery.take("type");
    if let Some(kind) = kind.filter(|kind| kind.text() != Some("static")) {
        notes.add(kind.line, "'discovery.type': instances are those of the file");
    }
    let mut asked = discovery.section("model_discovery", notes);
    for key in ["interval", "timeout"] {
        if let Some(text) = asked.take(key).and_then(|found| duration(found, key, notes)) {
            model.under("discovery").word(key, text);
        }
    }
    if let Some(found) = asked.take("enabled").filter(|found| found.text() == Some("false")) {
        notes.add(found.line, "'model_discovery.enabled': an instance whose models are not in the file is asked for them");
    }
    asked.finish(notes);
    let probed = "instances are probed at the interval of each";
    discovery.without(&["refresh_interval"], probed, notes);
    discovery.finish(notes);

    let endpoints = list.list();
    let mut instances = Vec::new();
    for found in &endpoints {
        instances.extend(endpoint(*found, by_priority, notes));
    }
    if instances.is_empty() {
        return Err(format!("{}: nothing of this list can be served here", list.line));
    }
    notes.add(
        list.line,
        "callers ask /v1/… here, and not /olla/…; the instances are under 'chat' and 'embedding', to be named under \
         other services that they offer",
    );
    for service in ["chat", "embedding"] {
        let of_service = model.under("services").under(service);
        of_service.append(of_services.clone());
        let of_this = instances.iter().map(|(id, instance): &(Option<String>, Tree)| {
            let mut tree = instance.clone();
            if let Some(id) = id {
                let prefix = if service == "chat" { "" } else { "embedding/" };
                tree.text("instance-id", &format!("{prefix}{id}"));
            }
            Item::Map(tree)
        });
        of_service.list("instances", of_this.collect());
    }
    logging(&mut top, &mut tree, notes);
    tree.map("model", model);
    top.finish(notes);
    Ok(tree)
}

fn server(
    top: &mut Section<'_>,
    tree: &mut Tree,
    model: &mut Tree,
    of_services: &mut Tree,
    notes: &mut Notes,
) {
    let mut section = top.section("server", notes);
    let mut server = Tree::default();
    if let Some(found) = section.take("host") {
        match found.text() {
            Some("localhost") => server.text("address", "127.0.0.1"),
            Some(host) if host.parse::<std::net::IpAddr>().is_ok() => server.text("address", host),
            _ => notes.add(found.line, "'server.host' is no IP address, and is left out"),
        }
    }
    // Olla's own, for callers who have it in their settings.
    let port = section.take("port").and_then(|found| found.whole("port", 0, 65_535, notes));
    server.word("port", port.unwrap_or(40_114));
    if let Some(text) = section
        .take("shutdown_timeout")
        .and_then(|found| duration(found, "shutdown_timeout", notes))
    {
        server.word("drain-timeout", text);
    }
    let mut limits = section.section("request_limits", notes);
    if let Some(size) = limits
        .take("max_body_size")
        .and_then(|found| found.whole("max_body_size", 1, 1 << 30, notes))
    {
        server.word("max-request-body", size);
    }
    limits.without(&["max_header_size"], "a head has at most 64 KiB", notes);
    limits.finish(notes);
    let mut rates = section.section("rate_limits", notes);
    let burst = rates
        .take("burst_size")
        .and_then(|found| found.whole("burst_size", 0, 1_000_000_000, notes));
    let mut limit = |key: &str, scope: &str, tree: &mut Tree, notes: &mut Notes| {
        let found = rates.take(key)?;
        let most = found.whole(key, 0, 1_000_000_000, notes)?;
        if most > 0 {
            let limit = tree.under("rate-limit");
            limit.word("enabled", true);
            limit.text("scope", scope);
            limit.word("capacity", burst.filter(|burst| *burst > 0).unwrap_or(most));
            limit.word("rate", plain(most as f64 / 60.0));
        }
        Some(found.line)
    };
    if let Some(line) = limit("global_requests_per_minute", "service", model, notes) {
        notes.add(line, "'global_requests_per_minute' is of each service here");
    }
    if let Some(line) = limit("per_ip_requests_per_minute", "client-ip", of_services, notes) {
        notes.add(line, "'per_ip_requests_per_minute' is of each service here");
    }
    let is_trusted = rates.take("trust_proxy_headers").and_then(Found::text) == Some("true");
    if let Some(found) = rates.take("trusted_proxy_cidrs").filter(|_| is_trusted) {
        server.list("trusted-proxies", texts(found.list().into_iter().filter_map(Found::text)));
    }
    rates.without(&["cleanup_interval"], "tables of clients have a fixed size", notes);
    rates.finish(notes);
    section.without(
        &["read_timeout", "write_timeout"],
        "there is a clock for each phase here: see header-timeout, body-timeout and write-timeout",
        notes,
    );
    if let Some(found) =
        section.take("request_logging").filter(|found| found.text() == Some("false"))
    {
        notes.add(
            found.line,
            "'server.request_logging': each request is in the log at the level info",
        );
    }
    section.finish(notes);
    tree.map("server", server);
}

/// How requests are passed on. Whether instances are chosen by their priorities.
fn proxy(top: &mut Section<'_>, model: &mut Tree, notes: &mut Notes) -> bool {
    let mut proxy = top.section("proxy", notes);
    let mut by_priority = false;
    let found = proxy.take("load_balancer");
    let name = found.and_then(Found::text).unwrap_or("priority").replace('_', "-");
    let strategy = match &*name {
        "round-robin" => "round-robin",
        "least-conn" | "least-connections" => "least-connections",
        _ => {
            by_priority = name == "priority";
            let line = found.map_or(1, |found| found.line);
            notes.add(
                line,
                format!(
                    "'proxy.load_balancer: {name}' is not here: 'least-connections' comes nearest"
                ),
            );
            "least-connections"
        }
    };
    model.under("load-balance").text("type", strategy);
    for (theirs, ours) in
        [("connection_timeout", "connect"), ("response_timeout", "total"), ("read_timeout", "idle")]
    {
        if let Some(text) = proxy.take(theirs).and_then(|found| duration(found, theirs, notes)) {
            model.under("timeouts").word(ours, text);
        }
    }
    let mut retry = proxy.section("retry", notes);
    let is_off = retry.take("enabled").and_then(Found::text) == Some("false");
    let attempts = retry.take("max_attempts").map(|found| (found, 0));
    let attempts = attempts.or_else(|| proxy.take("max_retries").map(|found| (found, 1)));
    let attempts = attempts.and_then(|(found, more)| {
        // The first attempt counts here; 0 is as many as there are instances.
        let count = found.whole("max_attempts", 0, 8, notes)?;
        Some(if count == 0 && more == 0 { 8 } else { (count + more).clamp(1, 8) })
    });
    if is_off {
        model.under("retry").word("max-attempts", 1);
    } else if let Some(attempts) = attempts {
        model.under("retry").word("max-attempts", attempts);
    }
    retry.finish(notes);
    proxy.without(&["retry_backoff"], "another instance is asked at once", notes);
    proxy.without(
        &["engine", "profile", "stream_buffer_size"],
        "streams are passed on as they come",
        notes,
    );
    proxy.finish(notes);
    by_priority
}

fn endpoint(
    item: Found<'_>,
    by_priority: bool,
    notes: &mut Notes,
) -> Option<(Option<String>, Tree)> {
    let mut section = Section::new("endpoints", item.node, notes);
    let Some(url) = section.take("url").and_then(Found::text) else {
        notes.add(item.line, "an endpoint without a 'url' is left out");
        return None;
    };
    let mut tree = Tree::default();
    tree.text("base-url", url.trim_end_matches('/'));
    let kind = section.take("type");
    let name = kind.and_then(Found::text).unwrap_or("auto");
    let adapter = TYPES.iter().find(|known| known.0 == name).map(|known| known.1);
    if adapter.is_none() {
        let line = kind.map_or(item.line, |found| found.line);
        notes.add(line, format!("the type '{name}' is taken to speak OpenAI's API"));
    }
    tree.text("adapter", adapter.unwrap_or("normal"));
    let id = section.take("name").and_then(|found| id(found, "name", notes));
    if let Some(found) = section.take("priority") {
        let whether = if by_priority {
            "and the highest would be asked alone"
        } else {
            "which the balancer does not look at"
        };
        let priority = found.text().unwrap_or_default();
        notes.add(
            found.line,
            format!(
                "'priority: {priority}' is not here ({whether}): instances share by their weights"
            ),
        );
    }
    if let Some(found) = section
        .take("model_url")
        .filter(|found| !found.text().is_some_and(|path| USUAL_LISTS.contains(&path)))
    {
        notes
            .add(found.line, "'model_url': an adapter asks for models at its framework's own path");
    }
    health(&mut section, &mut tree, notes);
    auth(&mut section, &mut tree, notes);
    if let Some(found) = section.take("headers") {
        for (name, found) in Section::new("headers", found.node, notes).rest() {
            if let Some(text) = secret(found, "headers", notes) {
                tree.under("headers").text(name, &text);
            }
        }
    }
    section.finish(notes);
    Some((id, tree))
}

fn health(section: &mut Section<'_>, tree: &mut Tree, notes: &mut Notes) {
    let path = section.take("health_check_url");
    if let Some(path) = path.and_then(Found::text).filter(|path| path.starts_with('/')) {
        tree.under("health-check").text("path", path);
    } else if let Some(found) = path {
        notes.add(found.line, "'health_check_url' is no path of the instance, and is left out");
    }
    let mut clock =
        |key: &str| section.take(key).and_then(|found| Some((found, duration(found, key, notes)?)));
    let (interval, timeout) = (clock("check_interval"), clock("check_timeout"));
    let millis = |text: &str| config::duration(text).map_or(0, |duration| duration.as_millis());
    let of = |found: &Option<(Found<'_>, String)>, usual| {
        found.as_ref().map_or(usual, |(_, text)| millis(text))
    };
    // One probe would run into the next.
    let is_short = of(&timeout, 2000) < of(&interval, 5000);
    for (key, found) in [("interval", interval), ("timeout", timeout)] {
        match found {
            Some((_, text)) if is_short => tree.under("health-check").word(key, text),
            Some((found, _)) => notes.add(
                found.line,
                "the timeout of a probe is less than its interval here: both are left out",
            ),
            None => {}
        }
    }
}

fn auth(section: &mut Section<'_>, tree: &mut Tree, notes: &mut Notes) {
    let Some(found) = section.take("auth") else { return };
    let mut auth = Section::new("auth", found.node, notes);
    let kind = auth.take("type").and_then(Found::text).unwrap_or_default();
    let mut text =
        |key: &str, notes: &mut Notes| auth.take(key).and_then(|found| secret(found, key, notes));
    match kind {
        "bearer" => {
            if let Some(token) = text("token", notes) {
                tree.under("headers").text("Authorization", &format!("Bearer {token}"));
            }
        }
        "api_key" => {
            let header = text("header", notes).unwrap_or_else(|| "X-API-Key".to_owned());
            let key = text("key", notes).or_else(|| text("token", notes));
            if let Some(key) = key {
                tree.under("headers").text(&header, &key);
            }
        }
        kind => notes.add(
            found.line,
            format!("'auth.type: {kind}' is not here: send what it makes as one of 'headers'"),
        ),
    }
    auth.finish(notes);
}

fn logging(top: &mut Section<'_>, tree: &mut Tree, notes: &mut Notes) {
    let mut logging = top.section("logging", notes);
    let mut log = Tree::default();
    if let Some(found) = logging.take("level") {
        match found.text() {
            Some(level @ ("debug" | "info" | "warn" | "error")) => log.text("level", level),
            _ => notes.none(found.line, "logging.level"),
        }
    }
    if let Some(found) = logging.take("format") {
        log.text("format", if found.text() == Some("json") { "json" } else { "human" });
    }
    if let Some(found) = logging.take("output").filter(|found| found.text() != Some("stdout")) {
        notes.add(found.line, "'logging.output': the log goes to standard error");
    }
    logging.finish(notes);
    if !log.is_empty() {
        tree.under("server").map("log", log);
    }
}

/// A duration of Go's, where it is one of ours.
fn duration(found: Found<'_>, what: &str, notes: &mut Notes) -> Option<String> {
    let text = found.text()?;
    let is_ours = text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && config::duration(text).is_ok_and(|duration| !duration.is_zero());
    if !is_ours {
        notes.add(
            found.line,
            format!("'{what}: {text}' is no duration that could be taken, and is left out"),
        );
    }
    is_ours.then(|| text.to_owned())
}

/// A text in which the environment stands as ours has it, or not at all.
fn secret(found: Found<'_>, what: &str, notes: &mut Notes) -> Option<String> {
    let text = found.text()?;
    let rest = text.split("${").skip(1);
    let is_ours = rest.clone().all(|rest| {
        rest.split_once('}').is_some_and(|(name, _)| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
    });
    if !is_ours {
        notes.add(
            found.line,
            format!(
                "'{what}' takes from the environment in a way that is not here, and is left out"
            ),
        );
    }
    is_ours.then(|| text.to_owned())
}
