//! Completions by `/completion`.

use bytes::{Bytes, BytesMut};
use http::Response;
use jairouter_core::translate::{self, Framing, Message, Translate};
use jairouter_core::{Body, Error, InferenceRequest, refusal};
use jairouter_openai::answer::{LARGEST_ANSWER, cut_off};
use jairouter_openai::ask::{self, Format};
use jairouter_openai::completion::{Completion, Usage};
use jairouter_openai::fields::{Fields, invalid, is_empty, unsupported};
use serde::Deserialize;
use serde_json::value::RawValue;

const UNSAYABLE: [(&str, &str); 2] = [
    ("suffix", "llama.cpp fills in the middle at another place"),
    ("logprobs", "llama.cpp's own API has other logprobs: they cannot be told"),
];

/// What is OpenAI's and means nothing here.
const IDLE: [&str; 5] = ["model", "user", "stream", "stream_options", "n"];

/// Extra fields pass: its own options have the names it gives them.
pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let mut asked = Fields::of_request(request)?;
    for name in ["n", "best_of"] {
        ask::one_only(&asked, name, "llama.cpp")?;
    }
    ask::refuse(&asked, &UNSAYABLE)?;
    ask::refuse_if_true(&asked, &[("echo", "llama.cpp does not repeat the prompt")])?;
    check_prompt(asked.required("prompt")?)?;
    let format = ask::format(&asked)?;
    if format.is_none() && asked.says("response_format") {
        let message = "'response_format' must be of type text, json_object or json_schema";
        return Err(invalid("response_format", message));
    }
    let stops = ask::stops(&asked)?;
    for name in IDLE.iter().chain(&["best_of", "echo", "suffix", "logprobs", "response_format"]) {
        asked.take(name);
    }
    for name in ["max_tokens", "max_completion_tokens"] {
        if asked.given(name).is_some() {
            asked.rename(name, "n_predict");
        } else {
            asked.take(name);
        }
    }
    if let Some(stops) = stops {
        asked.set("stop", &stops);
    }
    match format {
        Some(Format::Schema(schema)) => asked.set("json_schema", &schema),
        Some(Format::Json) => {
            asked.set("json_schema", &serde_json::json!({"type": "object"}));
        }
        _ => {}
    }
    if request.stream {
        asked.set("stream", &true);
    }
    Ok(asked.write())
}

/// One prompt: a text, or tokens, or both mixed. To several it would answer with a list.
fn check_prompt(prompt: &RawValue) -> Result<(), Error> {
    let is_text = prompt.get().starts_with('"');
    let parts: Option<Vec<&RawValue>> = serde_json::from_str(prompt.get()).ok();
    let is_one = parts.is_some_and(|parts| {
        let are_tokens = parts.iter().any(|part| !part.get().starts_with(['"', '[', '{']));
        !parts.is_empty() && (are_tokens || parts.len() == 1 && parts[0].get().starts_with('"'))
    });
    match is_text || is_one {
        true => Ok(()),
        false => Err(unsupported("prompt", "llama.cpp takes one prompt here, as text or tokens")),
    }
}

pub(crate) fn decode(request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
    let completion = Completion::new(request);
    let (parts, body) = answer.into_parts();
    let answer = Response::from_parts(parts, Body::empty());
    if request.stream {
        let body = translate::stream(body, Framing::Sse, Stream { completion, done: false });
        return translate::replace(answer, "text/event-stream", body);
    }
    let body = translate::whole(body, LARGEST_ANSWER, move |bytes| {
        // To a list of one prompt it answers with a list of one.
        let list = bytes.trim_ascii().strip_prefix(b"[").and_then(|list| list.strip_suffix(b"]"));
        let piece = Piece::read(list.unwrap_or(&bytes))?;
        if !piece.stop {
            return Err(cut_off());
        }
        Ok(completion.whole(&piece.content, piece.reason(), piece.usage()))
    });
    translate::replace(answer, "application/json", body)
}

#[derive(Deserialize)]
struct Piece {
    #[serde(default)]
    content: String,
    #[serde(default)]
    stop: bool,
    #[serde(default)]
    stop_type: Option<String>,
    #[serde(default)]
    tokens_predicted: u64,
    #[serde(default)]
    tokens_evaluated: u64,
    #[serde(default)]
    error: Option<Box<RawValue>>,
}

impl Piece {
    fn read(data: &[u8]) -> Result<Self, Error> {
        let piece: Self = translate::parse(data)?;
        match piece.error.as_deref().is_some_and(|error| !is_empty(error)) {
            true => Err(refusal::in_stream(data)),
            false => Ok(piece),
        }
    }

    /// `eos` and `word` are both a stop: the word is not in the text.
    fn reason(&self) -> &'static str {
        if self.stop_type.as_deref() == Some("limit") { "length" } else { "stop" }
    }

    fn usage(&self) -> Usage {
        Usage { prompt: self.tokens_evaluated, completion: self.tokens_predicted }
    }
}

struct Stream {
    completion: Completion,
    done: bool,
}

impl Translate for Stream {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        if self.done || message.data.is_empty() {
            return Ok(());
        }
        let piece = Piece::read(message.data)?;
        self.completion.piece(&piece.content, out);
        if piece.stop {
            self.done = true;
            self.completion.finish(piece.reason(), piece.usage(), out);
        }
        Ok(())
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        if self.done { Ok(()) } else { Err(cut_off()) }
    }
}
