//! Instances: how they are, what the configuration says of them, and what it is to say.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use jairouter_config::config;
use jairouter_config::served::Served;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::answer::{Answer, Problem, Refusals, RouterResponse, answer};
use super::ask::{Asked, JsonObject, Named};
use super::services::{Changed, known, merge, section, service_name, spelled, tree};
use crate::admin::status::InstanceStatus;
use crate::admin::{Admin, instance};

/// An instance: how it is, and what the configuration says of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstanceView {
    #[serde(flatten)]
    status: InstanceStatus,
    /// As it is written there, with `***` for secrets.
    config: Value,
}

/// An instance by its id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Which {
    instance_id: String,
}

/// What an instance is to be, in the older form.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "it is there for the document that is made of it")]
pub(super) struct Update {
    instance_id: String,
    instance: Map<String, Value>,
}

/// The instances of a service.
#[utoipa::path(get, path = "/api/config/instance/{service}", tag = "instances",
    params(("service" = String, Path)),
    responses((status = 200, body = RouterResponse<Vec<InstanceView>>), Refusals))]
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Named(service): Named<String>,
) -> Answer<Vec<InstanceView>> {
    let served = admin.served();
    let name = known(&served, &service)?;
    let mut tree = tree(&served).ok();
    let written = tree.as_mut().and_then(|tree| items(tree, name).ok().map(std::mem::take));
    let mut written = written.unwrap_or_default().into_iter();
    let instances = served.service(name).into_iter().flat_map(|service| &service.instances);
    let views = instances.filter_map(|one| view(&admin, &served, one, written.next()));
    answer(views.collect(), format!("the instances of {name}"))
}

/// The instances of a service, at its older path.
#[utoipa::path(get, path = "/api/config/instance/type/{service}", tag = "instances",
    params(("service" = String, Path)),
    responses((status = 200, body = RouterResponse<Vec<InstanceView>>), Refusals))]
pub(super) async fn list_of_type(
    state: State<Arc<Admin>>,
    named: Named<String>,
) -> Answer<Vec<InstanceView>> {
    list(state, named).await
}

/// One instance.
#[utoipa::path(get, path = "/api/config/instance/{service}/{id}", tag = "instances",
    params(("service" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = RouterResponse<InstanceView>), Refusals))]
pub(super) async fn get(
    State(admin): State<Arc<Admin>>,
    Named((service, id)): Named<(String, String)>,
) -> Answer<InstanceView> {
    let served = admin.served();
    let name = known(&served, &service)?;
    let found = served.service(name).and_then(|service| instance(service, &id));
    let (nth, instance) = found.ok_or_else(|| unknown(name, &id))?;
    let written = tree(&served).ok().and_then(|mut tree| item(&mut tree, name, nth).ok().cloned());
    let view = view(&admin, &served, instance, written);
    answer(view.ok_or_else(|| unknown(name, &id))?, format!("the instance {id}"))
}

/// One instance, at its older path.
#[utoipa::path(get, path = "/api/config/instance/info/{service}", tag = "instances",
    params(("service" = String, Path),
        ("instanceId" = String, Query, description = "as it is called in the lists")),
    responses((status = 200, body = RouterResponse<InstanceView>), Refusals))]
pub(super) async fn info(
    state: State<Arc<Admin>>,
    Named(service): Named<String>,
    Asked(which): Asked<Which>,
) -> Answer<InstanceView> {
    get(state, Named((service, which.instance_id))).await
}

