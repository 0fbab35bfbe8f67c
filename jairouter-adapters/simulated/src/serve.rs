//! One request, from its path to its answer.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use jairouter_core::Payload;
use jairouter_core::{Body, Error, Kind};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::cut::Cut;
use crate::embeddings;
use crate::engine::{Engine, Running};
use crate::failure::{AS_TOLD, Failure, broken};
use crate::reply;
use crate::settings::Settings;
use crate::stream::{Stream, after};

type Answered = Result<Response<Body>, Error>;

/// What is asked of a model.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    Chat,
    Completion,
    Embeddings,
}

pub(crate) async fn serve(engine: Engine, request: Request<Payload>) -> Answered {
    let (head, body) = request.into_parts();
    let work = match head.uri.path() {
        "/v1/chat/completions" => Work::Chat,
        "/v1/completions" => Work::Completion,
        "/v1/embeddings" => Work::Embeddings,
        path => return Ok(page(engine.settings(), &head.method, path)),
    };
    if head.method != Method::POST {
        return Ok(reply::wrong_method("POST"));
    }
    let payload = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    let (number, failure) = engine.next();
    if failure == Some(Failure::Refuse) {
        return Err(Error::new(Kind::Unreachable, AS_TOLD));
    }
    let Some(running) = engine.admit() else {
        let busy = "server busy: the simulated engine has enough to do";
        return Ok(reply::refusal(503, busy, None, None));
    };
    match failure {
        Some(Failure::Status(status)) => return Ok(reply::refusal(status, AS_TOLD, None, None)),
        Some(Failure::Silent) => std::future::pending().await,
        _ => {}
    }
    let settings = engine.settings();
    if work == Work::Embeddings {
        return match embeddings::answer(&payload) {
            Ok(answer) => {
                wait(settings).await;
                whole(answer, failure, running)
            }
            Err(fault) => Ok(reply::fault(fault)),
        };
    }
    let ask: Ask = match serde_json::from_slice(&payload) {
        Ok(ask) => ask,
        Err(error) => return Ok(reply::refusal(400, &error.to_string(), None, None)),
    };
    let is_stream = ask.is_stream();
    let answer = match Answer::new(ask, work == Work::Chat, number, settings.length) {
        Ok(answer) => answer,
        Err(fault) => return Ok(reply::fault(fault)),
    };
    wait(settings).await;
    if is_stream {
        let stream = Stream::new(answer, settings.rate, failure, running);
        return Ok(reply::of_type("text/event-stream", Body::new(stream)));
    }
    if failure != Some(Failure::Break)
        && let Some(rate) = settings.rate
    {
        sleep(after(answer.tokens(), rate)).await;
    }
    whole(answer.whole(), failure, running)
}

/// Until the first token. No timer is set for none.
async fn wait(settings: &Settings) {
    if !settings.first_token.is_zero() {
        sleep(settings.first_token).await;
    }
}

/// An answer in one piece, as far as it is to come.
fn whole(answer: Bytes, failure: Option<Failure>, running: Running) -> Answered {
    match failure {
        Some(Failure::Break) => Err(broken()),
        Some(Failure::ErrorEvent) => Ok(reply::refusal(500, AS_TOLD, None, None)),
        Some(failure @ (Failure::BreakMidway | Failure::Stall)) => {
            let cut = Cut::new(answer, failure == Failure::Stall, running);
            Ok(reply::of_type("application/json", Body::new(cut)))
        }
        _ => Ok(reply::json(answer)),
    }
}

/// What is there without a model's work.
fn page(settings: &Settings, method: &Method, path: &str) -> Response<Body> {
    let answer = match path {
        "/health" => json!({ "status": "ok" }),
        "/v1/models" => {
            let cards: Vec<_> = settings.models.iter().map(|id| card(id)).collect();
            json!({ "object": "list", "data": cards })
        }
        _ => {
            let Some(id) = path.strip_prefix("/v1/models/") else {
                return reply::refusal(404, "the simulated engine has nothing here", None, None);
            };
            let id = percent_decode_str(id).decode_utf8_lossy();
            if !settings.models.iter().any(|model| *model == id) {
                let message = "the simulated engine does not list this model";
                return reply::refusal(404, message, Some("model"), Some("model_not_found"));
            }
            card(&id)
        }
    };
    match *method {
        Method::GET | Method::HEAD => reply::json(answer.to_string()),
        _ => reply::wrong_method("GET, HEAD"),
    }
}

fn card(id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": 0, "owned_by": "simulated" })
}
