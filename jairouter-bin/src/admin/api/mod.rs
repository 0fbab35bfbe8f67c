//! The operators' API over HTTP: its routes, and the document that is made of them.

mod answer;
mod ask;
mod guard;
mod instances;
mod runtime;
mod services;
mod versions;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Admin, page};
pub(crate) use answer::Problem;
use answer::{Errors, RouterResponse};
pub(crate) use guard::Guard;

/// The largest body taken, in bytes: as large as a configuration may be.
const LARGEST: usize = 1 << 20;

/// What the document says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "JAiRouter's operators' API",
        description = "What a running gateway serves and how it fares, and how to change it. Every answer is \
            a `RouterResponse` with an honest status. Secrets in a configuration are shown as `***`; sent \
            back like that, they stay what they are."
    ),
    tags(
        (name = "status", description = "How everything is"),
        (name = "services", description = "Services, by their keys in the configuration"),
        (name = "instances", description = "Instances of a service"),
        (name = "versions", description = "Configurations that were served since the program started"),
    ),
    // Of refusals alone, which are no handler's.
    components(schemas(RouterResponse<Errors>)),
    security(("token" = []), ()),
)]
struct Document;

/// What is answered below `/api/`, and the page.
pub(crate) fn router(admin: Arc<Admin>, guard: Guard) -> Router {
    let (api, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(services::list))
        .routes(routes!(services::get, services::create, services::update, services::delete))
        .routes(routes!(instances::list, instances::create))
        .routes(routes!(instances::get, instances::update, instances::delete))
        .routes(routes!(instances::drain))
        .routes(routes!(instances::resume))
        .routes(routes!(instances::list_of_type))
        .routes(routes!(instances::info))
        .routes(routes!(instances::add))
        .routes(routes!(instances::change))
        .routes(routes!(instances::remove))
        .routes(routes!(versions::list))
        .routes(routes!(versions::current))
        .routes(routes!(versions::info))
        .routes(routes!(versions::get, versions::forget))
        .routes(routes!(versions::compare))
        .routes(routes!(versions::apply))
        .routes(routes!(versions::rollback))
        .routes(routes!(versions::reload))
        .routes(routes!(runtime::models))
        .routes(routes!(runtime::balancers))
        .routes(routes!(runtime::limits))
        .routes(routes!(runtime::breakers))
        .routes(routes!(runtime::reset))
        .routes(routes!(runtime::status))
        .routes(routes!(runtime::events))
        .with_state(admin)
        .split_for_parts();
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = document.components.get_or_insert_default();
    components.security_schemes.insert("token".to_owned(), SecurityScheme::Http(token).into());
    api.method_not_allowed_fallback(bad_method)
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::check))
        .layer(DefaultBodyLimit::max(LARGEST))
        .route("/openapi.json", get(async || Json(document)))
        .route("/", get(page))
        .fallback(unknown)
}

/// The page may load nothing, and ask nobody but this listener.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

async fn page() -> impl IntoResponse {
    let headers = [(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-cache")];
    (headers, axum::response::Html(page::PAGE))
}

async fn unknown() -> Problem {
    Problem::unknown("there is no such path: /openapi.json has them all")
}

async fn bad_method() -> Problem {
    let message = "this path does not take this method: /openapi.json says which";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
