//! How the model is to think, and what form its answer has.

use std::borrow::Cow;

use jairouter_core::Error;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::request::raw;
use jairouter_openai::fields::invalid;
use jairouter_openai::read::Fields;

#[derive(Deserialize)]
struct Format<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    json_schema: Option<JsonSchema<'a>>,
}

#[derive(Deserialize)]
struct JsonSchema<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
}

/// `format`: by `response_format`, or else as Ollama itself takes it.
pub(crate) fn format<'a>(fields: &Fields<'a>) -> Result<Option<&'a RawValue>, Error> {
    const NAME: &str = "response_format";
    const FORMS: &str = "of type text, json_object or json_schema";
    let Some(format) = fields.field::<Format<'_>>(NAME, FORMS)? else {
        return Ok(fields.given("format"));
    };
    match &*format.r#type {
        "text" => Ok(None),
        "json_object" => Ok(raw(r#""json""#)),
        "json_schema" => match format.json_schema.and_then(|given| given.schema) {
            Some(schema) => Ok(Some(schema)),
            None => Err(invalid(NAME, "'response_format' of type json_schema has no schema")),
        },
        _ => Err(invalid(NAME, format!("'{NAME}' must be {FORMS}"))),
    }
}

/// `think`: by `reasoning_effort`, or else as Ollama itself takes it.
pub(crate) fn think<'a>(fields: &Fields<'a>) -> Result<Option<&'a RawValue>, Error> {
    const EFFORTS: &str = "none, minimal, low, medium, high, xhigh or max";
    let Some(effort) = fields.field::<Cow<'_, str>>("reasoning_effort", EFFORTS)? else {
        return Ok(fields.given("think"));
    };
    Ok(match &*effort {
        "none" => raw("false"),
        "minimal" | "low" => raw(r#""low""#),
        "medium" => raw(r#""medium""#),
        "high" => raw(r#""high""#),
        "max" | "xhigh" | "ultra" => raw(r#""max""#),
        _ => {
            return Err(invalid(
                "reasoning_effort",
                format!("'reasoning_effort' must be {EFFORTS}"),
            ));
        }
    })
}
