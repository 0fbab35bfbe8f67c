//! `adapter-definitions`: frameworks by configuration.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jairouter_adapters::Custom;
use jairouter_core::{Backend, Endpoint, ServiceType};

use super::instance::{headers, model_name, name as header_name, secret};
use super::map::Map;
use super::names::{fold, unknown};
use super::reader::Field;
use super::sections::{path, service_type};

/// How many adapters of the file may extend each other.
const MOST_GENERATIONS: usize = 16;

/// How an instance is spoken to.
#[derive(Clone)]
pub(super) struct Adapter {
    pub(super) backend: Arc<dyn Backend>,
    /// Whether it is one of the program's, which may have options.
    is_known: bool,
    /// The engine's own names of models, by the names callers use.
    pub(super) models: Arc<BTreeMap<String, String>>,
}

/// The adapters of the file, by their folded names.
#[derive(Clone, Default)]
pub(super) struct Adapters(Arc<HashMap<String, Adapter>>);

impl Adapters {
    /// The adapter of this name, of the file's or of the program's, however it is written.
    pub(super) fn find(&self, text: &str) -> Result<Adapter, String> {
        if let Some(adapter) = self.0.get(&fold(text)) {
            return Ok(adapter.clone());
        }
        known(text).ok_or_else(|| {
            let mut names = jairouter_adapters::NAMES.to_vec();
            names.extend(self.0.values().map(|adapter| adapter.backend.name()));
            unknown("adapter", text, &names)
        })
    }
}

impl Adapter {
    /// The same with the options of this map.
    pub(super) fn with_options(self, field: &Field<'_>) -> Self {
        if !self.is_known {
            field.error_at_key("the options of this adapter are given where it is defined");
            return self;
        }
        let fields = field.named().unwrap_or_default();
        let text = |field: &Field<'_>| field.parse(|text| Ok(text.to_owned()));
        let values = fields.iter().filter_map(|(key, field)| Some((*key, text(field)?)));
        let values: Vec<_> = values.collect();
        let options: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
        match jairouter_adapters::by_name_with(self.backend.name(), &options) {
            Some(Ok(backend)) => Self { backend, ..self },
            Some(Err(error)) => {
                let wrong = fields.iter().find(|(key, _)| *key == error.key());
                let field = wrong.map_or(field, |(_, field)| field);
                field.error(error.to_string());
                self
            }
            None => self,
        }
    }
}

impl Default for Adapter {
    fn default() -> Self {
        let backend = Arc::new(jairouter_adapters::openai::OpenAi::new());
        Self { backend, is_known: true, models: Arc::default() }
    }
}

fn known(name: &str) -> Option<Adapter> {
    let backend = jairouter_adapters::by_name(name)?;
    Some(Adapter { backend, is_known: true, models: Arc::default() })
}

/// Reads `adapter-definitions`.
pub(super) fn definitions(field: &Field<'_>) -> Adapters {
    let fields = field.named().unwrap_or_default();
    let mut waiting: Vec<_> = fields.into_iter().filter_map(definition).collect();
    let mut found: HashMap<String, Adapter> = HashMap::new();
    // Each after its parent, in whatever order they are written: a generation at a time.
    for _ in 0..MOST_GENERATIONS {
        let names: HashSet<_> = waiting.iter().map(|definition| fold(definition.name)).collect();
        waiting.retain_mut(|definition| {
            let parent = fold(&definition.parent);
            let is_waiting = names.contains(&parent);
            if !is_waiting {
                match found.get(&parent).cloned().or_else(|| known(&definition.parent)) {
                    Some(parent) => {
                        found.insert(fold(definition.name), definition.adapter(&parent));
                    }
                    None => {
                        let names = jairouter_adapters::NAMES;
                        definition.field.error(unknown("adapter", &definition.parent, names));
                    }
                }
            }
            is_waiting
        });
    }
    for definition in &waiting {
        definition.field.error_at_key(format!(
            "this adapter extends itself by its parents, or has more than {MOST_GENERATIONS} of them"
        ));
    }
    Adapters(Arc::new(found))
}

/// A definition whose parent has not been looked for.
struct Definition<'a> {
    name: &'a str,
    field: Field<'a>,
    parent: String,
    /// What it changes.
    change: Box<dyn FnOnce(Custom) -> Custom + 'a>,
    models: BTreeMap<String, String>,
    options: Option<Field<'a>>,
}

impl Definition<'_> {
    fn adapter(&mut self, parent: &Adapter) -> Adapter {
        let parent = match self.options.take() {
            Some(options) => parent.clone().with_options(&options),
            None => parent.clone(),
        };
        let custom = Custom::new(self.name, parent.backend);
        let change = std::mem::replace(&mut self.change, Box::new(|custom| custom));
        let mut models = parent.models;
        if !self.models.is_empty() {
            Arc::make_mut(&mut models).append(&mut self.models);
        }
        Adapter { backend: Arc::new(change(custom)), is_known: false, models }
    }
}

