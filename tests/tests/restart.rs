//! Another process for the one that serves, under load, and nobody notices.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jairouter_tests::client::{RawClient, ask, get, post};
use jairouter_tests::gateway::{Gateway, UNPROBED, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Send, Sleep};
use jairouter_tests::upstream::{Upstream, event_stream, json};
use jairouter_tests::{PATIENCE, chat, token, until};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{interval, sleep};

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;
const TOKENS: usize = 20;

/// How much of the load that is to be borne: 1 is a tenth of it, and what `JAIROUTER_RESTART_SCALE` says.
fn scale() -> usize {
    let scale = std::env::var("JAIROUTER_RESTART_SCALE").ok();
    scale.map_or(1, |scale| scale.parse().expect("a number"))
}

/// Answers at once, or with a stream of two seconds.
async fn engine() -> Upstream {
    let answers = json("200 OK", ANSWER);
    Upstream::serving(move |_, request| {
        if !request.contains(r#""stream":true"#) {
            return vec![Send(answers.clone())];
        }
        let mut steps = vec![event_stream()];
        for _ in 0..TOKENS {
            steps.extend([Chunk(token("more").into()), Sleep(Duration::from_millis(100))]);
        }
        let last =
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        steps.extend([Chunk(format!("{last}data: [DONE]\n\n").into()), LastChunk]);
        steps
    })
    .await
}

/// Callers of every kind, each of whom is content or fails.
struct Load {
    over: Arc<AtomicBool>,
    tasks: JoinSet<(&'static str, usize)>,
}

impl Load {
    /// Fifty requests a second on connections of their own, ten callers that keep theirs, and twenty streams; ten
    /// times that if it is to be all of it.
    fn start(address: SocketAddr) -> Self {
        let (over, mut tasks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        let is_over = Arc::clone(&over);
        tasks.spawn(async move {
            let mut every = interval(Duration::from_millis(20) / scale() as u32);
            let mut asked = JoinSet::new();
            while !is_over.load(Ordering::Relaxed) {
                every.tick().await;
                asked.spawn(async move {
                    let answer = ask(address, post(CHAT, &chat("m", false))).await;
                    assert_eq!((answer.status, answer.text().as_str()), (200, ANSWER));
                });
            }
            ("requests on new connections", asked.join_all().await.len())
        });
        for _ in 0..10 * scale() {
            let is_over = Arc::clone(&over);
            tasks.spawn(async move {
                let (mut client, mut seen) = (RawClient::connect(address).await, 0);
                while !is_over.load(Ordering::Relaxed) {
                    client.post(CHAT, &chat("m", false)).await;
                    let answer = client.answer().await;
                    assert_eq!((answer.status, answer.text().as_str()), (200, ANSWER));
                    if answer.header("connection") == Some("close") {
                        client = RawClient::connect(address).await;
                    }
                    seen += 1;
                    sleep(Duration::from_millis(100)).await;
                }
                ("requests on kept connections", seen)
            });
        }
        for _ in 0..20 * scale() {
            let is_over = Arc::clone(&over);
            tasks.spawn(async move {
                let mut seen = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let answer = ask(address, post(CHAT, &chat("m", true))).await;
                    assert!(answer.complete, "{}", answer.text());
                    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
                    assert_eq!(answer.text().matches("more").count(), TOKENS);
                    seen += 1;
                }
                ("streams", seen)
            });
        }
        Self { over, tasks }
    }

