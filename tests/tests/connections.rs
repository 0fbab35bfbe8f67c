//! Connections to instances: when one is used again, and when it must not be.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use jairouter_core::Payload;
use jairouter_core::client::{HttpClient, ResponseBody};
use jairouter_core::{Error, Kind};
use jairouter_tests::stack::{Stack, client, request};
use jairouter_tests::upstream::Step::{Fin, Ignore, Read, Rst, Send, Sleep, Stall};
use jairouter_tests::upstream::{Seen, Step, Upstream, json};
use jairouter_tests::{chat, until};
use tower::ServiceExt;

/// An answer that tells which request it answers.
fn numbered(number: usize) -> Vec<u8> {
    json("200 OK", &format!("{{\"n\":{number}}}"))
}

fn pause(ms: u64) -> Step {
    Sleep(Duration::from_millis(ms))
}

async fn ask(stack: &Stack) -> String {
    stack.ask(false).await.expect("it answers").text
}

async fn get(client: &HttpClient) -> Result<Response<ResponseBody>, Error> {
    client.clone().oneshot(Request::new(Payload::default())).await
}

#[tokio::test]
async fn a_connection_whose_exchange_ended_exactly_is_used_again() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for answer in [
        numbered(0),
        json("400 Bad Request", "{}"),
        format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n").into(),
        format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nx-trailer: 1\r\n\r\n")
            .into(),
        format!("{head}content-length: 0\r\n\r\n").into(),
        b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
    ] {
        let upstream = Upstream::answering(answer.clone()).await;
        let stack = Stack::new(&[upstream.url()]);
        for _ in 0..5 {
            // A refusal is an answer, too.
            drop(stack.ask(false).await);
        }
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(upstream.requests().len(), 5, "{text}");
        assert_eq!(upstream.count(&Seen::Connected), 1, "{text}");
    }
}

// fault: U32
#[tokio::test]
async fn a_connection_the_instance_wants_closed_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let upstream = Upstream::answering(answer).await;
        let stack = Stack::new(&[upstream.url()]);
        for _ in 0..3 {
            assert_eq!(ask(&stack).await, "{}", "{answer}");
        }
        assert_eq!(upstream.count(&Seen::Connected), 3, "{answer}");
    }
}

