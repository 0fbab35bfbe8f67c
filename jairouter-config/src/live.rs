//! [`Live`]: a configuration that is served, and what changes it while it is.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jairouter_core::observe::Exchange;
use jairouter_core::reload::Reloadable;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::config::Config;
use crate::discover::{self, Known, Listed};
use crate::hooks::Hooks;
use crate::jwt;
use crate::kept::{Keeper, Kept, Task};
use crate::keys::Keys;
use crate::served::Served;
use crate::serving::Serving;
use crate::stack::{self, AnyRouter, Front, Stack, Tell};
use crate::transport::Siblings;

/// For how long lists are collected before they are served: they often come together.
const TOGETHER: Duration = Duration::from_millis(100);

/// How many models are named in a line of the log.
const MOST_NAMED: usize = 20;

/// How many lists wait to be read.
const MOST_LISTED: usize = 64;

/// A configuration that is served, on every core alike.
///
/// [`core`](Self::core) is what answers. [`run`](Self::run) is everything beside the requests: health, discovery, keys
/// that are fetched, and reloads. Where nobody polls it, requests are served all the same, by what was known at first.
///
/// It is of no runtime's kind: it needs tokio's clock and sockets, spawns nothing but what closes unused connections and
/// drives those that speak HTTP/2, and logs by `tracing` alone. On a runtime without time or I/O it panics, where either is
/// first needed.
pub struct Live {
    config: Arc<Config>,
    known: Known,
    kept: Kept,
    /// What every core's own is made of. It has no connections itself.
    router: AnyRouter,
    front: Front,
    cores: Vec<Core>,
    lists: mpsc::Receiver<Listed>,
    answers: mpsc::Sender<Listed>,
    tasks: FuturesUnordered<Task>,
    orders: mpsc::Receiver<Order>,
    reload: Reload,
    hooks: &'static dyn Hooks,
    keys: Arc<Keys>,
}

/// Has a [`Live`] that [runs](Live::run) serve another configuration. Clones are one.
#[derive(Debug, Clone)]
pub struct Reload(mpsc::Sender<Order>);

/// Why a configuration is not served. What was served before is served on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotServed(Why);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    /// An instance of it cannot be made.
    Impossible(String),
    /// Nobody takes any.
    Over,
}

/// Another configuration, which is to be served.
#[derive(Debug)]
struct Order {
    config: Box<Config>,
    known: Known,
    done: oneshot::Sender<Result<(), NotServed>>,
}

/// What may take the place of what serves.
struct Built {
    router: AnyRouter,
    keys: Keys,
    kept: Kept,
    tasks: Vec<Task>,
}

/// What serves one core, and its connections.
struct Core {
    serves: Serves,
    siblings: Siblings,
}

enum Serves {
    /// All of it.
    Stack(Reloadable<Stack>),
    /// What is behind somebody else's layers.
    Router(Reloadable<AnyRouter>),
}

/// Who wants to know nothing.
static NOBODY: () = ();

impl Live {
    /// Asks the engines that have to be asked for their models, for a second at most, and the issuer of tokens for its
    /// keys, for two. Then as [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// If an instance cannot be made. A configuration that was loaded has no such instance.
    pub async fn start(config: Config) -> Result<Self, NotServed> {
        // Boxed, as to ask is large, and whoever waits for this may have little room.
        let asked = async move |mut config: Config| (config.ask().await, config);
        let (known, config) = Box::pin(asked(config)).await;
        Self::new(config, known)
    }

    /// The stack of this configuration, with the models that are known of those instances that are asked for theirs.
    ///
    /// # Errors
    ///
    /// If an instance cannot be made. A configuration that was loaded has no such instance.
    pub fn new(config: Config, known: Known) -> Result<Self, NotServed> {
        Self::told(config, known, &NOBODY, &|_| {})
    }

