//! `instances`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU16;

use http::{HeaderMap, HeaderName, HeaderValue};
use jairouter_adapters::simulated::Engine;
use jairouter_core::upstream::{InvalidTarget, Target};
use jairouter_core::{Backend, Endpoint, Route, ServiceType};

use super::adapters::Adapter;
use super::identity::identity;
use super::map::Map;
use super::model::Level;
use super::reader::Field;
use super::sections::path;
use super::server::set;
use super::tls::Tls;
use super::types::{Instance, ModelName, Models};
use super::value::{flag, whole};

/// The most headers an instance may be sent beside the caller's.
const MOST_HEADERS: usize = 64;

/// Reads the instances of a service. Those without an `instance-id` have none yet.
pub(super) fn instances(field: &Field<'_>, service: ServiceType, level: &Level) -> Vec<Instance> {
    let Some(fields) = field.list() else { return Vec::new() };
    if fields.is_empty() {
        field.error("a service needs at least one instance");
    }
    let (mut ids, mut identities) = (HashSet::new(), HashSet::new());
    let mut instances = Vec::new();
    for field in fields {
        let Some(instance) = instance(&field, service, level) else { continue };
        if instance.id.is_empty() {
            if !identities.insert(identity(&instance)) {
                let message = "this instance is given twice: same models, base-url and path; \
                               give each an instance-id if both are meant";
                field.error(message);
            }
        } else if !ids.insert(instance.id.clone()) {
            field.error(format!("another instance has the instance-id '{}'", instance.id));
        }
        instances.push(instance);
    }
    instances
}

fn instance(field: &Field<'_>, service: ServiceType, level: &Level) -> Option<Instance> {
    let mut map = field.map()?;
    let mut level = level.clone();
    level.read_narrow(&mut map);
    let models = models(&mut map);
    let base_url = map.take("base-url");
    if base_url.is_none() {
        map.error("this instance has no 'base-url'");
    }
    let target = base_url.as_ref().and_then(|field| field.parse(target));
    let mut path_of = None;
    set(&mut map, "path", &mut path_of, |text| {
        path(text).map(|path| Some((endpoint(service, &path), path)))
    });
    let mut weight = NonZeroU16::MIN;
    set(&mut map, "weight", &mut weight, |text| {
        let weight = whole(text, 1, u16::MAX.into())?;
        Ok(NonZeroU16::new(weight as u16).unwrap_or(NonZeroU16::MIN))
    });
    let status = map.take("status");
    let active =
        status.and_then(|field| field.one_of("status", &[("active", true), ("inactive", false)]));
    let id = map.take("instance-id").and_then(|field| field.parse(instance_id));
    let mut headers = map.take("headers").map(|field| headers(&field)).unwrap_or_default();
    let options = map.take("options");
    let key = map.take("api-key").and_then(|field| {
        // No message repeats it.
        field.parse(|text| secret(text).map(|_| text.to_owned()))
    });
    // One that the environment leaves empty is none.
    let key = key.filter(|key| !key.is_empty());
    let mut forward_authorization = false;
    set(&mut map, "forward-authorization", &mut forward_authorization, flag);
    map.finish();

    let adapter = match options {
        Some(options) => level.adapter.with_options(&options),
        None => level.adapter,
    };
    let Adapter { mut backend, models: aliases, .. } = adapter;
    // An engine with a language of its own that is asked at a path of OpenAI's is to be asked in
    // OpenAI's words: several of the field speak both.
    let is_openai_path = path_of.as_ref().is_some_and(|(_, path)| path.starts_with("/v1/"));
    if is_openai_path && backend.name() == "ollama" {
        backend = Adapter::default().backend;
    }
    let mut instance = Instance::new(named(models?, &aliases), backend, &target?.1).ok()?;
    instance.id = id.unwrap_or_default();
    let (backend, adapter) = (&*instance.backend, instance.backend.name());
    let is_simulated = instance.target.scheme() == "simulated";
    if let Some(field) = &base_url {
        if is_simulated && !speaks_openai(backend, service) {
            field.error(format!("the simulated engine does not speak the language of '{adapter}'"));
        } else if adapter == "simulated" && !is_simulated {
            field.error("the adapter 'simulated' is for base URLs that begin with simulated://");
        }
    }
    if path_of.is_none() && paths(backend, service).next().is_none() {
        field.error(format!(
            "the framework of '{adapter}' offers nothing of the service '{service}'"
        ));
    }
    if let Some(key) = key {
        let (name, before) = backend.key_header();
        if let Ok(value) = secret(&format!("{before}{key}")) {
            headers.insert(name, value);
        }
    }
    instance.path = path_of;
    instance.asked_name = level.asked_name;
    instance.weight = weight;
    instance.active = active.unwrap_or(true);
    instance.headers = headers;
    instance.forward_authorization = forward_authorization;
    instance.timeouts = level.timeouts;
    instance.connect_timeout = level.connect_timeout;
    instance.max_concurrency = level.max_concurrency;
    instance.rate_limits = level.of_each_instance;
    instance.rate_limits.extend(level.rate_limit);
    instance.breaker = level.breaker;
    instance.health = level.health;
    instance.health.headers.clone_from(&instance.headers);
    instance.discovery = level.discovery;
    instance.http2 = level.http2;
    instance.link_local = level.link_local;
    if !level.link_local && instance.target.is_link_local() {
        let message = "this is a link-local address, where clouds keep secrets: no instance is asked \
                       there unless allow-link-local is true";
        base_url.as_ref().inspect(|field| field.error(message));
    }
    if instance.target.scheme() == "https" {
        instance.tls = match level.tls {
            Some(tls) => Some(tls),
            None => Tls::of_the_system().map_err(|error| base_url.map(|url| url.error(error))).ok(),
        };
    }
    Some(instance)
}

