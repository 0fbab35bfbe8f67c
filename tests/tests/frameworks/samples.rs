//! A question of each kind in OpenAI's words, and its answer: an engine that speaks them is sent the
//! one and sends the other as they are.

use bytes::Bytes;
use futures::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt;
use jairouter_core::{Backend, Body, Endpoint, InferenceRequest, Route, envelope};
use serde_json::{Value, json};

/// A question, and what is answered to it.
struct Sample {
    question: Bytes,
    is_streamed: bool,
    kind: &'static str,
    answer: String,
}

const BOUNDARY: &str = "XBOUNDARYX";

/// Why this does not pass as it is, if it does not.
pub(crate) fn passes(
    backend: &dyn Backend,
    endpoint: Endpoint,
    column: &str,
) -> Result<(), String> {
    if column == "errors" {
        return refusal_passes(backend, endpoint);
    }
    let samples = samples(endpoint, column);
    if samples.is_empty() {
        return Err("there is no such thing".into());
    }
    samples.iter().try_for_each(|sample| sample_passes(backend, endpoint, sample))
}

fn request(endpoint: Endpoint, question: &Bytes) -> InferenceRequest {
    let mut headers = HeaderMap::new();
    let kind = match endpoint.is_multipart() {
        true => format!("multipart/form-data; boundary={BOUNDARY}"),
        false => "application/json".to_owned(),
    };
    headers.insert(CONTENT_TYPE, kind.parse().unwrap());
    InferenceRequest::new(endpoint, headers, question.clone()).unwrap()
}

fn sample_passes(backend: &dyn Backend, endpoint: Endpoint, sample: &Sample) -> Result<(), String> {
    let request = request(endpoint, &sample.question);
    assert_eq!(request.stream, sample.is_streamed, "{endpoint}");
    let route = Route::new(endpoint, &request.model, request.stream);
    if backend.path(&route).is_none() {
        return Err("it has no path".into());
    }
    let sent = backend.encode(&request).map_err(|error| error.to_string())?;
    if sent.as_ptr() != request.payload.as_ptr() || sent != request.payload {
        return Err(format!("it is asked {}", String::from_utf8_lossy(&sent)));
    }
    let mut answer = Response::new(Body::from(sample.answer.clone()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(sample.kind));
    let answer = backend.decode(&request, answer);
    if answer.headers()[CONTENT_TYPE] != sample.kind {
        return Err(format!("the answer is {:?}", answer.headers()));
    }
    // It is all there.
    let told = answer.into_body().collect().now_or_never().unwrap();
    let told = told.map_err(|error| error.to_string())?;
    let told = told.to_bytes();
    if told != sample.answer {
        return Err(format!("{} is told", String::from_utf8_lossy(&told)));
    }
    Ok(())
}

fn refusal_passes(backend: &dyn Backend, endpoint: Endpoint) -> Result<(), String> {
    let question = question(endpoint, false, &json!({}));
    let request = request(endpoint, &question);
    let route = Route::new(endpoint, &request.model, false);
    if backend.path(&route).is_none() {
        return Err("it has no path".into());
    }
    let error = json!({"message": "no such voice", "type": "invalid_request_error",
        "param": "voice", "code": null});
    let said = match endpoint {
        Endpoint::Messages | Endpoint::CountTokens => json!({"type": "error", "error": error}),
        _ => json!({"error": error}),
    };
    let answer = Response::builder().status(400).body(Bytes::from(said.to_string())).unwrap();
    let told = envelope::response_to(endpoint, &backend.refusal(&request, &answer));
    let said: Value = serde_json::from_slice(told.body()).unwrap();
    match (told.status().as_u16(), said["error"]["message"].as_str()) {
        (400, Some("no such voice")) => Ok(()),
        other => Err(format!("it is told as {other:?}")),
    }
}

/// What is asked of an endpoint, with these fields more.
fn question(endpoint: Endpoint, is_streamed: bool, more: &Value) -> Bytes {
    if endpoint.is_multipart() {
        let file = if endpoint.path().contains("audio") { "file" } else { "image" };
        let stream = if is_streamed { "true" } else { "" };
        let parts = [("model", "m"), ("response_format", "json"), ("stream", stream), (file, "x")];
        let parts = parts.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| {
            let head = format!("Content-Disposition: form-data; name=\"{name}\"");
            format!("--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n")
        });
        return format!("{}--{BOUNDARY}--\r\n", parts.collect::<String>()).into();
    }
    let user = json!([{"role": "user", "content": "Hi"}]);
    let mut asked = match endpoint {
        Endpoint::ChatCompletions | Endpoint::CountTokens => json!({"messages": user}),
        Endpoint::Messages => json!({"messages": user, "max_tokens": 9}),
        Endpoint::Completions | Endpoint::ImageGenerations | Endpoint::Tokenize => {
            json!({"prompt": "Hi"})
        }
        Endpoint::Detokenize => json!({"tokens": [1]}),
        Endpoint::Rerank => {
            json!({"query": "q", "documents": ["a", "b"], "return_documents": false})
        }
        Endpoint::Speech => json!({"input": "Hi", "voice": "alloy"}),
        _ => json!({"input": "Hi"}),
    };
    let fields = asked.as_object_mut().unwrap();
    fields.insert("model".into(), "m".into());
    if is_streamed {
        let field = if endpoint == Endpoint::Speech { "stream_format" } else { "stream" };
        let value = if endpoint == Endpoint::Speech { json!("sse") } else { json!(true) };
        fields.insert(field.into(), value);
    }
    fields.extend(more.as_object().unwrap().clone());
    asked.to_string().into()
}