/// Adds an instance. The body is what stands in the list in the configuration.
#[utoipa::path(post, path = "/api/config/instance/{service}", tag = "instances",
    params(("service" = String, Path)), request_body = Object,
    responses((status = 201, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    Named(service): Named<String>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<RouterResponse<Changed>>), Problem> {
    let name = service_name(&service)?;
    let taken = admin
        .change(format!("an instance of {name} added"), move |served, tree| {
            known(served, name)?;
            let mut new = Value::Object(Map::new());
            merge(&mut new, &body)?;
            items(tree, name)?.push(new);
            Ok(())
        })
        .await?;
    let body = RouterResponse::new(taken.into(), format!("the instance of {name} is served"));
    Ok((StatusCode::CREATED, Json(body)))
}

/// Adds an instance, at its older path.
#[utoipa::path(post, path = "/api/config/instance/add/{service}", tag = "instances",
    params(("service" = String, Path)), request_body = Object,
    responses((status = 201, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn add(
    state: State<Arc<Admin>>,
    named: Named<String>,
    body: JsonObject,
) -> Result<(StatusCode, Json<RouterResponse<Changed>>), Problem> {
    create(state, named, body).await
}

/// Changes what the body names of an instance; `null` takes a key out.
#[utoipa::path(put, path = "/api/config/instance/{service}/{id}", tag = "instances",
    params(("service" = String, Path), ("id" = String, Path)), request_body = Object,
    responses((status = 200, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn update(
    State(admin): State<Arc<Admin>>,
    Named((service, id)): Named<(String, String)>,
    JsonObject(body): JsonObject,
) -> Answer<Changed> {
    let name = service_name(&service)?;
    let of = id.clone();
    let taken = admin
        .change(format!("instance {id} of {name} changed"), move |served, tree| {
            let nth = position(served, name, &of)?;
            merge(item(tree, name, nth)?, &body)
        })
        .await?;
    answer(taken.into(), format!("the instance {id} is changed"))
}

/// Changes an instance, at its older path.
#[utoipa::path(put, path = "/api/config/instance/update/{service}", tag = "instances",
    params(("service" = String, Path)), request_body = Update,
    responses((status = 200, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn change(
    state: State<Arc<Admin>>,
    Named(service): Named<String>,
    JsonObject(body): JsonObject,
) -> Answer<Changed> {
    let id = body.get("instanceId").and_then(Value::as_str);
    let id = id.ok_or_else(|| Problem::bad("the body has no 'instanceId'"))?.to_owned();
    let instance = body.get("instance").filter(|instance| instance.is_object()).cloned();
    let instance = instance.ok_or_else(|| Problem::bad("the body has no 'instance'"))?;
    update(state, Named((service, id)), JsonObject(instance)).await
}

/// Takes an instance away. What it is working on, it finishes.
#[utoipa::path(delete, path = "/api/config/instance/{service}/{id}", tag = "instances",
    params(("service" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn delete(
    State(admin): State<Arc<Admin>>,
    Named((service, id)): Named<(String, String)>,
) -> Answer<Changed> {
    let name = service_name(&service)?;
    let of = id.clone();
    let taken = admin
        .change(format!("instance {id} of {name} taken away"), move |served, tree| {
            let nth = position(served, name, &of)?;
            item(tree, name, nth)?;
            items(tree, name)?.remove(nth);
            Ok(())
        })
        .await?;
    answer(taken.into(), format!("the instance {id} is taken away"))
}

/// Takes an instance away, at its older path.
#[utoipa::path(delete, path = "/api/config/instance/del/{service}", tag = "instances",
    params(("service" = String, Path),
        ("instanceId" = String, Query, description = "as it is called in the lists")),
    responses((status = 200, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn remove(
    state: State<Arc<Admin>>,
    Named(service): Named<String>,
    Asked(which): Asked<Which>,
) -> Answer<Changed> {
    delete(state, Named((service, which.instance_id))).await
}

/// Sends an instance nothing more. What it is working on, it finishes: `inFlight` tells how much that is. It
/// lasts until it is resumed, or the program starts again.
#[utoipa::path(post, path = "/api/config/instance/{service}/{id}/drain", tag = "instances",
    params(("service" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = RouterResponse<InstanceView>), Refusals))]
pub(super) async fn drain(
    state: State<Arc<Admin>>,
    Named(of): Named<(String, String)>,
) -> Answer<InstanceView> {
    set_draining(state, of, true).await
}

/// Sends an instance requests again.
#[utoipa::path(post, path = "/api/config/instance/{service}/{id}/resume", tag = "instances",
    params(("service" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = RouterResponse<InstanceView>), Refusals))]
pub(super) async fn resume(
    state: State<Arc<Admin>>,
    Named(of): Named<(String, String)>,
) -> Answer<InstanceView> {
    set_draining(state, of, false).await
}

async fn set_draining(
    State(admin): State<Arc<Admin>>,
    (service, id): (String, String),
    draining: bool,
) -> Answer<InstanceView> {
    let served = admin.served();
    let name = known(&served, &service)?;
    position(&served, name, &id)?;
    let attended = served.instances.get(&id).ok_or_else(|| unknown(name, &id))?;
    if let Some(health) = attended.state().health() {
        health.set_draining(draining);
    }
    tracing::info!(instance = id, draining, "an operator's word");
    get(State(admin), Named((service, id))).await
}

fn unknown(service: &str, id: &str) -> Problem {
    Problem::unknown(format!("no instance of {service} is called '{id}'"))
}

/// Which one of the service's list it is.
fn position(served: &Served, service: &str, id: &str) -> Result<usize, Problem> {
    known(served, service)?;
    let found = served.service(service).and_then(|service| instance(service, id));
    found.map(|(nth, _)| nth).ok_or_else(|| unknown(service, id))
}

fn items<'a>(tree: &'a mut Value, service: &str) -> Result<&'a mut Vec<Value>, Problem> {
    let lacking = || Problem::internal("the service has no instances");
    let instances = spelled(section(tree, service)?.1, "instances").ok_or_else(lacking)?.1;
    instances.as_array_mut().ok_or_else(lacking)
}

fn item<'a>(tree: &'a mut Value, service: &str, nth: usize) -> Result<&'a mut Value, Problem> {
    let lacking = || Problem::internal("the file has fewer instances than are served");
    items(tree, service)?.get_mut(nth).ok_or_else(lacking)
}

fn view(
    admin: &Admin,
    served: &Served,
    instance: &config::Instance,
    written: Option<Value>,
) -> Option<InstanceView> {
    let config = config::masked(written.unwrap_or_default());
    Some(InstanceView { status: admin.instance(served, instance)?, config })
}
