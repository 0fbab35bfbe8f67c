//! What is asked of `:generateContent`. The model, and whether it is to be streamed, are in the URL.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, translate};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::config::{self, config};
use crate::conversation::{Content, Conversation};
use crate::model::is_of_gemini_3;
use crate::tools::{self, Tool, choice, tools};
use jairouter_openai::fields::unsupported;
use jairouter_openai::read::Fields;

/// What would change the answer, and Gemini has no word for.
const UNSAYABLE: [(&str, &str); 4] = [
    ("logit_bias", "gemini has no logit_bias"),
    ("functions", "gemini knows tools, not the older functions"),
    ("audio", "gemini's chats do not answer in sound"),
    ("web_search_options", "gemini's chats do not search the web"),
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asking<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<tools::Config<'a>>,
    #[serde(skip_serializing_if = "config::Config::is_empty")]
    generation_config: config::Config<'a>,
    /// Gemini's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_settings: Option<&'a RawValue>,
    /// Gemini's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content: Option<&'a RawValue>,
}

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let fields = Fields::read(request)?;
    refuse_the_unsayable(&fields)?;
    let conversation = Conversation::read(&fields, is_of_gemini_3(&request.model))?;
    let tools = tools(&fields)?;
    let asking = Asking {
        system_instruction: conversation.system,
        contents: conversation.contents,
        tool_config: choice(&fields, !tools.is_empty())?,
        tools,
        generation_config: config(&fields, &request.model)?,
        safety_settings: fields.given("safety_settings"),
        cached_content: fields.given("cached_content"),
    };
    let mut out = BytesMut::with_capacity(request.payload.len() + 128);
    translate::json(&mut out, &asking);
    Ok(out.freeze())
}

fn refuse_the_unsayable(fields: &Fields<'_>) -> Result<(), Error> {
    for (name, message) in UNSAYABLE {
        if fields.says(name) {
            return Err(unsupported(name, message));
        }
    }
    let modalities: Option<Vec<Cow<'_, str>>> = fields.field("modalities", "a list of texts")?;
    if modalities.is_some_and(|modalities| modalities.iter().any(|modality| modality != "text")) {
        return Err(unsupported("modalities", "gemini's chats answer in text"));
    }
    let verbosity: Option<Cow<'_, str>> = fields.field("verbosity", "low, medium or high")?;
    if verbosity.is_some_and(|verbosity| verbosity != "medium") {
        return Err(unsupported("verbosity", "gemini has no verbosity but its own"));
    }
    Ok(())
}
