//! What a request may cost: allocations and bytes of state.
//!
//! Counted is what the stack itself allocates, on the thread of the request. The client under it
//! and the making of the request above it are left out: neither is the stack's.
#![cfg(test)]

mod support {
    pub(crate) mod lean;
}

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::Full;
use jairouter_core::balance::{InFlight, Instance, LeastConnections};
use jairouter_core::circuit_breaker::{Breaker, CircuitBreakerLayer, Permit, Settings, State};
use jairouter_core::fallback::{CannedAnswer, FallbackLayer, ModelChain};
use jairouter_core::observe::{Exchange, ObserveLayer};
use jairouter_core::rate_limit::{
    Grant, Limit, PerModel, RateLimitLayer, SlidingWindow, TokenBucket, WarmUp,
};
use jairouter_core::reply::{Piece, Reply};
use jairouter_core::router::Group;
use jairouter_core::trace::Tracing;
use jairouter_core::translate::{self, Framing, Message, Translate};
use jairouter_core::upstream::{Upstream, UpstreamBody};
use jairouter_core::waiting_room::{Room, Settings as Waiting, WaitingRoomLayer};
use jairouter_core::{
    Body, Endpoint, Error, Gateway, GuardedBody, InferenceRequest, Router, ServiceType,
};
use serde::Serialize;
use support::lean::{Lean, OpenAi, event, request};
use tokio::time::Instant;
use tower::{Layer, Service};

type Answer = Response<GuardedBody<Body, Grant>>;

/// What is boxed in it: the body of one instance, and all who wait for its end.
type Inner = GuardedBody<GuardedBody<GuardedBody<UpstreamBody, Option<Permit>>, Grant>, InFlight>;

fn router(client: &Lean) -> Router<OpenAi, Lean> {
    let instance = |url: &str| {
        let upstream = Upstream::new(OpenAi, url.parse().unwrap(), client.clone());
        Instance::new(url, upstream)
    };
    let group = ["http://a.invalid:8000", "http://b.invalid:8000", "http://c.invalid/v1"]
        .into_iter()
        .fold(Group::new(LeastConnections::new()), |group, url| group.instance("m", instance(url)));
    Router::builder().service(ServiceType::Chat, group).build()
}

/// Polls to the end, without a runtime's own doings.
fn finish<F: Future>(future: F) -> F::Output {
    let (mut future, mut cx) = (pin!(future), Context::from_waker(Waker::noop()));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

fn ask(router: &mut Router<OpenAi, Lean>, request: InferenceRequest) -> Answer {
    finish(router.call(request)).unwrap()
}

/// The bytes of the next frame; `None` at the end.
fn next<B>(body: &mut B) -> Option<Bytes>
where
    B: HttpBody<Data = Bytes, Error = Error> + Unpin,
{
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut cx) {
            return frame.map(|frame| frame.unwrap().into_data().unwrap());
        }
    }
}

/// A router whose first requests are over: what a runtime's timers and the thread make once for
/// all is not a request's.
fn warm(client: &Lean) -> Router<OpenAi, Lean> {
    let mut router = router(client);
    for _ in 0..3 {
        let mut answer = ask(&mut router, request());
        while next(answer.body_mut()).is_some() {}
    }
    router
}

fn timers() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn a_request_costs_at_most_six_allocations_to_its_head() {
    let runtime = timers();
    let _entered = runtime.enter();
    for client in [Lean::stream(&[&*event("a"), "data: [DONE]\n\n"]), Lean::json()] {
        let mut router = warm(&client);
        for nth in 0..3 {
            let request = request();
            let counted = measure(|| drop(ask(&mut router, request)));
            assert!(counted.count_total <= 6, "request {nth}: {counted:?}");
        }
    }
}

