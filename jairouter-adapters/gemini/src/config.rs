//! Sampling, limits, form and thoughts: all that Gemini calls the configuration of an answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jairouter_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::model::is_of_gemini_3;
use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::Fields;

/// What `generationConfig` says.
pub(crate) type Config<'a> = BTreeMap<&'static str, Cow<'a, RawValue>>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Thinking {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    include_thoughts: bool,
}

/// The configuration that this request asks for.
pub(crate) fn config<'a>(fields: &Fields<'a>, model: &str) -> Result<Config<'a>, Error> {
    let mut config = Config::new();
    let mut set = |name: &'static str, value: Option<&'a RawValue>| {
        config.extend(value.map(|value| (name, Cow::Borrowed(value))));
    };
    for (name, native) in [
        ("temperature", "temperature"),
        ("top_p", "topP"),
        ("presence_penalty", "presencePenalty"),
        ("frequency_penalty", "frequencyPenalty"),
    ] {
        set(native, fields.checked::<f64>(name, "a number")?);
    }
    for (name, native) in [("top_k", "topK"), ("seed", "seed")] {
        set(native, fields.checked::<i64>(name, "a whole number")?);
    }
    // The newer name goes before the older.
    for name in ["max_tokens", "max_completion_tokens"] {
        if fields.field::<u64>(name, "a whole number, and at least 1")? == Some(0) {
            return Err(invalid(name, format!("'{name}' must be at least 1")));
        }
        set("maxOutputTokens", fields.given(name));
    }
    match fields.field::<u64>("n", "a whole number")? {
        None | Some(1) => {}
        Some(0) => return Err(invalid("n", "'n' must be at least 1")),
        Some(_) => set("candidateCount", fields.given("n")),
    }
    if fields.field("logprobs", "true or false")? == Some(true) {
        set("responseLogprobs", fields.given("logprobs"));
        let count = fields.field::<u64>("top_logprobs", "a whole number")?;
        if count.is_some_and(|count| count > 20) {
            return Err(invalid("top_logprobs", "'top_logprobs' must be between 0 and 20"));
        }
        set("logprobs", fields.given("top_logprobs"));
    } else if fields.field::<u64>("top_logprobs", "a whole number")?.is_some_and(|it| it > 0) {
        return Err(invalid("top_logprobs", "'top_logprobs' goes with 'logprobs'"));
    }
    if let Some(stops) = stops(fields)? {
        config.insert("stopSequences", stops);
    }
    config.extend(format(fields)?);
    if let Some(thinking) = thinking(fields, model)? {
        config.insert("thinkingConfig", thinking);
    }
    Ok(config)
}

/// A text is a list of one, and an empty list says nothing.
fn stops<'a>(fields: &Fields<'a>) -> Result<Option<Cow<'a, RawValue>>, Error> {
    let Some(stop) = fields.given("stop").filter(|_| fields.says("stop")) else {
        return Ok(None);
    };
    let wrong = |_| invalid("stop", "'stop' must be a text or a list of texts");
    if stop.get().starts_with('"') {
        let list = RawValue::from_string(format!("[{}]", stop.get())).map_err(wrong)?;
        return Ok(Some(Cow::Owned(list)));
    }
    serde_json::from_str::<Vec<Cow<'_, str>>>(stop.get()).map_err(wrong)?;
    Ok(Some(Cow::Borrowed(stop)))
}

fn format<'a>(fields: &Fields<'a>) -> Result<Config<'a>, Error> {
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
    let mut config = Config::new();
    let Some(asked) = fields.field::<Asked<'_>>(NAME, FORMS)? else { return Ok(config) };
    match &*asked.r#type {
        "text" => return Ok(config),
        "json_object" => {}
        "json_schema" => {
            let Some(schema) = asked.json_schema.and_then(|given| given.schema) else {
                let message = "'response_format' of type json_schema has no schema";
                return Err(invalid(NAME, message));
            };
            // The plain one: `responseSchema` knows a part of JSON Schema only.
            config.insert("responseJsonSchema", Cow::Borrowed(schema));
        }
        _ => return Err(invalid(NAME, format!("'{NAME}' must be {FORMS}"))),
    }
    let json = to_raw_value("application/json").ok();
    config.extend(json.map(|json| ("responseMimeType", Cow::Owned(json))));
    Ok(config)
}

/// `reasoning_effort`, in tokens or by the levels that later models know; or else `thinking_config`
/// as Gemini itself takes it.
fn thinking<'a>(fields: &Fields<'a>, model: &str) -> Result<Option<Cow<'a, RawValue>>, Error> {
    const NAME: &str = "reasoning_effort";
    const EFFORTS: &str = "none, minimal, low, medium, high, xhigh or max";
    let Some(effort) = fields.field::<Cow<'_, str>>(NAME, EFFORTS)? else {
        return Ok(fields.given("thinking_config").map(Cow::Borrowed));
    };
    // The budgets are those of Google's own compatible API.
    let (level, budget) = match &*effort {
        "none" if is_of_gemini_3(model) => {
            return Err(unsupported(NAME, "this model cannot be kept from thinking"));
        }
        "none" => ("", 0),
        "minimal" => ("minimal", 1024),
        "low" => ("low", 1024),
        "medium" => ("medium", 8192),
        "high" | "xhigh" | "max" => ("high", 24576),
        _ => return Err(invalid(NAME, format!("'{NAME}' must be {EFFORTS}"))),
    };
    let by_level = is_of_gemini_3(model);
    let thinking = Thinking {
        thinking_budget: (!by_level).then_some(budget),
        thinking_level: by_level.then_some(level),
        include_thoughts: budget > 0,
    };
    Ok(to_raw_value(&thinking).ok().map(Cow::Owned))
}
