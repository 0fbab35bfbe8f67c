//! What form an answer has.

use std::borrow::Cow;

use jairouter_core::Error;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::request::{Fields, invalid};

#[derive(Deserialize)]
struct Given<'a> {
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

/// A form other than plain text.
pub(crate) enum Format {
    /// Any JSON.
    Json,
    /// JSON by this schema.
    Schema(String),
}

/// The form that `response_format` asks for.
pub(crate) fn format(fields: &Fields<'_>) -> Result<Option<Format>, Error> {
    const NAME: &str = "response_format";
    const FORMS: &str = "of type text, json_object or json_schema";
    let Some(given) = fields.field::<Given<'_>>(NAME, FORMS)? else { return Ok(None) };
    match &*given.r#type {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Json)),
        "json_schema" => match given.json_schema.and_then(|given| given.schema) {
            Some(schema) => Ok(Some(Format::Schema(compact(schema)))),
            None => Err(invalid(NAME, "'response_format' of type json_schema has no schema")),
        },
        _ => Err(invalid(NAME, format!("'{NAME}' must be {FORMS}"))),
    }
}

/// JSON without the white space between its parts, which stay in their order: some engines write the
/// fields of an answer in that of the schema.
fn compact(json: &RawValue) -> String {
    let mut out = String::with_capacity(json.get().len());
    let (mut in_text, mut escaped) = (false, false);
    for c in json.get().chars() {
        if in_text {
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c == '"' {
            in_text = true;
        } else if c.is_ascii_whitespace() {
            continue;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_between_the_parts_is_left_out() {
        let json = "{ \"b\" : [ 1.50,\n\t\" a \\\" b\\\\\" ], \"a b\": null }";
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        assert_eq!(compact(raw), r#"{"b":[1.50," a \" b\\"],"a b":null}"#);
    }
}