/// `name` and `model`, or `models`, or else whatever the instance says. Nothing if they are wrong.
fn models(map: &mut Map<'_>) -> Option<Models> {
    let (one, model, many) = (map.take("name"), map.take("model"), map.take("models"));
    let nothing = "this says nothing; leave it out, and the instance is asked for its models";
    if ["name", "models"].into_iter().any(|key| map.refuse_blank(key, nothing)) {
        return None;
    }
    let own = |field: &Field<'_>| field.parse(model_name).map(String::into_boxed_str);
    match (one, model, many) {
        (Some(_), _, Some(many)) => {
            many.error_at_key("an instance has a 'name' or 'models', not both");
            None
        }
        (None, Some(model), _) => {
            model.error_at_key("this goes with a 'name': it is what the instance calls that model");
            None
        }
        (Some(name), model, None) => {
            let (name, model) = (own(&name), model.map(|model| own(&model)));
            let own = model.map_or(Some(None), |model| model.map(Some));
            Some(Models::Given(vec![ModelName { name: name?, own: own? }]))
        }
        (None, None, Some(many)) => several(&many).map(Models::Given),
        (None, None, None) => Some(Models::Asked(Vec::new())),
    }
}

/// A list of names, or what the instance calls each of them.
fn several(field: &Field<'_>) -> Option<Vec<ModelName>> {
    let text = |field: &Field<'_>| field.parse(model_name).map(String::into_boxed_str);
    let mut names: Vec<ModelName> = Vec::new();
    if field.is_list() {
        for field in field.list()? {
            let name = text(&field)?;
            if names.iter().any(|other| other.name == name) {
                field.error(format!("'{name}' is given twice"));
                return None;
            }
            names.push(ModelName { name, own: None });
        }
    } else {
        for (name, field) in field.named()? {
            let name = model_name(name).map_err(|message| field.error_at_key(message)).ok()?;
            names.push(ModelName { name: name.into(), own: Some(text(&field)?) });
        }
    }
    if names.is_empty() {
        field.error("there is no model here; leave it out, and the instance is asked for its own");
        return None;
    }
    Some(names)
}

/// What an instance serves, with the names its adapter has for some models.
fn named(models: Models, aliases: &BTreeMap<String, String>) -> Models {
    match models {
        Models::Given(mut names) => {
            for model in names.iter_mut().filter(|model| model.own.is_none()) {
                model.own = aliases.get(&*model.name).map(|own| own.as_str().into());
            }
            Models::Given(names)
        }
        Models::Asked(_) => {
            let aliases = aliases.iter().map(|(name, own)| (name.as_str(), own.as_str()));
            let alias =
                |(name, own): (&str, &str)| ModelName { name: name.into(), own: Some(own.into()) };
            Models::Asked(aliases.map(alias).collect())
        }
    }
}

