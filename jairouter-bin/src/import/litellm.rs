//! The LiteLLM proxy's `config.yaml`.

use std::collections::BTreeMap;

use jairouter_config::config;

use super::Notes;
use super::litellm_model::{Deployment, deployment};
use super::tree::{Item, Tree};
use super::yaml::{Found, Section, plain, texts};

pub(super) fn import(text: &str, notes: &mut Notes) -> Result<Tree, String> {
    let root = config::parse(text).map_err(|error| error.to_string())?;
    let mut top = Section::new("", &root, notes);
    let list = top.take("model_list").ok_or("1: there is no 'model_list'")?;
    let mut router = top.section("router_settings", notes);
    let mut library = top.section("litellm_settings", notes);
    let mut general = top.section("general_settings", notes);

    let items = list.list();
    let mut deployments: Vec<Deployment> = Vec::new();
    for item in items {
        deployments.extend(deployment(item, notes));
    }
    if deployments.is_empty() {
        return Err(format!("{}: nothing of this list can be served here", list.line));
    }
    for (alias, found) in router.section("model_group_alias", notes).rest() {
        aliased(alias, found, &mut deployments, notes);
    }
    let mut model = Tree::default();
    model.under("load-balance").text("type", strategy(&mut router, notes));
    retries(&mut router, &mut library, &mut model, notes);
    timeouts(&mut router, &mut library, &mut model, notes);
    cooldown(&mut router, &mut library, &mut model, notes);
    fallbacks(&mut router, &mut library, &deployments, &mut model, notes);
    let redis = "limits and health are of this process alone; there is no Redis";
    router.without(&["redis_host", "redis_port", "redis_password", "redis_url"], redis, notes);
    if let Some(key) = general.take("master_key") {
        notes.add(
            key.line,
            "'general_settings.master_key' cannot be taken over, as keys are kept as digests: make one for each \
             caller with 'jairouter keys new NAME'. Until there is one under security.api-keys anybody who reaches \
             the port may ask, which is only this machine",
        );
    }
    if let Some(found) = top.take("environment_variables") {
        let variables = Section::new("environment_variables", found.node, notes).rest();
        for (name, found) in variables {
            notes.add(
                found.line,
                format!("'environment_variables.{name}' has to be set in the environment"),
            );
        }
    }
    for section in [router, library, general, top] {
        section.finish(notes);
    }
    services(deployments, &mut model);
    let mut tree = Tree::default();
    tree.map("model", model);
    Ok(tree)
}

/// Each under its service, in the order of the file.
fn services(deployments: Vec<Deployment>, model: &mut Tree) {
    let mut by_service: Vec<(&str, Vec<Item>)> = Vec::new();
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for Deployment { service, names, own, base_url, mut instance, .. } in deployments {
        let place = (format!("{service} {names:?}"), base_url);
        let count = seen.entry(place).and_modify(|count| *count += 1).or_insert(1);
        if *count > 1 && !instance.has("instance-id") {
            // The same model at the same place, with another key.
            let id: String = names[0].chars().filter(char::is_ascii_graphic).take(100).collect();
            instance.text("instance-id", &format!("{service}/{id}#{count}"));
        }
        let mut first = Tree::default();
        match &*names {
            [name] => {
                first.text("name", name);
                if *name != own {
                    first.text("model", &own);
                }
            }
            names => {
                let all = first.under("models");
                for name in names {
                    all.text(name, &own);
                }
            }
        }
        first.append(instance);
        match by_service.iter_mut().find(|(known, _)| *known == service) {
            Some((_, instances)) => instances.push(Item::Map(first)),
            None => by_service.push((service, vec![Item::Map(first)])),
        }
    }
    for (service, instances) in by_service {
        model.under("services").under(service).list("instances", instances);
    }
}

/// Another name for a group of deployments.
fn aliased(alias: &str, found: Found<'_>, deployments: &mut [Deployment], notes: &mut Notes) {
    let group = found.text().map(str::to_owned).or_else(|| {
        let mut section = Section::new("model_group_alias", found.node, notes);
        let group = section.take("model").and_then(Found::text).map(str::to_owned);
        section.without(&["hidden"], "every name that is served is listed here", notes);
        group
    });
    let mut found_one = false;
    for one in deployments.iter_mut().filter(|one| Some(&one.names[0]) == group.as_ref()) {
        one.names.push(alias.to_owned());
        found_one = true;
    }
    if !found_one {
        notes.add(found.line, format!("the alias '{alias}' is of a model that is not served here"));
    }
}

fn strategy(router: &mut Section<'_>, notes: &mut Notes) -> &'static str {
    let Some(found) = router.take("routing_strategy") else { return "random" };
    let near = |here: &'static str, notes: &mut Notes, name: &str| {
        notes.add(
            found.line,
            format!(
                "'router_settings.routing_strategy: {name}' is not here: '{here}' comes nearest"
            ),
        );
        here
    };
    match found.text().unwrap_or_default() {
        "simple-shuffle" => "random",
        "least-busy" => "least-connections",
        name @ ("latency-based-routing" | "usage-based-routing" | "usage-based-routing-v2") => {
            near("least-connections", notes, name)
        }
        name => near("random", notes, name),
    }
}

/// What is in the router's settings, or else in the library's.
fn either<'a>(
    key: &str,
    router: &mut Section<'a>,
    library: &mut Section<'a>,
    notes: &mut Notes,
) -> Option<Found<'a>> {
    let (first, second) = (router.take(key), library.take(key));
    if let (Some(_), Some(second)) = (first, second) {
        notes.add(
            second.line,
            format!("'litellm_settings.{key}': that of 'router_settings' is taken"),
        );
    }
    first.or(second)
}

