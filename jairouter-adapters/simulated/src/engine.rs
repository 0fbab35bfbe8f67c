use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use jairouter_core::{Body, Error, Kind};
use serde_json::json;
use tokio::time::sleep;
use tower_service::Service;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::embeddings;
use crate::failure::Failure;
use crate::settings::{Builder, Settings};
use crate::stream::{Stream, after};

/// An engine in this process. Clones are the same engine.
///
/// # Errors
///
/// As a client it fails only if it was told to: [`Kind::Unreachable`] for [`Failure::Refuse`],
/// [`Kind::Broken`] for [`Failure::Break`].
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    settings: Settings,
    requests: AtomicU64,
    running: Arc<AtomicU32>,
}

/// One request that is being answered, until this is dropped.
pub(crate) struct Running(Arc<AtomicU32>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Engine {
    /// Settings to change first.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner { settings, requests: AtomicU64::new(0), running: Arc::default() }))
    }

    /// How many requests it has been sent, whatever came of them.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// How many it is answering now. A stream that is dropped is not answered any more.
    pub fn running(&self) -> u32 {
        self.0.running.load(Ordering::Relaxed)
    }

    fn admit(&self) -> Option<Running> {
        let limit = self.0.settings.concurrency;
        let free = |running: u32| (running < limit).then_some(running + 1);
        let counted = self.0.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        counted.is_ok().then(|| Running(Arc::clone(&self.0.running)))
    }

    /// How the request of this number fails, if it does.
    fn failure(&self, number: u64) -> Option<Failure> {
        let settings = &self.0.settings;
        let drawn =
            fastrand::Rng::with_seed(settings.seed.wrapping_mul(0x9e37_79b9) ^ number).f64();
        (drawn < settings.failure_rate).then_some(settings.failure)
    }

    async fn answer(
        self,
        request: Request<Full<Bytes>>,
        number: u64,
    ) -> Result<Response<Body>, Error> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let is_post = head.method == Method::POST;
        match path {
            "/health" if !is_post => return Ok(json_answer("{}".into())),
            "/v1/models" if !is_post => return Ok(json_answer(self.models().into())),
            "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" if is_post => {}
            "/health" | "/v1/models" => return Ok(wrong_method("GET")),
            "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" => {
                return Ok(wrong_method("POST"));
            }
            _ => return Ok(refusal(404, "the simulated engine has nothing here", None)),
        }
        let payload = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let Some(running) = self.admit() else {
            return Ok(refusal(503, "server busy: the simulated engine has enough to do", None));
        };
        match path {
            "/v1/embeddings" => self.embed(&payload, number, running).await,
            _ => self.generate(&payload, path == "/v1/chat/completions", number, running).await,
        }
    }

    async fn embed(
        &self,
        payload: &[u8],
        number: u64,
        running: Running,
    ) -> Result<Response<Body>, Error> {
        let answer = match embeddings::answer(payload) {
            Ok(answer) => answer,
            Err((message, param)) => return Ok(refusal(400, &message, Some(param))),
        };
        sleep(self.0.settings.first_token).await;
        let failure = self.failure(number);
        let response = whole(failure, answer).await;
        drop(running);
        response
    }

    async fn generate(
        &self,
        payload: &[u8],
        is_chat: bool,
        number: u64,
        running: Running,
    ) -> Result<Response<Body>, Error> {
        let ask: Ask = match serde_json::from_slice(payload) {
            Ok(ask) => ask,
            Err(error) => return Ok(refusal(400, &error.to_string(), None)),
        };
        if let Some((message, param)) = ask.fault(is_chat) {
            return Ok(refusal(400, message, Some(param)));
        }
        let settings = &self.0.settings;
        let failure = self.failure(number);
        let answer = Answer::new(&ask, is_chat, number, settings.length);
        sleep(settings.first_token).await;
        if ask.stream == Some(true) {
            let midway = matches!(
                failure,
                None | Some(Failure::BreakMidway | Failure::Stall | Failure::ErrorEvent)
            );
            if midway {
                let stream = Stream::new(answer, settings.rate, failure, running);
                let mut response = Response::new(Body::new(stream));
                let event_stream = HeaderValue::from_static("text/event-stream");
                response.headers_mut().insert(CONTENT_TYPE, event_stream);
                return Ok(response);
            }
        } else if let Some(rate) = settings.rate {
            sleep(after(answer.tokens(), rate)).await;
        }
        let response = whole(failure, answer.whole()).await;
        drop(running);
        response
    }

    fn models(&self) -> String {
        let card = |id: &String| json!({ "id": id, "object": "model", "created": 0, "owned_by": "simulated" });
        let cards: Vec<_> = self.0.settings.models.iter().map(card).collect();
        json!({ "object": "list", "data": cards }).to_string()
    }
}

/// An answer in one piece, or the failure instead of it.
async fn whole(failure: Option<Failure>, answer: Bytes) -> Result<Response<Body>, Error> {
    let broken = |kind| Err(Error::new(kind, "the simulated engine fails as it was told to"));
    match failure {
        None => Ok(json_answer(answer)),
        Some(Failure::Status(status)) => {
            Ok(refusal(status, "the simulated engine fails as it was told to", None))
        }
        Some(Failure::ErrorEvent) => {
            Ok(refusal(500, "the simulated engine fails as it was told to", None))
        }
        Some(Failure::Refuse) => broken(Kind::Unreachable),
        Some(Failure::Break | Failure::BreakMidway) => broken(Kind::Broken),
        Some(Failure::Silent | Failure::Stall) => std::future::pending().await,
    }
}

fn json_answer(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn wrong_method(allowed: &'static str) -> Response<Body> {
    let mut response = refusal(405, "the simulated engine takes another method here", None);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn refusal(status: u16, message: &str, param: Option<&str>) -> Response<Body> {
    let r#type = if status < 500 { "invalid_request_error" } else { "server_error" };
    let error = json!({ "message": message, "type": r#type, "param": param, "code": null });
    let mut response = json_answer(json!({ "error": error }).to_string().into());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == 429 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

impl Service<Request<Full<Bytes>>> for Engine {
    type Response = Response<Body>;
    type Error = Error;
    // Boxed: an answer is written as straight-line code, which has no name.
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        Box::pin(self.clone().answer(request, number))
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
