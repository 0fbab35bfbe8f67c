//! Completions by `/generate`.

use bytes::{Bytes, BytesMut};
use http::Response;
use jairouter_core::translate::{self, Framing, Message, Translate};
use jairouter_core::{Body, Error, InferenceRequest, Kind, refusal};
use jairouter_openai::answer::{LARGEST_ANSWER, cut_off};
use jairouter_openai::ask::{self, Format};
use jairouter_openai::completion::{Completion, Usage};
use jairouter_openai::fields::{Fields, invalid, unsupported};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What goes into `sampling_params`, by OpenAI's names and by `SGLang`'s own.
const SAMPLING: [(&str, &str); 21] = [
    ("max_tokens", "max_new_tokens"),
    ("max_completion_tokens", "max_new_tokens"),
    ("min_tokens", "min_new_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("min_p", "min_p"),
    ("seed", "sampling_seed"),
    ("stop", "stop"),
    ("stop_token_ids", "stop_token_ids"),
    ("ignore_eos", "ignore_eos"),
    ("no_stop_trim", "no_stop_trim"),
    ("skip_special_tokens", "skip_special_tokens"),
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
    ("repetition_penalty", "repetition_penalty"),
    ("logit_bias", "logit_bias"),
    ("json_schema", "json_schema"),
    ("regex", "regex"),
    ("ebnf", "ebnf"),
    ("structural_tag", "structural_tag"),
];

/// What stays where it is.
const BESIDE: [&str; 4] = ["lora_path", "rid", "priority", "custom_logit_processor"];

const UNSAYABLE: [(&str, &str); 2] = [
    ("suffix", "sglang does not fill in the middle"),
    ("logprobs", "sglang's own API has other logprobs: they cannot be told"),
];

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let mut asked = Fields::of_request(request)?;
    for name in ["n", "best_of"] {
        ask::one_only(&asked, name, "sglang")?;
    }
    ask::refuse(&asked, &UNSAYABLE)?;
    ask::refuse_if_true(&asked, &[("echo", "sglang does not repeat the prompt")])?;
    // A number, too, where none is wanted.
    ask::stops(&asked)?;
    let format = ask::format(&asked)?;
    let mut native = Fields::new();
    match prompt(&asked)? {
        Prompt::Text(text) => native.set("text", &text),
        Prompt::Tokens(tokens) => native.set("input_ids", &tokens),
    }
    let mut sampling = Fields::new();
    for (name, own) in SAMPLING {
        if let Some(value) = asked.take(name).filter(|value| value.get() != "null") {
            sampling.put(own, value);
        }
    }
    match format {
        Some(Format::Schema(schema)) => sampling.set("json_schema", &schema.get()),
        Some(Format::Json) => sampling.set("json_schema", &r#"{"type":"object"}"#),
        None if asked.says("response_format") => {
            let message = "'response_format' must be of type text, json_object or json_schema";
            return Err(invalid("response_format", message));
        }
        _ => {}
    }
    native.set("sampling_params", &sampling);
    for name in BESIDE {
        if let Some(value) = asked.take(name).filter(|value| value.get() != "null") {
            native.put(name, value);
        }
    }
    if request.stream {
        native.set("stream", &true);
    }
    Ok(native.write())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Tokens(Vec<u64>),
}

/// One prompt, as a text or as tokens.
fn prompt(asked: &Fields<'_>) -> Result<Prompt, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(Prompt),
        List([Prompt; 1]),
    }
    match serde_json::from_str(asked.required("prompt")?.get()) {
        Ok(Given::One(prompt) | Given::List([prompt])) => Ok(prompt),
        Err(_) => Err(unsupported("prompt", "sglang takes one prompt here")),
    }
}

pub(crate) fn decode(request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
    let completion = Completion::new(request);
    let (parts, body) = answer.into_parts();
    let answer = Response::from_parts(parts, Body::empty());
    if request.stream {
        let stream = Stream { completion, told: String::new(), last: None, done: false };
        let body = translate::stream(body, Framing::Sse, stream);
        return translate::replace(answer, "text/event-stream", body);
    }
    let body = translate::whole(body, LARGEST_ANSWER, move |bytes| {
        let generated = Generated::read(&bytes)?;
        let (reason, usage) = generated.finish()?.ok_or_else(cut_off)?;
        Ok(completion.whole(&generated.text, reason, usage))
    });
    translate::replace(answer, "application/json", body)
}

#[derive(Deserialize)]
struct Generated {
    #[serde(default)]
    text: String,
    #[serde(default)]
    meta_info: Meta,
    #[serde(default)]
    error: Option<Box<RawValue>>,
}

#[derive(Deserialize, Default)]
struct Meta {
    finish_reason: Option<Finish>,
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct Finish {
    r#type: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    status_code: Option<u16>,
}

impl Generated {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let generated: Self = translate::parse(bytes)?;
        if generated.error.is_some() {
            return Err(refusal::in_stream(bytes));
        }
        Ok(generated)
    }

    /// Why it ended, if it has.
    fn finish(&self) -> Result<Option<(&'static str, Usage)>, Error> {
        let Meta { finish_reason, prompt_tokens, completion_tokens } = &self.meta_info;
        let Some(finish) = finish_reason else { return Ok(None) };
        let reason = match &*finish.r#type {
            "length" => "length",
            "abort" => return Err(aborted(finish)),
            _ => "stop",
        };
        Ok(Some((reason, Usage { prompt: *prompt_tokens, completion: *completion_tokens })))
    }
}

/// An answer that was given up, in the engine's words if it has any.
fn aborted(finish: &Finish) -> Error {
    let Some(message) = &finish.message else {
        return Error::new(Kind::Broken, "the instance gave up its answer");
    };
    let error = serde_json::json!({"error": {"message": message, "code": finish.status_code}});
    refusal::in_stream(error.to_string().as_bytes())
}

struct Stream {
    completion: Completion,
    /// All of the text that has been told: every event has it from its beginning.
    told: String,
    last: Option<(&'static str, Usage)>,
    done: bool,
}

impl Translate for Stream {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        let data = message.data.trim_ascii();
        if self.done || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            let (reason, usage) = self.last.ok_or_else(cut_off)?;
            self.done = true;
            self.completion.finish(reason, usage, out);
            return Ok(());
        }
        let generated = Generated::read(data)?;
        match generated.text.strip_prefix(&*self.told) {
            Some(more) => {
                self.completion.piece(more, out);
                self.told.push_str(more);
            }
            // A stop text that was taken back at the end had better not been told.
            None if self.told.starts_with(&generated.text) => {}
            None => {
                let message = "the instance's text is not cumulative: its server is to be started \
                               without --incremental-streaming-output";
                return Err(Error::new(Kind::Broken, message));
            }
        }
        self.last = generated.finish()?.or(self.last);
        Ok(())
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        if self.done { Ok(()) } else { Err(cut_off()) }
    }
}
