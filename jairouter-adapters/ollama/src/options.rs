//! Sampling, limits and everything else that Ollama calls an option.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jairouter_core::Error;
use serde_json::value::RawValue;

use crate::request::raw;
use jairouter_openai::fields::invalid;
use jairouter_openai::read::Fields;

/// Ollama's own options, taken as extra fields of a request.
const NATIVE: [&str; 13] = [
    "num_ctx",
    "num_keep",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "use_mmap",
    "num_thread",
    "min_p",
    "top_k",
    "typical_p",
    "repeat_last_n",
    "repeat_penalty",
    "draft_num_predict",
];

/// What `options` says.
pub(crate) type Options<'a> = BTreeMap<Cow<'a, str>, Cow<'a, RawValue>>;

/// The options of this request. What it says as a parameter of `OpenAI`'s goes before what it says
/// in an `options` of its own, and both before the defaults, which are `OpenAI`'s and not Ollama's.
pub(crate) fn options<'a>(fields: &Fields<'a>) -> Result<Options<'a>, Error> {
    let mut options = Options::new();
    for name in ["temperature", "top_p"] {
        options.extend(raw("1.0").map(|one| (name.into(), Cow::Borrowed(one))));
    }
    let own: Option<BTreeMap<Cow<'_, str>, &RawValue>> = fields.field("options", "an object")?;
    let own = own.into_iter().flatten();
    options.extend(own.map(|(name, value)| (name, Cow::Borrowed(value))));

    let mut set = |name: &'static str, value: Option<&'a RawValue>| {
        options.extend(value.map(|value| (name.into(), Cow::Borrowed(value))));
    };
    for name in ["max_tokens", "max_completion_tokens"] {
        if fields.field::<i64>(name, "a whole number")? == Some(0) {
            // To Ollama, as to llama.cpp, no number of tokens above 0 is no limit.
            return Err(invalid(name, format!("'{name}' must be at least 1")));
        }
        set("num_predict", fields.given(name));
    }
    for name in ["temperature", "top_p", "frequency_penalty", "presence_penalty"] {
        fields.field::<f64>(name, "a number")?;
        set(name, fields.given(name));
    }
    fields.field::<i64>("seed", "a whole number")?;
    set("seed", fields.given("seed"));
    for name in NATIVE {
        set(name, fields.given(name));
    }
    if let Some(stop) = fields.given("stop") {
        options.insert("stop".into(), stops(stop)?);
    }
    Ok(options)
}

/// A text is a list of one.
fn stops(stop: &RawValue) -> Result<Cow<'_, RawValue>, Error> {
    let wrong = |_| invalid("stop", "'stop' must be a text or a list of texts");
    if stop.get().starts_with('"') {
        return RawValue::from_string(format!("[{}]", stop.get())).map(Cow::Owned).map_err(wrong);
    }
    serde_json::from_str::<Vec<Cow<'_, str>>>(stop.get()).map_err(wrong)?;
    Ok(Cow::Borrowed(stop))
}