#[test]
fn a_trace_costs_an_allocation_for_each_header_it_sends_and_one_if_it_is_recorded() {
    let runtime = timers();
    let _entered = runtime.enter();
    let mut router = warm(&Lean::json());
    let mut cost = |tracing: Option<Tracing>| {
        let request = request();
        let counted = measure(|| {
            let trace = tracing.map(|tracing| tracing.begin(&request.headers));
            drop(ask(&mut router, request.with_trace(trace)));
        });
        counted.count_total
    };
    // A thread's generator is seeded once.
    cost(Some(Tracing::new()));
    let bare = cost(None);
    assert_eq!(cost(Some(Tracing::new())), bare + 1, "the value of traceparent");
    assert_eq!(cost(Some(Tracing::new().recorded(true))), bare + 2, "and what became of it");
}

fn fallback() -> FallbackLayer {
    let chain = ModelChain::new(["a", "b"]).on_context_length(true);
    FallbackLayer::new().models(chain).answer(CannedAnswer::text("later"))
}

#[test]
fn a_fallback_that_is_not_needed_costs_the_allocation_of_one_body() {
    let runtime = timers();
    let _entered = runtime.enter();
    for client in [Lean::stream(&[&*event("a"), "data: [DONE]\n\n"]), Lean::json()] {
        let mut plain = warm(&client);
        let mut guarded = fallback().layer(warm(&client));
        for nth in 0..3 {
            let (first, second) = (request(), request());
            let without = measure(|| drop(ask(&mut plain, first))).count_total;
            let with = measure(|| drop(finish(guarded.call(second)).unwrap())).count_total;
            assert!(with <= without + 1, "request {nth}: {with} instead of {without}");
        }
    }
}

