//! Sampling, limits and everything else that Ollama calls an option.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jairouter_core::Error;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::invalid;

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

/// OpenAI's parameters that are options by the same name.
const SHARED: [&str; 5] = ["temperature", "top_p", "seed", "frequency_penalty", "presence_penalty"];

/// The fields of a request that nobody else takes.
pub(crate) type Extra<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// What `options` says.
pub(crate) type Options<'a> = BTreeMap<Cow<'a, str>, Cow<'a, RawValue>>;

/// The options of this request. What it says as a parameter of OpenAI's goes before what it says in
/// an `options` of its own, and both before the defaults, which are OpenAI's and not Ollama's.
pub(crate) fn options<'a>(extra: &Extra<'a>) -> Result<Options<'a>, Error> {
    let mut options = Options::new();
    for name in ["temperature", "top_p"] {
        if let Ok(one) = RawValue::from_string("1.0".into()) {
            options.insert(name.into(), Cow::Owned(one));
        }
    }
    if let Some(own) = extra.get("options") {
        let own: Extra<'a> = serde_json::from_str(own.get())
            .map_err(|_| invalid("options", "'options' must be an object"))?;
        options.extend(own.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))));
    }
    let limit = ["max_tokens", "max_completion_tokens"].map(|name| (name, "num_predict"));
    let same = SHARED.iter().chain(&NATIVE).map(|name| (*name, *name));
    for (name, option) in limit.into_iter().chain(same) {
        if let Some(value) = given(extra, name) {
            options.insert(option.into(), Cow::Borrowed(value));
        }
    }
    if let Some(stop) = given(extra, "stop") {
        options.insert("stop".into(), stops(stop)?);
    }
    Ok(options)
}

/// A field that is there and not null.
pub(crate) fn given<'a>(extra: &Extra<'a>, name: &str) -> Option<&'a RawValue> {
    extra.get(name).copied().filter(|value| value.get() != "null")
}

/// A field of this type, if it is there and not null.
pub(crate) fn field<'a, T: Deserialize<'a>>(
    extra: &Extra<'a>,
    name: &'static str,
    message: &'static str,
) -> Result<Option<T>, Error> {
    let Some(value) = given(extra, name) else { return Ok(None) };
    serde_json::from_str(value.get()).map(Some).map_err(|_| invalid(name, message))
}

/// A text is a list of one.
fn stops(stop: &RawValue) -> Result<Cow<'_, RawValue>, Error> {
    if !stop.get().starts_with('"') {
        return Ok(Cow::Borrowed(stop));
    }
    let list = RawValue::from_string(format!("[{}]", stop.get()));
    list.map(Cow::Owned).map_err(|_| invalid("stop", "'stop' must be a text or a list of texts"))
}
