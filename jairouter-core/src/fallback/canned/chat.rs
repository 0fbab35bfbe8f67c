//! A text as an engine would have said it.

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::request::InferenceRequest;
use crate::translate;

/// A whole answer, or one chunk of it.
#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

/// Nobody has counted, and nobody is charged.
#[derive(Serialize, Default)]
struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

#[derive(Deserialize, Default)]
struct Wishes {
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// This text as an answer to this request; `None` if its endpoint does not answer in text.
pub(super) fn write(request: &InferenceRequest, text: &str) -> Option<Bytes> {
    let is_chat = match request.endpoint {
        Endpoint::ChatCompletions => true,
        Endpoint::Completions => false,
        _ => return None,
    };
    let prefix = if is_chat { "chatcmpl" } else { "cmpl" };
    let id = format!("{prefix}-{:032x}", fastrand::u128(..));
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let object = |object, choices, usage| Object {
        id: &id,
        object,
        created: since.as_secs(),
        model: &request.model,
        choices,
        usage,
    };
    let mut out = BytesMut::new();
    if !request.stream {
        let (name, choice) = if is_chat {
            let message = json!({"role": "assistant", "content": text, "refusal": null});
            ("chat.completion", choice("message", &message, Some("stop")))
        } else {
            ("text_completion", choice("text", text, Some("stop")))
        };
        translate::json(&mut out, &object(name, choice, Some(Usage::default())));
        return Some(out.freeze());
    }
    let (name, choices) = if is_chat {
        let said = [
            (json!({"role": "assistant", "content": ""}), None),
            (json!({"content": text}), None),
            (json!({}), Some("stop")),
        ];
        (
            "chat.completion.chunk",
            said.map(|(delta, finish)| choice("delta", &delta, finish)).to_vec(),
        )
    } else {
        let said = [(text, None), ("", Some("stop"))];
        ("text_completion", said.map(|(text, finish)| choice("text", text, finish)).to_vec())
    };
    for choices in choices {
        translate::event(&mut out, &object(name, choices, None));
    }
    if wants_usage(request) {
        translate::event(&mut out, &object(name, json!([]), Some(Usage::default())));
    }
    translate::done(&mut out);
    Some(out.freeze())
}

/// The only choice of an answer.
fn choice(key: &str, value: &(impl Serialize + ?Sized), finish: Option<&str>) -> Value {
    json!([{"index": 0, key: value, "logprobs": null, "finish_reason": finish}])
}

/// Whether a last chunk with the usage is waited for.
fn wants_usage(request: &InferenceRequest) -> bool {
    let wishes = serde_json::from_slice::<Wishes>(&request.payload).unwrap_or_default();
    wishes.stream_options.and_then(|options| options.include_usage).unwrap_or_default()
}
