//! Until an answer is committed another instance may be asked; after that nobody is.

use std::time::Duration;

use jairouter_core::Kind;
use jairouter_core::balance::RoundRobin;
use jairouter_tests::client::{ask, post};
use jairouter_tests::gateway::{Gateway, a_moment, model};
use jairouter_tests::stack::{Stack, request, short, whole};
use jairouter_tests::upstream::Step::{Chunk, Fin, LastChunk, Rst, Send, Sleep, Stall};
use jairouter_tests::upstream::{
    Seen, Step, Unaccepting, Upstream, closed_port, event_stream, json,
};
use jairouter_tests::{chat, token};

const DONE: &str = "data: [DONE]\n\n";

/// A stream that takes a moment, on a connection that stays open.
async fn healthy() -> Upstream {
    Upstream::serving(|_, _| {
        let events = [token("a"), token("b"), DONE.to_owned()];
        let events = events.into_iter().flat_map(|event| [pause(5), Chunk(event.into())]);
        [event_stream()].into_iter().chain(events).chain([LastChunk]).collect()
    })
    .await
}

async fn doing(steps: Vec<Step>) -> Upstream {
    Upstream::serving(move |_, _| steps.clone()).await
}

fn pause(ms: u64) -> Step {
    Sleep(Duration::from_millis(ms))
}

fn chunk(text: &str) -> Step {
    Chunk(text.into())
}

fn text(text: &str) -> Step {
    Send(text.into())
}

/// The most requests that were worked on at one time.
fn most_live(upstreams: &[&Upstream]) -> usize {
    let numbered = upstreams.iter().enumerate();
    let mut events: Vec<_> = numbered
        .flat_map(|(number, upstream)| upstream.events().into_iter().map(move |e| (number, e)))
        .collect();
    events.sort_by_key(|(_, event)| event.at);
    let (mut live, mut most) = (std::collections::HashSet::new(), 0);
    for (number, event) in events {
        match event.seen {
            Seen::Request(_) => live.insert((number, event.connection)),
            _ => live.remove(&(number, event.connection)),
        };
        most = most.max(live.len());
    }
    most
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").expect("it has a head").1
}

/// Every way to fail before the first content.
fn failures() -> Vec<Vec<Step>> {
    let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    let error = r#"{"error":{"message":"no"}}"#;
    let status = |status: &str| vec![Send(json(status, error))];
    vec![
        vec![Rst],
        vec![Fin],
        vec![text("HTTP/1.1 200 OK\r\ncontent-"), Fin],
        vec![text("SSH-2.0-OpenSSH_9\r\n"), Stall],
        vec![event_stream(), Rst],
        vec![event_stream(), chunk(": ping\n\n"), chunk(role), Fin],
        vec![event_stream(), chunk(role), text("zz\r\n"), Stall],
        vec![event_stream(), chunk("data: {\"choices\":[{\"delta\":{\"content\":\"hal"), Rst],
        vec![event_stream(), chunk("data: {\"error\":{\"message\":\"no\"}}\n\n"), LastChunk],
        vec![event_stream(), LastChunk],
        vec![Stall],
        vec![event_stream(), chunk(role), Stall],
        status("500 Oops"),
        status("502 Bad Gateway"),
        status("503 Busy"),
        status("504 Late"),
        status("429 Busy"),
        status("401 Unauthorized"),
        status("403 Forbidden"),
        status("404 Not Found"),
        status("302 Found"),
    ]
}

// fault: U4, U7, U8, U15, U16, U17, U18, U19
#[tokio::test]
async fn what_fails_before_its_first_token_is_answered_by_another_instance() {
    for steps in failures() {
        let first = doing(steps.clone()).await;
        let (second, third) = (healthy().await, healthy().await);
        let stack = Stack::new(&[first.url(), second.url(), third.url()]);
        let answer = stack.ask(true).await.unwrap_or_else(|error| panic!("{steps:?}: {error:?}"));
        let expected = token("a") + &token("b") + DONE;
        assert_eq!((answer.text, answer.broken.is_none()), (expected, true), "{steps:?}");
        let requests = [first.requests(), second.requests(), third.requests()];
        assert_eq!(requests.each_ref().map(Vec::len), [1, 1, 0], "{steps:?}");
        assert_eq!(body(&requests[0][0]), body(&requests[1][0]), "the same question, to the byte");
        assert_eq!(body(&requests[0][0]), chat("m", true));
        assert_eq!(most_live(&[&first, &second, &third]), 1, "{steps:?}");
        assert_eq!(stack.in_flight(), 0, "{steps:?}");
    }
}

