//! The stack that serves, and what changes it while it does.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jairouter_core::reload::Reloadable;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::discover::{Known, Listed};
use crate::kept::{Keeper, Kept, Task};
use crate::server::Status;
use crate::stack::{self, AnyRouter, App, Front};
use crate::transport::Siblings;

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
}

/// One core's stack, and its connections.
struct Core {
    app: Reloadable<App>,
    siblings: Siblings,
}

impl Live {
    /// The stack of this configuration, with the models that are known of those that are asked for theirs.
    ///
    /// # Errors
    ///
    /// If an instance cannot be made, as text. A configuration that was loaded has no such instance.
    pub fn new(config: Config, known: Known) -> Result<Self, String> {
        let (answers, lists) = mpsc::channel(MOST_LISTED);
        let none = Kept::default();
        let mut keeper = Keeper::new(&none, answers.clone());
        let router = stack::router(&config, &known, &mut keeper)?.build();
        let (kept, tasks) = keeper.done();
        let status = Arc::new(Status::new(router.instances().cloned().collect()));
        let front = Front::new(&config);
        let (cores, tasks) = (Vec::new(), tasks.into_iter().collect());
        Ok(Self { config, known, kept, router, front, cores, status, lists, answers, tasks })
    }

    /// What it says of itself.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// What it serves, once for each service that does.
    pub fn models(&self) -> Vec<String> {
        self.router.models().map(|(_, model)| model.to_owned()).collect()
    }

    /// What answers on one more core.
    pub fn core(&mut self) -> Reloadable<App> {
        let mut siblings = Siblings::default();
        let app = Reloadable::new(stack::app(&self.front, &self.router, &mut siblings));
        self.cores.push(Core { app: app.clone(), siblings });
        app
    }

    /// Looks after the instances, and serves the models that they say they have, for as long as it is
    /// polled.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                Some(listed) = self.lists.recv() => self.listed(listed),
                Some(_) = self.tasks.next() => {}
            }
        }
    }

    /// Serves what instances have said they have.
    fn listed(&mut self, first: Listed) {
        let mut changed = false;
        let mut next = Some(first);
        // Those that have answered meanwhile are one change.
        while let Some(Listed { instance, models }) = next {
            changed |= self.note(instance, models);
            next = self.lists.try_recv().ok();
        }
        if changed && let Err(error) = self.rebuild() {
            tracing::error!(error, "the models that the engines have cannot be served");
        }
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
            left.map(|name| &**name).collect::<Vec<_>>().join(", ")
        };
        let (added, gone) = (only(&models, old), only(old, &models));
        tracing::info!(instance, added, gone, "the models of an instance");
        self.known.insert(instance, models);
        true
    }

    /// Builds what serves from now on over the handles of what serves, and has every core swap it in.
    fn rebuild(&mut self) -> Result<(), String> {
        let mut keeper = Keeper::new(&self.kept, self.answers.clone());
        let builder = stack::router(&self.config, &self.known, &mut keeper)?;
        let router = builder.succeed(&self.router);
        let (kept, tasks) = keeper.done();
        for Core { app, siblings } in &mut self.cores {
            app.swap(stack::app(&self.front, &router, siblings));
        }
        self.status.serve(router.instances().cloned().collect());
        self.tasks.extend(tasks);
        (self.kept, self.router) = (kept, router);
        Ok(())
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("router", &self.router).finish_non_exhaustive()
    }
}