fn retries<'a>(
    router: &mut Section<'a>,
    library: &mut Section<'a>,
    model: &mut Tree,
    notes: &mut Notes,
) {
    if let Some(found) = either("num_retries", router, library, notes) {
        // The first attempt counts here.
        if let Some(retries) = found.whole("num_retries", 0, 7, notes) {
            model.under("retry").word("max-attempts", retries + 1);
            if retries > 0 {
                let note = "'num_retries': another instance is asked each time, and never the same one again; \
                            where all fail, only a fifth of the requests are retried (retry.budget-percent)";
                notes.add(found.line, note);
            }
        }
    }
}

fn timeouts<'a>(
    router: &mut Section<'a>,
    library: &mut Section<'a>,
    model: &mut Tree,
    notes: &mut Notes,
) {
    let own = router.take("timeout");
    let general = library.take("request_timeout");
    if let (Some(_), Some(found)) = (own, general) {
        notes.add(
            found.line,
            "'litellm_settings.request_timeout': 'router_settings.timeout' is taken",
        );
    }
    let total = own.or(general);
    for (key, found) in [("total", total), ("first-token", router.take("stream_timeout"))] {
        if let Some(seconds) = found.and_then(|found| found.number("timeout", 0.001, notes)) {
            model.under("timeouts").word(key, format!("{}ms", plain((seconds * 1000.0).round())));
        }
    }
}

/// When a deployment that fails is left alone.
fn cooldown<'a>(
    router: &mut Section<'a>,
    library: &mut Section<'a>,
    model: &mut Tree,
    notes: &mut Notes,
) {
    let fails = either("allowed_fails", router, library, notes);
    let time = either("cooldown_time", router, library, notes);
    let mut breaker = Tree::default();
    if let Some(fails) = fails.and_then(|found| {
        notes.add(
            found.line,
            "'allowed_fails': failures are counted in a row here, and not in a minute",
        );
        found.whole("allowed_fails", 0, 999, notes)
    }) {
        breaker.word("failure-threshold", fails + 1);
    }
    if let Some(seconds) = time.and_then(|found| found.number("cooldown_time", 0.001, notes)) {
        breaker.word("timeout", format!("{}ms", plain((seconds * 1000.0).round())));
    }
    if !breaker.is_empty() {
        breaker.word("enabled", true);
        model.map("circuit-breaker", breaker);
    }
}

/// What is asked when a group cannot answer.
fn fallbacks<'a>(
    router: &mut Section<'a>,
    library: &mut Section<'a>,
    deployments: &[Deployment],
    model: &mut Tree,
    notes: &mut Notes,
) {
    let names: Vec<&str> =
        deployments.iter().flat_map(|one| &one.names).map(String::as_str).collect();
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let usual = either("fallbacks", router, library, notes);
    let longer = either("context_window_fallbacks", router, library, notes);
    for (found, what) in [(usual, "fallbacks"), (longer, "context_window_fallbacks")] {
        for item in found.into_iter().flat_map(Found::list) {
            for (name, chain) in Section::new(what, item.node, notes).rest() {
                if !names.contains(&name) {
                    notes
                        .add(chain.line, format!("'{what}' of '{name}', which is not served here"));
                    continue;
                }
                let known = served(chain, name, what, &names, notes);
                let all = chains.entry(name.to_owned()).or_default();
                for one in known {
                    if !all.contains(&one) {
                        all.push(one);
                    }
                }
            }
        }
    }
    chains.retain(|_, chain| !chain.is_empty());
    let default = either("default_fallbacks", router, library, notes);
    let default = default.map(|found| served(found, "", "default_fallbacks", &names, notes));
    // A model that is the only one cannot stand in for itself.
    let default: Vec<String> = default.unwrap_or_default();
    let others = names.iter().any(|name| *name != names[0]);
    if chains.is_empty() && (default.is_empty() || !others) {
        return;
    }
    let fallback = model.under("fallback");
    fallback.word("enabled", true);
    fallback.text("strategy", "model");
    if !default.is_empty() {
        fallback.list("models", texts(default.iter().map(String::as_str)));
    }
    for (name, chain) in &chains {
        fallback.under("per-model").list(name, texts(chain.iter().map(String::as_str)));
    }
    if let Some(longer) = longer {
        fallback.word("on-context-length", true);
        if usual.is_some() {
            let note = "'context_window_fallbacks' and 'fallbacks' are one list here, which is asked in both cases";
            notes.add(longer.line, note);
        } else {
            let note = "'context_window_fallbacks' are asked when a model's instances fail, too";
            notes.add(longer.line, note);
        }
    }
}

/// Those of a chain that are served, but for the model itself.
fn served(
    chain: Found<'_>,
    of: &str,
    what: &str,
    names: &[&str],
    notes: &mut Notes,
) -> Vec<String> {
    let mut known = Vec::new();
    for found in chain.list() {
        match found.text() {
            Some(name) if name == of => {}
            Some(name) if names.contains(&name) => known.push(name.to_owned()),
            Some(name) => {
                notes.add(found.line, format!("'{what}' names '{name}', which is not served here"));
            }
            None => {
                notes.add(found.line, format!("'{what}' with parameters of its own is left out"));
            }
        }
    }
    known
}
