//! Breakers, limits and attempts, on real sockets through the standard stack.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use jairouter_core::Kind;
use jairouter_core::balance::{Instance, InstanceState, LoadBalanceLayer, RetryBudget, RoundRobin};
use jairouter_core::circuit_breaker::{Breaker, Settings, State};
use jairouter_core::rate_limit::{Limit, TokenBucket};
use jairouter_core::router::{Group, Member};
use jairouter_core::{Error, Router, ServiceType, Upstream, envelope};
use jairouter_openai::OpenAi;
use jairouter_tests::stack::{Whole, client, request, short, whole};
use jairouter_tests::upstream::Step::{Rst, Send, Sleep};
use jairouter_tests::upstream::{Step, Upstream as Scripted, json};
use jairouter_tests::{chat, until};
use tokio::time::Instant;
use tower::ServiceExt;

type Stack = Router<OpenAi, jairouter_core::client::HttpClient>;

fn balance() -> LoadBalanceLayer<RoundRobin> {
    LoadBalanceLayer::new(RoundRobin::new())
}

fn ok() -> Vec<Step> {
    vec![Send(json("200 OK", "{}"))]
}

async fn doing(steps: Vec<Step>) -> Scripted {
    Scripted::serving(move |_, _| steps.clone()).await
}

/// An instance called by its number.
fn member(
    number: usize,
    upstream: &Scripted,
) -> Member<OpenAi, jairouter_core::client::HttpClient> {
    let (target, client) = client(&upstream.url());
    let upstream = Upstream::new(OpenAi::new(), target, client).with_timeouts(short());
    let state = InstanceState::new(number.to_string()).with_weight(NonZeroU16::MIN);
    Instance::with_state(Arc::new(state), upstream).into()
}

fn breaker(settings: Settings) -> Arc<Breaker> {
    Arc::new(Breaker::new(settings.with_jitter(0.0)))
}

fn stack(group: Group<OpenAi, jairouter_core::client::HttpClient>) -> Stack {
    Router::builder().service(ServiceType::Chat, group).build()
}

async fn ask(stack: &Stack) -> Result<Whole, Error> {
    Ok(whole(stack.clone().oneshot(request(chat("m", false))).await?).await)
}

#[tokio::test]
async fn an_instance_whose_breaker_is_open_is_passed_over_and_costs_no_attempt() {
    let bad = doing(vec![Send(json("500 Oops", "{}"))]).await;
    let good = doing(ok()).await;
    let guard = breaker(Settings::default().with_failure_threshold(2));
    let mut group = Group::new(balance().max_attempts(1).retry_budget(RetryBudget::new(0, 0)));
    group = group.instance("m", member(0, &bad).breaker(guard.clone()));
    group = group.instance("m", member(1, &good));
    let stack = stack(group);
    let mut failed = 0;
    for _ in 0..40 {
        failed += usize::from(ask(&stack).await.is_err());
    }
    assert_eq!((failed, bad.requests().len()), (2, 2), "until it opened");
    assert_eq!((guard.state(Instant::now()), guard.trips()), (State::Open, 1));
}

// fault: R1
#[tokio::test]
async fn when_every_breaker_is_open_the_caller_is_told_when_the_first_will_be_tried() {
    let bad = doing(vec![Send(json("500 Oops", "{}"))]).await;
    let mut group = Group::new(balance().max_attempts(1).retry_budget(RetryBudget::new(0, 0)));
    for (number, open_for) in [(0, 20), (1, 4)] {
        let settings = Settings::default().with_failure_threshold(1);
        let guard = breaker(settings.with_open_for(Duration::from_secs(open_for)));
        group = group.instance("m", member(number, &bad).breaker(guard));
    }
    let stack = stack(group);
    for _ in 0..2 {
        assert_eq!(ask(&stack).await.unwrap_err().kind(), Kind::Failed);
    }
    let error = ask(&stack).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (Kind::BreakerOpen, 503));
    let wait = error.retry_after().unwrap();
    assert!((Duration::from_secs(3)..=Duration::from_secs(4)).contains(&wait), "{wait:?}");
    assert_eq!(bad.requests().len(), 2);
}

// fault: I11
#[tokio::test]
async fn fifty_invalid_requests_are_each_answered_once_and_open_nothing() {
    let refusal = r#"{"error":{"message":"no","type":"t","param":null,"code":"c"}}"#;
    let picky = doing(vec![Send(json("400 Bad Request", refusal))]).await;
    let guards = [(); 2].map(|()| breaker(Settings::default()));
    let mut group = Group::new(RoundRobin::new());
    for (number, guard) in guards.iter().enumerate() {
        group = group.instance("m", member(number, &picky).breaker(guard.clone()));
    }
    let stack = stack(group);
    for _ in 0..50 {
        let error = ask(&stack).await.unwrap_err();
        assert_eq!((error.status().as_u16(), &*envelope::body(&error)), (400, refusal.as_bytes()));
    }
    assert_eq!(picky.requests().len(), 50);
    assert!(guards.iter().all(|guard| guard.state(Instant::now()) == State::Closed));
}

