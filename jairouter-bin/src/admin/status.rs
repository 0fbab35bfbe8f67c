//! How everything is, in one picture: for the status page, the `status` command, and scripts.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jairouter_config::config;
use jairouter_config::served::{Attended, Served, ServedLimit};
use jairouter_core::circuit_breaker::State;
use jairouter_core::health;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Admin;
use super::failures::Failure;
use super::pulse::Pulse;

/// For how long a picture is shown to others who watch.
const FRESH: Duration = Duration::from_millis(700);

/// Everything.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Picture {
    /// The program's version.
    version: &'static str,
    /// Since when it runs, in RFC 3339.
    started: String,
    /// The number of the configuration that is served; 0 if nobody wrote one.
    configuration: u64,
    services: Vec<ServiceStatus>,
    limits: Vec<LimitStatus>,
    queues: Vec<QueueStatus>,
    /// Those that failed last, the newest first.
    failures: Vec<Failure>,
}

/// One service.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceStatus {
    service: &'static str,
    /// How instances are chosen.
    strategy: &'static str,
    instances: Vec<InstanceStatus>,
}

/// One instance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstanceStatus {
    instance_id: String,
    adapter: String,
    base_url: String,
    /// What callers call its models.
    models: Vec<Box<str>>,
    weight: u16,
    state: InstanceState,
    /// For how long it has been so, in seconds.
    since: u64,
    /// Why it could not be reached the last time, if it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Requests it is working on.
    in_flight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit_breaker: Option<BreakerStatus>,
    pulse: Pulse,
}

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InstanceState {
    /// It is asked.
    Up,
    /// It does not answer.
    Down,
    /// It answers that it has much to do.
    Busy,
    /// It refuses the key that it is sent.
    Misconfigured,
    /// An operator has taken it out.
    Draining,
    /// The configuration has taken it out.
    Inactive,
}

/// A circuit breaker.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BreakerStatus {
    state: BreakerState,
    /// How often it has opened.
    trips: u64,
    /// Milliseconds until it lets a request pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// What a breaker does with requests.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

/// A limit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitStatus {
    /// `any` of a key's.
    service: &'static str,
    /// A service, an instance or a key.
    place: String,
    /// As callers read it when it is exceeded.
    name: String,
    algorithm: &'static str,
    /// Whether each client has its own.
    per_client: bool,
    /// What is counted: `requests`, `tokens`, or `concurrency`.
    unit: &'static str,
    /// The most there can be.
    capacity: u64,
    /// How much comes back, a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    /// How much is left now, where it is one for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    /// Milliseconds until all of it is there again.
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<u64>,
}

/// Requests that wait.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueStatus {
    service: &'static str,
    model: Box<str>,
    waiting: usize,
}

impl Admin {
    /// How everything is, or was a moment ago, as JSON: all who watch are shown the same.
    pub(super) fn shown(&self) -> Arc<str> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match &*shown {
            Some((at, picture)) if now.duration_since(*at) < FRESH => Arc::clone(picture),
            _ => {
                // There is nothing in it that cannot be said.
                let picture: Arc<str> =
                    serde_json::to_string(&self.picture()).unwrap_or_default().into();
                *shown = Some((now, Arc::clone(&picture)));
                picture
            }
        }
    }

    /// How everything is now.
    pub(crate) fn picture(&self) -> Picture {
        let served = self.served();
        let rooms = served.rooms.iter();
        Picture {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started.to_string(),
            configuration: self.versions().current(),
            services: served.config.services.iter().map(|one| self.service(&served, one)).collect(),
            limits: limits(&served),
            queues: rooms
                .map(|(service, model, room)| QueueStatus {
                    service: service.as_str(),
                    model: model.clone(),
                    waiting: room.waiting(),
                })
                .collect(),
            failures: self.failures.recent(),
        }
    }

    fn service(&self, served: &Served, service: &config::Service) -> ServiceStatus {
        let instances = service.instances.iter();
        ServiceStatus {
            service: service.service_type.as_str(),
            strategy: service.balance.kind.as_str(),
            instances: instances.filter_map(|one| self.instance(served, one)).collect(),
        }
    }

    /// How an instance is, if it is served.
    pub(super) fn instance(
        &self,
        served: &Served,
        instance: &config::Instance,
    ) -> Option<InstanceStatus> {
        let attended = served.instances.get(&instance.id)?;
        let now = Instant::now();
        let state = attended.state();
        let models = instance.names(&served.known);
        Some(InstanceStatus {
            instance_id: instance.id.clone(),
            adapter: instance.backend.name().to_owned(),
            base_url: instance.base_url.clone(),
            models: models.into_iter().map(|model| model.name).collect(),
            weight: state.weight(),
            state: state_of(instance, attended),
            since: state.health().map_or(0, |health| health.since(now).as_secs()),
            reason: attended.reason(),
            in_flight: state.in_flight(),
            max_concurrency: instance.max_concurrency,
            circuit_breaker: breaker(attended, now),
            pulse: self.pulses.of(&instance.id),
        })
    }
}

fn state_of(instance: &config::Instance, attended: &Attended) -> InstanceState {
    let status = attended.state().health().map_or(health::Status::Up, |health| health.status());
    match status {
        health::Status::Draining => InstanceState::Draining,
        _ if !instance.active => InstanceState::Inactive,
        health::Status::Down => InstanceState::Down,
        health::Status::Busy => InstanceState::Busy,
        health::Status::Misconfigured => InstanceState::Misconfigured,
        _ => InstanceState::Up,
    }
}

/// How its breaker is, if it has one.
pub(super) fn breaker(attended: &Attended, now: Instant) -> Option<BreakerStatus> {
    let breaker = attended.breaker()?;
    Some(BreakerStatus {
        state: match breaker.state(now) {
            State::Closed => BreakerState::Closed,
            State::Open => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
        },
        trips: breaker.trips(),
        retry_after: breaker.would_refuse(now).map(millis),
    })
}

/// Every limit that acts.
pub(super) fn limits(served: &Served) -> Vec<LimitStatus> {
    let mut limits: Vec<_> = served.limits.iter().map(limit).collect();
    limits.sort_by(|a, b| (&a.place, &a.name).cmp(&(&b.place, &b.name)));
    limits
}

fn limit(ServedLimit { service, place, name, spec, limit, .. }: &ServedLimit) -> LimitStatus {
    let rate = spec.rate();
    let left = limit.left(Instant::now());
    LimitStatus {
        service,
        place: place.clone(),
        name: name.clone(),
        algorithm: spec.algorithm(),
        per_client: spec.per_client,
        unit: spec.unit(),
        capacity: spec.capacity(),
        rate,
        remaining: left.map(|left| left.remaining),
        reset: left.filter(|_| rate.is_some()).map(|left| millis(left.reset)),
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
