//! The stack that serves, and what changes it while it does.

use std::collections::HashMap;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jairouter_core::observe::Exchange;
use jairouter_core::reload::Reloadable;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::config::Config;
use crate::discover::{Known, Listed};
use crate::jwt;
use crate::kept::{Keeper, Kept, Task};
use crate::keys::Keys;
use crate::log;
use crate::metrics::{self, Metrics, Snapshot};
use crate::reload::{self, Cause, Refused, Source};
use crate::server::{self, Status};
use crate::stack::{self, AnyRouter, Front, Stack};
use crate::transport::Siblings;

/// For how long lists are collected before they are served: they often come together.
const TOGETHER: Duration = Duration::from_millis(100);

/// How many models are named in a line of the log.
const MOST_NAMED: usize = 20;

/// How many lists wait to be read.
const MOST_LISTED: usize = 64;

/// A configuration that is served, on every core alike.
pub struct Live {
    config: Config,
    known: Known,
    kept: Kept,
    /// What every core's own is made of. It has no connections itself.
    router: AnyRouter,
    front: Front,
    cores: Vec<Core>,
    status: Arc<Status>,
    lists: mpsc::Receiver<Listed>,
    answers: mpsc::Sender<Listed>,
    tasks: FuturesUnordered<Task>,
    source: Option<Source>,
    metrics: Arc<Metrics>,
    keys: Arc<Keys>,
}

/// What may take the place of what serves.
struct Built {
    router: AnyRouter,
    keys: Keys,
    kept: Kept,
    tasks: Vec<Task>,
    instances: Vec<metrics::Instance>,
}

/// Has whoever asks for the metrics see what is served.
fn show(metrics: &Metrics, router: &AnyRouter, instances: Vec<metrics::Instance>) {
    let rooms =
        router.rooms().map(|(service, model, room)| (service, model.into(), Arc::clone(room)));
    let rooms = rooms.collect();
    metrics.serve(router.models().map(|(_, model)| model), Snapshot { instances, rooms });
}

/// One core's stack, and its connections.
struct Core {
    stack: Reloadable<Stack>,
    siblings: Siblings,
}