fn definition<'a>((name, field): (&'a str, Field<'a>)) -> Option<Definition<'a>> {
    if known(name).is_some() {
        field.error_at_key(format!("the adapter '{name}' is there already"));
        return None;
    }
    let mut map = field.map()?;
    let kinds = [
        ("openai-compatible", Some("normal")),
        ("ollama-compatible", Some("ollama")),
        ("extend", None),
    ];
    let kind = map.take("type").map(|field| field.one_of("type", &kinds));
    let given = map.take("parent").and_then(|field| field.parse(|text| Ok(text.to_owned())));
    let parent = match (kind.unwrap_or(Some(Some("normal")))?, given) {
        (None, Some(parent)) => Some(parent),
        (None, None) => {
            map.error("the type 'extend' needs a 'parent'");
            None
        }
        (Some(_), Some(_)) => {
            map.error("a 'parent' is for the type 'extend'");
            None
        }
        (Some(parent), None) => Some(parent.to_owned()),
    };
    let change = changes(&mut map);
    let models = map.take("models").map(|field| models(&field)).unwrap_or_default();
    let options = map.take("options");
    map.finish();
    Some(Definition { name, field, parent: parent?, change, models, options })
}

fn changes<'a>(map: &mut Map<'_>) -> Box<dyn FnOnce(Custom) -> Custom + 'a> {
    let capabilities = map.take("capabilities").map(|field| {
        let fields = field.list().unwrap_or_default();
        fields.iter().filter_map(|field| field.parse(service_type)).collect::<Vec<ServiceType>>()
    });
    let auth = map.take("auth").and_then(|field| field.map()).map(|mut map| {
        let name = map.take("header-name").and_then(|field| field.parse(header_name));
        let before = map.take("header-prefix").and_then(|field| field.parse(prefix));
        map.finish();
        (name.unwrap_or(http::header::AUTHORIZATION), before)
    });
    let headers = map.take("additional-headers").map(|field| headers(&field)).unwrap_or_default();
    let mut paths = Vec::new();
    let (mut health, mut list) = (None, None);
    let fields = map.take("paths").and_then(|field| field.named()).unwrap_or_default();
    for (key, field) in fields {
        let Some(value) = field.parse(path) else { continue };
        match (endpoint(key), key) {
            (Some(endpoint), _) => paths.push((endpoint, value)),
            (None, "health") => health = Some(value),
            (None, "models") => list = Some(value),
            (None, _) => {
                let names = Endpoint::ALL.iter().map(|endpoint| short(*endpoint));
                let names: Vec<_> = names.chain(["health", "models"]).collect();
                field.error_at_key(unknown("endpoint", key, &names));
            }
        }
    }
    Box::new(move |custom| {
        let custom = custom.with_headers(headers);
        let custom = match capabilities {
            Some(services) => custom.offering(services),
            None => custom,
        };
        let custom = match auth {
            Some((name, Some(before))) => custom.with_key_header(name, before),
            Some((name, None)) => {
                let is_usual = name == http::header::AUTHORIZATION;
                custom.with_key_header(name, if is_usual { "Bearer " } else { "" })
            }
            None => custom,
        };
        let custom = match health {
            Some(path) => custom.with_health(path),
            None => custom,
        };
        let custom = match list {
            Some(path) => custom.with_models(path),
            None => custom,
        };
        paths.into_iter().fold(custom, |custom, (endpoint, path)| custom.with_path(endpoint, path))
    })
}

fn models(field: &Field<'_>) -> BTreeMap<String, String> {
    let fields = field.named().unwrap_or_default();
    let own = |(name, field): (&str, Field<'_>)| Some((name.to_owned(), field.parse(model_name)?));
    fields.into_iter().filter_map(own).collect()
}

/// What stands before a key: with a space behind it, if it is a word.
fn prefix(text: &str) -> Result<String, String> {
    secret(text)?;
    let is_word = text.ends_with(|last: char| last.is_ascii_alphanumeric());
    Ok(if is_word { format!("{text} ") } else { text.to_owned() })
}

/// An endpoint as it is called here: `chat/completions`.
fn short(endpoint: Endpoint) -> &'static str {
    endpoint.path().strip_prefix("/v1/").unwrap_or(endpoint.path())
}

fn endpoint(key: &str) -> Option<Endpoint> {
    Endpoint::ALL.iter().copied().find(|endpoint| {
        let name = short(*endpoint);
        name.eq_ignore_ascii_case(key) || endpoint.path() == key
    })
}
