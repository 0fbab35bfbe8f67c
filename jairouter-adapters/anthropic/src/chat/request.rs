//! What is asked of `/v1/messages`.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, translate};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::conversation::{Conversation, System, Turn, conversation};
use crate::thinking::{Measure, Thinking};
use crate::tools::{Choice, Tool, choice, tools};
use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::Fields;

/// What would change the answer, and Anthropic has no word for.
const UNSAYABLE: [(&str, &str); 4] = [
    ("logit_bias", "anthropic has no logit_bias"),
    ("functions", "anthropic knows tools, not the older functions"),
    ("audio", "anthropic does not answer in sound"),
    ("web_search_options", "anthropic's chats do not search the web"),
];

#[derive(Serialize)]
struct Asking<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "System::is_empty")]
    system: System<'a>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking<'a>>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    output_config: OutputConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

impl OutputConfig<'_> {
    fn is_empty(&self) -> bool {
        self.effort.is_none() && self.format.is_none()
    }
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    schema: &'a RawValue,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: Cow<'a, str>,
}

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let fields = Fields::read(request)?;
    refuse_the_unsayable(&fields)?;
    check_the_harmless(&fields)?;
    let Conversation { system, turns } = conversation(&fields)?;
    let Measure { max_tokens, thinking, effort } = Measure::read(&fields, &request.model)?;
    let tools = tools(&fields)?;
    let asking = Asking {
        model: &request.model,
        max_tokens,
        system,
        messages: turns,
        temperature: temperature(&fields)?,
        top_p: fields.checked::<f64>("top_p", "a number")?,
        top_k: fields.checked::<i64>("top_k", "a whole number")?,
        stop_sequences: stops(&fields)?,
        tool_choice: choice(&fields, !tools.is_empty())?,
        tools,
        thinking,
        output_config: OutputConfig { effort, format: format(&fields)? },
        metadata: user(&fields)?,
        stream: request.stream,
    };
    let mut out = BytesMut::with_capacity(request.payload.len() + 128);
    translate::json(&mut out, &asking);
    Ok(out.freeze())
}

fn refuse_the_unsayable(fields: &Fields<'_>) -> Result<(), Error> {
    if fields.field::<u64>("n", "a whole number")?.is_some_and(|n| n != 1) {
        return Err(unsupported("n", "anthropic gives one choice: 'n' must be 1"));
    }
    for (name, message) in UNSAYABLE {
        if fields.says(name) {
            return Err(unsupported(name, message));
        }
    }
    if fields.field("logprobs", "true or false")? == Some(true) {
        return Err(unsupported("logprobs", "anthropic tells no log probabilities"));
    }
    if fields.field::<u64>("top_logprobs", "a whole number")?.is_some_and(|count| count > 0) {
        return Err(unsupported("top_logprobs", "anthropic tells no log probabilities"));
    }
    let modalities: Option<Vec<Cow<'_, str>>> = fields.field("modalities", "a list of texts")?;
    if modalities.is_some_and(|modalities| modalities.iter().any(|modality| modality != "text")) {
        return Err(unsupported("modalities", "anthropic answers in text"));
    }
    let verbosity: Option<Cow<'_, str>> = fields.field("verbosity", "low, medium or high")?;
    if verbosity.is_some_and(|verbosity| verbosity != "medium") {
        return Err(unsupported("verbosity", "anthropic has no verbosity but its own"));
    }
    Ok(())
}

/// Sampling that Anthropic does not have is left out, as its own compatible API does; nonsense in it
/// is nonsense all the same.
fn check_the_harmless(fields: &Fields<'_>) -> Result<(), Error> {
    fields.field::<i64>("seed", "a whole number")?;
    for name in ["frequency_penalty", "presence_penalty"] {
        fields.field::<f64>(name, "a number")?;
    }
    Ok(())
}

/// As it came, but no more than 1, which is Anthropic's most.
fn temperature<'a>(fields: &Fields<'a>) -> Result<Option<&'a RawValue>, Error> {
    const NAME: &str = "temperature";
    match fields.field::<f64>(NAME, "a number")? {
        Some(value) if value > 1.0 => Ok(serde_json::from_str("1.0").ok()),
        _ => Ok(fields.given(NAME)),
    }
}

/// A text is a list of one.
fn stops<'a>(fields: &Fields<'a>) -> Result<Vec<Cow<'a, str>>, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stop<'a> {
        One(#[serde(borrow)] Cow<'a, str>),
        List(#[serde(borrow)] Vec<Cow<'a, str>>),
    }
    Ok(match fields.field("stop", "a text or a list of texts")? {
        None => Vec::new(),
        Some(Stop::One(stop)) => vec![stop],
        Some(Stop::List(stops)) => stops,
    })
}

fn format<'a>(fields: &Fields<'a>) -> Result<Option<Format<'a>>, Error> {
    #[derive(Deserialize)]
    struct Asked<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow, default)]
        json_schema: Option<JsonSchema<'a>>,
    }
    #[derive(Deserialize)]
    struct JsonSchema<'a> {
        #[serde(borrow, default)]
        schema: Option<&'a RawValue>,
    }
    const NAME: &str = "response_format";
    const FORMS: &str = "of type text, json_object or json_schema";
    let Some(asked) = fields.field::<Asked<'_>>(NAME, FORMS)? else { return Ok(None) };
    match &*asked.r#type {
        "text" => Ok(None),
        "json_object" => {
            let message = "anthropic writes JSON by a schema: use the type json_schema";
            Err(unsupported(NAME, message))
        }
        "json_schema" => match asked.json_schema.and_then(|given| given.schema) {
            Some(schema) => Ok(Some(Format { r#type: "json_schema", schema })),
            None => Err(invalid(NAME, "'response_format' of type json_schema has no schema")),
        },
        _ => Err(invalid(NAME, format!("'{NAME}' must be {FORMS}"))),
    }
}

/// Who asks, by the newer name or the older.
fn user<'a>(fields: &Fields<'a>) -> Result<Option<Metadata<'a>>, Error> {
    let newer = fields.field("safety_identifier", "a text")?;
    let older = fields.field("user", "a text")?;
    Ok(newer.or(older).map(|user_id| Metadata { user_id }))
}
