//! The stack that serves, who is told of it, and what changes it while it does.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;

use futures::future::{BoxFuture, join};
use jairouter_config::hooks::{Calls, Hooks, Selected};
use jairouter_config::served::Served;
use jairouter_config::{Config, Known, Live, LoadError, NotServed, Reload, Serving};
use jairouter_core::End;
use jairouter_core::balance::FailedAttempt;
use jairouter_core::observe::Exchange;
use jairouter_core::rate_limit::Limiter;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::admin::{self, Admin, Order};
use crate::export::{Exporter, Spans};
use crate::log;
use crate::metrics::Metrics;
use crate::reload::{Cause, Next, Source};
use crate::server::{self, Status};

/// A configuration that is served, with all that the program has around it.
pub struct Program {
    live: Live,
    told: &'static Told,
    source: Option<Source>,
    orders: mpsc::Receiver<Order>,
    exporter: Option<Exporter>,
}

/// Who is told of what is served: as long as the process, since what counts is one for all of it.
struct Told {
    metrics: Arc<Metrics>,
    admin: Arc<Admin>,
    status: Arc<Status>,
    spans: Option<Spans>,
}

/// What has another configuration served.
struct Changes {
    reload: Reload,
    told: &'static Told,
    /// When an operator's last word was taken.
    ordered: Option<Instant>,
}

// === impl Program ===

impl Program {
    /// The stack of this configuration, with the models that are known of those that are asked for theirs.
    /// If it has a source, it is read from there again when that says so.
    ///
    /// # Errors
    ///
    /// If an instance cannot be made, as text. A configuration that was loaded has no such instance.
    pub fn new(config: Config, known: Known, source: Option<Source>) -> Result<Self, String> {
        let metrics = Arc::new(Metrics::new());
        let otlp = config.tracing.otlp.as_ref();
        let export = otlp.map(|otlp| Exporter::new(otlp, Arc::clone(&metrics.own.spans)));
        let (spans, exporter) = export.transpose()?.unzip();
        let (order, orders) = mpsc::channel(1);
        let path = source.as_ref().map(|source| source.path().to_owned());
        let admin = Arc::new(Admin::new(path, order));
        let status = Arc::new(Status::new(server::Settings::of(&config.server), Vec::new()));
        let told: &'static Told = Box::leak(Box::new(Told { metrics, admin, status, spans }));
        let text = config.text.clone();
        let live = Live::watched(config, known, told).map_err(|error| error.to_string())?;
        told.admin.taken(text.as_ref(), "start".to_owned());
        Ok(Self { live, told, source, orders, exporter })
    }

    /// What operators see, and order.
    pub(crate) fn admin(&self) -> &Arc<Admin> {
        &self.told.admin
    }

    /// What it says of itself.
    pub fn status(&self) -> &Arc<Status> {
        &self.told.status
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.told.metrics
    }

    /// What sends spans, if they are sent: the first time this is asked.
    pub(crate) fn exporter(&mut self) -> Option<Exporter> {
        self.exporter.take()
    }

    /// What it serves, once for each service that does.
    pub fn models(&self) -> Vec<String> {
        self.live.models()
    }

    /// What answers on one more core.
    pub fn core(&mut self) -> Serving {
        self.live.core()
    }

    /// Looks after the instances, serves the models that they say they have, and takes other
    /// configurations, for as long as it is polled.
    pub async fn run(self) {
        let Self { live, told, source, orders, .. } = self;
        let changes = Changes { reload: live.reload(), told, ordered: None };
        join(Box::pin(live.run()), Box::pin(changes.run(source, orders))).await;
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("live", &self.live).finish_non_exhaustive()
    }
}

// === impl Told ===

impl Hooks for Told {
    fn exchange(&self, exchange: &Exchange) {
        log::access(exchange);
        self.metrics.tell(exchange);
        if let Some(spans) = &self.spans {
            spans.tell(exchange);
        }
        // What has broken off after its head is no attempt in vain, and opens breakers as well.
        if let (End::Broken(_), Some(name)) = (exchange.end, exchange.instance.as_deref())
            && let Some(one) = self.admin.served().instances.get(name)
        {
            log::opened(one.state(), exchange.request_id.as_deref(), exchange.trace.as_ref());
        }
        self.admin.tell(exchange);
    }

    fn attempt(&self, failed: &FailedAttempt<'_>) {
        log::attempt(failed);
    }

    fn requests(&self, to: &Selected<'_>) -> Option<Arc<dyn Calls>> {
        Some(self.metrics.calls.of(to))
    }

