//! Services: what the configuration says of them, and what it is to say.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use jairouter_config::config;
use jairouter_config::served::Served;
use jairouter_core::ServiceType;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::answer::{Answer, Problem, Refusals, RouterResponse, answer};
use super::ask::{JsonObject, Named};
use crate::admin::Admin;
use crate::admin::change::{Taken, text};

/// What has become of a change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    /// The number of the configuration that is served now.
    version: u64,
    /// Keys of it that act only when the program starts again.
    needs_restart: Vec<&'static str>,
}

impl From<Taken> for Changed {
    fn from(Taken { version, restart }: Taken) -> Self {
        Self { version, needs_restart: restart }
    }
}

/// The services that are configured.
#[utoipa::path(get, path = "/api/config/type/services", tag = "services",
    responses((status = 200, body = RouterResponse<Vec<String>>), Refusals))]
pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Answer<Vec<String>> {
    let served = admin.served();
    let services = served.config.services.iter();
    let names = services.map(|service| service.service_type.as_str().to_owned()).collect();
    answer(names, "the services")
}

/// What the configuration says of a service.
#[utoipa::path(get, path = "/api/config/type/services/{service}", tag = "services",
    params(("service" = String, Path, description = "chat, embedding, rerank, …, or an alias")),
    responses((status = 200, body = RouterResponse<Value>), Refusals))]
pub(super) async fn get(
    State(admin): State<Arc<Admin>>,
    Named(service): Named<String>,
) -> Answer<Value> {
    let served = admin.served();
    let name = known(&served, &service)?;
    let mut tree = tree(&served)?;
    let (_, config) = section(&mut tree, name)?;
    answer(config::masked(config.clone()), format!("the service {name}"))
}

/// Adds a service. The body is what stands below its key in the configuration.
#[utoipa::path(post, path = "/api/config/type/services/{service}", tag = "services",
    params(("service" = String, Path)), request_body = Object,
    responses((status = 201, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    Named(service): Named<String>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<RouterResponse<Changed>>), Problem> {
    let name = service_name(&service)?;
    let taken = admin
        .change(format!("service {name} added"), move |served, tree| {
            if served.service(name).is_some() {
                let message = format!("there is a service {name}");
                return Err(Problem::new(StatusCode::CONFLICT, "already_there", message));
            }
            let services = services(tree)?;
            services.insert(name.to_owned(), Value::Object(Map::new()));
            merge(&mut services[name], &body)
        })
        .await?;
    let body = RouterResponse::new(taken.into(), format!("the service {name} is served"));
    Ok((StatusCode::CREATED, Json(body)))
}

/// Changes what the body names of a service; `null` takes a key out.
#[utoipa::path(put, path = "/api/config/type/services/{service}", tag = "services",
    params(("service" = String, Path)), request_body = Object,
    responses((status = 200, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn update(
    State(admin): State<Arc<Admin>>,
    Named(service): Named<String>,
    JsonObject(body): JsonObject,
) -> Answer<Changed> {
    let name = service_name(&service)?;
    let taken = admin
        .change(format!("service {name} changed"), move |served, tree| {
            known(served, name)?;
            merge(section(tree, name)?.1, &body)
        })
        .await?;
    answer(taken.into(), format!("the service {name} is changed"))
}

/// Takes a service away, with all its instances. What they are working on, they finish.
#[utoipa::path(delete, path = "/api/config/type/services/{service}", tag = "services",
    params(("service" = String, Path)),
    responses((status = 200, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn delete(
    State(admin): State<Arc<Admin>>,
    Named(service): Named<String>,
) -> Answer<Changed> {
    let name = service_name(&service)?;
    let taken = admin
        .change(format!("service {name} taken away"), move |served, tree| {
            known(served, name)?;
            let key = section(tree, name)?.0;
            services(tree)?.remove(&key);
            Ok(())
        })
        .await?;
    answer(taken.into(), format!("the service {name} is taken away"))
}

/// The service that is meant, however it is spelled.
pub(super) fn service_name(text: &str) -> Result<&'static str, Problem> {
    config::service_type(text).map(ServiceType::as_str).map_err(Problem::unknown)
}

/// The same of one that is configured.
pub(super) fn known(served: &Served, text: &str) -> Result<&'static str, Problem> {
    let name = service_name(text)?;
    match served.service(name) {
        Some(_) => Ok(name),
        None => Err(Problem::unknown(format!("no service {name} is configured"))),
    }
}

/// What the file says that is served.
pub(super) fn tree(served: &Served) -> Result<Value, Problem> {
    config::tree(&text(served)?).map_err(|error| Problem::internal(error.to_string()))
}

fn services(tree: &mut Value) -> Result<&mut Map<String, Value>, Problem> {
    let lacking = || Problem::internal("the configuration has no services");
    let model = spelled(tree, "model").ok_or_else(lacking)?.1;
    let services = spelled(model, "services").ok_or_else(lacking)?.1;
    services.as_object_mut().ok_or_else(lacking)
}

/// What is below the key of this service, and the key as it is written there.
pub(super) fn section<'a>(
    tree: &'a mut Value,
    name: &str,
) -> Result<(String, &'a mut Value), Problem> {
    let is_it = |key: &str| config::service_type(key).is_ok_and(|service| service.as_str() == name);
    let mut found = services(tree)?.iter_mut().filter(|(key, _)| is_it(key));
    let (key, value) =
        found.next().ok_or_else(|| Problem::unknown(format!("no service {name} is configured")))?;
    Ok((key.clone(), value))
}

/// The value of this key, however it is spelled.
pub(super) fn spelled<'a>(tree: &'a mut Value, key: &str) -> Option<(String, &'a mut Value)> {
    let map = tree.as_object_mut()?;
    let key = config::spelled(map, key)?.0.to_owned();
    let value = map.get_mut(&key)?;
    Some((key, value))
}

pub(super) fn merge(into: &mut Value, new: &Value) -> Result<(), Problem> {
    config::merge(into, new).map_err(Problem::bad)
}