// fault: U14
#[tokio::test]
async fn bytes_behind_an_answer_never_answer_the_next_request() {
    let stale = json("200 OK", r#"{"n":"stale"}"#);
    let at_once = |number, stale: &[u8]| vec![Send([&numbered(number), stale].concat())];
    let later = |number, stale: &[u8]| vec![Send(numbered(number)), pause(5), Send(stale.into())];
    for (what, garbage) in [("an answer", stale.as_slice()), ("a byte", b"x"), ("a line", b"\r\n")]
    {
        let owned = garbage.to_vec();
        let upstream = Upstream::serving(move |number, _| at_once(number, &owned)).await;
        let stack = Stack::new(&[upstream.url()]);
        for number in 0..4 {
            assert_eq!(ask(&stack).await, format!("{{\"n\":{number}}}"), "{what} at once");
        }
        let owned = garbage.to_vec();
        let upstream = Upstream::serving(move |number, _| later(number, &owned)).await;
        let stack = Stack::new(&[upstream.url()]);
        for number in 0..4 {
            assert_eq!(ask(&stack).await, format!("{{\"n\":{number}}}"), "{what} later");
            until("it was sent", || upstream.count(&Seen::Answered) > number).await;
        }
    }
}

// fault: U31
#[tokio::test]
async fn a_connection_that_was_closed_while_it_lay_unused_is_replaced_unseen() {
    for end in [Fin, Rst] {
        let upstream =
            Upstream::serving(move |number, _| vec![Send(numbered(number)), end.clone()]).await;
        let stack = Stack::new(&[upstream.url()]);
        for number in 0..5 {
            assert_eq!(ask(&stack).await, format!("{{\"n\":{number}}}"));
            until("it was closed", || upstream.count(&Seen::Finished) > number).await;
        }
        assert_eq!(upstream.requests().len(), 5, "none was sent twice");
    }
}

// fault: U31
#[tokio::test]
async fn a_used_connection_whose_time_was_over_as_the_request_came_is_tried_once_more_on_a_new_one()
{
    let over = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let steps = vec![Read, Send(numbered(7)), Read, Send(over.into()), Fin];
    let upstream = Upstream::start(move |_| steps.clone()).await;
    let stack = Stack::new(&[upstream.url()]);
    for _ in 0..3 {
        assert_eq!(ask(&stack).await, "{\"n\":7}");
    }
    assert_eq!((upstream.requests().len(), upstream.count(&Seen::Connected)), (5, 3));

    // To a connection of its own a 408 is an answer.
    let upstream = Upstream::answering(over).await;
    assert!(Stack::new(&[upstream.url()]).ask(false).await.is_err());
    assert_eq!(upstream.requests().len(), 1);
}

// fault: U31
#[tokio::test]
async fn a_used_connection_that_dies_without_a_byte_is_tried_once_more_on_a_new_one() {
    for death in [Fin, Rst] {
        // Every second request of a connection is read and not answered.
        let end = death.clone();
        let steps = vec![Read, Send(numbered(7)), Read, end];
        let upstream = Upstream::start(move |_| steps.clone()).await;
        let stack = Stack::new(&[upstream.url()]);
        for _ in 0..3 {
            assert_eq!(ask(&stack).await, "{\"n\":7}", "{death:?}");
        }
        // The second request found a dead connection, and the third one that of the second.
        assert_eq!(upstream.requests().len(), 5, "{death:?}");
        assert_eq!(upstream.count(&Seen::Connected), 3, "{death:?}");
    }
}

// fault: U31
#[tokio::test]
async fn it_is_tried_once_and_only_if_the_connection_was_used_and_silent() {
    let answered = vec![Read, Send(numbered(7)), Read];
    let half = Send(b"HTTP/1.1 2".to_vec());
    // The script of each connection, and how many requests arrive until the second one has failed.
    let dead = vec![Read, Rst];
    let table = [
        ("also the new one dies", vec![[answered.clone(), vec![Rst]].concat(), dead.clone()], 3),
        ("a byte had come", vec![[answered, vec![half, Rst]].concat(), dead], 2),
    ];
    for (what, scripts, requests) in table {
        let upstream = Upstream::start(move |n| scripts[n.min(scripts.len() - 1)].clone()).await;
        let stack = Stack::new(&[upstream.url()]);
        ask(&stack).await;
        assert_eq!(stack.ask(false).await.unwrap_err().kind(), Kind::Broken, "{what}");
        assert_eq!(upstream.requests().len(), requests, "{what}");
    }
    let upstream = Upstream::start(|_| vec![Read, Rst]).await;
    let stack = Stack::new(&[upstream.url()]);
    assert_eq!(stack.ask(false).await.unwrap_err().kind(), Kind::Broken);
    assert_eq!(upstream.requests().len(), 1, "a new connection is not tried again");
}

// fault: U31
#[tokio::test]
async fn no_request_fails_when_instances_close_just_as_they_are_asked_again() {
    let upstream = Upstream::start(|connection| {
        let wait = Sleep(Duration::from_micros(connection as u64 % 40 * 50));
        vec![Read, Send(numbered(0)), wait, Fin]
    })
    .await;
    let stack = Stack::new(&[upstream.url()]);
    for number in 0..200_u64 {
        assert_eq!(ask(&stack).await, "{\"n\":0}");
        tokio::time::sleep(Duration::from_micros(number % 30 * 50)).await;
    }
    assert!(upstream.requests().len() < 400, "and hardly any is asked twice");
}

#[tokio::test]
async fn an_unused_connection_is_closed_after_its_time() {
    let upstream = Upstream::answering(numbered(0)).await;
    let authority = upstream.address().to_string().parse().unwrap();
    let client = HttpClient::builder().idle_timeout(Duration::from_millis(100)).build(&authority);
    get(&client).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(client.idle_connections(), 1);
    until("it was closed", || upstream.count(&Seen::Closed) == 1).await;
    assert_eq!(client.idle_connections(), 0);
}

#[tokio::test]
async fn no_more_connections_lie_unused_than_may() {
    let upstream = Upstream::answering(numbered(0)).await;
    let authority = upstream.address().to_string().parse().unwrap();
    let client = HttpClient::builder().max_idle(2).build(&authority);
    let asked = (0..6).map(|_| async {
        get(&client).await.unwrap().into_body().collect().await.unwrap();
    });
    futures::future::join_all(asked).await;
    assert_eq!(upstream.count(&Seen::Connected), 6);
    assert!((1..=2).contains(&client.idle_connections()), "{}", client.idle_connections());
}

#[tokio::test]
async fn a_body_that_is_not_read_to_its_end_closes_its_connection() {
    let long = json("200 OK", &"x".repeat(4 << 20));
    let upstream = Upstream::answering(long).await;
    let (_, client) = client(&upstream.url());
    let mut body = get(&client).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    until("the upstream was let go", || upstream.count(&Seen::Left) == 1).await;
    assert_eq!(client.idle_connections(), 0);
}

// fault: U29
#[tokio::test]
async fn an_instance_that_never_reads_is_given_up_when_its_clock_rings() {
    let upstream = Upstream::start(|_| vec![Ignore(Duration::from_millis(900)), Stall]).await;
    let stack = Stack::new(&[upstream.url()]);
    let long = format!(r#"{{"model":"m","prompt":"{}"}}"#, "x".repeat(24 << 20));
    let error = stack.send(request(long)).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (Kind::Timeout, 504));
    assert_eq!(stack.in_flight(), 0);
    until("the upstream was let go", || upstream.count(&Seen::Left) == 1).await;
}

#[tokio::test]
async fn a_request_is_answered_before_it_was_read_and_the_answer_counts() {
    let refusal = json("413 Too Large", r#"{"error":{"message":"too long"}}"#);
    let upstream = Upstream::start(move |_| vec![Send(refusal.clone()), Stall]).await;
    let stack = Stack::new(&[upstream.url()]);
    let long = format!(r#"{{"model":"m","prompt":"{}"}}"#, "x".repeat(24 << 20));
    let error = stack.send(request(long)).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (Kind::Rejected, 413));
    until("the connection was not kept", || upstream.count(&Seen::Left) == 1).await;
}

#[tokio::test]
async fn each_of_many_at_once_gets_its_own_answer() {
    let upstream = Upstream::serving(|_, request| {
        let model = request.rsplit_once("say ").map_or("", |(_, rest)| &rest[..4]);
        vec![pause(2), Send(json("200 OK", &format!("{{\"n\":\"{model}\"}}")))]
    })
    .await;
    let stack = Stack::new(&[upstream.url()]);
    for _ in 0..10 {
        let asked = (0..30).map(async |number| {
            let json = chat("m", false).replace("hi", &format!("say {number:04}"));
            let answer = stack.send(request(json)).await.unwrap();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(text, format!("{{\"n\":\"{number:04}\"}}"));
        });
        futures::future::join_all(asked).await;
    }
    assert!(upstream.count(&Seen::Connected) <= 60, "connections are used again");
}

/// What is left of the request would be read as the next one.
#[tokio::test]
async fn a_connection_on_which_a_request_was_not_sent_whole_is_not_used_again() {
    let steps = vec![Send(json("413 Too Large", "{}")), Ignore(Duration::from_secs(1))];
    let upstream = Upstream::start(move |_| steps.clone()).await;
    let (_, client) = client(&upstream.url());
    let long = Payload::from(bytes::Bytes::from(vec![b'x'; 24 << 20]));
    let answer = client.clone().oneshot(Request::post("/").body(long).unwrap()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 413);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "{}");
    assert_eq!(client.idle_connections(), 0);
}

#[tokio::test]
async fn a_refusal_sent_while_the_request_is_still_being_written_is_not_lost() {
    let refusal = json("413 Too Large", r#"{"error":{"message":"too long"}}"#);
    // It closes without having read: what it did not read makes the close a reset.
    let steps = vec![Send(refusal), Ignore(Duration::from_millis(100)), Fin];
    let upstream = Upstream::start(move |_| steps.clone()).await;
    let stack = Stack::new(&[upstream.url()]);
    let long = format!(r#"{{"model":"m","prompt":"{}"}}"#, "x".repeat(24 << 20));
    for _ in 0..5 {
        let error = stack.send(request(long.clone())).await.unwrap_err();
        assert_eq!((error.kind(), error.status().as_u16()), (Kind::Rejected, 413));
    }
}
