//! Completions: `/generate` and `/generate_stream`.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response};
use jairouter_core::translate::{self, Framing, Message, Translate};
use jairouter_core::{Body, Error, InferenceRequest, Kind};
use jairouter_openai::answer::{LARGEST_ANSWER, cut_off};
use jairouter_openai::ask;
use jairouter_openai::completion::{Completion, Usage};
use jairouter_openai::fields::{Fields, is_empty};
use jairouter_openai::stops::Stops;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::in_stream;
use crate::request::{Form, form, refuse_the_unsayable, tells_top_p};

const UNSAYABLE: [(&str, &str); 2] = [
    ("suffix", "tgi does not fill in the middle"),
    ("logprobs", "tgi's own API has other logprobs: they cannot be told"),
];

/// TGI's own parameters, taken as extra fields, and those of OpenAI's that it has by the same name.
const PASSED: [&str; 10] = [
    "seed",
    "frequency_penalty",
    "repetition_penalty",
    "top_k",
    "typical_p",
    "truncate",
    "watermark",
    "best_of",
    "adapter_id",
    "grammar",
];

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let mut asked = Fields::of_request(request)?;
    refuse_the_unsayable(&asked)?;
    ask::refuse(&asked, &UNSAYABLE)?;
    ask::refuse_if_true(&asked, &[("echo", "tgi does not repeat the prompt")])?;
    let mut parameters = Fields::new();
    for name in ["max_tokens", "max_completion_tokens"] {
        if let Some(value) = asked.take(name).filter(|value| value.get() != "null") {
            parameters.put("max_new_tokens", value);
        }
    }
    // It refuses a temperature of zero, and has another word for it.
    let temperature = asked.field::<f64>("temperature", "a number")?;
    let is_greedy = temperature == Some(0.0);
    if let Some(value) =
        asked.take("temperature").filter(|value| value.get() != "null" && !is_greedy)
    {
        parameters.put("temperature", value);
    }
    parameters.set("do_sample", &!is_greedy);
    if tells_top_p(&asked)?
        && let Some(value) = asked.take("top_p")
    {
        parameters.put("top_p", value);
    }
    if let Some(stops) = ask::stops(&asked)? {
        parameters.set("stop", &stops);
    }
    match form(&asked)? {
        Form::Grammar(grammar) => parameters.set("grammar", &grammar),
        Form::Own(own) => parameters.set("grammar", &own),
        Form::Any => {}
    }
    for name in PASSED {
        if let Some(value) = asked.take(name).filter(|value| value.get() != "null") {
            parameters.put(name, value);
        }
    }
    // Without details it does not say why it ended, and without this it may repeat the prompt.
    parameters.set("details", &true);
    parameters.set("return_full_text", &false);
    let mut native = Fields::new();
    native.set("inputs", &ask::one_prompt(&asked, "tgi")?);
    native.set("parameters", &parameters);
    Ok(native.write())
}

pub(crate) fn decode(request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
    let completion = Completion::new(request);
    let stops = Fields::of_request(request).and_then(|asked| ask::stops(&asked));
    let stops = Stops::new(stops.ok().flatten().unwrap_or_default());
    let (parts, body) = answer.into_parts();
    let prompt_tokens = prompt_tokens(&parts.headers);
    let answer = Response::from_parts(parts, Body::empty());
    if request.stream {
        let stream = Stream { completion, stops, done: false };
        let body = translate::stream(body, Framing::Sse, stream);
        return translate::replace(answer, "text/event-stream", body);
    }
    let body = translate::whole(body, LARGEST_ANSWER, move |bytes| {
        let piece = Piece::read(&bytes)?;
        let (Some(text), Some(details)) = (&piece.generated_text, &piece.details) else {
            return Err(Error::new(Kind::Broken, "the instance's answer is not complete"));
        };
        let usage = Usage {
            prompt: details.input_length.unwrap_or(prompt_tokens),
            completion: details.generated_tokens,
        };
        Ok(completion.whole(stops.trimmed(text), details.reason(), usage))
    });
    translate::replace(answer, "application/json", body)
}

/// Told in a header, where an answer comes in one piece.
fn prompt_tokens(headers: &HeaderMap) -> u64 {
    let count = headers.get("x-prompt-tokens").and_then(|count| count.to_str().ok());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// An event of a stream, or an answer in one piece, which has no token.
#[derive(Deserialize)]
struct Piece {
    token: Option<Token>,
    generated_text: Option<String>,
    details: Option<Details>,
    error: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    text: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    finish_reason: String,
    #[serde(default)]
    generated_tokens: u64,
    input_length: Option<u64>,
}

impl Piece {
    fn read(data: &[u8]) -> Result<Self, Error> {
        let piece: Self = translate::parse(data)?;
        match piece.error.as_deref().is_some_and(|error| !is_empty(error)) {
            true => Err(in_stream(data)),
            false => Ok(piece),
        }
    }
}

impl Details {
    fn reason(&self) -> &'static str {
        if self.finish_reason == "length" { "length" } else { "stop" }
    }
}

struct Stream {
    completion: Completion,
    stops: Stops,
    done: bool,
}

impl Translate for Stream {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        if self.done || message.data.is_empty() {
            return Ok(());
        }
        let piece = Piece::read(message.data)?;
        if let Some(token) = piece.token.filter(|token| !token.special) {
            self.completion.piece(&self.stops.push(&token.text), out);
        }
        if let Some(details) = piece.details {
            self.done = true;
            self.completion.piece(&self.stops.finish(), out);
            let usage = Usage {
                prompt: details.input_length.unwrap_or(0),
                completion: details.generated_tokens,
            };
            self.completion.finish(details.reason(), usage, out);
        }
        Ok(())
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        if self.done { Ok(()) } else { Err(cut_off()) }
    }
}
