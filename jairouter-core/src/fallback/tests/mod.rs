mod cache;
mod canned;
mod models;
mod rules;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt};

use super::*;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;

const SSE: &str = "text/event-stream";
const JSON: &str = "application/json";

/// What a model does when it is asked.
type Does = fn() -> Result<Response<Frames>, Error>;

/// Models that do the same whenever they are asked, and who was asked.
#[derive(Clone, Default)]
struct Models {
    does: Arc<Mutex<Vec<(&'static str, Does)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Models {
    fn new(does: impl IntoIterator<Item = (&'static str, Does)>) -> Self {
        let models = Self::default();
        for (model, does) in does {
            models.set(model, does);
        }
        models
    }

    /// From now on the model does this.
    fn set(&self, model: &'static str, does: Does) {
        let mut all = self.does.lock().unwrap();
        all.retain(|(name, _)| *name != model);
        all.push((model, does));
    }

    /// Who was asked since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Service<InferenceRequest> for Models {
    type Response = Response<Frames>;
    type Error = Error;
    type Future = std::future::Ready<Result<Response<Frames>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        self.asked.lock().unwrap().push(request.model.to_string());
        let models = self.does.lock().unwrap();
        let does = models.iter().find(|(name, _)| *request.model == **name).map(|(_, does)| does);
        let missing = || Err(Error::new(Kind::NoModel, "the model does not exist"));
        std::future::ready(does.map_or_else(missing, |does| does()))
    }
}

/// A body in these frames.
struct Frames(VecDeque<Result<Bytes, Kind>>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = self.0.pop_front();
        Poll::Ready(frame.map(|frame| match frame {
            Ok(data) => Ok(Frame::data(data)),
            Err(kind) => Err(Error::new(kind, "scripted")),
        }))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is one of the things a model does")]
fn says(content_type: &'static str, frames: &[&'static str]) -> Result<Response<Frames>, Error> {
    let frames = frames.iter().map(|frame| Ok(Bytes::from_static(frame.as_bytes())));
    let mut answer = Response::new(Frames(frames.collect()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(answer)
}

fn fails<T>(kind: Kind) -> Result<T, Error> {
    Err(Error::new(kind, "scripted"))
}

fn down() -> Result<Response<Frames>, Error> {
    fails(Kind::NoInstance)
}

fn ask(payload: &str) -> InferenceRequest {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer caller"));
    InferenceRequest::new(Endpoint::ChatCompletions, headers, payload).unwrap()
}

/// A request for `large`.
fn large() -> InferenceRequest {
    ask(r#"{"model":"large","temperature":0}"#)
}

type Outcome = Result<Response<Body>, Error>;

async fn through(layer: &FallbackLayer, models: &Models, request: InferenceRequest) -> Outcome {
    layer.layer(models.clone()).oneshot(request).await
}

/// Which fallback answered, and which model.
fn told(answer: &Response<Body>) -> (Option<&str>, Option<&str>) {
    let text = |name| answer.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap());
    (text(FALLBACK), text(MODEL))
}

async fn text(answer: Response<Body>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}
