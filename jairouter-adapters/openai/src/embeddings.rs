//! Embeddings of engines that do not know `encoding_format`, or do not count.
//!
//! `OpenAI`'s own clients ask for base64 unless they are told otherwise: 32-bit floats, lowest byte
//! first.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use http::Response;
use jairouter_core::translate::{self, Needle};
use jairouter_core::{Body, Error, InferenceRequest, Kind, refusal};
use serde_json::value::RawValue;

use crate::answer;
use crate::fields::{Fields, is_empty};

/// Embeddings in the form that was asked for, with a usage, if it is one of zeros. What is right
/// already keeps its bytes.
pub fn decode(request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
    let format = Fields::of_request(request).ok().and_then(|fields| fields.text("encoding_format"));
    let as_base64 = format.as_deref() == Some("base64");
    answer::whole(answer, move |bytes| rewrite(as_base64, bytes))
}

static USAGE: Needle = Needle::new(b"\"usage\"");
static EMBEDDING: Needle = Needle::new(b"\"embedding\"");

fn rewrite(as_base64: bool, bytes: Bytes) -> Result<Bytes, Error> {
    if USAGE.is_in(&bytes) && !has_other(as_base64, &bytes) {
        return Ok(bytes);
    }
    let mut answer: Fields<'_> = translate::parse(&bytes)?;
    if answer.given("error").is_some_and(|error| !is_empty(error)) {
        return Err(refusal::in_stream(&bytes));
    }
    if answer.given("data").is_none() {
        return Err(Error::new(Kind::Broken, "the instance's answer holds no embeddings"));
    }
    let mut changed = answer.within_each("data", |_, item| {
        let Some(vector) = item.given("embedding") else { return Ok(false) };
        let vector = vector.get().as_bytes();
        if as_base64 && vector.starts_with(b"[") {
            let encoded = base64_of(vector)?;
            item.set("embedding", &encoded);
        } else if !as_base64 && vector.starts_with(b"\"") {
            let numbers = floats_of(vector)?;
            item.set("embedding", &numbers);
        } else {
            return Ok(false);
        }
        Ok(true)
    })?;
    if answer.given("usage").is_none() {
        let zeros = RawValue::from_string(r#"{"prompt_tokens":0,"total_tokens":0}"#.into());
        if let Ok(zeros) = zeros {
            answer.put("usage", std::borrow::Cow::Owned(zeros));
            changed = true;
        }
    }
    Ok(if changed { answer.write() } else { bytes })
}

/// Whether any embedding is of the other form, found without parsing.
fn has_other(as_base64: bool, mut bytes: &[u8]) -> bool {
    let other: &[u8] = if as_base64 { b"[" } else { b"\"" };
    while let Some(at) = EMBEDDING.find(bytes) {
        bytes = &bytes[at + EMBEDDING.length()..];
        let value = bytes.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
        if value.trim_ascii_start().starts_with(other) {
            return true;
        }
    }
    false
}

fn base64_of(vector: &[u8]) -> Result<String, Error> {
    let numbers: Vec<f32> = translate::parse(vector)?;
    let mut bytes = BytesMut::with_capacity(numbers.len() * 4);
    for number in numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Ok(BASE64_STANDARD.encode(bytes))
}

fn floats_of(vector: &[u8]) -> Result<Vec<f32>, Error> {
    let text: String = translate::parse(vector)?;
    let wrong = || Error::new(Kind::Broken, "the instance's embedding is no base64 of floats");
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| wrong().with_source(error))?;
    let (floats, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    Ok(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(as_base64: bool, answer: &'static str) -> Result<Value, Error> {
        let bytes = rewrite(as_base64, Bytes::from_static(answer.as_bytes()))?;
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn each_form_becomes_the_one_that_was_asked_for() {
        let floats = r#"{"data":[{"index":0,"embedding":[0.25,-0.5]}],"usage":{}}"#;
        let base64 = r#"{"data":[{"index":0,"embedding":"AACAPgAAAL8="}],"usage":{}}"#;
        for said in [floats, base64] {
            let one = told(false, said).unwrap();
            assert_eq!(one["data"][0]["embedding"], json!([0.25, -0.5]), "{said}");
            let other = told(true, said).unwrap();
            assert_eq!(other["data"][0]["embedding"], "AACAPgAAAL8=", "{said}");
        }
    }

    #[test]
    fn a_usage_that_is_missing_is_zero_and_what_is_right_keeps_its_bytes() {
        let counted = told(false, r#"{"data":[{"embedding":[1]}]}"#).unwrap();
        assert_eq!(counted["usage"], json!({"prompt_tokens": 0, "total_tokens": 0}));
        let right = Bytes::from_static(br#"{ "data":[{"embedding":[1.0]}], "usage":{"n":2} }"#);
        assert_eq!(rewrite(false, right.clone()).unwrap().as_ptr(), right.as_ptr());
        // Sparse vectors have no form that could be another.
        let sparse = r#"{"data":[{"embedding":{"1":0.5}}],"usage":{}}"#;
        assert_eq!(told(true, sparse).unwrap()["data"][0]["embedding"], json!({"1": 0.5}));
    }

    #[test]
    fn what_is_no_embedding_is_an_error() {
        for wrong in
            ["", "{}", "[]", r#"{"data":[{"embedding":["a"]}],"usage":{}}"#, r#"{"error":"no"}"#]
        {
            assert!(told(true, wrong).is_err(), "{wrong}");
        }
        for wrong in [r#""AAA=""#, r#""%""#] {
            let answer = format!(r#"{{"data":[{{"embedding":{wrong}}}]}}"#);
            assert!(rewrite(false, answer.into()).is_err(), "{wrong}");
        }
    }
}
