//! What is asked in other words than chat's is answered in them, errors too.

use jairouter_tests::client::{ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Rst, Send};
use jairouter_tests::upstream::{Step, Upstream, event_stream, json};
use serde_json::Value;

const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";

const QUESTION: &str = r#"{"model":"m","max_tokens":9,"messages":[],"input":"x","stream":true}"#;

fn message(kind: &str, rest: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n")
}

fn messages() -> [String; 4] {
    [
        message("message_start", r#","message":{"id":"m1","usage":{"input_tokens":3}}"#),
        message("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
        message("content_block_delta", r#","index":0,"delta":{"type":"text_delta","text":"Hi"}"#),
        message("message_stop", ""),
    ]
}

fn responses() -> [String; 4] {
    [
        message("response.created", r#","sequence_number":0,"response":{"id":"r1","error":null}"#),
        message("response.output_item.added", r#","sequence_number": 1,"output_index":0"#),
        message("response.output_text.delta", r#","delta":"Hi","sequence_number":2"#),
        message("response.completed", r#","sequence_number":3,"response":{"id":"r1"}"#),
    ]
}

async fn streaming(events: &[String], end: Step) -> Upstream {
    let chunks = events.iter().map(|event| Chunk(event.clone().into()));
    let steps: Vec<_> =
        std::iter::once(event_stream()).chain(chunks).chain(std::iter::once(end)).collect();
    Upstream::serving(move |_, _| steps.clone()).await
}

#[tokio::test]
async fn a_stream_of_typed_events_passes_as_it_is() {
    for (path, events) in [(MESSAGES, messages()), (RESPONSES, responses())] {
        let upstream = streaming(&events, LastChunk).await;
        let gateway = Gateway::start(&[upstream.url()]);
        let answer = ask(gateway.address(), post(path, QUESTION)).await;
        assert_eq!((answer.status, answer.text()), (200, events.concat()), "{path}");
        assert!(answer.complete);
        assert!(upstream.requests()[0].starts_with(&format!("POST {path} ")));
    }
}

// fault: S4
#[tokio::test]
async fn one_that_is_cut_ends_with_an_error_in_its_own_words() {
    for (path, events) in [(MESSAGES, messages()), (RESPONSES, responses())] {
        for end in [LastChunk, Rst] {
            let upstream = streaming(&events[..3], end).await;
            let gateway = Gateway::start(&[upstream.url()]);
            let answer = ask(gateway.address(), post(path, QUESTION)).await;
            assert_eq!(answer.status, 200);
            let text = answer.text();
            let told = text.strip_prefix(&events[..3].concat()).unwrap();
            let told = told.strip_prefix("event: error\ndata: ").unwrap();
            let told: Value = serde_json::from_str(told.trim_end()).unwrap();
            assert_eq!(told["type"], "error");
            let error = if path == MESSAGES { &told["error"] } else { &told };
            assert!(path == MESSAGES || told["sequence_number"] == 3, "{told}");
            assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
            assert!(!answer.complete, "{path}");
        }
    }
}

// fault: S4
#[tokio::test]
async fn a_stream_of_speech_or_of_images_is_whole_when_it_says_so() {
    for (path, service, delta, done) in [
        ("/v1/audio/speech", "tts", "speech.audio.delta", "speech.audio.done"),
        (
            "/v1/images/generations",
            "imgGen",
            "image_generation.partial_image",
            "image_generation.completed",
        ),
    ] {
        let events = [message(delta, r#","audio":"aGk=""#), message(done, "")];
        for (count, end, complete) in [(2, LastChunk, true), (1, LastChunk, false), (1, Rst, false)]
        {
            let upstream = streaming(&events[..count], end).await;
            let chat = model("", &[upstream.url()]);
            let gateway =
                Gateway::start_with("", &chat.replace("    chat:", &format!("    {service}:")));
            let answer = ask(gateway.address(), post(path, QUESTION)).await;
            let text = answer.text();
            let rest = text.strip_prefix(&events[..count].concat()).unwrap();
            assert_eq!((answer.complete, rest.is_empty()), (complete, complete), "{path}: {rest}");
            assert!(complete || rest.contains("\"error\""), "{path}: {rest}");
        }
    }
}

// fault: S4
#[tokio::test]
async fn one_that_is_cut_in_a_large_event_is_no_whole_one() {
    let images = |name: &str, length: usize| {
        let data = "A".repeat(length);
        format!("data: {{\"type\":\"image_generation.{name}\",\"b64_json\":\"{data}\"}}\n\n")
    };
    let large = images("partial_image", 400_000);
    let cut = large[..390_000].to_owned();
    for events in [vec![cut.clone()], vec![images("completed", 9), cut]] {
        let upstream = streaming(&events, LastChunk).await;
        let images = model("", &[upstream.url()]).replace("    chat:", "    imgGen:");
        let gateway = Gateway::start_with("", &images);
        let answer = ask(gateway.address(), post("/v1/images/generations", QUESTION)).await;
        assert!(!answer.complete && answer.text().contains("upstream_broken"));
    }
    let whole = [large, images("completed", 400_000)];
    let upstream = streaming(&whole, LastChunk).await;
    let images = model("", &[upstream.url()]).replace("    chat:", "    imgGen:");
    let gateway = Gateway::start_with("", &images);
    let answer = ask(gateway.address(), post("/v1/images/generations", QUESTION)).await;
    assert_eq!((answer.complete, answer.text() == whole.concat()), (true, true));
}

#[tokio::test]
async fn an_error_before_any_content_is_an_answer_in_the_same_words() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"later"}}"#;
    let early = [messages()[0].clone(), format!("event: error\ndata: {overloaded}\n\n")];
    let upstream = streaming(&early, LastChunk).await;
    let gateway = Gateway::start(&[upstream.url()]);
    let answer = ask(gateway.address(), post(MESSAGES, QUESTION)).await;
    assert_eq!(answer.status, 503);
    let said: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(said["error"]["type"], "overloaded_error");
    assert_eq!((&said["type"], &said["error"]["message"]), (&"error".into(), &"later".into()));
    for (body, status, kind) in [
        (r#"{"model":"other","messages":[]}"#, 404, "not_found_error"),
        (r#"{"messages":[]}"#, 400, "invalid_request_error"),
        ("{", 400, "invalid_request_error"),
    ] {
        let answer = ask(gateway.address(), post(MESSAGES, body)).await;
        let said: Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!((answer.status, &said["error"]["type"]), (status, &kind.into()), "{body}");
    }
}

#[tokio::test]
async fn an_engine_s_own_error_event_reaches_the_caller_as_an_envelope() {
    let chunk = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"He\"}}]}\n\n";
    let events =
        [chunk.into(), "data: {\"error\":\"out of memory\"}\n\n".into(), "data: [DONE]\n\n".into()];
    let upstream = streaming(&events, LastChunk).await;
    let gateway = Gateway::start(&[upstream.url()]);
    let answer = ask(gateway.address(), post("/v1/chat/completions", QUESTION)).await;
    let text = answer.text();
    let told = text.strip_prefix(chunk).unwrap().strip_prefix("data: ").unwrap();
    let told: Value = serde_json::from_str(told.trim_end()).unwrap();
    assert_eq!(told["error"]["message"], "out of memory");
    assert_eq!(told["error"]["type"], "server_error");
    assert!(told["error"].get("param").is_some() && told["error"].get("code").is_some());
}

#[tokio::test]
async fn what_chat_models_do_beside_chatting_goes_to_them_and_moderation_to_its_own() {
    let upstream = Upstream::serving(|_, _| vec![Send(json("200 OK", "{}"))]).await;
    let more = format!(
        "    moderation:\n      instances: [{{ name: guard, base-url: '{}' }}]\n",
        upstream.url()
    );
    let gateway = Gateway::start_with("", &(model("", &[upstream.url()]) + &more));
    for path in ["/v1/messages/count_tokens", "/v1/tokenize", "/v1/detokenize"] {
        let answer = ask(gateway.address(), post(path, r#"{"model":"m"}"#)).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let guarded = ask(gateway.address(), post("/v1/moderations", r#"{"model":"guard"}"#)).await;
    assert_eq!(guarded.status, 200);
    let paths: Vec<_> = upstream
        .requests()
        .iter()
        .map(|asked| asked.split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        ["/v1/messages/count_tokens", "/v1/tokenize", "/v1/detokenize", "/v1/moderations"]
    );
}
