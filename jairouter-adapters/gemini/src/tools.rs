//! The tools a model may call, and whether it must.

use std::borrow::Cow;

use jairouter_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::{Fields, place};

#[derive(Deserialize)]
struct Given<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    function: Option<GivenFunction<'a>>,
}

#[derive(Deserialize)]
struct GivenFunction<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

/// All tools are one to Gemini, with many functions.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tool<'a> {
    function_declarations: Vec<Function<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a RawValue>,
}

/// Whether a tool is to be called.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config<'a> {
    function_calling_config: Calling<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[Cow<'a, str>; 1]>,
}

/// The tools of this request: none, or one with all functions.
pub(crate) fn tools<'a>(fields: &Fields<'a>) -> Result<Vec<Tool<'a>>, Error> {
    let Some(given) = fields.given("tools") else { return Ok(Vec::new()) };
    let given: Vec<Given<'_>> = serde_json::from_str(given.get()).map_err(|error| {
        invalid("tools", format!("'tools' is not a list of tools {} of it", place(&error)))
    })?;
    let functions = given.into_iter().map(function).collect::<Result<Vec<_>, _>>()?;
    let has_some = !functions.is_empty();
    Ok(has_some.then_some(Tool { function_declarations: functions }).into_iter().collect())
}

fn function(given: Given<'_>) -> Result<Function<'_>, Error> {
    if given.r#type != "function" {
        return Err(unsupported("tools", "gemini is given tools of type function"));
    }
    let GivenFunction { name, description, parameters } =
        given.function.ok_or_else(|| invalid("tools", "a tool has no function"))?;
    Ok(Function { name, description, parameters_json_schema: parameters })
}

/// Which of the tools is to be called, where that is said.
pub(crate) fn choice<'a>(
    fields: &Fields<'a>,
    has_tools: bool,
) -> Result<Option<Config<'a>>, Error> {
    let parallel = fields.field::<bool>("parallel_tool_calls", "true or false")?;
    if parallel == Some(false) && has_tools {
        let message = "gemini cannot keep a model from calling several tools at once";
        return Err(unsupported("parallel_tool_calls", message));
    }
    let asked = asked(fields)?;
    if !has_tools {
        return match asked {
            None | Some(("NONE", _)) => Ok(None),
            Some(_) => Err(invalid("tool_choice", "there are no tools to call")),
        };
    }
    Ok(asked.map(|(mode, name)| Config {
        function_calling_config: Calling { mode, allowed_function_names: name.map(|name| [name]) },
    }))
}

/// A kind of choice, and the function if it is of one.
type Asked<'a> = (&'static str, Option<Cow<'a, str>>);

/// In Gemini's words; its default is not said.
fn asked<'a>(fields: &Fields<'a>) -> Result<Option<Asked<'a>>, Error> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow, default)]
        function: Option<Only<'a>>,
    }
    #[derive(Deserialize)]
    struct Only<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    const NAME: &str = "tool_choice";
    let Some(given) = fields.given(NAME) else { return Ok(None) };
    match given.get() {
        r#""auto""# => return Ok(None),
        r#""required""# => return Ok(Some(("ANY", None))),
        r#""none""# => return Ok(Some(("NONE", None))),
        _ => {}
    }
    let named: Named<'_> = serde_json::from_str(given.get())
        .map_err(|_| invalid(NAME, "'tool_choice' must be auto, required, none or a function's"))?;
    match (&*named.r#type, named.function) {
        ("function", Some(Only { name })) => Ok(Some(("ANY", Some(name)))),
        ("function", None) => Err(invalid(NAME, "'tool_choice' names no function")),
        _ => Err(unsupported(NAME, "gemini is told to call one function, or any")),
    }
}
