//! One exchange, in every way a network can deliver it.

use std::fmt::Write;

use bytes::Bytes;
use jairouter_core::{Backend, Endpoint, InferenceRequest, Kind};
use serde_json::Value;

use crate::compare::{differ, lacks};
use crate::exchange::{Exchange, Exchanges};
use crate::play::{Asked, BOUNDARY, Got, play, request};
use crate::stream::{Said, said};

/// A body longer than this is cut at fewer places.
const LONG: usize = 4096;

/// A question of which only the model and whether it is streamed matter. It has only fields of its
/// endpoint: some engines refuse all others.
fn any_question(row: &Exchange, endpoint: Endpoint) -> Bytes {
    let messages = r#""messages":[{"role":"user","content":"Hi"}]"#;
    let rest = match endpoint {
        Endpoint::ChatCompletions => messages.to_owned(),
        Endpoint::Completions => r#""prompt":"""#.to_owned(),
        Endpoint::Embeddings => r#""input":"""#.to_owned(),
        _ => format!(r#"{messages},"prompt":"","input":"","query":"","documents":[]"#),
    };
    let model = Value::from(model_in(&row.upstream.path).unwrap_or("m"));
    format!(r#"{{"model":{model},"stream":{},{rest}}}"#, row.stream).into()
}

/// The model that a path names, of an engine whose paths do.
fn model_in(path: &str) -> Option<&str> {
    let (_, model) = path.split_once("/models/")?;
    model.split([':', '/', '?']).next().filter(|model| !model.is_empty())
}

// Memory does not refuse a write.
pub(crate) fn any_form(is_streamed: bool) -> Bytes {
    let mut form = String::new();
    for (name, value) in [("model", "m"), ("stream", if is_streamed { "true" } else { "false" })] {
        let head = format!("content-disposition: form-data; name=\"{name}\"");
        let _ = write!(form, "--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n");
    }
    let head = "content-disposition: form-data; name=\"file\"; filename=\"a.wav\"";
    let _ = write!(form, "--{BOUNDARY}\r\n{head}\r\n\r\nRIFF\r\n--{BOUNDARY}--\r\n");
    form.into()
}

pub(crate) fn exchange<B: Backend + Clone + 'static>(
    all: &Exchanges,
    row: &Exchange,
    backend: &B,
) -> Vec<String> {
    let Some((endpoint, payload)) = question(all, row) else {
        return vec!["this is no endpoint".into()];
    };
    let asked = match request(endpoint, payload.clone()) {
        Ok(asked) => asked,
        Err(error) => return vec![format!("the request cannot be read: {error}")],
    };
    let answer = all.body(row, "response").unwrap_or_default();
    let ask = |pieces: Vec<Bytes>| play(backend, asked.clone(), row, pieces);
    let (sent, whole) = ask(vec![answer.clone()]);
    let mut wrong = match &sent {
        Some(sent) => sent_wrong(all, row, sent, &payload),
        None => vec![format!("the engine was not asked: {:?}", whole.error)],
    };
    if sent.is_none() {
        return wrong;
    }
    wrong.extend(got_wrong(all, row, &whole, &answer));
    // What is wrong with the whole is wrong with its pieces, too.
    if !wrong.is_empty() {
        return wrong;
    }
    let meaning = meaning(row, &asked, &whole);
    for cut in cuts(answer.len()) {
        let got = ask(vec![answer.slice(..cut), answer.slice(cut..)]).1;
        if self::meaning(row, &asked, &got) != meaning {
            wrong.push(format!("cut at {cut} it is {got:?}"));
            break;
        }
    }
    let bytes = (0..answer.len()).map(|at| answer.slice(at..=at)).collect();
    let got = ask(bytes).1;
    if self::meaning(row, &asked, &got) != meaning {
        wrong.push(format!("byte by byte it is {got:?}"));
    }
    // The end of what passes as it is, is for who delivers it to see.
    let passes = !row.stream && whole.body == answer;
    if row.upstream.status < 300 && (row.stream || row.response_pair && !passes) {
        let may_end = |at: usize| all.ends_with_body && row.stream && is_between(&answer, at);
        wrong.extend(early(&answer, &meaning, &may_end, &|pieces| {
            let got = ask(pieces).1;
            (self::meaning(row, &asked, &got), got)
        }));
    }
    wrong
}

/// What the caller asks: what is recorded, or anything that might have been answered like that.
pub(crate) fn question(all: &Exchanges, row: &Exchange) -> Option<(Endpoint, Bytes)> {
    let endpoint = row.endpoint()?;
    let own = all.body(row, "openai.request");
    let native = || all.body(row, "request").filter(|_| row.client.is_none());
    let payload = match own.or_else(native) {
        Some(payload) => payload,
        None if endpoint.is_multipart() => {
            all.body(row, "request").unwrap_or_else(|| any_form(row.stream))
        }
        None => any_question(row, endpoint),
    };
    Some((endpoint, payload))
}

/// What is wrong with one exchange, played in one piece.
pub(crate) fn judge(all: &Exchanges, row: &Exchange, asked: &Asked, got: &Got) -> Vec<String> {
    let payload = question(all, row).map(|(_, payload)| payload).unwrap_or_default();
    let mut wrong = sent_wrong(all, row, asked, &payload);
    let answer = all.body(row, "response").unwrap_or_default();
    wrong.extend(got_wrong(all, row, got, &answer));
    wrong
}

fn sent_wrong(all: &Exchanges, row: &Exchange, sent: &Asked, payload: &Bytes) -> Vec<String> {
    let is_native = row.client.is_none();
    let mut wrong = Vec::new();
    let expected = (&row.upstream.method, &row.upstream.path);
    if (&sent.method, &sent.path) != expected {
        wrong.push(format!("{} {} was asked instead of {expected:?}", sent.method, sent.path));
    }
    for (name, value) in &row.upstream.request_headers {
        let name = name.to_lowercase();
        let is_others = ["authorization", "content-type", "host"].contains(&&*name);
        let is_ours = !value.contains(['$', '<']) && !is_others;
        let given = sent.headers.get(&name).and_then(|value| value.to_str().ok());
        if is_ours && given != Some(value) {
            wrong.push(format!("the header {name} is {given:?} and should be {value:?}"));
        }
    }
    if is_native && sent.body != payload {
        wrong.push("the caller's bytes were changed".into());
    } else if row.request_pair
        && let Some(expected) = all.body(row, "request")
    {
        match (serde_json::from_slice(&sent.body), serde_json::from_slice(&expected)) {
            (Ok(sent), Ok(expected)) => {
                wrong.extend(differ(&sent, &expected, &|field, value| all.is_empty(field, value)));
            }
            _ if sent.body == expected => {}
            _ => wrong.push("the request is not the recorded one".into()),
        }
    }
    wrong
}

fn got_wrong(all: &Exchanges, row: &Exchange, got: &Got, answer: &Bytes) -> Vec<String> {
    let mut wrong = Vec::new();
    let expected = all.body(row, "openai.response").filter(|_| row.response_pair);
    if let Some(status) = row.status()
        && status != got.status
    {
        wrong.push(format!("the status is {} and should be {status}: {got:?}", got.status));
    }
    let is_error = row.status().unwrap_or(row.upstream.status) >= 400;
    match expected {
        Some(expected) if row.stream && !is_error => {
            let (said, expected) = (said(&text(&got.body)), said(&text(&expected)));
            wrong.extend(stream_wrong(&said, &expected, got, answer));
        }
        Some(expected) => match serde_json::from_slice::<Value>(&expected) {
            Ok(expected) => {
                let actual = serde_json::from_slice(&got.body).unwrap_or(Value::Null);
                wrong.extend(match is_error {
                    true => refusal_wrong(&actual, &expected, answer),
                    false => lacks(&actual, &expected, ""),
                });
            }
            Err(_) if got.body == expected => {}
            Err(_) => wrong.push("the answer is not the recorded one".into()),
        },
        // An error is an error in any words.
        None if is_error => {
            let actual = serde_json::from_slice(&got.body).unwrap_or(Value::Null);
            wrong.extend(refusal_wrong(&actual, &Value::Null, answer));
        }
        None if said(&text(answer)).error.is_some() => {
            let said = said(&text(&got.body));
            if said.error.is_none() || said.done || !got.broken {
                wrong.push(format!("the stream does not end with its error: {got:?}"));
            }
        }
        None if got.body != answer || got.broken => {
            wrong.push(format!("the engine's bytes were changed: {got:?}"));
        }
        None => {}
    }
    wrong
}

fn stream_wrong(said: &Said, expected: &Said, got: &Got, answer: &[u8]) -> Vec<String> {
    let mut wrong = said.wrong.clone();
    wrong.extend(lacks(&said.meaning, &expected.meaning, ""));
    // What should not be there is as wrong as what is missing.
    for key in ["usage", "choices"] {
        wrong.extend(lacks(&expected.meaning[key], &said.meaning[key], "recorded"));
    }
    match (&said.error, &expected.error) {
        (None, None) => {}
        (Some(error), Some(expected)) => {
            wrong.extend(message_wrong(error, expected, answer));
        }
        _ => {
            wrong.push(format!("its error is {:?} and should be {:?}", said.error, expected.error));
        }
    }
    if said.done != expected.done {
        wrong.push(format!("[DONE] is {} and should be {}", said.done, expected.done));
    }
    if got.broken != expected.error.is_some() {
        wrong.push(format!("it breaks off: {}", got.broken));
    }
    wrong
}

fn refusal_wrong(actual: &Value, expected: &Value, answer: &[u8]) -> Vec<String> {
    let error = &actual["error"];
    let mut wrong = Vec::new();
    for key in ["message", "type", "param", "code"] {
        let is_text = error.get(key).is_some_and(Value::is_string);
        let may_be_null = matches!(key, "param" | "code") && error.get(key) == Some(&Value::Null);
        if !is_text && !may_be_null {
            wrong.push(format!("error.{key} is {:?} in {actual}", error.get(key)));
        }
    }
    let expected = &expected["error"];
    // What an engine says of the gateway's key is not for callers.
    if expected.is_object() && error["code"] != Kind::UpstreamAuth.code() {
        wrong.extend(message_wrong(error, expected, answer));
    }
    wrong
}

/// What the engine has said of its error has to be told; our own words may be any.
fn message_wrong(error: &Value, expected: &Value, answer: &[u8]) -> Option<String> {
    let message = expected["message"].as_str().unwrap_or_default();
    let written = Value::from(message).to_string();
    let said = text(answer).contains(written.trim_matches('"'));
    (said && error["message"] != expected["message"])
        .then(|| format!("{} is told instead of {}", error["message"], expected["message"]))
}

/// What an answer means, whatever its pieces and what is its own.
#[derive(Debug, PartialEq)]
enum Meaning {
    Said(Said),
    Json(Value),
    Bytes(Bytes),
}

fn meaning(row: &Exchange, asked: &InferenceRequest, got: &Got) -> (u16, bool, Meaning) {
    let is_events = got.content_type.starts_with("text/event-stream");
    let meaning = if is_events && (asked.stream || row.stream) {
        Meaning::Said(said(&text(&got.body)))
    } else {
        match serde_json::from_slice(&got.body) {
            Ok(json) => Meaning::Json(without_its_own(json)),
            Err(_) => Meaning::Bytes(got.body.clone()),
        }
    };
    (got.status, got.broken, meaning)
}

fn without_its_own(json: Value) -> Value {
    match json {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(key, _)| key != "id" && key != "created");
            fields.map(|(key, value)| (key, without_its_own(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_its_own).collect(),
        other => other,
    }
}

/// No answer that ends early looks complete.
fn early(
    answer: &Bytes,
    whole: &(u16, bool, Meaning),
    may_end: &dyn Fn(usize) -> bool,
    ask: &dyn Fn(Vec<Bytes>) -> ((u16, bool, Meaning), Got),
) -> Vec<String> {
    let end = answer.trim_ascii_end().len();
    for end in cuts(end).filter(|end| !may_end(*end)) {
        let (got, raw) = ask(vec![answer.slice(..end)]);
        let looks_complete = got.0 < 300 && !got.1;
        // All that the caller gets may have come before what is left out.
        if looks_complete && !says_as_much(&got.2, &whole.2) {
            return vec![format!("ended at byte {end} it looks complete: {raw:?}")];
        }
    }
    Vec::new()
}

/// Whether this is between two events of one line each: all that is missing is the next one.
fn is_between(answer: &[u8], at: usize) -> bool {
    let (before, after) = answer.split_at(at);
    let is_whole = before.trim_ascii_end().ends_with(b"}");
    is_whole && after.trim_ascii_start().starts_with(b"data:")
}

fn says_as_much(got: &Meaning, whole: &Meaning) -> bool {
    match (got, whole) {
        (Meaning::Said(got), Meaning::Said(whole)) => {
            got.meaning["choices"] == whole.meaning["choices"] && got.error == whole.error
        }
        _ => got == whole,
    }
}

/// Where a body is cut: everywhere, or if it is long in some places.
fn cuts(len: usize) -> impl Iterator<Item = usize> {
    (1..len).step_by(1 + len / LONG)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The engine's list of its models, which only the gateway asks for.
pub(crate) fn models<B: Backend>(all: &Exchanges, row: &Exchange, backend: &B) -> Vec<String> {
    let mut wrong = Vec::new();
    if backend.models() != row.upstream.path {
        wrong.push(format!("models are listed at {}", backend.models()));
    }
    let method = if backend.models_request().is_some() { "POST" } else { "GET" };
    if method != row.upstream.method {
        wrong.push(format!("models are asked for with {method}"));
    }
    let expected = all.body(row, "openai.response").or_else(|| all.body(row, "response"));
    let expected: Value =
        serde_json::from_slice(&expected.unwrap_or_default()).unwrap_or(Value::Null);
    let ids = expected["data"].as_array().into_iter().flatten();
    let ids: Vec<_> = ids.filter_map(|model| model["id"].as_str().map(str::to_owned)).collect();
    match backend.model_names(&all.body(row, "response").unwrap_or_default()) {
        Ok(names) if names == ids => {}
        other => wrong.push(format!("the models are {other:?} and should be {ids:?}")),
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_between_two_events_is_a_body_s_end_no_cut() {
        let answer = b"data: {\"a\":{}}\n\ndata: {\"b\":1}\n\n";
        let between: Vec<_> = (1..answer.len()).filter(|at| is_between(answer, *at)).collect();
        assert_eq!(between, [14, 15, 16]);
    }
}