/// What the framework answers of this service, and where.
fn paths(
    backend: &dyn Backend,
    service: ServiceType,
) -> impl Iterator<Item = (Endpoint, Cow<'static, str>)> {
    let endpoints = Endpoint::ALL.iter().filter(move |endpoint| endpoint.service_type() == service);
    let route = |endpoint| Route::new(endpoint, "any", false);
    endpoints.filter_map(move |endpoint| Some((*endpoint, backend.path(&route(*endpoint))?)))
}

/// Whether it does so in OpenAI's words, at OpenAI's paths.
fn speaks_openai(backend: &dyn Backend, service: ServiceType) -> bool {
    use Endpoint::{CountTokens, Detokenize, Messages, Tokenize};
    paths(backend, service).any(|(endpoint, path)| {
        let is_openai_s = !matches!(endpoint, Messages | CountTokens | Tokenize | Detokenize);
        is_openai_s && path == endpoint.path()
    })
}

/// The endpoint whose path an instance's `path` replaces.
fn endpoint(service: ServiceType, path: &str) -> Endpoint {
    match service {
        ServiceType::Chat
            if path.ends_with("/completions") && !path.ends_with("chat/completions") =>
        {
            Endpoint::Completions
        }
        ServiceType::Embedding => Endpoint::Embeddings,
        ServiceType::Rerank => Endpoint::Rerank,
        ServiceType::Tts => Endpoint::Speech,
        ServiceType::Stt if path.ends_with("/translations") => Endpoint::Translations,
        ServiceType::Stt => Endpoint::Transcriptions,
        ServiceType::ImgGen => Endpoint::ImageGenerations,
        ServiceType::ImgEdit => Endpoint::ImageEdits,
        _ => Endpoint::ChatCompletions,
    }
}

/// Where an instance is, and the same as it was written.
fn target(text: &str) -> Result<(Target, String), String> {
    // A refused URL is not repeated: it may hold a password.
    let target: Target = text.parse().map_err(|error: InvalidTarget| error.to_string())?;
    match target.scheme() {
        "http" | "https" => {}
        "simulated" => {
            text.parse::<Engine>().map_err(|error| error.to_string())?;
        }
        other => {
            return Err(format!("'{other}' is not a scheme for instances: use http or https"));
        }
    }
    Ok((target, text.to_owned()))
}

/// Whether it can be a model's name.
pub fn is_model_name(text: &str) -> bool {
    model_name(text).is_ok()
}

/// What the gateway takes as a model's name from callers, too.
pub(super) fn model_name(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("this is empty".into()),
        1..=256 if text.chars().any(char::is_control) => {
            Err("this holds control characters".into())
        }
        1..=256 => Ok(text.to_owned()),
        _ => Err("this is longer than 256 bytes".into()),
    }
}

fn instance_id(text: &str) -> Result<String, String> {
    match HeaderValue::from_str(text) {
        Ok(_) if (1..=128).contains(&text.len()) => Ok(text.to_owned()),
        _ => Err("an instance-id is 1 to 128 printable ASCII characters".into()),
    }
}

/// Headers for requests to an instance. No message repeats a value: it may be a key.
pub(super) fn headers(field: &Field<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let fields = field.named().unwrap_or_default();
    if fields.len() > MOST_HEADERS {
        field.error_at_key(format!("these are more than {MOST_HEADERS} headers"));
        return headers;
    }
    for (written, field) in fields {
        let name = name(written).map_err(|message| field.error_at_key(message)).ok();
        if field.is_null() {
            continue;
        }
        let value = field.parse(secret);
        // A key that the environment leaves empty is none.
        if let (Some(name), Some(value)) = (name, value)
            && !is_blank(&value)
        {
            headers.insert(name, value);
        }
    }
    headers
}

/// Nothing, or a scheme without its credentials, as in `Bearer ${TOKEN:}`.
fn is_blank(value: &HeaderValue) -> bool {
    let value = value.as_bytes().trim_ascii();
    value.is_empty() || value.eq_ignore_ascii_case(b"bearer")
}

pub(super) fn name(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text.parse().map_err(|_| format!("'{text}' is not a header's name"))?;
    match name.as_str() {
        "host" | "connection" | "content-length" | "transfer-encoding" | "te" | "upgrade"
        | "trailer" | "keep-alive" | "proxy-connection" => {
            Err(format!("'{name}' is the connection's own affair and cannot be set"))
        }
        _ => Ok(name),
    }
}

pub(super) fn secret(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "this header's value holds what a header cannot".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