    /// Waits for the last answers, and counts them. What is no answer, or none that is whole, has failed a caller.
    async fn stop(self) -> String {
        self.over.store(true, Ordering::Relaxed);
        let seen = self.tasks.join_all().await;
        let kinds = ["requests on new connections", "requests on kept connections", "streams"];
        let counts = kinds.map(|kind| {
            let of_kind = seen.iter().filter(|(one, _)| *one == kind).map(|(_, count)| count);
            let count: usize = of_kind.sum();
            assert!(count > 0, "there were no {kind}");
            format!("{count} {kind}")
        });
        counts.join(", ")
    }
}

/// Whether this process has ended.
fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    // One that nobody waits for stays as a zombie.
    stat.map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

// fault: O10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_and_no_stream_notices_that_the_program_replaces_itself() {
    let engine = engine().await;
    let section = model("", &[engine.url()]);
    let gateway = spawn_blocking(move || Gateway::start_with("  workers: 3\n", &section)).await;
    let gateway = gateway.unwrap();
    let load = Load::start(gateway.address());
    until("streams have begun", || engine.live() >= 20 * scale()).await;
    let mut before = Vec::new();
    for nth in 0..2 * scale() {
        // Another number of workers, so that sockets are shared, and workers have several.
        let workers = [2, 5, 1][nth % 3];
        gateway.configure(&format!("  workers: {workers}\n"), &model("", &[engine.url()]));
        sleep(Duration::from_secs(1)).await;
        before.push(gateway.replace().await);
    }
    let seen = load.stop().await;
    until("each has ended that was replaced", || before.iter().all(|pid| has_ended(*pid))).await;
    assert!(!has_ended(gateway.pid()));
    assert!(!gateway.log().contains("time to drain is up"), "{}", gateway.log());
    println!("{} restarts, {seen}", before.len());
}

/// Who is told what the program says of itself.
struct Supervisor {
    callers: TcpListener,
    operators: TcpListener,
    folder: tempfile::TempDir,
    told: UnixDatagram,
}

impl Supervisor {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("room for it");
        let told = UnixDatagram::bind(folder.path().join("notify")).expect("it is ours");
        told.set_read_timeout(Some(PATIENCE)).expect("it is open");
        let listen = || TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        Self { callers: listen(), operators: listen(), folder, told }
    }

    fn start(&self, yaml: &str) -> Gateway {
        let notify = self.folder.path().join("notify");
        Gateway::inheriting(yaml, &self.callers, &self.operators, &notify)
    }

    fn hears(&self) -> String {
        let mut bytes = [0; 256];
        let count = self.told.recv(&mut bytes).expect("it is told");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }
}

/// A configuration that names other ports than the supervisor's.
fn supervised(engine: &Upstream) -> String {
    let section = model("", &[engine.url()]);
    format!(
        "server: {{ port: 1, log: {{ format: json }} }}\nmanagement: {{ server: {{ port: 2 }} }}\n\
         model:\n{UNPROBED}{section}"
    )
}

// fault: O10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_and_no_stream_notices_that_a_supervisor_starts_another_program_and_stops_the_first()
 {
    let engine = engine().await;
    let yaml = supervised(&engine);
    let supervisor = Arc::new(Supervisor::new());
    let start = || {
        let (supervisor, yaml) = (Arc::clone(&supervisor), yaml.clone());
        spawn_blocking(move || {
            let gateway = supervisor.start(&yaml);
            assert_eq!(supervisor.hears(), "READY=1");
            gateway
        })
    };
    let mut serving = start().await.unwrap();
    let load = Load::start(serving.address());
    until("streams have begun", || engine.live() >= 20 * scale()).await;
    let mut stopped = Vec::new();
    for _ in 0..2 * scale() {
        sleep(Duration::from_secs(1)).await;
        let next = start().await.unwrap();
        serving.signal("TERM");
        assert_eq!(supervisor.hears(), "STOPPING=1");
        stopped.push(std::mem::replace(&mut serving, next));
    }
    let seen = load.stop().await;
    for gateway in &mut stopped {
        assert!(gateway.exit().await.success(), "{}", gateway.log());
        assert!(!gateway.log().contains("time to drain is up"), "{}", gateway.log());
    }
    assert_eq!(ask(serving.operators(), get("/healthz")).await.status, 200);
    println!("{} restarts, {seen}", stopped.len());
}

// fault: O10
#[tokio::test]
async fn who_waits_in_a_supervisor_s_socket_is_served_by_the_next_program() {
    let engine = engine().await;
    let supervisor = Supervisor::new();
    let mut first = supervisor.start(&supervised(&engine));
    assert_eq!(supervisor.hears(), "READY=1");
    assert!(first.logged("a supervisor's").await.contains("listening"));
    first.signal("TERM");
    assert!(first.exit().await.success());
    let mut waiting = RawClient::connect(first.address()).await;
    waiting.post(CHAT, &chat("m", false)).await;
    let _second = supervisor.start(&supervised(&engine));
    assert_eq!(waiting.answer().await.status, 200);
}

