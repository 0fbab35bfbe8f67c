//! Speaking to an engine in its own words: a request, an answer in one piece, and one more token.

use std::hint::black_box;
use std::sync::Arc;

use http::Response;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use jairouter_core::{Backend, Body};

use crate::Case;
use crate::ask::{self, PLAIN, SMALL};
use crate::engine::{self, ENDLESS, EVENT, Stream, WHOLE};

/// How an engine answers.
struct Words {
    name: &'static str,
    options: &'static [(&'static str, &'static str)],
    /// Whether its requests are other ones than the caller's.
    encodes: bool,
    whole: &'static str,
    events: &'static str,
    /// What comes in front of the first token.
    first: &'static str,
    token: &'static str,
}

const ALL: [Words; 6] = [
    Words {
        name: "ollama",
        options: &[],
        encodes: true,
        whole: r#"{"model":"qwen3:1.7b","created_at":"2026-11-26T12:00:00.123456789Z","message":{"role":"assistant","content":"Hello! How can I help you today?"},"done":true,"done_reason":"stop","total_duration":174560334,"load_duration":101397084,"prompt_eval_count":9,"prompt_eval_duration":13074791,"eval_count":9,"eval_duration":52479709}"#,
        events: "application/x-ndjson",
        first: "",
        token: "{\"model\":\"qwen3:1.7b\",\"created_at\":\"2026-11-26T12:00:00.123456789Z\",\"message\":{\"role\":\"assistant\",\"content\":\" token\"},\"done\":false}\n",
    },
    Words {
        name: "gemini",
        options: &[],
        encodes: true,
        whole: r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello! How can I help you today?"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":9,"totalTokenCount":18},"modelVersion":"qwen3:1.7b","responseId":"r1"}"#,
        events: "text/event-stream",
        first: "",
        token: "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\" token\"}]},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":9},\"modelVersion\":\"qwen3:1.7b\",\"responseId\":\"r1\"}\r\n\r\n",
    },
    Words {
        name: "anthropic",
        options: &[],
        encodes: true,
        whole: r#"{"id":"msg_1","type":"message","role":"assistant","model":"qwen3:1.7b","content":[{"type":"text","text":"Hello! How can I help you today?"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":9}}"#,
        events: "text/event-stream",
        first: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"qwen3:1.7b\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        token: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" token\"}}\n\n",
    },
    Words {
        name: "triton",
        options: &[("dialect", "vllm"), ("template", "chatml")],
        encodes: true,
        whole: r#"{"model_name":"qwen3:1.7b","model_version":"1","text_output":"Hello! How can I help you today?"}"#,
        events: "text/event-stream",
        first: "",
        token: "data: {\"model_name\":\"qwen3:1.7b\",\"model_version\":\"1\",\"text_output\":\" token\"}\n\n",
    },
    Words {
        name: "tensorrt-llm",
        options: &[],
        encodes: true,
        whole: WHOLE,
        events: "text/event-stream",
        first: "",
        token: EVENT,
    },
    // OpenAI's own words, but for a few habits.
    Words {
        name: "vllm",
        options: &[],
        encodes: false,
        whole: WHOLE,
        events: "text/event-stream",
        first: "",
        token: EVENT,
    },
];

pub(crate) fn cases() -> Vec<Case> {
    ALL.iter().flat_map(of).collect()
}

fn of(words: &'static Words) -> Vec<Case> {
    let name = words.name;
    let sizes = [(SMALL, "request"), (256 << 10, "request-256KiB")];
    let requests = sizes.into_iter().filter(|_| words.encodes).map(|(size, called)| {
        Case::new(format!("{name}/{called}"), move || {
            let (backend, request) = (backend(words), ask::parsed(ask::chat(PLAIN, size, false)));
            move || drop(black_box(backend.encode(&request).expect("it can be asked this")))
        })
    });
    let whole = Case::new(format!("{name}/answer"), move || {
        let (backend, request) = (backend(words), ask::small(false));
        move || {
            let body = Body::new(Full::new(bytes::Bytes::from_static(words.whole.as_bytes())));
            let answer = backend.decode(&request, answer("application/json", body));
            let mut body = answer.into_body();
            while let Some(data) = engine::next(&mut body) {
                black_box(data);
            }
        }
    });
    let token = Case::new(format!("{name}/token"), move || {
        let (backend, request) = (backend(words), ask::small(true));
        let body = Body::new(Stream::new(words.first, words.token, ENDLESS, ""));
        let mut body = backend.decode(&request, answer(words.events, body)).into_body();
        move || {
            black_box(engine::next(&mut body).expect("a token"));
        }
    });
    requests.chain([whole, token]).collect()
}

fn backend(words: &Words) -> Arc<dyn Backend> {
    let found = jairouter_adapters::by_name_with(words.name, words.options);
    found.expect("an adapter").expect("its options")
}

fn answer(kind: &'static str, body: Body) -> Response<Body> {
    let answer = Response::builder().header(CONTENT_TYPE, kind).body(body);
    answer.expect("an answer")
}