impl Live {
    /// The stack of this configuration, with the models that are known of those that are asked for theirs.
    /// If it has a source, it is read from there again when that says so.
    ///
    /// # Errors
    ///
    /// If an instance cannot be made, as text. A configuration that was loaded has no such instance.
    pub fn new(config: Config, known: Known, source: Option<Source>) -> Result<Self, String> {
        let (answers, lists) = mpsc::channel(MOST_LISTED);
        let none = Kept::default();
        let metrics = Arc::new(Metrics::new());
        let mut keeper = Keeper::new(&none, answers.clone(), &metrics);
        let router = stack::router(&config, &known, &mut keeper)?.build();
        let keys = stack::keys(&config, &router, &mut keeper);
        let served = std::mem::take(&mut keeper.instances);
        let (kept, tasks) = keeper.done();
        show(&metrics, &router, served);
        let instances = router.instances().cloned().collect();
        let status = Arc::new(Status::new(server::Settings::of(&config.server), instances));
        // As long as the process: what counts is one for all of it.
        let tell: &'static _ = Box::leak(Box::new({
            let metrics = Arc::clone(&metrics);
            move |exchange: &Exchange| {
                log::access(exchange);
                metrics.tell(exchange);
            }
        }));
        let front = Front::new(&config, tell);
        let (cores, tasks) = (Vec::new(), tasks.into_iter().collect());
        Ok(Self {
            config,
            known,
            kept,
            router,
            front,
            cores,
            status,
            lists,
            answers,
            tasks,
            source,
            metrics,
            keys: Arc::new(keys),
        })
    }

    /// What it says of itself.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What it serves, once for each service that does.
    pub fn models(&self) -> Vec<String> {
        self.router.models().map(|(_, model)| model.to_owned()).collect()
    }

    /// What answers on one more core.
    pub fn core(&mut self) -> Reloadable<Stack> {
        let mut siblings = Siblings::default();
        let app = stack::app(&self.front, &self.router, &mut siblings);
        let stack = Reloadable::new(Stack { keys: Arc::clone(&self.keys), app });
        self.cores.push(Core { stack: stack.clone(), siblings });
        stack
    }

    /// Looks after the instances, serves the models that they say they have, and takes other
    /// configurations, for as long as it is polled.
    pub async fn run(mut self) {
        let mut another = next(self.source.take());
        let mut due = None;
        loop {
            tokio::select! {
                Some(listed) = self.lists.recv() => {
                    if self.is_asked(&listed) && self.note(listed.instance, listed.models) {
                        due.get_or_insert_with(|| Box::pin(sleep(TOGETHER)));
                    }
                }
                () = OptionFuture::from(due.as_mut()).map(drop), if due.is_some() => {
                    due = None;
                    self.relist();
                }
                Some(_) = self.tasks.next() => {}
                (source, cause, config) = &mut another => {
                    self.reload(source.path(), cause, config);
                    another = next(Some(source));
                }
            }
        }
    }

    /// Serves the configuration that is there now, unless it is wrong: then nothing changes.
    fn reload(&mut self, path: &Path, cause: Cause, config: Result<Config, Refused>) {
        let loaded = config.map(|config| self.take(config));
        self.metrics.reloaded(matches!(loaded, Ok(Ok(_))));
        let path = path.display();
        match loaded {
            Ok(Ok(restart)) => {
                tracing::info!(%path, ?cause, "another configuration is served");
                for key in restart {
                    tracing::warn!(%path, key, "this acts only when the program starts again");
                }
            }
            Ok(Err(error)) => tracing::error!(%path, error, "the configuration is not taken"),
            Err(Refused::Unreadable(error)) => {
                tracing::error!(%path, %error, "the file cannot be read: the configuration stays");
            }
            Err(Refused::Wrong(errors)) => {
                for error in &errors {
                    tracing::error!("{path}:{error}");
                }
                let errors = errors.len();
                tracing::error!(%path, errors, "the file is wrong: the configuration stays");
            }
        }
    }

    /// Serves this configuration. What of it cannot act yet.
    fn take(&mut self, config: Config) -> Result<Vec<&'static str>, String> {
        let restart = reload::needs_restart(&self.config, &config);
        let front = self.front.after(&self.config, &config);
        // What somebody at another place has said counts no more.
        let asked = |config: &Config| -> HashMap<String, String> {
            let instances = config.services.iter().flat_map(|service| &service.instances);
            let asked = instances.filter(|instance| instance.is_asked());
            asked.map(|instance| (instance.id.clone(), instance.base_url.clone())).collect()
        };
        let (old, new) = (asked(&self.config), asked(&config));
        let mut known = self.known.clone();
        known.retain(|id, _| new.get(id).is_some_and(|place| old.get(id) == Some(place)));
        let built = self.build(&config, &known)?;
        (self.config, self.known, self.front) = (config, known, front);
        self.serve(built);
        for section in &self.config.inactive {
            tracing::warn!(
                path = section.path,
                line = section.line,
                "not active yet: {}",
                section.what
            );
        }
        Ok(restart)
    }

    /// Serves what instances have said they have.
    fn relist(&mut self) {
        match self.build(&self.config, &self.known) {
            Ok(built) => self.serve(built),
            Err(error) => {
                tracing::error!(error, "the models that the engines have cannot be served");
            }
        }
    }

    /// Whether it is served, and at the place that has said it.
    fn is_asked(&self, listed: &Listed) -> bool {
        let instances = self.config.services.iter().flat_map(|service| &service.instances);
        let mut asked = instances.filter(|instance| instance.is_asked());
        asked.any(|one| one.id == listed.instance && one.base_url == listed.base_url)
    }

    /// Whether it is news.
    fn note(&mut self, instance: String, models: Vec<Box<str>>) -> bool {
        let before = self.known.get(&instance);
        if before == Some(&models) {
            return false;
        }
        let none = Vec::new();
        let old = before.unwrap_or(&none);
        let only = |these: &[Box<str>], not: &[Box<str>]| {
            let left = these.iter().filter(|name| !not.contains(name));
            let left: Vec<_> = left.map(|name| &**name).collect();
            match left.len() {
                0..=MOST_NAMED => left.join(", "),
                all => format!("{} and {} more", left[..MOST_NAMED].join(", "), all - MOST_NAMED),
            }
        };
        let (added, gone) = (only(&models, old), only(old, &models));
        tracing::info!(instance, added, gone, "the models of an instance");
        self.known.insert(instance, models);
        true
    }

    /// Builds what may serve from now on, over the handles of what serves.
    fn build(&self, config: &Config, known: &Known) -> Result<Built, String> {
        let mut keeper = Keeper::new(&self.kept, self.answers.clone(), &self.metrics);
        let router = stack::router(config, known, &mut keeper)?.succeed(&self.router);
        let keys = stack::keys(config, &router, &mut keeper);
        let instances = std::mem::take(&mut keeper.instances);
        let (kept, tasks) = keeper.done();
        Ok(Built { router, keys, kept, tasks, instances })
    }

    /// Has every core swap it in.
    fn serve(&mut self, Built { router, keys, kept, tasks, instances }: Built) {
        show(&self.metrics, &router, instances);
        self.keys = Arc::new(keys);
        for Core { stack, siblings } in &mut self.cores {
            let app = stack::app(&self.front, &router, siblings);
            // Both at once: what is served to the holders of keys is served to nobody else.
            stack.swap(Stack { keys: Arc::clone(&self.keys), app });
        }
        let settings = server::Settings::of(&self.config.server);
        self.status.serve(settings, router.instances().cloned().collect());
        self.tasks.extend(tasks);
        (self.kept, self.router) = (kept, router);
    }
}

/// The next configuration of this source.
fn next(source: Option<Source>) -> BoxFuture<'static, (Source, Cause, Result<Config, Refused>)> {
    let Some(mut source) = source else { return Box::pin(pending()) };
    Box::pin(async move {
        let (cause, mut config) = source.next().await;
        if let Ok(config) = &mut config {
            jwt::first(config).await;
        }
        (source, cause, config)
    })
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("router", &self.router).finish_non_exhaustive()
    }
}
