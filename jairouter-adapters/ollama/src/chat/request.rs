//! What is asked of `/api/chat`.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, translate};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::message::{Native, messages};
use crate::options::{Options, options};
use crate::request::{Passed, alternatives, one_only, pass};
use crate::shape::{format, think};
use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::Fields;

/// What would change the answer, and Ollama has no word for.
const UNSAYABLE: [(&str, &str); 4] = [
    ("logit_bias", "ollama has no logit_bias"),
    ("functions", "ollama knows tools, not the older functions"),
    ("audio", "ollama does not answer in sound"),
    ("web_search_options", "ollama does not search the web"),
];

#[derive(Serialize)]
struct Asking<'a> {
    model: &'a str,
    messages: Vec<Native<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a RawValue>,
    // Its default is true: it must be said.
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
    refuse_the_unsayable(&fields)?;
    fields.field::<bool>("logprobs", "true or false")?;
    alternatives(&fields, "top_logprobs")?;
    let asking = Asking {
        model: &request.model,
        messages: messages(&fields)?,
        tools: tools(&fields)?,
        stream: request.stream,
        format: format(&fields)?,
        think: think(&fields)?,
        passed: pass(&fields, &["keep_alive", "logprobs", "top_logprobs", "truncate", "shift"]),
        options: options(&fields)?,
    };
    let mut out = BytesMut::with_capacity(request.payload.len() + 128);
    translate::json(&mut out, &asking);
    Ok(out.freeze())
}

fn refuse_the_unsayable(fields: &Fields<'_>) -> Result<(), Error> {
    one_only(fields, "n")?;
    for (name, message) in UNSAYABLE {
        if fields.says(name) {
            return Err(unsupported(name, message));
        }
    }
    let modalities: Option<Vec<Cow<'_, str>>> = fields.field("modalities", "a list of texts")?;
    if modalities.is_some_and(|modalities| modalities.iter().any(|modality| modality != "text")) {
        return Err(unsupported("modalities", "ollama answers in text"));
    }
    let parallel = fields.field("parallel_tool_calls", "true or false")?;
    if parallel == Some(false) && fields.says("tools") {
        let message = "ollama cannot keep a model from calling several tools at once";
        return Err(unsupported("parallel_tool_calls", message));
    }
    Ok(())
}

/// The tools, unless none may be called.
fn tools<'a>(fields: &Fields<'a>) -> Result<Option<&'a RawValue>, Error> {
    let tools = fields.given("tools");
    if tools.is_some_and(|tools| !tools.get().starts_with('[')) {
        return Err(invalid("tools", "'tools' must be a list of tools"));
    }
    match fields.given("tool_choice").map(RawValue::get) {
        None | Some(r#""auto""#) => Ok(tools.filter(|_| fields.says("tools"))),
        Some(r#""none""#) => Ok(None),
        Some(_) => {
            let message = "ollama cannot force a tool: 'tool_choice' must be auto or none";
            Err(unsupported("tool_choice", message))
        }
    }
}
