//! Embeddings by vLLM's backend, which takes one input a request.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, Kind, translate};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::reply::Reply;
use crate::request::{Fields, Text, invalid, unsupported};

#[derive(Serialize)]
struct Asking {
    /// JSON in a text.
    embedding_request: String,
    return_num_input_tokens: bool,
}

#[derive(Serialize)]
struct Embedding<'a> {
    input: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pooling_params: Option<Pooling>,
}

#[derive(Serialize)]
struct Pooling {
    dimensions: [u32; 1],
}

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let fields = Fields::read(request)?;
    let input = one(fields.required("input")?)?;
    let format = fields.field("encoding_format", "float or base64")?;
    if !format.is_none_or(|Text(format)| matches!(&*format, "float" | "base64")) {
        return Err(invalid("encoding_format", "'encoding_format' must be float or base64"));
    }
    let dimensions = fields.field::<u32>("dimensions", "a whole number")?;
    let pooling_params = dimensions.map(|dimensions| Pooling { dimensions: [dimensions] });
    let embedding = serde_json::to_string(&Embedding { input, pooling_params });
    let embedding_request = embedding.map_err(|error| {
        Error::new(Kind::Internal, "the request could not be written").with_source(error)
    })?;
    let mut out = BytesMut::with_capacity(request.payload.len() + 64);
    translate::json(&mut out, &Asking { embedding_request, return_num_input_tokens: true });
    Ok(out.freeze())
}

/// The one text, or the tokens of one.
fn one(input: &RawValue) -> Result<&RawValue, Error> {
    let is_text = |input: &RawValue| input.get().starts_with('"');
    let is_tokens = |input: &RawValue| {
        serde_json::from_str::<Vec<u32>>(input.get()).is_ok_and(|tokens| !tokens.is_empty())
    };
    let one = if is_text(input) || is_tokens(input) {
        input
    } else {
        let wrong =
            |_| invalid("input", "'input' must be a text, tokens, or a list of one of them");
        match serde_json::from_str::<Vec<&RawValue>>(input.get()).map_err(wrong)?[..] {
            [] => return Err(invalid("input", "'input' must not be empty")),
            [one] if is_text(one) || is_tokens(one) => one,
            [_] => {
                let message = "'input' must be a text, tokens, or a list of one of them";
                return Err(invalid("input", message));
            }
            _ => {
                let message = "triton embeds one input a request: 'input' must hold one";
                return Err(unsupported("input", message));
            }
        }
    };
    match one.get() {
        r#""""# => Err(invalid("input", "'input' must not be empty")),
        _ => Ok(one),
    }
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: [Item<'a>; 1],
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
    let reply = Reply::read(bytes)?;
    let texts = reply.texts()?;
    let [vector] = &texts[..] else {
        return Err(Error::new(Kind::Broken, "the instance's answer holds no embedding"));
    };
    let numbers: Vec<f32> = translate::parse(vector.as_bytes())?;
    let embedding = if wants_base64(request) {
        // 32-bit floats, lowest byte first: what `OpenAI`'s own clients ask for.
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Vector::Base64(BASE64_STANDARD.encode(bytes))
    } else {
        Vector::Floats(translate::parse(vector.as_bytes())?)
    };
    let tokens = reply.input_tokens().unwrap_or(0);
    let list = List {
        object: "list",
        data: [Item { object: "embedding", index: 0, embedding }],
        model: &request.model,
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    };
    let mut out = BytesMut::with_capacity(bytes.len() + 256);
    translate::json(&mut out, &list);
    Ok(out.freeze())
}

fn wants_base64(request: &InferenceRequest) -> bool {
    let format = Fields::read(request).and_then(|fields| fields.field("encoding_format", "a text"));
    format.is_ok_and(|format| format.is_some_and(|Text(format)| format == "base64"))
}
