//! Embeddings: `/api/embed`.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, refusal, translate};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::options::{Extra, given};
use crate::{invalid, parse, unsupported};

#[derive(Serialize)]
struct Asking<'a> {
    model: &'a str,
    #[serde(flatten)]
    passed: Extra<'a>,
}

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let extra: Extra<'_> = parse(request)?;
    let input = given(&extra, "input")
        .ok_or_else(|| invalid("input", "you must provide an 'input' parameter"))?;
    if !is_text(input) {
        let message = "ollama takes a text or a list of texts as 'input', not tokens";
        return Err(unsupported("input", message));
    }
    if let Some(format) = given(&extra, "encoding_format")
        && !matches!(format.get(), r#""float""# | r#""base64""#)
    {
        return Err(invalid("encoding_format", "'encoding_format' must be float or base64"));
    }
    let passed = ["input", "dimensions", "truncate", "keep_alive", "options"];
    let passed = passed.into_iter().filter_map(|name| Some((name.into(), given(&extra, name)?)));
    let mut out = BytesMut::with_capacity(request.payload.len());
    translate::json(&mut out, &Asking { model: &request.model, passed: passed.collect() });
    Ok(out.freeze())
}

fn is_text(input: &RawValue) -> bool {
    input.get().starts_with('"')
        || serde_json::from_str::<Vec<Cow<'_, str>>>(input.get()).is_ok_and(|list| !list.is_empty())
}

pub(crate) fn wants_base64(request: &InferenceRequest) -> bool {
    let extra = parse::<Extra<'_>>(request).unwrap_or_default();
    given(&extra, "encoding_format").is_some_and(|format| format.get() == r#""base64""#)
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(borrow, default)]
    embeddings: Vec<&'a RawValue>,
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

pub(crate) fn decode(bytes: &[u8], as_base64: bool) -> Result<Bytes, Error> {
    let answer: Answer<'_> = translate::parse(bytes)?;
    if answer.error.is_some_and(|error| error.get() != "null") {
        return Err(refusal::in_stream(bytes));
    }
    let mut data = Vec::with_capacity(answer.embeddings.len());
    for (index, vector) in answer.embeddings.into_iter().enumerate() {
        let embedding = match as_base64 {
            true => Vector::Base64(base64_of(vector)?),
            false => Vector::Floats(vector),
        };
        data.push(Item { object: "embedding", index, embedding });
    }
    let tokens = answer.prompt_eval_count;
    let list = List {
        object: "list",
        data,
        model: &answer.model,
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    };
    let mut out = BytesMut::with_capacity(bytes.len() + 256);
    translate::json(&mut out, &list);
    Ok(out.freeze())
}

/// The numbers as 32-bit floats, lowest byte first: what OpenAI's own clients ask for.
fn base64_of(vector: &RawValue) -> Result<String, Error> {
    let numbers: Vec<f32> = translate::parse(vector.get().as_bytes())?;
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Ok(BASE64_STANDARD.encode(bytes))
}
