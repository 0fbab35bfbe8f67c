//! Embeddings: `/api/embed`.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, Kind, refusal, translate};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::request::{Passed, pass};
use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::Fields;

#[derive(Serialize)]
struct Asking<'a> {
    model: &'a str,
    #[serde(flatten)]
    passed: Passed<'a>,
}

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let fields = Fields::read(request)?;
    check(fields.required("input")?)?;
    let format = fields.field::<Cow<'_, str>>("encoding_format", "float or base64")?;
    if !matches!(format.as_deref(), None | Some("float" | "base64")) {
        return Err(invalid("encoding_format", "'encoding_format' must be float or base64"));
    }
    fields.field::<u32>("dimensions", "a whole number")?;
    let passed = pass(&fields, &["input", "dimensions", "truncate", "keep_alive", "options"]);
    let mut out = BytesMut::with_capacity(request.payload.len());
    translate::json(&mut out, &Asking { model: &request.model, passed });
    Ok(out.freeze())
}

/// Ollama embeds a text or a list of texts, and answers an empty one with nothing.
fn check(input: &RawValue) -> Result<(), Error> {
    let empty = if input.get().starts_with('"') {
        input.get() == r#""""#
    } else if let Ok(texts) = serde_json::from_str::<Vec<Cow<'_, str>>>(input.get()) {
        texts.is_empty()
    } else {
        let message = "ollama takes a text or a list of texts as 'input', not tokens";
        return Err(unsupported("input", message));
    };
    if empty { Err(invalid("input", "'input' must not be empty")) } else { Ok(()) }
}

fn wants_base64(request: &InferenceRequest) -> bool {
    let fields = Fields::read(request).ok();
    let format = fields.and_then(|fields| fields.given("encoding_format"));
    format.is_some_and(|format| {
        serde_json::from_str::<Cow<'_, str>>(format.get()).is_ok_and(|format| format == "base64")
    })
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    embeddings: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    prompt_eval_count: u64,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: Vector<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    /// As it came, to the last digit.
    Floats(&'a RawValue),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

pub(crate) fn decode(request: &InferenceRequest, bytes: &[u8]) -> Result<Bytes, Error> {
    let answer: Answer<'_> = translate::parse(bytes)?;
    if answer.error.is_some() {
        return Err(refusal::in_stream(bytes));
    }
    let Some(vectors) = answer.embeddings else {
        return Err(Error::new(Kind::Broken, "the instance's answer holds no embeddings"));
    };
    let as_base64 = wants_base64(request);
    let mut data = Vec::with_capacity(vectors.len());
    for (index, vector) in vectors.into_iter().enumerate() {
        let embedding =
            if as_base64 { Vector::Base64(base64_of(vector)?) } else { Vector::Floats(vector) };
        data.push(Item { object: "embedding", index, embedding });
    }
    let tokens = answer.prompt_eval_count;
    let list = List {
        object: "list",
        data,
        model: if answer.model.is_empty() { &request.model } else { &answer.model },
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    };
    let mut out = BytesMut::with_capacity(bytes.len() + 256);
    translate::json(&mut out, &list);
    Ok(out.freeze())
}

/// The numbers as 32-bit floats, lowest byte first: what `OpenAI`'s own clients ask for.
fn base64_of(vector: &RawValue) -> Result<String, Error> {
    let numbers: Vec<f32> = translate::parse(vector.get().as_bytes())?;
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Ok(BASE64_STANDARD.encode(bytes))
}
