//! What most engines with words of their own are asked alike.

use jairouter_core::{Error, InferenceRequest};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fields::{Fields, invalid, unsupported};

/// Whether a stream's caller asked for its usage.
pub fn wants_usage(request: &InferenceRequest) -> bool {
    #[derive(Deserialize)]
    struct Asked {
        stream_options: Option<StreamOptions>,
    }
    #[derive(Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }
    let asked = serde_json::from_slice::<Asked>(&request.payload).ok();
    let options = asked.and_then(|asked| asked.stream_options);
    options.and_then(|options| options.include_usage).unwrap_or(false)
}

/// Refuses a number of answers other than one.
///
/// # Errors
///
/// [`Kind::Unsupported`](jairouter_core::Kind::Unsupported) for more,
/// [`Kind::Invalid`](jairouter_core::Kind::Invalid) for what is no number.
pub fn one_only(fields: &Fields<'_>, name: &'static str, engine: &str) -> Result<(), Error> {
    match fields.field::<u64>(name, "a whole number")? {
        None | Some(1) => Ok(()),
        Some(_) => Err(unsupported(name, format!("{engine} gives one choice: '{name}' must be 1"))),
    }
}

/// Refuses each of these parameters that says something.
///
/// # Errors
///
/// [`Kind::Unsupported`](jairouter_core::Kind::Unsupported), with the message that stands beside it.
pub fn refuse(
    fields: &Fields<'_>,
    unsayable: &[(&'static str, &'static str)],
) -> Result<(), Error> {
    match unsayable.iter().find(|(name, _)| fields.says(name)) {
        Some((name, message)) => Err(unsupported(name, *message)),
        None => Ok(()),
    }
}

/// Refuses each of these switches that is on.
///
/// # Errors
///
/// [`Kind::Unsupported`](jairouter_core::Kind::Unsupported), with the message that stands beside it.
pub fn refuse_if_true(
    fields: &Fields<'_>,
    unsayable: &[(&'static str, &'static str)],
) -> Result<(), Error> {
    for (name, message) in unsayable {
        if fields.field(name, "true or false")? == Some(true) {
            return Err(unsupported(name, *message));
        }
    }
    Ok(())
}

/// The texts an answer stops at: one is a list of one.
///
/// # Errors
///
/// [`Kind::Invalid`](jairouter_core::Kind::Invalid) for anything else.
pub fn stops(fields: &Fields<'_>) -> Result<Option<Vec<String>>, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stop {
        One(String),
        List(Vec<String>),
    }
    Ok(fields.field("stop", "a text or a list of texts")?.map(|stop| match stop {
        Stop::One(stop) => vec![stop],
        Stop::List(stops) => stops,
    }))
}

/// The one prompt of a completion: a text, or a list of one.
///
/// # Errors
///
/// [`Kind::Unsupported`](jairouter_core::Kind::Unsupported) for several, or for tokens.
pub fn one_prompt(fields: &Fields<'_>, engine: &str) -> Result<String, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Prompt {
        One(String),
        List([String; 1]),
    }
    match serde_json::from_str(fields.required("prompt")?.get()) {
        Ok(Prompt::One(prompt) | Prompt::List([prompt])) => Ok(prompt),
        Err(_) => {
            Err(unsupported("prompt", format!("{engine} takes one prompt here, and as a text")))
        }
    }
}

/// What form an answer is to have.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Format {
    /// Any.
    Text,
    /// Any JSON.
    Json,
    /// JSON of this schema.
    Schema(Box<RawValue>),
}

/// What `response_format` says, in either of its wrappings; `None` if it is not given, or of a type
/// that is the engine's own.
///
/// # Errors
///
/// [`Kind::Invalid`](jairouter_core::Kind::Invalid) if it has no type, or no schema that it needs.
pub fn format(fields: &Fields<'_>) -> Result<Option<Format>, Error> {
    #[derive(Deserialize)]
    struct Given {
        r#type: String,
        json_schema: Option<Wrapped>,
        schema: Option<Box<RawValue>>,
        value: Option<Box<RawValue>>,
    }
    #[derive(Deserialize)]
    struct Wrapped {
        schema: Option<Box<RawValue>>,
    }
    const NAME: &str = "response_format";
    let must_be = "of type text, json_object or json_schema";
    let Some(given) = fields.field::<Given>(NAME, must_be)? else { return Ok(None) };
    if given.value.is_some() {
        return Ok(None);
    }
    let schema = given.json_schema.and_then(|given| given.schema).or(given.schema);
    match (&*given.r#type, schema) {
        ("text", _) => Ok(Some(Format::Text)),
        ("json_object", None) => Ok(Some(Format::Json)),
        ("json_schema" | "json_object", Some(schema)) => Ok(Some(Format::Schema(schema))),
        ("json_schema", None) => {
            Err(invalid(NAME, "'response_format' of type json_schema has no schema"))
        }
        _ => Ok(None),
    }
}
