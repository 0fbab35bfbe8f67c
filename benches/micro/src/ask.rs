//! What is asked.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::Full;
use jairouter_core::gateway::ClientAddr;
use jairouter_core::request::Principal;
use jairouter_core::{Endpoint, InferenceRequest};
use serde_json::{Value, json};

/// The model that is asked for.
pub(crate) const MODEL: &str = "qwen3:1.7b";

/// The key that is shown.
pub(crate) const KEY: &str = "jr-0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

/// What a configuration says of it.
pub(crate) const KEY_DIGEST: &str =
    "sha256:66ef54a57bee65f990a3d5f062479a9f021ae87a8a4d42b73c509a53480c042e";

/// A body of half a KiB, as most are.
pub(crate) const SMALL: usize = 512;

/// The sizes of bodies, and what they are called.
pub(crate) const SIZES: [(usize, &str); 3] =
    [(SMALL, "0.5KiB"), (16 << 10, "16KiB"), (256 << 10, "256KiB")];

/// A text that JSON writes as it stands.
pub(crate) const PLAIN: &str = "The quick brown fox jumps over the lazy dog, and then it sleeps. ";

/// A text of which JSON escapes one byte in forty: lines, with a word in quotes in every other one.
pub(crate) const PROSE: &str = "What is the weather like in the south of Spain in the \"second\" half of \
    the year, and which\nplaces are worth seeing there if one does not like the heat?\n";

/// A text of which JSON escapes one byte in five: what a tool has answered, in JSON itself.
pub(crate) const ESCAPED: &str =
    "{\n  \"id\": 17,\n  \"name\": \"fox\",\n  \"tags\": [\"a\", \"b\"]\n}\n";

/// A text of which every letter takes three bytes.
pub(crate) const CHINESE: &str = "敏捷的棕色狐狸跳过了那只懒惰的狗，然后它就睡着了。";

/// The turns of a conversation in this text, of about this size once it is JSON. No turn is longer than
/// 2 KiB.
fn turns(text: &str, size: usize) -> Vec<Value> {
    let written = |text: &str| json!(text).to_string().len();
    let (mut turns, mut left) = (Vec::new(), size);
    while left > 0 {
        let turn = left.min(2048);
        let content = text.repeat(turn / written(text) + 1);
        let mut end = (content.len() * turn / written(&content)).min(content.len());
        while !content.is_char_boundary(end) {
            end -= 1;
        }
        let role = if turns.len() % 2 == 0 { "user" } else { "assistant" };
        turns.push(json!({"role": role, "content": content[..end]}));
        left -= turn;
    }
    turns
}

/// A chat of about this size in this text.
pub(crate) fn chat(text: &str, size: usize, stream: bool) -> Bytes {
    let ask = json!({
        "messages": turns(text, size.saturating_sub(160).max(64)),
        "model": MODEL,
        "stream": stream,
        "temperature": 0.7,
        "max_tokens": 1024,
    });
    ask.to_string().into()
}

/// Embeddings of a text that comes as this many bytes of tokens.
pub(crate) fn tokens(size: usize) -> Bytes {
    let tokens: Vec<u32> = (0..).map(|nth| 10_000 + nth * 7919 % 90_000).take(size / 6).collect();
    json!({"input": tokens, "model": MODEL}).to_string().into()
}

/// A form with a file of this size, and its content type.
pub(crate) fn form(size: usize) -> (HeaderMap, Bytes) {
    let file: String = PLAIN.repeat(size / PLAIN.len());
    let form = format!(
        "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
         Content-Type: audio/wav\r\n\r\n{file}\r\n--b0undary\r\n\
         Content-Disposition: form-data; name=\"model\"\r\n\r\n{MODEL}\r\n--b0undary--\r\n"
    );
    let kind = HeaderValue::from_static("multipart/form-data; boundary=b0undary");
    (HeaderMap::from_iter([(CONTENT_TYPE, kind)]), form.into())
}

/// The headers of the official Python client.
pub(crate) fn headers() -> HeaderMap {
    let headers = [
        ("host", "gateway:8080"),
        ("accept-encoding", "gzip, deflate"),
        ("connection", "keep-alive"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", "OpenAI/Python 1.109.1"),
        ("x-stainless-lang", "python"),
        ("x-stainless-package-version", "1.109.1"),
        ("x-stainless-os", "Linux"),
        ("x-stainless-arch", "x64"),
        ("x-stainless-async", "false"),
        ("x-stainless-retry-count", "0"),
    ];
    let pair = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    headers.into_iter().map(pair).collect()
}

/// A chat over HTTP, as a server has read it, of a caller with a key.
pub(crate) fn http(body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::post("/v1/chat/completions");
    if let Some(all) = request.headers_mut() {
        all.extend(headers());
        let key =
            HeaderValue::try_from(format!("Bearer {KEY}")).expect("a key is a header's value");
        all.insert(AUTHORIZATION, key);
    }
    let mut request = request.body(Full::new(body)).expect("a request");
    request.extensions_mut().insert(ClientAddr(address()));
    request.extensions_mut().insert(Principal::new("somebody"));
    request
}

/// Where callers are.
pub(crate) fn address() -> IpAddr {
    Ipv4Addr::new(10, 0, 0, 7).into()
}

/// The same, parsed.
pub(crate) fn parsed(body: Bytes) -> InferenceRequest {
    let request = InferenceRequest::new(Endpoint::ChatCompletions, headers(), body);
    request.expect("a chat").with_client(Some(address()))
}

/// A small chat, parsed.
pub(crate) fn small(stream: bool) -> InferenceRequest {
    parsed(chat(PLAIN, SMALL, stream))
}
