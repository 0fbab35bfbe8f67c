//! The stack that serves, and what changes it while it does.

use std::collections::HashMap;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jairouter_core::End;
use jairouter_core::observe::Exchange;
use jairouter_core::reload::Reloadable;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::admin::{self, Admin, Order, Served};
use crate::config::Config;
use crate::discover::{Known, Listed};
use crate::export::{Exporter, Spans};
use crate::jwt;
use crate::kept::{Keeper, Kept, Task};
use crate::keys::Keys;
use crate::log;
use crate::metrics::{self, Metrics, Snapshot};
use crate::reload::{self, Cause, Next, Refused, Source};
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
    config: Arc<Config>,
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
    admin: Arc<Admin>,
    orders: mpsc::Receiver<Order>,
    /// When the last of them was taken.
    ordered: Option<Instant>,
    exporter: Option<Exporter>,
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
fn show(metrics: &Metrics, router: &AnyRouter, instances: Vec<metrics::Instance>, kept: &Kept) {
    let rooms =
        router.rooms().map(|(service, model, room)| (service, model.into(), Arc::clone(room)));
    let snapshot = Snapshot { instances, rooms: rooms.collect(), limits: kept.limits() };
    metrics.serve(router.models().map(|(_, model)| model), snapshot);
}

/// A request is over.
fn told(exchange: &Exchange, metrics: &Metrics, spans: Option<&Spans>) {
    log::access(exchange);
    metrics.tell(exchange);
    if let Some(spans) = spans {
        spans.tell(exchange);
    }
    // What has broken off after its head is no attempt in vain, and opens breakers as well.
    if let (End::Broken(_), Some(name)) = (exchange.end, exchange.instance.as_deref()) {
        let snapshot = metrics.snapshot.load();
        if let Some(one) = snapshot.instances.iter().find(|one| one.state.id() == name) {
            log::opened(&one.state, exchange.request_id.as_deref(), exchange.trace.as_ref());
        }
    }
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
        show(&metrics, &router, served, &kept);
        let instances = router.instances().cloned().collect();
        let status = Arc::new(Status::new(server::Settings::of(&config.server), instances));
        let otlp = config.tracing.otlp.as_ref();
        let export = otlp.map(|otlp| Exporter::new(otlp, Arc::clone(&metrics.own.spans)));
        let (spans, exporter) = export.transpose()?.unzip();
        let recorded = spans.is_some();
        let (order, orders) = mpsc::channel(1);
        let path = source.as_ref().map(|source| source.path().to_owned());
        let admin = Arc::new(Admin::new(path, order));
        // As long as the process: what counts is one for all of it.
        let tell: &'static _ = Box::leak(Box::new({
            let (metrics, admin) = (Arc::clone(&metrics), Arc::clone(&admin));
            move |exchange: &Exchange| {
                told(exchange, &metrics, spans.as_ref());
                admin.tell(exchange);
            }
        }));
        let front = Front::new(&config, tell, recorded);
        let (cores, tasks) = (Vec::new(), tasks.into_iter().collect());
        let live = Self {
            config: Arc::new(config),
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
            admin,
            orders,
            ordered: None,
            exporter,
            keys: Arc::new(keys),
        };
        live.show();
        live.admin.taken(&live.config, "start".to_owned());
        Ok(live)
    }

    /// Has operators see what is served.
    fn show(&self) {
        self.admin.serve(Served {
            config: Arc::clone(&self.config),
            known: self.known.clone(),
            instances: self.kept.instances().clone(),
            snapshot: self.metrics.snapshot.load_full(),
        });
    }

    /// What operators see, and order.
    pub(crate) fn admin(&self) -> &Arc<Admin> {
        &self.admin
    }

    /// What it says of itself.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What sends spans, if they are sent: the first time this is asked.
    pub(crate) fn exporter(&mut self) -> Option<Exporter> {
        self.exporter.take()
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
        let mut looks = interval(admin::LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                Some(Order { config, cause, done }) = self.orders.recv() => {
                    let taken = self.order(*config, &cause);
                    // Whoever ordered it may have left.
                    let _ = done.send(taken);
                }
                _ = looks.tick() => self.admin.look(),
                (source, read) = &mut another => {
                    // What was read before an operator's word has been written is older than that.
                    if self.ordered.is_none_or(|ordered| ordered <= read.began) {
                        self.reload(source.path(), read.cause, read.config);
                    }
                    another = next(Some(source));
                }
            }
        }
    }

    /// Serves the configuration that is there now, unless it is wrong: then nothing changes.
    fn reload(&mut self, path: &Path, cause: Cause, config: Result<Config, Refused>) {
        // A certificate may be another one, or nothing.
        let text = |config: &Config| config.text.as_ref().map(|text| Arc::clone(&text.0));
        let is_same = config.as_ref().is_ok_and(|new| text(new) == text(&self.config));
        let loaded = config.map(|config| self.take(config, cause.to_string()));
        self.metrics.reloaded(matches!(loaded, Ok(Ok(_))));
        let path = path.display();
        match loaded {
            Ok(Ok(restart)) => {
                match is_same {
                    false => tracing::info!(%path, ?cause, "another configuration is served"),
                    true => tracing::info!(%path, ?cause, "the configuration is served again"),
                }
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

    /// Serves this configuration on an operator's word.
    fn order(&mut self, config: Config, cause: &str) -> Result<Vec<&'static str>, String> {
        let taken = self.take(config, cause.to_owned());
        self.ordered = Some(Instant::now());
        self.metrics.reloaded(taken.is_ok());
        match &taken {
            Ok(_) => {
                tracing::info!(cause, "another configuration is served, on an operator's word");
            }
            Err(error) => tracing::error!(cause, error, "the configuration is not taken"),
        }
        taken
    }

    /// Serves this configuration. What of it cannot act yet.
    fn take(&mut self, config: Config, cause: String) -> Result<Vec<&'static str>, String> {
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
        (self.config, self.known, self.front) = (Arc::new(config), known, front);
        self.serve(built);
        self.admin.taken(&self.config, cause);
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
        show(&self.metrics, &router, instances, &kept);
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
        self.show();
    }
}

/// The next configuration of this source.
fn next(source: Option<Source>) -> BoxFuture<'static, (Source, Next)> {
    let Some(mut source) = source else { return Box::pin(pending()) };
    Box::pin(async move {
        let mut read = source.next().await;
        if let Ok(config) = &mut read.config {
            jwt::first(config).await;
        }
        (source, read)
    })
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("router", &self.router).finish_non_exhaustive()
    }
}