// fault: U1, U2
#[tokio::test]
async fn an_instance_that_cannot_be_reached_is_passed_over() {
    let nobody = format!("http://{}", closed_port().await);
    let deaf = Unaccepting::start();
    let third = healthy().await;
    let stack = Stack::with(
        RoundRobin::new(),
        short().with_first_token(Duration::from_secs(5)),
        [(nobody.as_str(), 1), (deaf.url().as_str(), 1), (third.url().as_str(), 1)],
    );
    let answer = stack.ask(true).await.unwrap();
    assert_eq!((answer.instance(), answer.broken.is_none()), ("2", true));
    assert_eq!((third.requests().len(), stack.in_flight()), (1, 0));
}

// fault: U6, U7, U8, U9, U27
#[tokio::test]
async fn after_its_first_token_a_stream_is_never_asked_for_again() {
    let close = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let begin = vec![event_stream(), chunk(&token("a"))];
    let table = [
        ([begin.clone(), vec![Rst]].concat(), Kind::Broken),
        ([begin.clone(), vec![Fin]].concat(), Kind::Broken),
        ([begin.clone(), vec![text("40\r\ndata: {\"cho"), Fin]].concat(), Kind::Broken),
        ([begin.clone(), vec![text("no length\r\n"), Stall]].concat(), Kind::Broken),
        ([begin.clone(), vec![Stall]].concat(), Kind::Stalled),
        (vec![text(close), text(&token("a")), Fin], Kind::Broken),
    ];
    for (steps, kind) in table {
        let (first, second) = (doing(steps.clone()).await, healthy().await);
        let stack = Stack::new(&[first.url(), second.url()]);
        let answer = stack.ask(true).await.unwrap();
        let told = answer.text.strip_prefix(&token("a")).expect("the first token");
        assert!(told.starts_with("data: {\"error\"") && told.ends_with("}\n\n"), "{told}");
        assert!(!told.contains("[DONE]"), "{steps:?}");
        assert_eq!(answer.broken.map(|error| error.kind()), Some(kind), "{steps:?}");
        assert_eq!((first.requests().len(), second.requests().len()), (1, 0), "{steps:?}");
        assert_eq!(stack.in_flight(), 0, "{steps:?}");
    }
}

