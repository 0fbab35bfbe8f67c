//! What is asked of `/api/generate`.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, translate};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::options::{Options, options};
use crate::request::{Passed, alternatives, one_only, pass, raw};
use crate::shape::{format, think};
use jairouter_openai::fields::unsupported;
use jairouter_openai::read::Fields;

#[derive(Serialize)]
struct Asking<'a> {
    model: &'a str,
    prompt: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<Cow<'a, str>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<&'a RawValue>,
    #[serde(flatten)]
    passed: Passed<'a>,
    options: Options<'a>,
}

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let fields = Fields::read(request)?;
    one_only(&fields, "n")?;
    one_only(&fields, "best_of")?;
    if fields.field("echo", "true or false")? == Some(true) {
        return Err(unsupported("echo", "ollama does not repeat the prompt"));
    }
    if fields.says("logit_bias") {
        return Err(unsupported("logit_bias", "ollama has no logit_bias"));
    }
    let mut passed = pass(&fields, &["keep_alive", "truncate", "shift"]);
    // One number here, two fields there.
    alternatives(&fields, "logprobs")?;
    if let Some(alternatives) = fields.given("logprobs") {
        passed.extend(raw("true").map(|wanted| ("logprobs", wanted)));
        passed.insert("top_logprobs", alternatives);
    }
    let asking = Asking {
        model: &request.model,
        prompt: prompt(&fields)?,
        suffix: fields.field("suffix", "a text")?,
        stream: request.stream,
        format: format(&fields)?,
        think: think(&fields)?,
        passed,
        options: options(&fields)?,
    };
    let mut out = BytesMut::with_capacity(request.payload.len() + 128);
    translate::json(&mut out, &asking);
    Ok(out.freeze())
}

/// A text, or a list of one.
fn prompt<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Prompt<'a> {
        One(#[serde(borrow)] Cow<'a, str>),
        List(#[serde(borrow)] [Cow<'a, str>; 1]),
    }
    let given = fields.required("prompt")?;
    match serde_json::from_str(given.get()) {
        Ok(Prompt::One(prompt) | Prompt::List([prompt])) if prompt.is_empty() => {
            let message = "an empty 'prompt' is ollama's order to load or unload the model";
            Err(unsupported("prompt", message))
        }
        Ok(Prompt::One(prompt) | Prompt::List([prompt])) => Ok(prompt),
        Err(_) => Err(unsupported("prompt", "ollama takes one prompt, and as a text")),
    }
}