    /// The same, and these are told of it, on every thread that serves. They are as long as the process, so that no
    /// request counts how many have them; a few bytes beside them are never given back.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn watched(
        config: Config,
        known: Known,
        hooks: &'static dyn Hooks,
    ) -> Result<Self, NotServed> {
        let tell = Box::leak(Box::new(move |exchange: &Exchange| hooks.exchange(exchange)));
        Self::told(config, known, hooks, tell)
    }

    fn told(
        config: Config,
        known: Known,
        hooks: &'static dyn Hooks,
        tell: Tell,
    ) -> Result<Self, NotServed> {
        let (answers, lists) = mpsc::channel(MOST_LISTED);
        let (order, orders) = mpsc::channel(1);
        let none = Kept::default();
        let mut keeper = Keeper::new(&none, answers.clone(), hooks);
        let router = stack::router(&config, &known, &mut keeper).map_err(impossible)?.build();
        let keys = stack::keys(&config, &router, &mut keeper);
        let (kept, tasks) = keeper.done();
        let live = Self {
            front: Front::new(&config, tell, hooks.records_traces()),
            config: Arc::new(config),
            known,
            kept,
            router,
            cores: Vec::new(),
            lists,
            answers,
            tasks: tasks.into_iter().collect(),
            orders,
            reload: Reload(order),
            hooks,
            keys: Arc::new(keys),
        };
        live.hooks.serve(&Arc::new(live.served()));
        Ok(live)
    }

    /// What it serves, once for each service that does.
    pub fn models(&self) -> Vec<String> {
        self.router.models().map(|(_, model)| model.to_owned()).collect()
    }

    /// What is served now, and the handles of it.
    pub fn served(&self) -> Served {
        self.shown(&self.router, &self.kept)
    }

    /// What is served by these.
    fn shown(&self, router: &AnyRouter, kept: &Kept) -> Served {
        let rooms = router.rooms();
        let rooms = rooms.map(|(service, model, room)| (service, model.into(), Arc::clone(room)));
        Served {
            config: Arc::clone(&self.config),
            known: self.known.clone(),
            models: router.models().map(|(service, model)| (service, model.into())).collect(),
            instances: kept.instances().clone(),
            rooms: rooms.collect(),
            limits: kept.limits(),
        }
    }

    /// What answers, over connections of its own: one for each of a program's runtimes, or one for all. Clones of what
    /// this returns share them. It is kept up to date for as long as this lives, and forgotten with its last clone.
    pub fn core(&mut self) -> Serving {
        self.forget();
        let mut siblings = Siblings::default();
        let app = stack::app(&self.front, &self.router, &mut siblings);
        let stack = Reloadable::new(Stack { keys: Arc::clone(&self.keys), app });
        self.cores.push(Core { serves: Serves::Stack(stack.clone()), siblings });
        Serving::new(stack)
    }

    /// The router alone, for a stack of the host's own: services, limits but those of keys, fallbacks, queues, balancers and
    /// instances. What would be around it is the host's to bring: [`Gateway`](jairouter_core::Gateway), and
    /// [`ObserveLayer`](jairouter_core::observe::ObserveLayer) and
    /// [`StreamUsageLayer`](jairouter_core::usage::StreamUsageLayer) where something is to be counted. It has connections
    /// of its own, and is kept up to date, as a [`core`](Self::core).
    pub fn router(&mut self) -> Reloadable<AnyRouter> {
        self.forget();
        let mut siblings = Siblings::default();
        let router = Reloadable::new(stack::over(&self.router, &mut siblings));
        self.cores.push(Core { serves: Serves::Router(router.clone()), siblings });
        router
    }

    /// Those that nobody has any more.
    fn forget(&mut self) {
        self.cores.retain(|core| match &core.serves {
            Serves::Stack(stack) => stack.is_shared(),
            Serves::Router(router) => router.is_shared(),
        });
    }

    /// What has it serve another configuration while it [runs](Self::run).
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Looks after the instances, serves the models that they say they have, and takes other
    /// configurations, for as long as it is polled. It never ends.
    pub async fn run(mut self) {
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
                Some(Order { config, known, done }) = self.orders.recv() => {
                    let taken = self.take_with(*config, known);
                    // Whoever ordered it may have left.
                    let _ = done.send(taken);
                }
            }
        }
    }

    /// Serves this configuration from now on, on every core. What has begun ends by the one before.
    ///
    /// What goes on is what is written the same in both: an instance with its health, its breaker and its requests in
    /// flight, its connections, what is left of a limit, what a cache holds, and who waits.
    ///
    /// An instance without names that is new here, or at another place, has no models until [`run`](Self::run) has asked it
    /// for them: see [`take_with`](Self::take_with).
    ///
    /// # Errors
    ///
    /// If an instance cannot be made; then nothing has changed. A configuration that was loaded has no such instance.
    pub fn take(&mut self, config: Config) -> Result<(), NotServed> {
        self.take_with(config, Known::new())
    }

    /// The same, with the models that are known of instances that were asked for theirs ([`Config::ask`]). Of those that
    /// are served already, what they have said before counts.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub fn take_with(&mut self, config: Config, asked: Known) -> Result<(), NotServed> {
        let new = asked;
        let front = self.front.after(&self.config, &config);
        // What somebody at another place has said counts no more.
        let asked = |config: &Config| -> HashMap<String, String> {
            let instances = config.services.iter().flat_map(|service| &service.instances);
            let asked = instances.filter(|instance| instance.is_asked());
            asked.map(|instance| (instance.id.clone(), instance.base_url.clone())).collect()
        };
        let (before, now) = (asked(&self.config), asked(&config));
        let mut known = self.known.clone();
        known.retain(|id, _| now.get(id).is_some_and(|place| before.get(id) == Some(place)));
        for (id, models) in new {
            if now.contains_key(&id) {
                known.entry(id).or_insert(models);
            }
        }
        let built = self.build(&config, &known).map_err(impossible)?;
        (self.config, self.known, self.front) = (Arc::new(config), known, front);
        self.serve(built);
        Ok(())
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
        let mut keeper = Keeper::new(&self.kept, self.answers.clone(), self.hooks);
        let router = stack::router(config, known, &mut keeper)?.succeed(&self.router);
        let keys = stack::keys(config, &router, &mut keeper);
        let (kept, tasks) = keeper.done();
        Ok(Built { router, keys, kept, tasks })
    }

    /// Has every core swap it in.
    fn serve(&mut self, Built { router, keys, kept, tasks }: Built) {
        // Before, so that what is counted has its names.
        self.hooks.serve(&Arc::new(self.shown(&router, &kept)));
        self.keys = Arc::new(keys);
        self.forget();
        for Core { serves, siblings } in &mut self.cores {
            match serves {
                Serves::Stack(stack) => {
                    let app = stack::app(&self.front, &router, siblings);
                    // Both at once: what is served to the holders of keys is served to nobody else.
                    drop(stack.swap(Stack { keys: Arc::clone(&self.keys), app }));
                }
                Serves::Router(over) => drop(over.swap(stack::over(&router, siblings))),
            }
        }
        self.tasks.extend(tasks);
        (self.kept, self.router) = (kept, router);
    }
}