    fn probes(&self, adapter: &str, instance: &str) -> Option<Arc<dyn Calls>> {
        Some(self.metrics.calls.probes(adapter, instance))
    }

    fn limit(
        &self,
        limit: Arc<dyn Limiter>,
        service: &'static str,
        algorithm: &'static str,
    ) -> Arc<dyn Limiter> {
        Arc::new(self.metrics.limits.count(limit, service, algorithm))
    }

    fn serve(&self, served: &Arc<Served>) {
        self.metrics.serve(served);
        self.admin.serve(served);
        // One that has not said which models it has can be asked for none.
        let serving = served.each().filter(|(_, one, _)| !one.names(&served.known).is_empty());
        let instances = serving.map(|(_, _, one)| Arc::clone(one.state()));
        self.status.serve(server::Settings::of(&served.config.server), instances.collect());
    }

    fn records_traces(&self) -> bool {
        self.spans.is_some()
    }
}

// === impl Changes ===

impl Changes {
    async fn run(mut self, source: Option<Source>, mut orders: mpsc::Receiver<Order>) {
        let mut another = next(source);
        let mut looks = interval(admin::LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(Order { config, cause, done }) = orders.recv() => {
                    let taken = self.order(config, &cause).await;
                    // Whoever ordered it may have left.
                    let _ = done.send(taken.map_err(|error| error.to_string()));
                }
                _ = looks.tick() => self.told.admin.look(),
                (source, read) = &mut another => {
                    // What was read before an operator's word has been written is older than that.
                    if self.ordered.is_none_or(|ordered| ordered <= read.began) {
                        let Next { cause, config, .. } = read;
                        self.reload(source.path(), cause, config.map(Box::new)).await;
                    }
                    another = next(Some(source));
                }
            }
        }
    }

    /// Serves the configuration that is there now, unless it is wrong: then nothing changes.
    async fn reload(&self, path: &Path, cause: Cause, config: Result<Box<Config>, LoadError>) {
        // A certificate may be another one, or nothing.
        let text = |config: &Config| config.text.as_ref().map(|text| Arc::clone(&text.0));
        let served = self.told.admin.served();
        let is_same = config.as_ref().is_ok_and(|new| text(new) == text(&served.config));
        let loaded = match config {
            Ok(config) => Ok(self.take(config, cause.to_string()).await),
            Err(error) => Err(error),
        };
        self.told.metrics.reloaded(matches!(loaded, Ok(Ok(_))));
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
            Ok(Err(error)) => tracing::error!(%path, %error, "the configuration is not taken"),
            Err(LoadError::Wrong(errors)) => {
                for error in &errors {
                    tracing::error!("{path}:{error}");
                }
                let errors = errors.len();
                tracing::error!(%path, errors, "the file is wrong: the configuration stays");
            }
            Err(LoadError::Unreadable(error)) => {
                tracing::error!(%path, %error, "the file cannot be read: the configuration stays");
            }
            Err(error) => tracing::error!(%path, %error, "the configuration stays"),
        }
    }

    /// Serves this configuration on an operator's word.
    async fn order(
        &mut self,
        config: Box<Config>,
        cause: &str,
    ) -> Result<Vec<&'static str>, NotServed> {
        let taken = self.take(config, cause.to_owned()).await;
        self.ordered = Some(Instant::now());
        self.told.metrics.reloaded(taken.is_ok());
        match &taken {
            Ok(_) => {
                tracing::info!(cause, "another configuration is served, on an operator's word");
            }
            Err(error) => tracing::error!(cause, %error, "the configuration is not taken"),
        }
        taken
    }

    /// Serves this configuration. What of it cannot act yet.
    async fn take(
        &self,
        config: Box<Config>,
        cause: String,
    ) -> Result<Vec<&'static str>, NotServed> {
        let admin = &self.told.admin;
        let restart = admin.served().config.needs_restart(&config);
        let text = config.text.clone();
        Box::pin(self.reload.take(*config)).await?;
        admin.taken(text.as_ref(), cause);
        for section in &admin.served().config.inactive {
            tracing::warn!(
                path = section.path,
                line = section.line,
                "not active yet: {}",
                section.what
            );
        }
        Ok(restart)
    }
}

/// The next configuration of this source.
fn next(source: Option<Source>) -> BoxFuture<'static, (Source, Next)> {
    let Some(mut source) = source else { return Box::pin(pending()) };
    Box::pin(async move {
        let mut read = source.next().await;
        if let Ok(config) = &mut read.config {
            config.ask_for_keys().await;
        }
        (source, read)
    })
}
