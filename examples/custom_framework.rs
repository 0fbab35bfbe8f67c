//! A framework of somebody else's: its backend, in use, and tested by the kit.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example custom_framework
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error as StdError;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use jairouter_core::balance::{Instance, RoundRobin};
use jairouter_core::router::Group;
use jairouter_core::translate::{self, Framing, Message, Translate};
use jairouter_core::{
    Backend, Body, Endpoint, Error, Gateway, InferenceRequest, Payload, Route, Router, ServiceType,
    Upstream, refusal,
};
use jairouter_openai::completion::{Completion, Usage};
use jairouter_openai::fields::Fields;
use jairouter_openai::{answer, ask};
use serde::Deserialize;
use serde_json::json;
use tower::{ServiceExt, service_fn};

/// An engine that completes texts, in words of its own.
#[derive(Debug, Clone, Copy)]
struct Parrot;

impl Backend for Parrot {
    fn name(&self) -> &'static str {
        "parrot"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        (route.endpoint == Endpoint::Completions).then(|| "/squawk".into())
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        let asked = Fields::of_request(request)?;
        ask::one_only(&asked, "n", "a parrot")?;
        ask::refuse(&asked, &[("suffix", "a parrot says what comes next alone")])?;
        let mut own = Fields::new();
        own.set("heard", &ask::one_prompt(&asked, "a parrot")?);
        own.set("pieces", &request.stream);
        Ok(own.write())
    }

    fn decode(&self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        let (completion, is_over) = (Completion::new(request), false);
        if !request.stream {
            return answer::whole(answer, move |bytes| match translate::parse(&bytes)? {
                Said::All(text, counts) => Ok(completion.whole(&text, "stop", usage(counts))),
                other => Err(other.unexpected()),
            });
        }
        let (head, body) = answer.into_parts();
        let body = translate::stream(body, Framing::Ndjson, Pieces { completion, is_over });
        translate::replace(Response::from_parts(head, Body::empty()), "text/event-stream", body)
    }

    fn refusal(&self, _: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        let mut answer = answer.clone();
        if let Ok(Said::Ouch(text)) = serde_json::from_slice(answer.body()) {
            *answer.body_mut() = json!({ "error": text }).to_string().into();
        }
        refusal::classify(&answer)
    }
}

/// What a parrot says: `{"all":["text",[1,2]]}`, or in pieces, a line each, until it is `done`.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    All(String, [u64; 2]),
    Piece(String),
    Done([u64; 2]),
    Ouch(String),
}

impl Said {
    fn unexpected(self) -> Error {
        match self {
            Self::Ouch(text) => refusal::in_stream(json!({ "error": text }).to_string().as_bytes()),
            _ => answer::cut_off(),
        }
    }
}

fn usage([prompt, completion]: [u64; 2]) -> Usage {
    Usage { prompt, completion }
}

struct Pieces {
    completion: Completion,
    is_over: bool,
}

impl Translate for Pieces {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        match translate::parse(message.data)? {
            Said::Piece(text) => self.completion.piece(&text, out),
            Said::Done(counts) => {
                self.is_over = true;
                self.completion.finish("stop", usage(counts), out);
            }
            other => return Err(other.unexpected()),
        }
        Ok(())
    }

    // A parrot that dies closes its body properly, too.
    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        if self.is_over { Ok(()) } else { Err(answer::cut_off()) }
    }
}

/// The engine, which is in this process: any service of HTTP requests will do. For one on the
/// network, the client is `HttpClient::new(target.authority())`.
async fn parrot(request: Request<Payload>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let Ok(body) = request.into_body().collect().await;
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let (status, answer) = match body.contains(r#""pieces":true"#) {
        _ if path != "/squawk" => (404, r#"{"ouch":"who are you looking for?"}"#),
        true => {
            (200, "{\"piece\":\"Polly\"}\n{\"piece\":\" wants a cracker\"}\n{\"done\":[1,5]}\n")
        }
        false => (200, r#"{"all":["Polly wants a cracker",[1,5]]}"#),
    };
    let mut response = Response::new(Body::from(answer));
    *response.status_mut() = status.try_into().unwrap_or_default();
    Ok(response)
}

/// What a caller of the gateway is told.
async fn ask(question: &'static str) -> Result<(u16, String), Box<dyn StdError>> {
    let upstream = Upstream::new(Parrot, "http://parrot".parse()?, service_fn(parrot));
    let chat = Group::new(RoundRobin::new()).instance("polly", Instance::new("cage", upstream));
    let gateway = Gateway::new(Router::builder().service(ServiceType::Chat, chat).build());
    let request = Request::post("/v1/completions").header("content-type", "application/json");
    let answer = gateway.oneshot(request.body(Full::from(question))?).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    for question in [
        r#"{"model":"polly","prompt":"Hello!"}"#,
        r#"{"model":"polly","prompt":"Hello!","stream":true}"#,
        r#"{"model":"polly","prompt":"Hello!","n":2}"#,
    ] {
        let (status, answer) = ask(question).await?;
        println!("{status} {answer}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jairouter_conformance::{Exchanges, check_refusals};

    use super::*;

    // What lies in the folder was recorded on both sides of the gateway.
    #[test]
    fn it_says_what_was_recorded_wherever_the_network_cuts_it() {
        let exchanges = Exchanges::read("custom_framework").unwrap();
        exchanges.check(&Parrot).and(check_refusals(&Parrot)).assert(4 + 150);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_is_told_all_of_it_in_openai_s_words() {
        let (status, whole) = ask(r#"{"model":"polly","prompt":"Hi"}"#).await.unwrap();
        assert_eq!(status, 200);
        let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
        assert_eq!(whole["choices"][0]["text"], "Polly wants a cracker");
        assert_eq!(whole["usage"]["total_tokens"], 6);

        let stream = ask(r#"{"model":"polly","prompt":"Hi","stream":true}"#).await.unwrap().1;
        assert!(stream.contains(r#""text":" wants a cracker""#), "{stream}");
        assert!(stream.ends_with("data: [DONE]\n\n") && !stream.contains("usage"), "{stream}");

        let (status, refused) = ask(r#"{"model":"polly","prompt":"Hi","n":2}"#).await.unwrap();
        assert_eq!(status, 400);
        assert!(refused.contains(r#""param":"n""#), "{refused}");
    }
}
