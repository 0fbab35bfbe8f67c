//! Looking after the health of instances, beside the requests.

use std::sync::Arc;

use jairouter_core::circuit_breaker::Breaker;
use jairouter_core::health::{Change, Health, Prober, Settings, Status};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config;
use crate::hooks::Calls;
use crate::transport::Transport;

/// What looks after one instance: it probes it, and says what changes.
pub(crate) struct Watch {
    id: String,
    health: Arc<Health>,
    prober: Prober<Transport>,
    breaker: Option<Arc<Breaker>>,
    recovered: Arc<Notify>,
}

impl Watch {
    /// Of this instance, if it is to be probed. When it is back, `recovered` is notified.
    ///
    /// # Errors
    ///
    /// If its path is none, as text. A configuration that was loaded has no such path.
    pub(crate) fn new(
        instance: &config::Instance,
        transport: &Transport,
        breaker: Option<Arc<Breaker>>,
        recovered: Arc<Notify>,
        probes: Option<Arc<dyn Calls>>,
    ) -> Result<Option<Self>, String> {
        let check = &instance.health;
        if !check.enabled || !instance.active {
            return Ok(None);
        }
        let mut settings = Settings::default()
            .with_interval(check.interval)
            .with_timeout(check.timeout)
            .with_headers(check.headers.clone());
        if let Some(path) = &check.path {
            settings = settings.with_path(path.clone());
        }
        let health = Arc::new(Health::new());
        // Probes are sent by another thread than requests, over connections of its own.
        let client = transport.sibling().counted(probes);
        let backend = &*instance.backend;
        let prober = Prober::new(backend, &instance.target, client, Arc::clone(&health), settings)
            .map_err(|error| error.to_string())?;
        Ok(Some(Self { id: instance.id.clone(), health, prober, breaker, recovered }))
    }

    pub(crate) fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Probes for as long as it is polled.
    pub(crate) async fn run(self) {
        let Self { id, prober, breaker, recovered, .. } = self;
        let never = prober.run(|change| {
            changed(&id, change, breaker.as_deref());
            if change.to == Status::Up {
                recovered.notify_one();
            }
        });
        match never.await {}
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("id", &self.id).finish_non_exhaustive()
    }
}

fn changed(instance: &str, change: Change, breaker: Option<&Breaker>) {
    let Change { from, to, .. } = change;
    match to {
        Status::Up => tracing::info!(instance, %from, %to, "the instance is back"),
        _ => tracing::warn!(instance, %from, %to, "the instance's health has changed"),
    }
    if let (Status::Up, Some(breaker)) = (to, breaker) {
        breaker.probe_soon(Instant::now());
    }
}
