//! Who is asked, and what is counted: on every way a request can end.

use std::net::IpAddr;
use std::time::Duration;

use jairouter_core::balance::{
    ConsistentHash, HashAlgorithm, IpHash, LeastConnections, RoundRobin, Strategy,
};
use jairouter_tests::stack::{Stack, request, short};
use jairouter_tests::upstream::Step::{Chunk, Fin, LastChunk, Rst, Send, Sleep, Stall};
use jairouter_tests::upstream::{Seen, Step, Unaccepting, Upstream, event_stream, json};
use jairouter_tests::{chat, token, until};

async fn three() -> [Upstream; 3] {
    let one = || Upstream::answering(json("200 OK", "{}"));
    [one().await, one().await, one().await]
}

fn counts(upstreams: &[Upstream; 3]) -> [usize; 3] {
    upstreams.each_ref().map(|upstream| upstream.requests().len())
}

fn stack(strategy: impl Strategy + Clone, upstreams: &[Upstream], weights: &[u16]) -> Stack {
    let urls: Vec<_> = upstreams.iter().map(Upstream::url).collect();
    let weighted = urls.iter().map(String::as_str).zip(weights.iter().copied());
    Stack::with(strategy, short(), weighted)
}

#[tokio::test]
async fn three_hundred_requests_in_a_row_are_a_hundred_each() {
    let upstreams = three().await;
    let stack = stack(RoundRobin::new(), &upstreams, &[1, 1, 1]);
    for _ in 0..300 {
        assert_eq!(stack.ask(false).await.unwrap().text, "{}");
    }
    assert_eq!(counts(&upstreams), [100, 100, 100]);
    let connections = upstreams.each_ref().map(|upstream| upstream.count(&Seen::Connected));
    assert_eq!(connections, [1, 1, 1], "and each kept its connection");
}

#[tokio::test]
async fn weights_are_shares() {
    let upstreams = three().await;
    let stack = stack(RoundRobin::new(), &upstreams, &[5, 1, 1]);
    for _ in 0..70 {
        stack.ask(false).await.unwrap();
    }
    assert_eq!(counts(&upstreams), [50, 10, 10]);
}

#[tokio::test]
async fn a_stream_that_is_still_open_is_a_connection_to_the_least_of() {
    let open = |_: usize, _: &str| vec![event_stream(), Chunk(token("a").into()), Stall];
    let upstreams = [
        Upstream::serving(open).await,
        Upstream::serving(open).await,
        Upstream::serving(open).await,
    ];
    let stack = stack(LeastConnections::new(), &upstreams, &[1, 1, 1]);
    let mut open = Vec::new();
    for _ in 0..9 {
        open.push(stack.send(request(chat("m", true))).await.unwrap());
    }
    assert_eq!(counts(&upstreams), [3, 3, 3]);
    let of_first = |answer: &http::Response<_>| answer.headers()["x-jairouter-instance"] == "0";
    open.retain(|answer| !of_first(answer));
    assert_eq!(stack.states()[0].in_flight(), 0);
    for _ in 0..3 {
        open.push(stack.send(request(chat("m", true))).await.unwrap());
    }
    assert_eq!(counts(&upstreams), [6, 3, 3], "the freed one is the least loaded");
}

// fault: R15
#[tokio::test]
async fn a_hash_s_instance_that_is_gone_is_replaced_until_it_is_back() {
    let client: IpAddr = [192, 0, 2, 7].into();
    let asked = || request(chat("m", false)).with_client(Some(client));
    let check = async |stack: Stack, upstreams: [Upstream; 3]| {
        let instance = async || {
            let answer = stack.send(asked()).await.unwrap();
            answer.headers()["x-jairouter-instance"].to_str().unwrap().to_owned()
        };
        let own = instance().await;
        assert_eq!(instance().await, own, "it sticks");
        let state = &stack.states()[own.parse::<usize>().unwrap()];
        state.set_up(false);
        let other = instance().await;
        assert_ne!(other, own);
        assert_eq!(instance().await, other, "it sticks there too");
        state.set_up(true);
        assert_eq!(instance().await, own, "and comes back");
        assert_eq!(counts(&upstreams).iter().sum::<usize>(), 5);
    };
    let upstreams = three().await;
    check(stack(IpHash::new(HashAlgorithm::Sha256), &upstreams, &[1, 1, 1]), upstreams).await;
    let upstreams = three().await;
    let hash = ConsistentHash::new(HashAlgorithm::Sha256, 150);
    check(stack(hash, &upstreams, &[1, 1, 1]), upstreams).await;
}

