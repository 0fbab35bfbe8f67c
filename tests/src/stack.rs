//! The library's standard stack over upstreams, without the program around it.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, response};
use http_body_util::BodyExt;
use jairouter_core::balance::{Instance, InstanceState, RoundRobin, Strategy};
use jairouter_core::client::HttpClient;
use jairouter_core::rate_limit::Grant;
use jairouter_core::router::Group;
use jairouter_core::upstream::{Target, Timeouts};
use jairouter_core::{
    Endpoint, Error, GuardedBody, InferenceRequest, Router, ServiceType, Upstream,
};
use jairouter_openai::OpenAi;
use tower::ServiceExt;

use crate::chat;

/// The body of an answer of the stack's.
pub type Body = GuardedBody<jairouter_core::Body, Grant>;

/// A router with one chat model `m`, whose instances are called `0`, `1` and so on.
#[derive(Clone)]
pub struct Stack {
    router: Router<OpenAi, HttpClient>,
    states: Vec<Arc<InstanceState>>,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Whole {
    /// Its head.
    pub head: response::Parts,
    /// The bytes of its body.
    pub text: String,
    /// How the body failed, if it did.
    pub broken: Option<Error>,
}

impl Whole {
    /// Which instance it came from.
    pub fn instance(&self) -> &str {
        self.head.headers.get("x-jairouter-instance").and_then(|id| id.to_str().ok()).unwrap_or("")
    }
}

/// Clocks short enough to wait for.
pub fn short() -> Timeouts {
    let ms = Duration::from_millis;
    Timeouts::default().with_first_token(ms(400)).with_idle(ms(400)).with_total(ms(5000))
}

/// A request for the model `m`.
///
/// # Panics
///
/// If the JSON is none, or names no model.
pub fn request(json: impl Into<Bytes>) -> InferenceRequest {
    let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), json.into());
    request.expect("it is a request")
}

/// A client of this upstream, and where it is.
///
/// # Panics
///
/// If the URL is none.
pub fn client(url: &str) -> (Target, HttpClient) {
    let target: Target = url.parse().expect("it is a URL");
    let client = HttpClient::builder().connect_timeout(Duration::from_millis(400));
    let client = client.build(target.authority());
    (target, client)
}

impl Stack {
    /// These upstreams in turn, with short clocks.
    pub fn new(urls: &[String]) -> Self {
        Self::with(RoundRobin::new(), short(), urls.iter().map(|url| (url.as_str(), 1)))
    }

    /// These upstreams with their weights.
    ///
    /// # Panics
    ///
    /// If a URL is none or a weight is zero.
    pub fn with<'a>(
        strategy: impl Strategy + Clone,
        timeouts: Timeouts,
        upstreams: impl IntoIterator<Item = (&'a str, u16)>,
    ) -> Self {
        let mut group = Group::new(strategy);
        let mut states = Vec::new();
        for (index, (url, weight)) in upstreams.into_iter().enumerate() {
            let (target, client) = client(url);
            let upstream = Upstream::new(OpenAi::new(), target, client).with_timeouts(timeouts);
            let weight = NonZeroU16::new(weight).expect("a weight is not zero");
            let state = Arc::new(InstanceState::new(index.to_string()).with_weight(weight));
            states.push(Arc::clone(&state));
            group = group.instance("m", Instance::with_state(state, upstream));
        }
        let router = Router::builder().service(ServiceType::Chat, group).build();
        Self { router, states }
    }

    /// What the balancer knows of each instance.
    pub fn states(&self) -> &[Arc<InstanceState>] {
        &self.states
    }

    /// How many requests the balancer counts.
    pub fn in_flight(&self) -> u32 {
        self.states.iter().map(|state| state.in_flight()).sum()
    }

    /// Sends a request and waits until its answer is committed.
    pub async fn send(&self, request: InferenceRequest) -> Result<Response<Body>, Error> {
        self.router.clone().oneshot(request).await
    }

    /// Asks for a chat, and reads the answer to its end.
    pub async fn ask(&self, stream: bool) -> Result<Whole, Error> {
        Ok(whole(self.send(request(chat("m", stream))).await?).await)
    }
}

/// Reads an answer to its end.
pub async fn whole(answer: Response<Body>) -> Whole {
    let (head, mut body) = answer.into_parts();
    let (mut text, mut broken) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.extend(frame.into_data().unwrap_or_default()),
            Err(error) => broken = Some(error),
        }
    }
    Whole { head, text: String::from_utf8_lossy(&text).into_owned(), broken }
}