#[test]
fn a_body_that_needs_no_box_gets_none() {
    let full = tower::service_fn(async |_: InferenceRequest| {
        Ok::<_, Error>(Response::new(Body::from("{}")))
    });
    let mut guarded = fallback().layer(full);
    let request = request();
    let counted = measure(|| drop(finish(guarded.call(request)).unwrap()));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn a_rate_limit_costs_no_allocation_unless_it_refuses() {
    let runtime = timers();
    let _entered = runtime.enter();
    let limits = (
        Limit::new(TokenBucket::new(1e6, 1000)),
        (
            Limit::new(SlidingWindow::new(1e6, 1000)),
            PerModel::new([("m".into(), None::<Limit<WarmUp>>)]),
        ),
    );
    let inner = warm(&Lean::json());
    let mut limited = RateLimitLayer::new(Arc::new(limits)).layer(inner.clone());
    let (mut plain, ask) = (inner, request());
    let bare = measure(|| drop(finish(plain.call(ask.clone()))));
    let counted = measure(|| drop(finish(limited.call(ask))));
    assert!(counted.count_total <= bare.count_total, "{counted:?} with, {bare:?} without");
}

#[test]
fn a_request_that_need_not_wait_costs_no_allocation_more() {
    let runtime = timers();
    let _entered = runtime.enter();
    let room = Arc::new(Room::new(Waiting::default().with_places(100)));
    let mut plain = warm(&Lean::json());
    let mut spacious = WaitingRoomLayer::new(Arc::clone(&room)).layer(warm(&Lean::json()));
    for nth in 0..3 {
        let (first, second) = (request(), request());
        let bare = measure(|| drop(ask(&mut plain, first))).count_total;
        let counted = measure(|| {
            drop(finish(spacious.call(second)).unwrap());
            room.released();
        });
        assert_eq!(counted.count_total, bare, "request {nth}");
    }
}

#[test]
fn a_frame_that_passes_through_costs_no_allocation() {
    let runtime = timers();
    let _entered = runtime.enter();
    let text: String = ["b", "c", "d", "e"].map(event).concat();
    let (begun, rest) = text.split_at(text.len() / 2 + 7);
    // An event a frame, several in one, and one cut in two.
    let frames = [&*event("a"), &*event("b"), &*text, begun, rest, "data: [DONE]\n\n"];
    let client = Lean::stream(&frames);
    let mut answer = ask(&mut warm(&client), request());
    let mut passed = next(answer.body_mut()).unwrap().to_vec();
    let counted = measure(|| {
        for frame in &frames[1..3] {
            assert_eq!(next(answer.body_mut()).unwrap(), frame);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    passed.extend_from_slice(frames[1..3].concat().as_bytes());
    // The half that waits for its end is handed on in a second frame of ours.
    let mut cut = Vec::new();
    let counted = measure(|| {
        while let Some(frame) = next(answer.body_mut()) {
            allocation_counter::opt_out(|| cut.extend_from_slice(&frame));
        }
    });
    assert!(counted.count_total <= 3, "two frames that share an event: {counted:?}");
    passed.extend(cut);
    assert_eq!(String::from_utf8(passed).unwrap(), frames.concat());
}

fn breaker() -> Arc<Breaker> {
    let settings = Settings::default().with_failure_threshold(2).with_failure_rate(0.5);
    Arc::new(Breaker::new(settings))
}

#[test]
fn a_circuit_breaker_admits_and_judges_without_an_allocation() {
    let (breaker, now) = (breaker(), Instant::now());
    let probes_at = now + Duration::from_secs(120);
    let counted = measure(|| {
        breaker.admit(now).unwrap().success(now);
        drop(breaker.admit(now));
        for _ in 0..2 {
            breaker.admit(now).unwrap().failure(now);
        }
        breaker.admit(now).unwrap_err();
        drop(breaker.admit(probes_at));
        for _ in 0..2 {
            breaker.admit(probes_at).unwrap().success(probes_at);
        }
    });
    assert_eq!((breaker.state(probes_at), breaker.trips()), (State::Closed, 1));
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert_eq!(size_of::<Permit>(), 16, "what a request carries of it");
}

#[test]
fn an_exchange_through_a_circuit_breaker_costs_no_allocation_more() {
    let runtime = timers();
    let _entered = runtime.enter();
    let client = Lean::stream(&[&*event("a"), &*event("b"), "data: [DONE]\n\n"]);
    let mut bare = Upstream::new(OpenAi, "http://a.invalid".parse().unwrap(), client.clone());
    let mut guarded = CircuitBreakerLayer::new(breaker()).layer(bare.clone());
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (first, second) = (request(), request());
        let counted = measure(|| read(finish(bare.call(first)).unwrap()));
        without.push(counted.count_total);
        let counted = measure(|| read(finish(guarded.call(second)).unwrap()));
        with.push(counted.count_total);
    }
    // The first ones make what a thread's timers need.
    assert_eq!(with[1..], without[1..]);
}

fn read<B: HttpBody<Data = Bytes, Error = Error>>(answer: Response<B>) {
    let (mut body, mut cx) = (pin!(answer.into_body()), Context::from_waker(Waker::noop()));
    while !matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(None)) {}
}

/// Says each line again, as an event.
struct Echo;

impl Translate for Echo {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        out.put_slice(b"data: ");
        out.put_slice(message.data);
        out.put_slice(b"\n\n");
        Ok(())
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn a_frame_that_is_translated_costs_at_most_three_allocations() {
    for (framing, frame) in
        [(Framing::Ndjson, "{\"a\":1}\n"), (Framing::Sse, "data: {\"a\":1}\n\n")]
    {
        let frames = [frame; 40];
        let body = Body::new(Lean::stream(&frames).body());
        let mut translated = translate::stream(body, framing, Echo);
        for nth in 0..frames.len() {
            let counted = measure(|| {
                assert_eq!(next(&mut translated).unwrap(), "data: {\"a\":1}\n\n");
            });
            assert!(counted.count_total <= 3, "frame {nth} of {framing:?}: {counted:?}");
        }
        assert_eq!(next(&mut translated), None);
    }
}

#[test]
fn what_waits_for_an_answer_is_at_most_512_bytes() {
    let log = ObserveLayer::new((|_| {}) as fn(&Exchange));
    let observed = log.layer(fallback().layer(router(&Lean::json())));
    let http = Request::post("/v1/chat/completions").body(Full::<Bytes>::default()).unwrap();
    let mut gateway = Gateway::new(observed);
    let whole = size_of_val(&gateway.call(http));
    assert!(whole <= 512, "the gateway's future: {whole} bytes");
    let stack = size_of_val(&router(&Lean::json()).call(request()));
    assert!(stack <= 384, "the router's future: {stack} bytes");
    let room = Arc::new(Room::new(Waiting::default()));
    let mut spacious = WaitingRoomLayer::new(room).layer(router(&Lean::json()));
    let spacious = size_of_val(&spacious.call(request()));
    assert!(spacious <= stack + 96, "the waiting room's future: {spacious} bytes around {stack}");
    let mut guarded = fallback().layer(router(&Lean::json()));
    let guarded = size_of_val(&guarded.call(request()));
    assert!(guarded <= stack + 64, "the fallback's future: {guarded} bytes around {stack}");
}

#[test]
fn what_a_stream_holds_for_its_length_is_at_most_768_bytes() {
    let (inner, outer) = (size_of::<Inner>(), size_of::<GuardedBody<Body, Grant>>());
    assert!(inner + outer <= 768, "the body of an answer: {inner} bytes and {outer} around them");
}

/// What a host application has for a question.
#[derive(Serialize)]
struct Question {
    model: &'static str,
    stream: bool,
    messages: [Said; 1],
}

#[derive(Serialize)]
struct Said {
    role: &'static str,
    content: &'static str,
}

const QUESTION: Question =
    Question { model: "m", stream: true, messages: [Said { role: "user", content: "Hi!" }] };

fn asked() -> InferenceRequest {
    InferenceRequest::json(Endpoint::ChatCompletions, &QUESTION).unwrap()
}

/// What a reply costs to its end, and how many pieces it is.
fn reply(router: &mut Router<OpenAi, Lean>) -> (AllocationInfo, Vec<Piece>) {
    let mut reply = Reply::new(finish(router.call(asked())).unwrap());
    let mut pieces = Vec::with_capacity(1000);
    // The first event makes what the reading of all of them takes.
    pieces.extend(finish(reply.next()).map(Result::unwrap));
    let counted = measure(|| {
        while let Some(piece) = finish(reply.next()) {
            pieces.push(piece.unwrap());
        }
    });
    (counted, pieces)
}

#[test]
fn a_question_costs_at_most_six_allocations_to_the_head_of_its_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let mut router = warm(&Lean::stream(&[&*event("a"), "data: [DONE]\n\n"]));
    for nth in 0..3 {
        let question = asked();
        let counted = measure(|| drop(finish(router.call(question)).unwrap()));
        assert!(counted.count_total <= 6, "request {nth}: {counted:?}");
    }
    // Its text, the request, and the count of who shares the text.
    let counted = measure(|| drop(asked()));
    assert!(counted.count_total <= 3, "the question alone: {counted:?}");
}

#[test]
fn a_token_costs_the_allocation_of_its_text() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    // Plain, with escapes, of characters of several bytes, and no text at all.
    for content in ["token", "a line\\nand \\\"another\\\"\\u00e9", "\u{1f600}", ""] {
        // Longer than any other, so that what events are put together in need not grow.
        let mut frames = vec![event(&"first ".repeat(20))];
        frames.extend((0..200).map(|_| event(content)));
        frames.push("data: [DONE]\n\n".to_owned());
        let mut router = warm(&Lean::stream(&frames));
        let (counted, pieces) = reply(&mut router);
        let tokens = if content.is_empty() { 0 } else { 200 };
        assert_eq!(pieces.len(), 1 + tokens);
        assert_eq!(counted.count_total, tokens as u64, "{content:?}: {counted:?}");
    }
}
