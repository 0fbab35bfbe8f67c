//! How what is served fares: models, balancers, limits, breakers, and the picture of all of it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, stream};
use http::StatusCode;
use jairouter_config::config;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::{Instant, interval};
use utoipa::ToSchema;

use super::answer::{Answer, Nothing, Problem, Refusals, RouterResponse, answer};
use super::ask::MaybeObject;
use super::services::service_name;
use crate::admin::Admin;
use crate::admin::status::{BreakerStatus, LimitStatus, Picture, breaker, limits as all_limits};

/// How often a watcher sees a picture.
const PICTURE: Duration = Duration::from_secs(1);

/// A model, and who has it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelView {
    service: &'static str,
    model: Box<str>,
    instances: Vec<String>,
}

/// How a service chooses among its instances.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BalancerView {
    service: &'static str,
    strategy: &'static str,
    instances: Vec<Balanced>,
}

/// An instance, as its balancer sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Balanced {
    instance_id: String,
    weight: u16,
    in_flight: u32,
    /// Whether it may be asked.
    up: bool,
}

/// The breaker of an instance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BreakerView {
    service: &'static str,
    instance_id: String,
    #[serde(flatten)]
    breaker: BreakerStatus,
}

/// Which breakers are meant. Those of all instances if nothing is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Which {
    /// Those of this service.
    service_type: Option<String>,
    /// That of this instance.
    instance_id: Option<String>,
}

/// Which models are served, and by which instances.
#[utoipa::path(get, path = "/api/models", tag = "status",
    responses((status = 200, body = RouterResponse<Vec<ModelView>>), Refusals))]
pub(super) async fn models(State(admin): State<Arc<Admin>>) -> Answer<Vec<ModelView>> {
    let served = admin.served();
    let mut models: BTreeMap<(&'static str, Box<str>), Vec<String>> = BTreeMap::new();
    for service in &served.config.services {
        for instance in &service.instances {
            for model in instance.names(&served.known) {
                let key = (service.service_type.as_str(), model.name);
                models.entry(key).or_default().push(instance.id.clone());
            }
        }
    }
    let view = |((service, model), instances)| ModelView { service, model, instances };
    answer(models.into_iter().map(view).collect(), "the models that are served")
}

/// How instances are chosen, and how much each has to do.
#[utoipa::path(get, path = "/api/loadbalancer/status", tag = "status",
    responses((status = 200, body = RouterResponse<Vec<BalancerView>>), Refusals))]
pub(super) async fn balancers(State(admin): State<Arc<Admin>>) -> Answer<Vec<BalancerView>> {
    let served = admin.served();
    let balanced = |id: &String| {
        let state = served.instances.get(id)?.state();
        let (weight, in_flight, up) = (state.weight(), state.in_flight(), state.is_up());
        Some(Balanced { instance_id: id.clone(), weight, in_flight, up })
    };
    let view = |service: &config::Service| BalancerView {
        service: service.service_type.as_str(),
        strategy: service.balance.kind.as_str(),
        instances: service.instances.iter().filter_map(|one| balanced(&one.id)).collect(),
    };
    answer(served.config.services.iter().map(view).collect(), "the balancers")
}

/// The limits, and how much of each is left.
#[utoipa::path(get, path = "/api/rate-limiter/status", tag = "status",
    responses((status = 200, body = RouterResponse<Vec<LimitStatus>>), Refusals))]
pub(super) async fn limits(State(admin): State<Arc<Admin>>) -> Answer<Vec<LimitStatus>> {
    answer(all_limits(&admin.served()), "the limits")
}

/// The circuit breakers.
#[utoipa::path(get, path = "/api/config/instance/circuit-breaker/states", tag = "status",
    responses((status = 200, body = RouterResponse<Vec<BreakerView>>), Refusals))]
pub(super) async fn breakers(State(admin): State<Arc<Admin>>) -> Answer<Vec<BreakerView>> {
    let (served, now) = (admin.served(), Instant::now());
    let mut views = Vec::new();
    for service in &served.config.services {
        for instance in &service.instances {
            let attended = served.instances.get(&instance.id);
            if let Some(breaker) = attended.and_then(|attended| breaker(attended, now)) {
                let (service, id) = (service.service_type.as_str(), instance.id.clone());
                views.push(BreakerView { service, instance_id: id, breaker });
            }
        }
    }
    answer(views, "the circuit breakers")
}

/// Closes circuit breakers: that of an instance, those of a service, or all.
#[utoipa::path(post, path = "/api/config/instance/circuit-breaker/reset", tag = "status",
    request_body = Option<Which>,
    responses((status = 200, body = RouterResponse<Vec<String>>), Refusals))]
pub(super) async fn reset(
    State(admin): State<Arc<Admin>>,
    MaybeObject(body): MaybeObject,
) -> Answer<Vec<String>> {
    let which: Which =
        serde_json::from_value(body.unwrap_or_else(|| Value::Object(Map::default())))
            .map_err(|error| Problem::bad(error.to_string()))?;
    let service = which.service_type.as_deref().map(service_name).transpose()?;
    let served = admin.served();
    let mut closed = Vec::new();
    for of in &served.config.services {
        if service.is_some_and(|service| service != of.service_type.as_str()) {
            continue;
        }
        for instance in &of.instances {
            if which.instance_id.as_ref().is_some_and(|id| *id != instance.id) {
                continue;
            }
            let attended = served.instances.get(&instance.id);
            if let Some(breaker) = attended.and_then(|attended| attended.breaker()) {
                breaker.reset();
                closed.push(instance.id.clone());
            }
        }
    }
    if closed.is_empty() && (service.is_some() || which.instance_id.is_some()) {
        return Err(Problem::unknown("no such instance has a circuit breaker"));
    }
    tracing::info!(instances = closed.join(", "), "an operator has closed circuit breakers");
    answer(closed, "these are closed")
}

/// Everything in one picture.
#[utoipa::path(get, path = "/api/status", tag = "status",
    responses((status = 200, body = RouterResponse<Picture>), Refusals))]
pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Answer<Picture> {
    answer(admin.picture(), "how everything is")
}

/// The same each second, as server-sent events named `picture`.
#[utoipa::path(get, path = "/api/status/events", tag = "status",
    responses((status = 200, body = Nothing, content_type = "text/event-stream"), Refusals))]
pub(super) async fn events(
    State(admin): State<Arc<Admin>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = Arc::clone(&admin.watchers).try_acquire_owned().map_err(|_| {
        let message = "as many watch as may";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_watchers", message)
    })?;
    let pictures = stream::unfold((interval(PICTURE), place), move |(mut ticks, place)| {
        let admin = Arc::clone(&admin);
        async move {
            ticks.tick().await;
            let event = Event::default().event("picture").data(admin.shown());
            Some((Ok(event), (ticks, place)))
        }
    });
    Ok(Sse::new(pictures).keep_alive(KeepAlive::default()))
}