impl Config {
    /// Asks whoever has to be asked before this is served: the issuer of tokens for its keys, for two seconds at most,
    /// and engines for their models, for one. Those that have answered are known.
    pub async fn ask(&mut self) -> Known {
        let known = discover::first(self).await;
        self.ask_for_keys().await;
        known
    }

    /// Asks the issuer of tokens for its keys alone, if they are at a URL and were not asked for yet. Without it, and
    /// until they are fetched beside the requests, no token is good.
    pub async fn ask_for_keys(&mut self) {
        jwt::first(self).await;
    }
}

impl Reload {
    /// Has this be served, on every core, and waits until it is, which is for as long as nobody polls [`Live::run`]: as
    /// [`Live::take`]. Keys of tokens that are at a URL are asked for first, for two seconds at most. Whoever drops this
    /// after that may have it served all the same.
    ///
    /// # Errors
    ///
    /// If an instance of it cannot be made, or if nobody [takes](NotServed::is_over) configurations any more.
    pub async fn take(&self, config: Config) -> Result<(), NotServed> {
        self.take_with(config, Known::new()).await
    }

    /// The same, with the models that are known of instances that were asked for theirs ([`Config::ask`]), as
    /// [`Live::take_with`]: where instances have no names, no request comes between two lists then.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub async fn take_with(&self, config: Config, known: Known) -> Result<(), NotServed> {
        let mut config = Box::new(config);
        Box::pin(jwt::first(&mut config)).await;
        let (done, taken) = oneshot::channel();
        let over = NotServed(Why::Over);
        self.0.send(Order { config, known, done }).await.map_err(|_| over.clone())?;
        taken.await.unwrap_or(Err(over))
    }
}

impl NotServed {
    /// Whether that is because nobody polls [`Live::run`] any more: it was dropped, or has panicked.
    pub fn is_over(&self) -> bool {
        self.0 == Why::Over
    }
}

fn impossible(why: String) -> NotServed {
    NotServed(Why::Impossible(why))
}

impl fmt::Display for NotServed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Impossible(why) => f.write_str(why),
            Why::Over => f.write_str(
                "nobody takes configurations any more, and what was served is served on",
            ),
        }
    }
}

impl std::error::Error for NotServed {}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("router", &self.router).finish_non_exhaustive()
    }
}
