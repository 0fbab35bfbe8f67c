//! Embeddings: `:batchEmbedContents`.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, Kind, translate};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::failure;
use crate::model::resource;
use crate::native::Counts;
use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::Fields;

#[derive(Serialize)]
struct Asking<'a> {
    requests: Vec<One<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
    /// Gemini's own: what the vectors are for.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Text<'a>; 1],
}

#[derive(Serialize)]
struct Text<'a> {
    text: Cow<'a, str>,
}

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let fields = Fields::read(request)?;
    let inputs = inputs(&fields)?;
    wants_base64(&fields)?;
    let (collection, id) = resource(&request.model);
    let model = format!("{collection}/{id}");
    let output_dimensionality = fields.field::<u32>("dimensions", "a whole number")?;
    let task_type = fields.checked::<Cow<'_, str>>("task_type", "a text")?;
    let title = fields.checked::<Cow<'_, str>>("title", "a text")?;
    let one = |text| {
        let content = Content { parts: [Text { text }] };
        One { model: &model, content, output_dimensionality, task_type, title }
    };
    let asking = Asking { requests: inputs.into_iter().map(one).collect() };
    let mut out = BytesMut::with_capacity(request.payload.len() * 2);
    translate::json(&mut out, &asking);
    Ok(out.freeze())
}

/// A text is a list of one.
fn inputs<'a>(fields: &Fields<'a>) -> Result<Vec<Cow<'a, str>>, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Input<'a> {
        One(#[serde(borrow)] Cow<'a, str>),
        List(#[serde(borrow)] Vec<Cow<'a, str>>),
    }
    let inputs = match serde_json::from_str(fields.required("input")?.get()) {
        Ok(Input::One(input)) if input.is_empty() => Vec::new(),
        Ok(Input::One(input)) => vec![input],
        Ok(Input::List(inputs)) => inputs,
        Err(_) => {
            let message = "gemini takes a text or a list of texts as 'input', not tokens";
            return Err(unsupported("input", message));
        }
    };
    if inputs.is_empty() { Err(invalid("input", "'input' must not be empty")) } else { Ok(inputs) }
}

fn wants_base64(fields: &Fields<'_>) -> Result<bool, Error> {
    const NAME: &str = "encoding_format";
    const FORMATS: &str = "float or base64";
    match fields.field::<Cow<'_, str>>(NAME, FORMATS)?.as_deref() {
        None | Some("float") => Ok(false),
        Some("base64") => Ok(true),
        Some(_) => Err(invalid(NAME, format!("'{NAME}' must be {FORMATS}"))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow, default)]
    embeddings: Option<Vec<Embedding<'a>>>,
    /// Of later versions; the API at large does not count.
    #[serde(default)]
    usage_metadata: Option<Counts>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Embedding<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
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
        return Err(failure::reported(bytes));
    }
    let Some(embeddings) = answer.embeddings else {
        return Err(Error::new(Kind::Broken, "the instance's answer holds no embeddings"));
    };
    let fields = Fields::read(request)?;
    // They have no numbers of their own: one that is missing would shift the others.
    if embeddings.len() != inputs(&fields)?.len() {
        return Err(Error::new(Kind::Broken, "the instance did not embed every input"));
    }
    let as_base64 = wants_base64(&fields)?;
    let mut data = Vec::with_capacity(embeddings.len());
    for (index, Embedding { values }) in embeddings.into_iter().enumerate() {
        let embedding =
            if as_base64 { Vector::Base64(base64_of(values)?) } else { Vector::Floats(values) };
        data.push(Item { object: "embedding", index, embedding });
    }
    let tokens = answer.usage_metadata.unwrap_or_default().prompt();
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    let list = List { object: "list", data, model: &request.model, usage };
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
