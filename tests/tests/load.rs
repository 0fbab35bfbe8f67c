//! Many callers at once, and an instance that dies under them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jairouter_tests::client::{Answer, RawClient};
use jairouter_tests::gateway::Gateway;
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Send, Sleep};
use jairouter_tests::upstream::{Seen, Step, Upstream, event_stream, json};
use jairouter_tests::{chat, token, until};
use tokio::task::JoinSet;

const CHAT: &str = "/v1/chat/completions";
const DONE: &str = "data: [DONE]\n\n";

fn pause() -> Step {
    Sleep(Duration::from_millis(3))
}

/// Answers streams with three tokens, and anything else with JSON.
async fn instance() -> Upstream {
    Upstream::serving(|_, request| {
        if !request.contains("\"stream\":true") {
            return vec![pause(), Send(json("200 OK", r#"{"a":1}"#))];
        }
        let events = [token("a"), token("b"), token("c"), DONE.to_owned()];
        let chunks = events.into_iter().flat_map(|event| [pause(), Chunk(event.into())]);
        [event_stream()].into_iter().chain(chunks).chain([LastChunk]).collect()
    })
    .await
}

/// Whether this is a whole answer. A stream may have broken after its first token, if it says so.
fn is_whole(answer: &Answer, stream: bool) -> bool {
    assert_eq!(answer.status, 200, "{answer:?}");
    if !stream {
        assert_eq!((answer.text().as_str(), answer.complete), (r#"{"a":1}"#, true));
        return true;
    }
    let text = answer.text();
    if answer.complete {
        assert_eq!(text, [token("a"), token("b"), token("c"), DONE.into()].concat());
        return true;
    }
    assert!(text.starts_with(&token("a")), "it broke after its first token: {text}");
    let told = text.rsplit("data: ").next().unwrap_or_default();
    assert!(told.contains("upstream_broken") && !text.contains("[DONE]"), "{text}");
    false
}

/// Twelve callers that ask again and again until they are told to stop.
struct Callers {
    tasks: JoinSet<()>,
    stop: Arc<AtomicUsize>,
    whole: Arc<AtomicUsize>,
    broken: Arc<AtomicUsize>,
}

impl Callers {
    fn start(gateway: &Gateway) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        let (whole, broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for number in 0..12_usize {
            let address = gateway.address();
            let (stop, whole, broken) = (stop.clone(), whole.clone(), broken.clone());
            tasks.spawn(async move {
                let stream = number.is_multiple_of(2);
                let mut client = RawClient::connect(address).await;
                while stop.load(Ordering::Relaxed) == 0 {
                    client.post(CHAT, &chat("m", stream)).await;
                    if is_whole(&client.answer().await, stream) {
                        whole.fetch_add(1, Ordering::Relaxed);
                    } else {
                        broken.fetch_add(1, Ordering::Relaxed);
                        client = RawClient::connect(address).await;
                    }
                }
            });
        }
        Self { tasks, stop, whole, broken }
    }

    /// Waits for this many more whole answers.
    async fn ask(&mut self, more: usize) {
        let target = self.whole.load(Ordering::Relaxed) + more;
        until("they are answered", || {
            if let Some(failed) = self.tasks.try_join_next() {
                failed.expect("a caller was content");
            }
            self.whole.load(Ordering::Relaxed) >= target
        })
        .await;
    }

    /// Waits for their last answers. How many were whole, and how many streams broke.
    async fn stop(mut self) -> (usize, usize) {
        self.stop.store(1, Ordering::Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task.expect("a caller was content");
        }
        (self.whole.load(Ordering::Relaxed), self.broken.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn an_instance_that_dies_under_load_fails_nothing_but_streams_past_their_first_token() {
    let [one, two, three] = [instance().await, instance().await, instance().await];
    let gateway = Gateway::start(&[one.url(), two.url(), three.url()]);
    let mut callers = Callers::start(&gateway);
    callers.ask(200).await;
    assert!(one.live() <= 12 && two.live() <= 12);
    let before = [one.requests().len(), three.requests().len()];
    drop(two);
    callers.ask(400).await;
    let (whole, broken) = callers.stop().await;
    assert!(whole >= 600, "{whole}");
    assert!(broken <= 6, "only the streams it was working on broke: {broken}");
    assert!(one.requests().len() > before[0] && three.requests().len() > before[1]);
    for upstream in [&one, &three] {
        until("nothing is left", || upstream.live() == 0).await;
        assert_eq!(upstream.count(&Seen::Left), 0, "nobody left them");
    }
}

#[tokio::test]
async fn however_many_wait_on_an_instance_that_dies_all_are_answered_by_another() {
    let slow = || {
        Upstream::serving(|_, _| {
            vec![Sleep(Duration::from_millis(600)), Send(json("200 OK", r#"{"a":1}"#))]
        })
    };
    let [one, two, three] = [slow().await, slow().await, slow().await];
    let gateway = Gateway::start(&[one.url(), two.url(), three.url()]);
    let mut waiting = JoinSet::new();
    for _ in 0..60 {
        let address = gateway.address();
        waiting.spawn(async move {
            let mut client = RawClient::connect(address).await;
            client.post(CHAT, &chat("m", false)).await;
            let answer = client.answer().await;
            (answer.status, answer.text())
        });
    }
    until("all of them are asked", || one.live() + two.live() + three.live() == 60).await;
    assert!(two.live() > 12, "more than a budget of a fifth: {}", two.live());
    drop(two);
    for answer in waiting.join_all().await {
        assert_eq!(answer, (200, r#"{"a":1}"#.to_owned()));
    }
}

#[tokio::test]
async fn three_hundred_requests_in_a_row_are_a_hundred_each() {
    let instances = [instance().await, instance().await, instance().await];
    let gateway = Gateway::start(&instances.each_ref().map(Upstream::url));
    // Several connections, so that every core of the gateway takes its turns.
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(RawClient::connect(gateway.address()).await);
    }
    for number in 0..300 {
        let client = &mut clients[number % 10];
        client.post(CHAT, &chat("m", false)).await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(instances.each_ref().map(|one| one.requests().len()), [100, 100, 100]);
}

#[tokio::test]
async fn an_instance_takes_no_more_at_a_time_than_it_may() {
    let instances = [instance().await, instance().await];
    let limit = "  concurrency: { limit: 3 }\n";
    let urls = instances.each_ref().map(Upstream::url);
    let model = jairouter_tests::gateway::model(limit, &urls);
    let gateway = Gateway::start_with("", &model);
    let mut tasks = JoinSet::new();
    for _ in 0..12 {
        let address = gateway.address();
        tasks.spawn(async move {
            let mut statuses = Vec::new();
            for _ in 0..20 {
                let mut client = RawClient::connect(address).await;
                client.post(CHAT, &chat("m", true)).await;
                let answer = client.answer().await;
                if answer.status != 200 {
                    assert_eq!((answer.status, answer.code().as_str()), (503, "instance_busy"));
                    assert!(answer.header("retry-after").is_some());
                }
                statuses.push(answer.status);
            }
            statuses
        });
    }
    let statuses = tasks.join_all().await.concat();
    assert!(statuses.contains(&200) && statuses.contains(&503));
    for instance in &instances {
        let (mut live, mut most) = (0_usize, 0);
        for event in instance.events() {
            match event.seen {
                Seen::Request(_) => live += 1,
                Seen::Answered => live -= 1,
                _ => {}
            }
            most = most.max(live);
        }
        assert!((1..=3).contains(&most), "{most} at a time");
    }
}