// fault: U8
#[tokio::test]
async fn a_json_answer_that_breaks_off_after_its_head_is_answered_by_another_instance() {
    let whole = Send(json("200 OK", r#"{"a":1}"#));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for cut in [
        vec![text(head), Rst],
        vec![text(&format!("{head}content-length: 7\r\n\r\n")), Fin],
        vec![text(&format!("{head}transfer-encoding: chunked\r\n\r\n7\r\n")), Rst],
        vec![text(&format!("{head}\r\n{{\"a\":")), Fin],
    ] {
        let (first, second) = (doing(cut.clone()).await, doing(vec![whole.clone()]).await);
        let answer = Stack::new(&[first.url(), second.url()]).ask(false).await.unwrap();
        assert_eq!(
            (answer.text.as_str(), answer.broken.is_none()),
            (r#"{"a":1}"#, true),
            "{cut:?}"
        );
    }
}

// fault: U20
#[tokio::test]
async fn a_request_that_is_wrong_in_itself_is_asked_once() {
    for status in ["400 Bad Request", "409 Conflict", "413 Too Large", "422 Unprocessable"] {
        let no = doing(vec![Send(json(status, r#"{"error":{"message":"no"}}"#))]).await;
        let stack = Stack::new(&[no.url(), no.url(), no.url()]);
        let error = stack.ask(true).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Rejected);
        assert_eq!(error.status().as_u16().to_string(), status[..3]);
        assert_eq!((no.requests().len(), stack.in_flight()), (1, 0), "{status}");
    }
}

// fault: I4
#[tokio::test]
async fn a_request_is_sent_three_times_at_most_and_never_twice_to_one_instance() {
    let mut upstreams = Vec::new();
    for _ in 0..5 {
        upstreams.push(doing(vec![Send(json("500 Oops", "{}"))]).await);
    }
    let urls: Vec<_> = upstreams.iter().map(Upstream::url).collect();
    let stack = Stack::new(&urls);
    assert_eq!(stack.ask(true).await.unwrap_err().status(), 500);
    let mut asked: Vec<_> = upstreams.iter().map(|upstream| upstream.requests().len()).collect();
    asked.sort_unstable();
    assert_eq!(asked, [0, 0, 1, 1, 1]);
    let two = Stack::new(&urls[..2]);
    two.ask(true).await.unwrap_err();
    let all: usize = upstreams.iter().map(|upstream| upstream.requests().len()).sum();
    assert_eq!(all, 3 + 2, "with two instances there are two attempts");
}

// fault: R8
#[tokio::test]
async fn a_pool_that_fails_altogether_is_not_stormed_with_retries() {
    let slow = vec![pause(100), Send(json("500 Oops", "{}"))];
    let upstreams = [doing(slow.clone()).await, doing(slow.clone()).await, doing(slow).await];
    let stack = Stack::new(&upstreams.each_ref().map(Upstream::url));
    let mut before = 0;
    // Those of the first are on the way to instances of which nothing bad is known.
    for (least, most) in [(51, 150), (50, 62), (50, 62)] {
        let asked = (0..50).map(|_| stack.ask(true));
        for outcome in futures::future::join_all(asked).await {
            assert_eq!(outcome.unwrap_err().kind(), Kind::Failed);
        }
        let all: usize = upstreams.iter().map(|upstream| upstream.requests().len()).sum();
        let now = all - before;
        assert!((least..=most).contains(&now), "{now} attempts for 50 requests");
        before = all;
    }
    assert_eq!(stack.in_flight(), 0);
}

// fault: U4
#[tokio::test]
async fn the_total_time_is_that_of_all_attempts_together() {
    let upstreams = [doing(vec![Stall]).await, doing(vec![Stall]).await, doing(vec![Stall]).await];
    let lines = "  timeouts: { first-token: 300ms, total: 500ms }\n";
    let gateway = Gateway::start_with("", &model(lines, &upstreams.each_ref().map(Upstream::url)));
    let answer = ask(gateway.address(), post("/v1/chat/completions", &chat("m", true))).await;
    assert_eq!(answer.status, 504, "{answer:?}");
    let asked: usize = upstreams.iter().map(|upstream| upstream.requests().len()).sum();
    assert_eq!(asked, 2, "there is no time for a third");
}

// fault: R11
#[tokio::test]
async fn nobody_is_asked_after_the_caller_s_deadline() {
    let (silent, second) = (doing(vec![Stall]).await, healthy().await);
    let stack = Stack::new(&[silent.url(), second.url()]);
    let deadline = tokio::time::Instant::now() + Duration::from_millis(150);
    let request = request(chat("m", true)).with_deadline(Some(deadline));
    assert_eq!(stack.send(request).await.unwrap_err().kind(), Kind::Deadline);
    a_moment().await;
    assert_eq!((silent.requests().len(), second.seen()), (1, vec![]));
}

// fault: R1
#[tokio::test]
async fn when_none_is_up_the_caller_is_told_when_to_come_back() {
    let idle = healthy().await;
    let stack = Stack::new(&[idle.url(), idle.url()]);
    for state in stack.states() {
        state.set_up(false);
    }
    let error = stack.ask(true).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (Kind::NoInstance, 503));
    assert!(error.retry_after().is_some_and(|after| after >= Duration::from_secs(1)));
    assert_eq!(idle.seen(), []);
}

// fault: U17
#[tokio::test]
async fn an_instance_that_asks_for_a_pause_gets_it() {
    let busy = "HTTP/1.1 429 Busy\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n";
    let (busy, free) = (doing(vec![text(busy)]).await, healthy().await);
    let stack = Stack::new(&[busy.url(), free.url()]);
    for _ in 0..20 {
        assert_eq!(stack.ask(true).await.unwrap().instance(), "1");
    }
    assert_eq!((busy.requests().len(), free.requests().len()), (1, 20));
    // It is asked after all when it is the only one left, and its answer is passed on.
    stack.states()[1].set_up(false);
    let error = stack.ask(true).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (Kind::Busy, 429));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn an_instance_that_broke_rests_and_is_asked_again() {
    let broken = Upstream::serving(|number, _| match number {
        0 => vec![Rst],
        _ => vec![Send(json("200 OK", "{}"))],
    })
    .await;
    let other = doing(vec![Send(json("200 OK", "{}"))]).await;
    let stack = Stack::new(&[broken.url(), other.url()]);
    assert_eq!(stack.ask(false).await.unwrap().instance(), "1");
    assert!(stack.states()[0].is_resting(tokio::time::Instant::now()));
    let begun = tokio::time::Instant::now();
    while broken.requests().len() == 1 {
        assert!(begun.elapsed() < jairouter_tests::PATIENCE, "it is never asked again");
        stack.ask(false).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_was_held_before_the_commit_is_sent_on_unchanged() {
    let held =
        ": ping\n\nevent: x\r\nid: 1\r\n\r\ndata: {\"choices\":[{\"delta\":{\"role\":\"a\"}}]}\r\r";
    let steps = vec![event_stream(), chunk(held), pause(20), chunk(&token("a")), chunk(DONE)];
    let one = doing([steps, vec![LastChunk]].concat()).await;
    let stack = Stack::new(&[one.url()]);
    let answer = stack.send(request(chat("m", true))).await.unwrap();
    assert_eq!(stack.in_flight(), 1, "a stream counts until its end");
    assert_eq!(whole(answer).await.text, format!("{held}{}{DONE}", token("a")));
    assert_eq!(stack.in_flight(), 0);
}

/// Which of two instances that behave like this were asked how often, by so many requests at once.
async fn asked(steps: Vec<Step>, requests: usize) -> (usize, usize, Vec<Option<Kind>>) {
    let bad = doing([vec![pause(100)], steps].concat()).await;
    let good = Upstream::serving(|_, _| vec![pause(100), Send(json("200 OK", "{}"))]).await;
    let stack = Stack::new(&[bad.url(), good.url()]);
    let answers = futures::future::join_all((0..requests).map(|_| stack.ask(false))).await;
    let kinds = answers.into_iter().map(|answer| answer.err().map(|error| error.kind()));
    (bad.requests().len(), good.requests().len(), kinds.collect())
}

#[tokio::test]
async fn an_instance_that_does_not_fail_takes_all_that_leave_one_that_does() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}";
    for fault in [Rst, Send(json("500 Oops", "{}")), Send(busy.into())] {
        let (bad, good, kinds) = asked(vec![fault], 40).await;
        assert_eq!((bad, good), (20, 40), "all that were on it");
        assert!(kinds.iter().all(Option::is_none), "{kinds:?}");
    }
}

// fault: R9
#[tokio::test]
async fn an_instance_that_fails_at_once_does_not_draw_all_requests() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}";
    for fault in [Send(json("500 Oops", "{}")), Send(busy.into())] {
        let bad = doing(vec![fault]).await;
        let good = Upstream::serving(|_, _| vec![pause(5), Send(json("200 OK", "{}"))]).await;
        let stack = Stack::new(&[bad.url(), good.url()]);
        for _ in 0..10 {
            let answers = futures::future::join_all((0..20).map(|_| stack.ask(false))).await;
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        }
        let (bad, good) = (bad.requests().len(), good.requests().len());
        assert!(bad <= 20 && good == 200, "{bad}, {good}");
    }
}

// fault: U17
#[tokio::test]
async fn an_instance_that_is_busy_is_told_of_before_one_that_is_gone() {
    let nobody = format!("http://{}", closed_port().await);
    let busy = doing(vec![Send(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\n\
        content-length: 2\r\n\r\n{}"
            .into(),
    )])
    .await;
    let stack = Stack::new(&[busy.url(), nobody]);
    for _ in 0..6 {
        let error = stack.ask(true).await.unwrap_err();
        assert_eq!((error.kind(), error.status().as_u16()), (Kind::Busy, 429), "{error:?}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
}
