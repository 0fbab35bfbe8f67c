//! Asking engines which models they have: those of the configuration that were given none, again and
//! again, and once whatever runs on this machine, if there is no configuration.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Collected, Limited};
use jairouter_core::client::NewConnection;
use jairouter_core::{Backend, Payload};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::config::{self, Config, Discovery, ModelName, Models, is_model_name};
use crate::transport::Transport;

/// How long it is waited for lists before it is served without them.
const PATIENCE: Duration = Duration::from_secs(1);

/// When an engine that has not answered is asked again, the first time; then twice as long each time.
const AGAIN: Duration = Duration::from_millis(500);

/// The longest list read, in bytes, and the most models taken from it.
const LARGEST_LIST: usize = 8 << 20;
const MOST_MODELS: usize = 10_000;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("jairouter/", env!("CARGO_PKG_VERSION")));

/// The models of each instance that has said which it has, by its id.
pub type Known = HashMap<String, Vec<Box<str>>>;

/// What an instance has said.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The instance.
    pub instance: String,
    /// Where it is.
    pub base_url: String,
    /// Its models, each once.
    pub models: Vec<Box<str>>,
}

impl config::Instance {
    /// What callers call its models, as far as that is known.
    pub fn names(&self, known: &Known) -> Vec<ModelName> {
        let aliases = match &self.models {
            Models::Given(names) => return names.clone(),
            Models::Asked(aliases) => aliases,
        };
        let Some(listed) = known.get(&self.id) else { return Vec::new() };
        let has: HashSet<&str> = listed.iter().map(|name| &**name).collect();
        let others = aliases
            .iter()
            .filter(|alias| alias.own.as_deref().is_some_and(|own| has.contains(own)));
        let mut names: BTreeMap<Box<str>, ModelName> = BTreeMap::new();
        let plain = listed.iter().map(|name| ModelName { name: name.clone(), own: None });
        for model in plain.chain(others.cloned()) {
            names.insert(model.name.clone(), model);
        }
        names.into_values().collect()
    }

    /// Whether it has not said yet which models it has.
    pub(crate) fn is_unknown(&self, known: &Known) -> bool {
        self.is_asked() && !known.contains_key(&self.id)
    }
}

/// Asks one instance for its models.
pub struct Lister {
    instance: String,
    base_url: String,
    backend: Arc<dyn Backend>,
    uri: Uri,
    headers: HeaderMap,
    transport: Transport,
    settings: Discovery,
}

/// Asks all instances of this configuration that have to be asked, at once, and waits for a second.
pub async fn first(config: &Config) -> Known {
    let instances = config.services.iter().flat_map(|service| &service.instances);
    let asked = instances.filter(|instance| instance.is_asked()).filter_map(|instance| {
        let mut lister = Lister::new(instance, Transport::to(instance).ok()?).ok()?;
        lister.settings.timeout = lister.settings.timeout.min(PATIENCE);
        Some(async move { Some((lister.ask().await.ok()?, lister.instance)) })
    });
    let asked: Vec<_> = asked.collect();
    let answers = join_all(asked).await.into_iter().flatten();
    answers.map(|(models, instance)| (instance, models)).collect()
}

impl Lister {
    /// Asks this instance, over this transport, within the time of its `discovery`.
    ///
    /// # Errors
    ///
    /// If there is no such path, as text.
    pub fn new(instance: &config::Instance, transport: Transport) -> Result<Self, String> {
        let backend = Arc::clone(&instance.backend);
        let uri = instance.target.uri(backend.models()).map_err(|error| error.to_string())?;
        let mut headers = backend.headers();
        headers.extend(instance.headers.clone());
        if let Ok(host) = HeaderValue::from_str(instance.target.authority().as_str()) {
            headers.entry(HOST).or_insert(host);
        }
        headers.entry(USER_AGENT).or_insert(AGENT);
        let (id, base_url) = (instance.id.clone(), instance.base_url.clone());
        let settings = instance.discovery;
        Ok(Self { instance: id, base_url, backend, uri, headers, transport, settings })
    }

