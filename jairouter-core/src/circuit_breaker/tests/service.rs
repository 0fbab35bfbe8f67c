//! The layer: who is asked, and what an answer says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use bytes::Bytes;
use futures::{StreamExt, future, stream};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use super::*;
use crate::balance::tests_support::request;
use crate::body::Body;
use crate::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
use crate::error::{BoxError, Error, Kind};
use crate::request::InferenceRequest;

type Answer = Result<Response<Body>, Error>;

/// An answer in these pieces, and silence or an end behind them.
fn pieces(pieces: &[Result<&'static str, Kind>], silence: bool) -> Response<Body> {
    let frames = pieces.iter().map(|piece| match piece {
        Ok(data) => Ok(Frame::data(Bytes::from_static(data.as_bytes()))),
        Err(kind) => Err(Error::new(*kind, "test")),
    });
    let frames = stream::iter(frames.collect::<Vec<_>>());
    let rest = stream::pending().take(usize::from(silence));
    Response::new(Body::new(StreamBody::new(frames.chain(rest))))
}

fn status(code: u16) -> Response<Body> {
    let mut answer = Response::new(Body::from("{}"));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

/// Around an instance that answers so.
fn around(
    breaker: &Arc<Breaker>,
    answer: impl Fn() -> Answer + Clone,
) -> CircuitBreaker<impl Service<InferenceRequest, Response = Response<Body>, Error = Error> + Clone>
{
    let answer = move |_| future::ready(answer());
    CircuitBreakerLayer::new(Arc::clone(breaker)).layer(service_fn(answer))
}

/// Asks once and reads the answer as far as it goes.
async fn ask(breaker: &Arc<Breaker>, answer: impl Fn() -> Answer + Clone) {
    if let Ok(answer) = around(breaker, answer).oneshot(request()).await {
        let mut body = answer.into_body();
        while let Some(Ok(_)) = body.frame().await {}
    }
}

// fault: R2
#[tokio::test(start_paused = true)]
async fn of_a_thousand_requests_exactly_the_probes_reach_the_instance() {
    let breaker = due(settings()).await;
    let asked = AtomicUsize::new(0);
    let inner = service_fn(|_| {
        asked.fetch_add(1, Ordering::Relaxed);
        future::pending::<Answer>()
    });
    let service = CircuitBreakerLayer::new(Arc::clone(&breaker)).layer(inner);
    let mut exchanges: Vec<_> =
        (0..1000).map(|_| task::spawn(service.clone().oneshot(request()))).collect();
    let mut refused = 0;
    for exchange in &mut exchanges {
        if let Poll::Ready(outcome) = exchange.poll() {
            assert_eq!(outcome.unwrap_err().kind(), Kind::BreakerOpen);
            refused += 1;
        }
    }
    assert_eq!((asked.load(Ordering::Relaxed), refused), (2, 998));
}

// fault: R3
#[tokio::test(start_paused = true)]
async fn a_probe_whose_caller_leaves_is_given_to_the_next_one() {
    let breaker = due(settings().with_success_threshold(1)).await;
    let (inner, mut instance) = mock::pair::<InferenceRequest, Response<Body>>();
    let mut service = CircuitBreakerLayer::new(Arc::clone(&breaker)).layer(inner);
    instance.allow(2);
    let mut leaves = task::spawn(service.ready().await.unwrap().call(request()));
    assert_pending!(leaves.poll());
    let refused = service.ready().await.unwrap().call(request()).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::BreakerOpen);
    drop(leaves);
    assert_eq!(breaker.state(now()), State::HalfOpen, "nothing was learnt");
    let mut stays = task::spawn(service.ready().await.unwrap().call(request()));
    assert_pending!(stays.poll());
    let (_, _) = instance.next_request().await.expect("the first is still told");
    let (_, answer) = instance.next_request().await.expect("the next one probes");
    answer.send_response(Response::new(Body::from("{}")));
    let answer = assert_ready!(stays.poll()).unwrap();
    assert_eq!(breaker.state(now()), State::HalfOpen, "a head is not an answer");
    answer.into_body().collect().await.unwrap();
    assert_eq!(breaker.state(now()), State::Closed);
}

// fault: R4
#[tokio::test(start_paused = true)]
async fn a_probe_that_streams_passes_with_its_first_data() {
    let breaker = due(settings().with_success_threshold(1)).await;
    let service = around(&breaker, || Ok(pieces(&[Ok(""), Ok("token")], true)));
    let mut body = service.oneshot(request()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(breaker.state(now()), State::HalfOpen, "an empty frame is none");
    body.frame().await.unwrap().unwrap();
    assert_eq!(breaker.state(now()), State::Closed, "and the stream goes on");
}

// fault: R4
#[tokio::test(start_paused = true)]
async fn a_probe_that_breaks_after_it_has_passed_opens_it_again() {
    let breaker = due(settings()).await;
    ask(&breaker, || Ok(pieces(&[Ok("token"), Err(Kind::Stalled)], false))).await;
    assert_eq!((breaker.state(now()), breaker.trips()), (State::Open, 2));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_a_probe_after_its_first_data_has_seen_it_pass() {
    let breaker = due(settings().with_success_threshold(1)).await;
    let service = around(&breaker, || Ok(pieces(&[Ok("token")], true)));
    let mut body = service.clone().oneshot(request()).await.unwrap().into_body();
    drop(service.clone().oneshot(request()).await.unwrap_err());
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(breaker.state(now()), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_between_head_and_data_has_seen_nothing() {
    let breaker = due(settings().with_success_threshold(1)).await;
    let service = around(&breaker, || Ok(pieces(&[], true)));
    drop(service.oneshot(request()).await.unwrap());
    assert_eq!((breaker.state(now()), breaker.would_refuse(now())), (State::HalfOpen, None));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_body_passes_a_probe() {
    let breaker = due(settings().with_success_threshold(1)).await;
    ask(&breaker, || Ok(Response::new(Body::empty()))).await;
    assert_eq!(breaker.state(now()), State::Closed);
}

// fault: U6, U7
#[tokio::test(start_paused = true)]
async fn streams_that_break_behind_their_first_token_are_failures_in_a_row() {
    let breaker = breaker(settings());
    for _ in 0..2 {
        ask(&breaker, || Ok(pieces(&[Ok("token"), Err(Kind::Broken)], false))).await;
    }
    assert_eq!(breaker.state(now()), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_in_the_middle_of_an_answer_has_seen_the_instance_work() {
    let breaker = breaker(settings());
    ask(&breaker, || Ok(status(500))).await;
    let service = around(&breaker, || Ok(pieces(&[Ok("token")], true)));
    let mut body = service.oneshot(request()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    ask(&breaker, || Ok(status(500))).await;
    assert_eq!(breaker.state(now()), State::Closed);
}

// fault: I11, R7
#[tokio::test(start_paused = true)]
async fn fifty_bad_requests_leave_it_closed() {
    let windowed = settings().with_failure_rate(0.1).with_minimum_requests(1);
    for settings in [settings().with_failure_threshold(1), windowed.with_failure_threshold(1)] {
        let breaker = breaker(settings);
        for code in [400, 404, 409, 413, 422, 401, 403, 429] {
            for _ in 0..50 {
                ask(&breaker, || Ok(status(code))).await;
            }
        }
        for kind in [Kind::Rejected, Kind::Busy, Kind::RateLimited, Kind::Overloaded] {
            for _ in 0..50 {
                ask(&breaker, || Err(Error::new(kind, "test"))).await;
            }
        }
        assert_eq!((breaker.state(now()), breaker.trips()), (State::Closed, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_alone_says_who_is_to_blame() {
    let state_after = async |answer: fn() -> Answer| {
        let breaker = breaker(settings().with_failure_threshold(1));
        ask(&breaker, answer).await;
        breaker.state(now())
    };
    assert_eq!(state_after(|| Ok(status(500))).await, State::Open);
    assert_eq!(state_after(|| Ok(status(503))).await, State::Open);
    assert_eq!(state_after(|| Ok(status(504))).await, State::Open);
    let busy = || {
        let mut answer = status(503);
        answer.headers_mut().insert("retry-after", http::HeaderValue::from_static("1"));
        Ok(answer)
    };
    assert_eq!(state_after(busy).await, State::Closed, "busy is not broken");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_shows_nothing_and_holds_no_probe() {
    let breaker = due(settings().with_success_threshold(1)).await;
    let kept = around(&breaker, || Ok(status(429))).oneshot(request()).await.unwrap();
    assert_eq!(breaker.would_refuse(now()), None, "though its body is still read");
    drop(kept);
    ask(&breaker, || Ok(status(422))).await;
    assert_eq!(breaker.state(now()), State::HalfOpen, "an engine can refuse what it never tried");
    assert_eq!(breaker.would_refuse(now()), None);
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_does_not_reach_the_instance_and_is_told_when_to_ask_again() {
    let breaker = breaker(settings());
    trip(&breaker);
    let service = around(&breaker, || unreachable!("an open breaker asks nobody"));
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (Kind::BreakerOpen, Some(10 * SECOND)));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services_and_waits_for_whoever_is_admitted_next() {
    let breaker = breaker(settings());
    trip(&breaker);
    let layer = CircuitBreakerLayer::new(Arc::clone(&breaker));
    let (mut service, mut instance) =
        mock::spawn_layer::<InferenceRequest, Response<Body>, _>(layer);
    instance.allow(0);
    assert_pending!(service.poll_ready());
    instance.allow(1);
    assert_ready!(service.poll_ready()).unwrap();
    service.call(request()).await.unwrap_err();
    breaker.reset();
    assert_ready!(service.poll_ready(), "the refused request did not use it").unwrap();
    let mut exchange = task::spawn(service.call(request()));
    let (_, answer) = instance.next_request().await.unwrap();
    answer.send_error(BoxError::from("broken pipe"));
    let error = assert_ready!(exchange.poll()).unwrap_err();
    assert_eq!(error.kind(), Kind::Broken);
}
