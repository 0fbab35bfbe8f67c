//! The same inputs as tensors, for servers whose generate extension is off.
//!
//! A tensor has a type, which only the model's own configuration knows. So this is for the ensemble of
//! TensorRT-LLM, whose inputs are its project's; and for answers in one piece, since the protocol has no
//! stream over HTTP.

use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, Kind, translate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::request::unsupported;

/// The inputs of an ensemble, in the order of its configuration, and their types.
const INPUTS: [(&str, &str); 16] = [
    ("text_input", "BYTES"),
    ("max_tokens", "INT32"),
    ("bad_words", "BYTES"),
    ("stop_words", "BYTES"),
    ("exclude_input_in_output", "BOOL"),
    ("top_k", "INT32"),
    ("top_p", "FP32"),
    ("temperature", "FP32"),
    ("length_penalty", "FP32"),
    ("repetition_penalty", "FP32"),
    ("presence_penalty", "FP32"),
    ("frequency_penalty", "FP32"),
    ("min_tokens", "INT32"),
    ("seed", "UINT64"),
    ("guided_decoding_guide_type", "BYTES"),
    ("guided_decoding_guide", "BYTES"),
];

/// What generate is asked for beside its text, and this is not.
const LEFT_OUT: [&str; 3] = ["stream", "return_num_input_tokens", "return_num_output_tokens"];

#[derive(Serialize)]
struct Request<'a> {
    inputs: Vec<Tensor<'a>>,
    outputs: [Output; 1],
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    shape: [usize; 2],
    datatype: &'a str,
    data: Vec<&'a Value>,
}

#[derive(Serialize)]
struct Output {
    name: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    outputs: Vec<Answered>,
}

#[derive(Deserialize)]
struct Answered {
    name: String,
    data: Vec<Value>,
}

/// What generate would be asked, as tensors.
pub(crate) fn encode(generate: &[u8]) -> Result<Bytes, Error> {
    let fields: Map<String, Value> = translate::parse(generate)?;
    let is_known = |name: &str| INPUTS.iter().any(|(input, _)| *input == name);
    let mut others = fields.keys().filter(|name| !LEFT_OUT.contains(&name.as_str()));
    if let Some(name) = others.find(|name| !is_known(name)) {
        let message = format!("'{name}' is no input of an ensemble whose type is known");
        return Err(Error::new(Kind::Unsupported, message));
    }
    let tensor = |(name, datatype): &(&'static str, &'static str)| {
        let data: Vec<_> = match fields.get(*name)? {
            // None of these words.
            Value::String(text) if text.is_empty() && *name != "text_input" => return None,
            Value::Array(values) => values.iter().collect(),
            value => vec![value],
        };
        Some(Tensor { name, shape: [1, data.len()], datatype, data })
    };
    let inputs = INPUTS.iter().filter_map(tensor).collect();
    let mut out = BytesMut::with_capacity(generate.len() * 3);
    translate::json(&mut out, &Request { inputs, outputs: [Output { name: "text_output" }] });
    Ok(out.freeze())
}

/// A stream of tensors there is none of.
pub(crate) fn no_stream() -> Error {
    unsupported("stream", "triton's infer has no streams: its generate extension has")
}

/// The tensors of an answer as generate would have written them.
pub(crate) fn decode(answer: Bytes) -> Bytes {
    // An error is told in the same words.
    let Ok(Answer { outputs }) = translate::parse(&answer) else { return answer };
    let field = |Answered { name, mut data }: Answered| {
        let value = if data.len() == 1 { data.swap_remove(0) } else { Value::Array(data) };
        (name, value)
    };
    let fields: Map<String, Value> = outputs.into_iter().map(field).collect();
    let mut out = BytesMut::with_capacity(answer.len());
    translate::json(&mut out, &fields);
    out.freeze()
}