#[tokio::test]
async fn an_instance_at_its_end_counts_nothing_however_it_came_there() {
    let stream = vec![event_stream(), Chunk(token("a").into())];
    let done = vec![Chunk(b"data: [DONE]\n\n".to_vec()), LastChunk];
    let table: [(&str, Vec<Step>); 8] = [
        ("a whole stream", [stream.clone(), done].concat()),
        ("a whole answer", vec![Send(json("200 OK", "{}"))]),
        ("a refusal", vec![Send(json("400 Bad", "{}"))]),
        ("a failure", vec![Send(json("500 Oops", "{}"))]),
        ("a break", vec![Rst]),
        ("a silence", vec![Stall]),
        ("a death in the middle", [stream.clone(), vec![Fin]].concat()),
        ("a silence in the middle", [stream, vec![Stall]].concat()),
    ];
    for (what, steps) in table {
        let upstream = Upstream::serving(move |_, _| steps.clone()).await;
        let stack = Stack::new(&[upstream.url()]);
        let answer = stack.ask(true).await;
        assert_eq!(stack.in_flight(), 0, "{what}");
        drop(answer);
        until("it works on nothing", || upstream.live() == 0).await;
    }
}

// fault: S6, S7
#[tokio::test]
async fn a_caller_that_leaves_is_not_counted_any_more_and_its_instance_is_let_go() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    let ping = Chunk(b": ping\n\n".to_vec());
    // What the instance does, and whether the answer is committed by then.
    let table: [(Vec<Step>, bool); 5] = [
        (vec![Stall], false),
        (vec![event_stream(), Stall], false),
        (vec![event_stream(), ping, Stall], false),
        (vec![event_stream(), Chunk(token("a").into()), Stall], true),
        (vec![Send(head.into()), Send(b"{".to_vec()), Stall], true),
    ];
    for (steps, committed) in table {
        let own = steps.clone();
        let upstream = Upstream::serving(move |_, _| own.clone()).await;
        let long = short().with_first_token(Duration::from_secs(60));
        let long = long.with_idle(Duration::from_secs(60)).with_total(Duration::from_secs(60));
        let stack = Stack::with(RoundRobin::new(), long, [(upstream.url().as_str(), 1)]);
        let mut asked = Box::pin(stack.send(request(chat("m", true))));
        let arrived = until("the request arrived", || !upstream.requests().is_empty());
        let answer = if committed {
            Some(asked.as_mut().await.unwrap())
        } else {
            tokio::select! {
                outcome = &mut asked => panic!("{steps:?}: {outcome:?}"),
                () = arrived => None,
            }
        };
        assert_eq!((stack.in_flight(), upstream.count(&Seen::Left)), (1, 0), "{steps:?}");
        drop((asked, answer));
        assert_eq!(stack.in_flight(), 0, "{steps:?}");
        until("the instance was let go", || upstream.count(&Seen::Left) == 1).await;
        assert_eq!(upstream.count(&Seen::Connected), 1, "nobody asked again");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_while_we_connect_is_not_counted_any_more() {
    let deaf = Unaccepting::start();
    let stack = Stack::new(&[deaf.url()]);
    let asked = tokio::time::timeout(Duration::from_millis(50), stack.ask(true));
    assert!(asked.await.is_err(), "it is still connecting");
    assert_eq!(stack.in_flight(), 0);
}

// fault: R19
#[tokio::test]
async fn after_any_number_of_callers_that_left_at_any_time_the_counts_are_true() {
    let answer = |number: usize, _: &str| {
        let sleep = Sleep(Duration::from_micros(number as u64 % 7 * 300));
        let end = if number.is_multiple_of(3) { Rst } else { LastChunk };
        vec![sleep.clone(), event_stream(), Chunk(token("a").into()), sleep, end]
    };
    let upstreams = [
        Upstream::serving(answer).await,
        Upstream::serving(answer).await,
        Upstream::serving(answer).await,
    ];
    let stack = stack(LeastConnections::new(), &upstreams, &[1, 1, 1]);
    for round in 0..40_u64 {
        let asked = (0..10).map(|number| {
            let patience = Duration::from_micros((round * 10 + number) % 97 * 50);
            tokio::time::timeout(patience, stack.ask(true))
        });
        futures::future::join_all(asked).await;
        let counted: Vec<_> = stack.states().iter().map(|state| state.in_flight()).collect();
        assert_eq!(counted, [0, 0, 0], "in round {round}");
    }
    for upstream in &upstreams {
        until("it works on nothing", || upstream.live() == 0).await;
    }
}
