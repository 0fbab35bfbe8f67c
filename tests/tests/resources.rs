//! What the program holds on to: nothing of callers and instances that are gone, and little of others.
#![cfg(target_os = "linux")]

use jairouter_tests::client::{RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Send, Stall};
use jairouter_tests::upstream::{Upstream, event_stream, json};
use jairouter_tests::{chat, token, until};

const CHAT: &str = "/v1/chat/completions";

// fault: I3, I8
#[tokio::test]
async fn no_socket_outlives_its_caller_however_it_left() {
    let upstream = Upstream::serving(|_, request| match request {
        open if open.contains("open") => vec![event_stream(), Chunk(token("a").into()), Stall],
        silent if silent.contains("silent") => vec![Stall],
        _ => vec![Send(json("200 OK", "{}"))],
    })
    .await;
    // No clock rings before a caller has left.
    let server = "  workers: 2\n  header-timeout: 60s\n  body-timeout: 60s\n";
    let gateway = Gateway::start_with(server, &model("", &[upstream.url()]));
    // Its own: listeners, runtimes, signals, logs. From the second round on they are known.
    let mut files = 29;
    for _ in 0..2 {
        let mut clients = Vec::new();
        for number in 0..60_usize {
            let mut client = RawClient::connect(gateway.address()).await;
            let prompt = ["answer", "open", "silent"][number % 3];
            let request = post(CHAT, &chat("m", number % 3 == 1).replace("hi", prompt));
            // Every other caller leaves before it has sent all of it.
            let sent = if number % 2 == 0 { request.len() } else { request.len() / 2 };
            client.send(&request[..sent]).await;
            clients.push(client);
        }
        until("they are asked", || upstream.live() >= 20).await;
        until("they are all accepted", || gateway.open_files() >= 60).await;
        for (number, client) in clients.into_iter().enumerate() {
            if number % 4 < 2 {
                client.reset();
            }
        }
        until("the instance was let go", || upstream.live() == 0).await;
        until("every socket is closed", || gateway.open_files() <= files).await;
        files = gateway.open_files();
    }
}

// fault: S4, S5, I7
#[tokio::test]
async fn callers_that_do_not_read_take_little_memory() {
    let megabyte = token(&"x".repeat(1 << 20));
    let long = json("200 OK", &format!("\"{}\"", "x".repeat(64 << 20)));
    let upstream = Upstream::serving(move |_, request| {
        if request.contains("\"stream\":false") {
            return vec![Send(long.clone())];
        }
        let flood = (0..64).map(|_| Chunk(megabyte.clone().into()));
        [event_stream()].into_iter().chain(flood).chain([LastChunk]).collect()
    })
    .await;
    let gateway = Gateway::start(&[upstream.url()]);
    assert_eq!(ask(gateway.address(), post("/v1/none", "{}")).await.status, 404);
    let memory = gateway.memory();
    let mut clients = Vec::new();
    for number in 0..8 {
        let mut client = RawClient::connect(gateway.address()).await;
        client.post(CHAT, &chat("m", number % 2 == 0)).await;
        client.read_until("xxxx").await;
        clients.push(client);
    }
    // They are read on: whatever the gateway swallows without them it has by now.
    for client in &mut clients {
        client.read_slowly(4096, std::time::Duration::from_millis(1), "\r\n\r\n").await;
    }
    let taken = gateway.memory().saturating_sub(memory);
    assert!(taken < 32, "{taken} MiB for 8 callers, of 512 MiB that wait for them");
}

// fault: B3
#[tokio::test]
async fn a_length_that_is_only_declared_takes_no_memory() {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let server = "  max-request-body: 1GiB\n  max-body-memory: 64GiB\n";
    let gateway = Gateway::start_with(server, &model("", &[upstream.url()]));
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
         content-length: 1000000000\r\n\r\n{{"
    );
    assert_eq!(ask(gateway.address(), post(CHAT, &chat("m", false))).await.status, 200);
    let (memory, files) = (gateway.memory(), gateway.open_files());
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = RawClient::connect(gateway.address()).await;
        client.send(&head).await;
        clients.push(client);
    }
    until("they are all read from", || gateway.open_files() >= files + 49).await;
    let taken = gateway.memory().saturating_sub(memory);
    assert!(taken < 32, "{taken} MiB for 50 callers that declared 47 GiB");
}

// fault: I7
#[tokio::test]
async fn a_large_file_is_held_once_and_a_large_answer_not_at_all() {
    let vector = format!("[{}]", vec!["0.0123456789"; 1024].join(","));
    let entries: Vec<_> =
        (0..400).map(|nth| format!(r#"{{"index":{nth},"embedding":{vector}}}"#)).collect();
    let large = format!(r#"{{"model":"own","data":[{}]}}"#, entries.join(","));
    assert!(large.len() > 5 << 20);
    let answer = json("200 OK", &large);
    let upstream = Upstream::serving(move |_, asked| match asked.contains("embeddings") {
        true => vec![Send(answer.clone())],
        false => vec![Send(json("200 OK", r#"{"text":"hi"}"#))],
    })
    .await;
    // As it is, with a part more, and with another name of the model.
    for more in ["", ", adapter: localai", ", model: own"] {
        let instance =
            format!("      instances: [{{ name: m, base-url: '{}'{more} }}]\n", upstream.url());
        let services = format!("    embedding:\n{instance}    stt:\n{instance}");
        let lines = format!("  response-model: asked\n  services:\n{services}");
        let gateway = Gateway::start_with("  workers: 1\n", &lines);
        assert_eq!(ask(gateway.address(), form(1)).await.status, 200, "{more}");
        if more != ", adapter: localai" {
            // It is not whole before it passes, as one has to be that is to be counted.
            let before = gateway.memory();
            let question = post("/v1/embeddings", r#"{"model":"m","input":"x"}"#);
            let told = ask(gateway.address(), question).await;
            assert!(told.complete && told.body.len() >= large.len() - 2);
            let grown = gateway.peak_memory() - before;
            assert!(grown < 2, "{grown} MiB for an answer of 5{more}");
        }
        let before = gateway.memory();
        assert_eq!(ask(gateway.address(), form(30 << 20)).await.status, 200, "{more}");
        let grown = gateway.peak_memory() - before;
        assert!((28..=32).contains(&grown), "{grown} MiB for a file of 30{more}");
    }
}

/// A transcription's form with a file so large.
fn form(bytes: usize) -> Vec<u8> {
    let part =
        |head: &str| format!("--b0undary\r\ncontent-disposition: form-data; name={head}\r\n\r\n");
    let mut body = part("\"model\"").into_bytes();
    body.extend_from_slice(b"m\r\n");
    body.extend_from_slice(part("\"file\"; filename=\"a.wav\"").as_bytes());
    body.resize(body.len() + bytes, b'x');
    body.extend_from_slice(b"\r\n--b0undary--\r\n");
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: g\r\ncontent-type: multipart/form-data; boundary=b0undary\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}