#[tokio::test]
async fn an_instance_over_its_limit_is_passed_over_without_an_attempt() {
    let [one, two] = [doing(ok()).await, doing(ok()).await];
    let mut group = Group::new(balance().max_attempts(1).retry_budget(RetryBudget::new(0, 0)));
    let tight = Limit::new(TokenBucket::new(0.01, 3)).named("the limit of instance 0");
    group = group.instance("m", member(0, &one).limit(tight));
    group = group.instance("m", member(1, &two));
    let stack = stack(group);
    for _ in 0..20 {
        let answer = ask(&stack).await.unwrap();
        assert_eq!(answer.head.headers["x-jairouter-attempts"], "1");
    }
    assert_eq!((one.requests().len(), two.requests().len()), (3, 17));
}

#[tokio::test]
async fn what_was_asked_in_vain_is_told_in_the_log_and_if_wanted_to_the_caller() {
    let oops = doing(vec![Send(json("500 Oops", "{}"))]).await;
    let gone = doing(vec![Rst]).await;
    for told in [false, true] {
        let mut group = Group::new(balance().tell_attempts(told));
        group = group.instance("m", member(0, &oops)).instance("m", member(1, &gone));
        let error = ask(&stack(group)).await.unwrap_err();
        let attempts = error.attempts().iter();
        let attempts: Vec<_> = attempts.map(|tried| (&*tried.instance, tried.kind)).collect();
        assert_eq!(attempts, [("0", Kind::Failed), ("1", Kind::Broken)]);
        let answer = envelope::response(&error);
        assert_eq!(answer.headers()["x-should-retry"], "false", "the SDKs would do it again");
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        let list = body["error"]["attempts"].as_array();
        assert_eq!(list.map(Vec::len), told.then_some(2), "{body}");
    }
}

#[tokio::test]
async fn a_caller_may_ask_again_where_the_gateway_has_not() {
    let oops = doing(vec![Send(json("500 Oops", "{}"))]).await;
    let group = Group::new(RoundRobin::new()).instance("m", member(0, &oops));
    let error = ask(&stack(group)).await.unwrap_err();
    assert!(!envelope::response(&error).headers().contains_key("x-should-retry"));
}

#[tokio::test]
async fn answers_say_how_they_came_about_unless_that_is_not_wanted() {
    let [oops, good] = [doing(vec![Send(json("500 Oops", "{}"))]).await, doing(ok()).await];
    for wanted in [true, false] {
        let mut group = Group::new(balance().headers(wanted));
        group = group.instance("m", member(0, &oops)).instance("m", member(1, &good));
        let answer = ask(&stack(group)).await.unwrap();
        let header = |name| answer.head.headers.get(name).map(|value| value.to_str().unwrap());
        let seen = ["instance", "model", "attempts"].map(|n| header(format!("x-jairouter-{n}")));
        let expected = if wanted { [Some("1"), Some("m"), Some("2")] } else { [None; 3] };
        assert_eq!(seen, expected);
    }
}

// fault: R12
#[tokio::test]
async fn an_instance_that_has_just_come_back_is_given_more_and_more() {
    let slow = || doing([vec![Sleep(Duration::from_millis(40))], ok()].concat());
    let [one, two, three] = [slow().await, slow().await, slow().await];
    let settings = Settings::default().with_failure_threshold(1).with_success_threshold(1);
    let guard = breaker(settings.with_open_for(Duration::from_millis(1)));
    guard.admit(Instant::now()).unwrap().failure(Instant::now());
    let mut group = Group::new(balance().slow_start(Duration::from_secs(4)));
    group = group.instance("m", member(0, &one).breaker(guard.clone()));
    group = group.instance("m", member(1, &two)).instance("m", member(2, &three));
    let stack = stack(group);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    let mut most = Vec::new();
    while begun.elapsed() < Duration::from_millis(5500) {
        let stack = stack.clone();
        tasks.spawn(async move { ask(&stack).await.unwrap().head.status });
        tokio::time::sleep(Duration::from_millis(2)).await;
        most.push((begun.elapsed(), one.live()));
    }
    while let Some(status) = tasks.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    until("it is closed", || guard.state(Instant::now()) == State::Closed).await;
    let live = |from: u64, to: u64| {
        let within = |at: &Duration| (from..to).contains(&(at.as_millis() as u64));
        most.iter().filter(|(at, _)| within(at)).map(|(_, live)| *live).max().unwrap()
    };
    let (early, late) = (live(0, 1000), live(4800, 5500));
    assert!(early <= 2, "one at a time at first: {early}");
    assert!(late >= 4, "as many as the others in the end: {late}");
}