fn samples(endpoint: Endpoint, column: &str) -> Vec<Sample> {
    let usage = column == "usage";
    let whole = |more: &Value, answer: &Value| Sample {
        question: question(endpoint, false, more),
        is_streamed: false,
        kind: "application/json",
        answer: answer.to_string(),
    };
    let streamed = |more: &Value, events: &[Value]| {
        let is_named = events[0].get("type").is_some();
        let event = |event: &Value| match event["type"].as_str() {
            Some(name) => format!("event: {name}\ndata: {event}\n\n"),
            None => format!("data: {event}\n\n"),
        };
        let question = question(endpoint, true, more);
        let is_streamed = request(endpoint, &question).stream;
        let done = if is_named { "" } else { "data: [DONE]\n\n" };
        let answer = events.iter().map(event).collect::<String>() + done;
        Sample { question, is_streamed, kind: "text/event-stream", answer }
    };
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions => {
            texts(endpoint, column, &whole, &streamed)
        }
        Endpoint::Responses | Endpoint::Messages => natives(endpoint, column, &whole, &streamed),
        _ => {
            let counted = json!({"prompt_tokens": 1, "total_tokens": 1});
            let answer = match endpoint {
                Endpoint::CountTokens => json!({"input_tokens": 3}),
                Endpoint::Tokenize => json!({"count": 1, "max_model_len": 9, "tokens": [1]}),
                Endpoint::Detokenize => json!({"prompt": "Hi"}),
                Endpoint::Embeddings => json!({"object": "list", "model": "m",
                    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
                    "usage": counted}),
                Endpoint::Rerank => json!({"id": "x", "model": "m", "results": [
                    {"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
                    "usage": {"total_tokens": 7}}),
                Endpoint::Moderations => json!({"id": "x", "model": "m", "results": []}),
                Endpoint::Transcriptions | Endpoint::Translations => {
                    json!({"text": "Hi", "usage": {"type": "duration", "seconds": 1}})
                }
                Endpoint::Speech => json!("RIFF: a sound, for all that anybody knows"),
                _ => json!({"created": 1, "data": [{"b64_json": "eA=="}],
                    "usage": {"total_tokens": 7}}),
            };
            let events: &[Value] = match endpoint {
                Endpoint::Speech => &[
                    json!({"type": "speech.audio.delta", "audio": "eA=="}),
                    json!({"type": "speech.audio.done", "usage": {"total_tokens": 3}}),
                ],
                Endpoint::Transcriptions => &[
                    json!({"type": "transcript.text.delta", "delta": "Hi"}),
                    json!({"type": "transcript.text.done", "text": "Hi"}),
                ],
                _ => &[
                    json!({"type": "image_generation.partial_image", "b64_json": "eA=="}),
                    json!({"type": "image_generation.completed", "b64_json": "eA=="}),
                ],
            };
            match column {
                "streaming" => vec![streamed(&json!({}), events)],
                _ if usage || column == "whole" => vec![whole(&json!({}), &answer)],
                _ => Vec::new(),
            }
        }
    }
}

type Whole<'a> = &'a dyn Fn(&Value, &Value) -> Sample;
type Streamed<'a> = &'a dyn Fn(&Value, &[Value]) -> Sample;

/// Chats and completions.
fn texts(
    endpoint: Endpoint,
    column: &str,
    whole: Whole<'_>,
    streamed: Streamed<'_>,
) -> Vec<Sample> {
    let is_chat = endpoint == Endpoint::ChatCompletions;
    let answer = |choice: Value, usage: bool| {
        let mut answer = json!({"id": "x", "created": 1, "model": "m", "choices": [choice]});
        answer["object"] = if is_chat { "chat.completion" } else { "text_completion" }.into();
        if usage {
            answer["usage"] =
                json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
        }
        answer
    };
    let chunk = |choice: Value| {
        let mut chunk = answer(choice, false);
        if is_chat {
            chunk["object"] = "chat.completion.chunk".into();
        }
        chunk
    };
    let said = match is_chat {
        true => json!({"index": 0, "message": {"role": "assistant", "content": "Hi"},
            "finish_reason": "stop"}),
        false => json!({"index": 0, "text": "Hi", "logprobs": null, "finish_reason": "stop"}),
    };
    let pieces = match is_chat {
        true => vec![
            chunk(json!({"index": 0, "delta": {"role": "assistant", "content": "Hi"},
                "finish_reason": null})),
            chunk(json!({"index": 0, "delta": {}, "finish_reason": "stop"})),
        ],
        false => vec![
            chunk(json!({"index": 0, "text": "Hi", "logprobs": null, "finish_reason": null})),
            chunk(json!({"index": 0, "text": "", "logprobs": null, "finish_reason": "stop"})),
        ],
    };
    let none = json!({});
    match column {
        "whole" => vec![whole(&none, &answer(said, true))],
        "streaming" => vec![streamed(&none, &pieces)],
        "usage" => {
            let mut last = chunk(json!(0));
            last["choices"] = json!([]);
            last["usage"] = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
            let asked = json!({"stream_options": {"include_usage": true}});
            let pieces = [pieces, vec![last]].concat();
            vec![whole(&none, &answer(said, true)), streamed(&asked, &pieces)]
        }
        "images" if is_chat => {
            let url =
                json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}});
            let asked = json!({"messages": [{"role": "user", "content": [url]}]});
            vec![whole(&asked, &answer(said, true)), streamed(&asked, &pieces)]
        }
        "tools" if is_chat => {
            let tool = json!({"name": "f", "parameters": {"type": "object", "properties": {}}});
            let asked = json!({"tools": [{"type": "function", "function": tool}]});
            let call = json!({"id": "call_1", "type": "function",
                "function": {"name": "f", "arguments": "{}"}});
            let calls = json!({"index": 0, "message": {"role": "assistant", "content": null,
                "tool_calls": [call]}, "finish_reason": "tool_calls"});
            let mut first = call;
            first["index"] = json!(0);
            let pieces = [
                chunk(json!({"index": 0, "delta": {"role": "assistant", "tool_calls": [first]},
                    "finish_reason": null})),
                chunk(json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"})),
            ];
            vec![whole(&asked, &answer(calls, true)), streamed(&asked, &pieces)]
        }
        _ => Vec::new(),
    }
}

