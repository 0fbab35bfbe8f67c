//! What chats and completions are asked alike.

use jairouter_core::Error;
use jairouter_openai::ask::{self, Format};
use jairouter_openai::fields::{Fields, invalid, unsupported};
use serde::Serialize;
use serde_json::value::RawValue;

/// What TGI has no word for, and ignores in silence or takes for something else.
const UNSAYABLE: [(&str, &str); 5] = [
    ("logit_bias", "tgi has no logit_bias"),
    ("reasoning_effort", "tgi does not take reasoning_effort"),
    ("functions", "tgi knows tools, not the older functions"),
    ("audio", "tgi does not answer in sound"),
    ("web_search_options", "tgi does not search the web"),
];

pub(crate) fn refuse_the_unsayable(asked: &Fields<'_>) -> Result<(), Error> {
    ask::one_only(asked, "n", "tgi")?;
    ask::refuse(asked, &UNSAYABLE)?;
    // It would become a repetition penalty, of two more.
    let presence = asked.field::<f64>("presence_penalty", "a number")?;
    if presence.is_some_and(|penalty| penalty != 0.0) {
        return Err(unsupported("presence_penalty", "tgi has no presence_penalty"));
    }
    Ok(())
}

/// Whether the nucleus is to be told: TGI refuses to hear that it is everything.
pub(crate) fn tells_top_p(asked: &Fields<'_>) -> Result<bool, Error> {
    let top_p = asked.field::<f64>("top_p", "a number")?;
    Ok(top_p.is_some_and(|top_p| top_p.total_cmp(&1.0).is_ne()))
}

/// The form that an answer is to have.
pub(crate) enum Form {
    /// Any.
    Any,
    /// That of a schema.
    Grammar(Grammar),
    /// One in TGI's own words.
    Own(Box<RawValue>),
}

/// A schema, in TGI's words.
#[derive(Serialize)]
pub(crate) struct Grammar {
    r#type: &'static str,
    value: Box<RawValue>,
}

/// What `response_format` asks for, in OpenAI's words or in TGI's: `{"type","value"}`.
pub(crate) fn form(asked: &Fields<'_>) -> Result<Form, Error> {
    const NAME: &str = "response_format";
    let format = ask::format(asked)?;
    match (format, asked.given(NAME)) {
        (Some(Format::Schema(value)), _) => Ok(Form::Grammar(Grammar { r#type: "json", value })),
        (Some(Format::Json), _) => {
            let message = "tgi writes JSON by a schema alone: use the type json_schema";
            Err(unsupported(NAME, message))
        }
        (Some(_), _) | (None, None) => Ok(Form::Any),
        (None, Some(own)) if Fields::of(own).is_some_and(|own| own.given("value").is_some()) => {
            Ok(Form::Own(own.to_owned()))
        }
        (None, Some(_)) => {
            Err(invalid(NAME, "'response_format' must be of type text or json_schema"))
        }
    }
}
