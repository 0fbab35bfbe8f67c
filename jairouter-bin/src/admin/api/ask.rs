//! What is asked: in the path, in the query, and in a body of JSON that comes in time and is no larger than a
//! configuration.

use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::extract::{FromRequestParts, Path, Query};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::time::timeout;

use super::{LARGEST, Problem};

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a body says.
#[derive(Debug)]
pub(super) struct JsonObject(pub(super) Json);

/// The same where one may be left out.
#[derive(Debug)]
pub(super) struct MaybeObject(pub(super) Option<Json>);

/// What the path names.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

/// What the query says.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(path)| Self(path)).map_err(|error| Problem::bad(error.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|error| Problem::bad(error.body_text()))
    }
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let too_large = |_| {
        let message = "the body is larger than 1 MiB, or broke off";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    };
    let body = timeout(PATIENCE, to_bytes(request.into_body(), LARGEST)).await;
    let late = |_| {
        let message = "the body did not come in 10 s";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    };
    body.map_err(late)?.map_err(too_large)
}

fn parse(body: &[u8]) -> Result<Json, Problem> {
    let body: Json = serde_json::from_slice(body)
        .map_err(|error| Problem::bad(format!("the body is no JSON: {error}")))?;
    if body.is_object() { Ok(body) } else { Err(Problem::bad("the body is to be a JSON object")) }
}

impl<S: Sync> FromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse(&read(request).await?).map(Self)
    }
}

impl<S: Sync> FromRequest<S> for MaybeObject {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = read(request).await?;
        if body.is_empty() { Ok(Self(None)) } else { parse(&body).map(|body| Self(Some(body))) }
    }
}