/// Responses and messages, whose parts are typed: what passes of one passes of all.
fn natives(
    endpoint: Endpoint,
    column: &str,
    whole: Whole<'_>,
    streamed: Streamed<'_>,
) -> Vec<Sample> {
    let is_messages = endpoint == Endpoint::Messages;
    let usage = json!({"input_tokens": 1, "output_tokens": 2});
    let answer = match is_messages {
        true => json!({"id": "x", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "Hi"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {}}],
            "stop_reason": "tool_use", "usage": usage}),
        false => json!({"id": "x", "object": "response", "status": "completed", "model": "m",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]},
                {"type": "function_call", "call_id": "t", "name": "f", "arguments": "{}"}],
            "usage": usage}),
    };
    let events = match is_messages {
        true => vec![
            json!({"type": "message_start", "message": {"id": "x", "usage": usage}}),
            json!({"type": "content_block_start", "index": 0, "content_block":
                {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage}),
            json!({"type": "message_stop"}),
        ],
        false => vec![
            json!({"type": "response.output_text.delta", "delta": "Hi"}),
            json!({"type": "response.completed", "response": answer}),
        ],
    };
    let asked = match (column, is_messages) {
        ("tools", true) => json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
        ("tools", false) => json!({"tools": [{"type": "function", "name": "f"}]}),
        ("images", true) => {
            let source = json!({"type": "base64", "media_type": "image/png", "data": "eA=="});
            let image = json!({"type": "image", "source": source});
            json!({"messages": [{"role": "user", "content": [image]}]})
        }
        ("images", false) => {
            let image = json!({"type": "input_image", "image_url": "data:image/png;base64,eA=="});
            json!({"input": [{"role": "user", "content": [image]}]})
        }
        _ => json!({}),
    };
    match column {
        "whole" => vec![whole(&asked, &answer)],
        "streaming" => vec![streamed(&asked, &events)],
        _ => vec![whole(&asked, &answer), streamed(&asked, &events)],
    }
}