    /// Asks for as long as it is polled, and whenever the instance has `recovered`. An instance that
    /// does not answer is left with what it said last, which is what is `known` of it at first, and asked
    /// more often. What it has no more counts when it has said so twice.
    pub(crate) async fn run(
        mut self,
        known: Option<Vec<Box<str>>>,
        recovered: Arc<Notify>,
        lists: mpsc::Sender<Listed>,
    ) {
        let interval = self.settings.interval;
        let mut pause = known.is_some().then_some(interval);
        let (mut again, mut failing, mut doubted) = (AGAIN, false, false);
        let mut last = known.unwrap_or_default();
        loop {
            if let Some(pause) = pause {
                // One that recovers again and again is not asked all the time.
                sleep(AGAIN).await;
                if timeout(pause.saturating_sub(AGAIN), recovered.notified()).await.is_ok() {
                    again = AGAIN;
                }
            }
            let instance = &self.instance.clone();
            match self.ask().await {
                // An engine that is starting may list none of what it will have.
                Ok(models) if lacks(&models, &last) && !std::mem::replace(&mut doubted, true) => {
                    pause = Some(AGAIN);
                }
                Ok(models) => {
                    last.clone_from(&models);
                    doubted = false;
                    if std::mem::take(&mut failing) {
                        tracing::info!(instance, "the instance lists its models again");
                    }
                    let base_url = self.base_url.clone();
                    let listed = Listed { instance: instance.clone(), base_url, models };
                    if lists.send(listed).await.is_err() {
                        return;
                    }
                    (pause, again) = (Some(interval), AGAIN);
                }
                Err(reason) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(instance, reason, "the instance does not list its models");
                    }
                    pause = Some(again);
                    again = again.saturating_mul(2).min(interval);
                }
            }
        }
    }

    /// Its models, each once and in order.
    ///
    /// # Errors
    ///
    /// Why there are none to be had, as text.
    pub async fn ask(&mut self) -> Result<Vec<Box<str>>, String> {
        let list = match timeout(self.settings.timeout, self.list()).await {
            Ok(list) => list?,
            Err(_) => return Err(format!("no answer in {:?}", self.settings.timeout)),
        };
        self.names(&list)
    }

    async fn list(&mut self) -> Result<Bytes, String> {
        let answer = self.transport.clone().oneshot(self.request()).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("it answers with {status}"));
        }
        let body = Limited::new(answer.into_body(), LARGEST_LIST).collect().await;
        body.map(Collected::to_bytes).map_err(|error| error.to_string())
    }

    /// Those that callers can name, each once and in order.
    ///
    /// None of another gateway of this kind: two that ask each other would keep what nobody has, and send
    /// a request for it round in circles.
    fn names(&self, list: &[u8]) -> Result<Vec<Box<str>>, String> {
        if memchr::memmem::find(list, br#""owned_by":"jairouter""#).is_some() {
            return Err("it is a gateway itself: name the models it is to be asked for".into());
        }
        let names = self.backend.model_names(list).map_err(|error| error.to_string())?;
        let count = names.len();
        let names = names.into_iter().filter(|name| is_model_name(name)).take(MOST_MODELS);
        let names: BTreeSet<_> = names.map(String::into_boxed_str).collect();
        if names.len() < count {
            let (instance, left) = (&self.instance, count - names.len());
            tracing::debug!(
                instance,
                left,
                "names that are none, are given twice, or are too many"
            );
        }
        Ok(names.into_iter().collect())
    }

    fn request(&self) -> Request<Payload> {
        let mut request = Request::new(Payload::default());
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        // One that was kept since the last time may be closed by now.
        request.extensions_mut().insert(NewConnection);
        if let Some(body) = self.backend.models_request() {
            *request.method_mut() = Method::POST;
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            *request.body_mut() = Payload::from(body);
        }
        request
    }
}

impl fmt::Debug for Lister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lister").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// Whether one of those that were there is not.
fn lacks(models: &[Box<str>], last: &[Box<str>]) -> bool {
    last.iter().any(|name| models.binary_search(name).is_err())
}

/// The ports the field's engines listen on by default, and how they are spoken to.
const USUAL: [Usual; 6] = [
    Usual { engine: "Ollama", port: 11434, adapter: "ollama" },
    Usual { engine: "vLLM", port: 8000, adapter: "vllm" },
    Usual { engine: "SGLang", port: 30000, adapter: "sglang" },
    Usual { engine: "llama.cpp", port: 8080, adapter: "llamacpp" },
    Usual { engine: "LM Studio", port: 1234, adapter: "normal" },
    Usual { engine: "Xinference", port: 9997, adapter: "xinference" },
];

struct Usual {
    engine: &'static str,
    port: u16,
    adapter: &'static str,
}

/// An engine that answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// What usually listens there.
    pub engine: &'static str,
    /// The adapter that speaks to it.
    pub adapter: &'static str,
    /// Where it is.
    pub base_url: String,
    /// What it serves, at least one.
    pub models: Vec<Box<str>>,
}

/// Asks the usual ports, all at once, and returns who answered, in the order of the table.
pub async fn engines() -> Vec<Found> {
    let asked = USUAL.iter().map(|usual| async move {
        let base_url = format!("http://127.0.0.1:{}", usual.port);
        let models = on_this_machine(usual.adapter, &base_url).await?;
        let found = Found { engine: usual.engine, adapter: usual.adapter, base_url, models };
        (!found.models.is_empty()).then_some(found)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The models that answer there in this adapter's words, if anything does.
async fn on_this_machine(adapter: &str, base_url: &str) -> Option<Vec<Box<str>>> {
    let backend = jairouter_adapters::by_name(adapter)?;
    let asked = Models::Asked(Vec::new());
    let mut instance = config::Instance::new(asked, backend, base_url).ok()?;
    instance.connect_timeout = PATIENCE;
    let mut lister = Lister::new(&instance, Transport::to(&instance).ok()?).ok()?;
    let list = timeout(PATIENCE, lister.list()).await.ok()?.ok()?;
    lister.names(&list).ok()
}
