//! What passes a stream on: one more token, layer by layer.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use jairouter_adapters::openai::OpenAi;
use jairouter_core::observe::{Exchange, ObserveLayer};
use jairouter_core::rate_limit::{RateLimitLayer, TokensPerMinute};
use jairouter_core::usage::StreamUsageLayer;
use jairouter_core::{Body, Error, InferenceRequest, Upstream};
use tower::{Layer, Service};

use crate::engine::{self, ENDLESS, EVENT, Engine, Says, Stream};
use crate::govern::BURST;
use crate::{Case, ask, finish};

/// A token of an engine that says with each what it has used.
const TELLING: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1764150000,\"model\":\"qwen3:1.7b\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18}}\n\n";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        body("engine", || Stream::new("", EVENT, ENDLESS, "")),
        Case::new("upstream", || {
            let target = "http://a.invalid:8000".parse().expect("a target");
            let upstream = Upstream::new(OpenAi::new(), target, Engine::stream(ENDLESS));
            through(upstream)
        }),
        Case::new("renamed", || {
            let target = "http://a.invalid:8000".parse().expect("a target");
            let upstream = Upstream::new(OpenAi::new(), target, Engine::stream(ENDLESS));
            through(upstream.with_model("Qwen/Qwen3-1.7B").with_asked_name(true))
        }),
        layer("usage-hidden", EVENT, || StreamUsageLayer::new(true)),
        layer("usage-told-and-hidden", TELLING, || StreamUsageLayer::new(true)),
        layer("tokens-counted", EVENT, || RateLimitLayer::new(counted())),
        layer("tokens-told", TELLING, || RateLimitLayer::new(counted())),
        layer("observed", EVENT, || {
            ObserveLayer::new(|exchange: &Exchange| {
                black_box(exchange);
            })
        }),
    ]
}

/// A limit that reads what engines say they have used.
fn counted() -> Arc<TokensPerMinute> {
    Arc::new(TokensPerMinute::new(BURST))
}

/// A body alone.
fn body(name: &str, make: fn() -> Stream) -> Case {
    Case::new(name, move || {
        let mut body = Body::new(make());
        move || {
            black_box(engine::next(&mut body));
        }
    })
}

/// One layer, and a stream of this event without end below it.
fn layer<L, B>(name: &str, event: &'static str, make: fn() -> L) -> Case
where
    L: Layer<Says> + 'static,
    L::Service: Service<InferenceRequest, Response = Response<B>, Error = Error>,
    B: HttpBody<Data = Bytes, Error = Error> + Unpin + 'static,
{
    Case::new(name, move || through(make().layer(Says(event))))
}

/// One more event of what this service answers.
fn through<S, B>(mut service: S) -> impl FnMut()
where
    S: Service<InferenceRequest, Response = Response<B>, Error = Error>,
    B: HttpBody<Data = Bytes, Error = Error> + Unpin,
{
    let answer = finish(service.call(ask::small(true))).expect("an answer");
    let mut body = answer.into_body();
    move || {
        black_box(engine::next(&mut body));
    }
}