#[tokio::test]
async fn a_supervisor_is_told_which_process_is_the_one_that_serves() {
    let engine = engine().await;
    let supervisor = Supervisor::new();
    let mut gateway = supervisor.start(&supervised(&engine));
    assert_eq!(supervisor.hears(), "READY=1");
    let before = gateway.replace().await;
    assert_eq!(supervisor.hears(), "READY=1");
    assert_eq!(supervisor.hears(), format!("MAINPID={}", gateway.pid()));
    assert_ne!(before, gateway.pid());
    assert!(gateway.exit().await.success());
    assert_eq!(ask(gateway.address(), post(CHAT, &chat("m", false))).await.status, 200);
    assert_eq!(ask(gateway.operators(), get("/healthz")).await.status, 200);
}

#[tokio::test]
async fn a_program_that_cannot_start_replaces_nothing() {
    let engine = engine().await;
    let gateway = Gateway::start(&[engine.url()]);
    let good = std::fs::read_to_string(gateway.config_path()).unwrap();
    gateway.write("nonsense: true\n");
    gateway.signal("USR2");
    let log = gateway.logged("goes on serving").await;
    assert!(log.contains("no key is called") && log.contains("exit status: 1"), "{log}");
    assert_eq!(ask(gateway.address(), post(CHAT, &chat("m", false))).await.status, 200);
    gateway.write(&good);
    gateway.replace().await;
    assert_eq!(ask(gateway.address(), post(CHAT, &chat("m", false))).await.status, 200);
}

#[tokio::test]
async fn a_program_that_is_to_listen_elsewhere_does_and_what_it_replaces_does_no_more() {
    let engine = engine().await;
    let mut gateway = Gateway::start(&[engine.url()]);
    let there = SocketAddr::from(([127, 0, 0, 2], gateway.address().port()));
    let yaml = std::fs::read_to_string(gateway.config_path()).unwrap();
    let elsewhere = format!("address: {}\n  port: {}", there.ip(), there.port());
    gateway.write(&yaml.replace("port: 0", &elsewhere));
    gateway.replace().await;
    assert!(gateway.exit().await.success());
    assert_eq!(ask(there, post(CHAT, &chat("m", false))).await.status, 200);
    assert!(TcpStream::connect(gateway.address()).await.is_err(), "nobody is left there");
}

#[tokio::test]
async fn what_is_handed_to_the_program_and_is_no_listening_tcp_socket_is_an_error() {
    let engine = engine().await;
    let supervisor = Supervisor::new();
    let connected = std::net::TcpStream::connect(supervisor.callers.local_addr().unwrap()).unwrap();
    let silent = TcpListener::from(std::os::fd::OwnedFd::from(connected));
    let udp = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let udp = TcpListener::from(std::os::fd::OwnedFd::from(udp));
    for (socket, what) in [(&silent, "does not listen"), (&udp, "not a valid tcp socket")] {
        let notify = supervisor.folder.path().join("notify");
        let mut gateway =
            Gateway::inheriting(&supervised(&engine), &supervisor.callers, socket, &notify);
        assert!(!gateway.exit().await.success());
        let log = gateway.logged("LISTEN_FDS").await;
        assert!(log.contains(what) && log.contains("'operators'"), "{log}");
    }
}

#[tokio::test]
async fn a_request_that_races_with_the_end_is_answered_and_told_that_it_is_the_last() {
    let engine = engine().await;
    let mut gateway = Gateway::start(&[engine.url()]);
    let mut kept = RawClient::connect(gateway.address()).await;
    kept.post(CHAT, &chat("m", false)).await;
    assert_eq!(kept.answer().await.header("connection"), None);
    let mut new = RawClient::connect(gateway.address()).await;
    let mut half = RawClient::connect(gateway.address()).await;
    let request = post(CHAT, &chat("m", false));
    half.send(&request[..30]).await;
    // Accepted all, before the signal.
    assert_eq!(ask(gateway.address(), get("/healthz")).await.status, 200);
    gateway.signal("TERM");
    gateway.logged("draining").await;
    half.send(&request[30..]).await;
    for client in [&mut kept, &mut new] {
        client.send(&request).await;
    }
    for client in [&mut kept, &mut new, &mut half] {
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        client.ended().await.expect("it is closed and not reset");
    }
    assert!(gateway.exit().await.success());
}
