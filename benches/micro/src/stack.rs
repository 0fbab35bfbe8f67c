//! All layers of the library, one around the other, with limits at every level: over engines that answer at
//! once.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::Full;
use jairouter_adapters::openai::OpenAi;
use jairouter_core::balance::{Instance, InstanceState, LeastConnections};
use jairouter_core::circuit_breaker::{Breaker, Settings};
use jairouter_core::observe::{Exchange, ObserveLayer};
use jairouter_core::rate_limit::{
    Concurrency, Limit, PerClient, RateLimitLayer, TokenBucket, TokensPerMinute,
};
use jairouter_core::request::Principal;
use jairouter_core::router::{Group, Member};
use jairouter_core::trace::Tracing;
use jairouter_core::usage::StreamUsageLayer;
use jairouter_core::{Error, Gateway, InferenceRequest, Router, ServiceType, Upstream};
use tower::util::MapRequestLayer;
use tower::{Layer, Service};

use crate::ask::{self, MODEL, PLAIN, SIZES, SMALL};
use crate::engine::{self, ENDLESS, Engine, WHOLE};
use crate::govern::{BURST, ENOUGH};
use crate::{Case, finish};

pub(crate) fn cases() -> Vec<Case> {
    let whole = SIZES.map(|(size, called)| {
        asked(format!("whole/{called}"), size, false, || Engine::whole(WHOLE))
    });
    let streams = [
        asked("stream/1".into(), SMALL, true, || Engine::stream(1)),
        asked("stream/128".into(), SMALL, true, || Engine::stream(128)),
        event(),
        nothing(),
    ];
    whole.into_iter().chain(streams).collect()
}

/// Making the request, which every other case does too.
fn nothing() -> Case {
    Case::new("request-alone", || {
        let request = ask::http(ask::chat(PLAIN, SMALL, false));
        move || drop(black_box(request.clone()))
    })
}

/// A request, to the end of its answer.
fn asked(name: String, size: usize, stream: bool, engine: fn() -> Engine) -> Case {
    Case::new(name, move || {
        let mut gateway = gateway(&engine());
        let request = ask::http(ask::chat(PLAIN, size, stream));
        move || {
            let Ok(answer) = finish(gateway.call(request.clone()));
            let mut body = answer.into_body();
            while let Some(data) = engine::next(&mut body) {
                black_box(data);
            }
        }
    })
}

/// One more token of a stream.
fn event() -> Case {
    Case::new("event", || {
        let mut gateway = gateway(&Engine::stream(ENDLESS));
        let request = ask::http(ask::chat(PLAIN, SMALL, true));
        let Ok(answer) = finish(gateway.call(request));
        let mut body = answer.into_body();
        move || {
            black_box(engine::next(&mut body));
        }
    })
}

/// The gateway, whose type says which layers it has.
fn gateway(
    engine: &Engine,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<impl HttpBody<Data = Bytes, Error = Error> + Unpin + use<>>,
    Error = Infallible,
> + use<> {
    let of_caller = PerClient::new(TokenBucket::new(ENOUGH, BURST));
    let authorized = MapRequestLayer::new(|request: InferenceRequest| {
        black_box(request.extensions.get::<Principal>());
        request
    });
    let limited = RateLimitLayer::new(Arc::new(of_caller)).layer(authorized.layer(router(engine)));
    let observed = ObserveLayer::new(|exchange: &Exchange| {
        black_box(exchange);
    });
    let counted = StreamUsageLayer::new(true).layer(observed.layer(limited));
    Gateway::new(counted).with_tracing(Tracing::new())
}

fn router(engine: &Engine) -> Router<OpenAi, Engine> {
    let of_service = (
        Limit::new(TokenBucket::new(ENOUGH, BURST)),
        (PerClient::new(TokenBucket::new(ENOUGH, BURST)), TokensPerMinute::new(BURST)),
    );
    let group = Group::new(LeastConnections::new()).limit(of_service);
    let member = |url: &str| {
        let target = url.parse().expect("a target");
        let upstream = Upstream::new(OpenAi::new(), target, engine.clone()).with_name(url);
        let state = Arc::new(InstanceState::new(url).with_max_concurrency(64));
        Member::new(Instance::with_state(state, upstream))
            .breaker(Arc::new(Breaker::new(Settings::default())))
            .limit((Limit::new(TokenBucket::new(ENOUGH, BURST)), Concurrency::new(64)))
    };
    let hosts = ["a", "b", "c", "d"].map(|host| format!("http://{host}.invalid:8000"));
    let group = hosts.iter().fold(group, |group, url| group.instance(MODEL, member(url)));
    Router::builder().service(ServiceType::Chat, group).build()
}
