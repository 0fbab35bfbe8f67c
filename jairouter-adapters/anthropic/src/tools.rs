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
    /// Anthropic's own.
    #[serde(borrow, default)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GivenFunction<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(default)]
    strict: Option<bool>,
}

/// A tool as Anthropic takes it.
#[derive(Serialize)]
pub(crate) struct Tool<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    input_schema: Schema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Schema<'a> {
    Given(&'a RawValue),
    /// Of a function without parameters: there has to be one.
    Empty {
        r#type: &'static str,
    },
}

/// Whether a tool is to be called.
#[derive(Serialize)]
pub(crate) struct Choice<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

/// The tools of this request.
pub(crate) fn tools<'a>(fields: &Fields<'a>) -> Result<Vec<Tool<'a>>, Error> {
    let Some(given) = fields.given("tools") else { return Ok(Vec::new()) };
    let given: Vec<Given<'_>> = serde_json::from_str(given.get()).map_err(|error| {
        invalid("tools", format!("'tools' is not a list of tools {} of it", place(&error)))
    })?;
    given.into_iter().map(tool).collect()
}

fn tool(given: Given<'_>) -> Result<Tool<'_>, Error> {
    if given.r#type != "function" {
        return Err(unsupported("tools", "anthropic is given tools of type function"));
    }
    let function = given.function.ok_or_else(|| invalid("tools", "a tool has no function"))?;
    Ok(Tool {
        name: function.name,
        description: function.description,
        input_schema: function.parameters.map_or(Schema::Empty { r#type: "object" }, Schema::Given),
        strict: function.strict.filter(|strict| *strict),
        cache_control: given.cache_control,
    })
}

/// Which of the tools is to be called, where that is said.
pub(crate) fn choice<'a>(
    fields: &Fields<'a>,
    has_tools: bool,
) -> Result<Option<Choice<'a>>, Error> {
    let parallel = fields.field::<bool>("parallel_tool_calls", "true or false")?;
    let asked = asked(fields)?;
    if !has_tools {
        // Anthropic takes none without tools, and these two mean nothing then.
        return match asked {
            None | Some(("auto" | "none", _)) => Ok(None),
            Some(_) => Err(invalid("tool_choice", "there are no tools to call")),
        };
    }
    let one_at_a_time = parallel == Some(false);
    Ok(match asked {
        None if !one_at_a_time => None,
        None => Some(Choice { r#type: "auto", name: None, disable_parallel_tool_use: true }),
        Some((kind, name)) => {
            let disable_parallel_tool_use = one_at_a_time && kind != "none";
            Some(Choice { r#type: kind, name, disable_parallel_tool_use })
        }
    })
}

/// A kind of choice, and the function if it is of one.
type Asked<'a> = (&'static str, Option<Cow<'a, str>>);

/// In Anthropic's words.
fn asked<'a>(fields: &Fields<'a>) -> Result<Option<Asked<'a>>, Error> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow, default)]
        function: Option<Function<'a>>,
    }
    #[derive(Deserialize)]
    struct Function<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    const NAME: &str = "tool_choice";
    let Some(given) = fields.given(NAME) else { return Ok(None) };
    match given.get() {
        r#""auto""# => return Ok(Some(("auto", None))),
        r#""required""# => return Ok(Some(("any", None))),
        r#""none""# => return Ok(Some(("none", None))),
        _ => {}
    }
    let named: Named<'_> = serde_json::from_str(given.get())
        .map_err(|_| invalid(NAME, "'tool_choice' must be auto, required, none or a function's"))?;
    match (&*named.r#type, named.function) {
        ("function", Some(Function { name })) => Ok(Some(("tool", Some(name)))),
        ("function", None) => Err(invalid(NAME, "'tool_choice' names no function")),
        _ => Err(unsupported(NAME, "anthropic is told to call one function, or any")),
    }
}
