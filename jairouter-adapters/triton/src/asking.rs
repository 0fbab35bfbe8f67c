//! What is asked of `generate`, in each dialect.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, Kind, translate};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::asked::Asked;
use crate::format::{Format, format};
use crate::request::{Fields, unsupported};
use crate::settings::{Dialect, Settings};

/// What an input holds.
#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Texts(Vec<Cow<'a, str>>),
    Flag(bool),
    Number(u64),
    /// As the caller wrote it.
    Given(&'a RawValue),
}

/// Parameters beyond `OpenAI`'s that callers use, and that some dialect has.
const EXTENSIONS: [&str; 12] = [
    "top_k",
    "min_p",
    "repetition_penalty",
    "length_penalty",
    "min_tokens",
    "bad_words",
    "ignore_eos",
    "stop_token_ids",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "include_stop_str_in_output",
    "truncate_prompt_tokens",
];

const SAMPLING: [&str; 4] = ["temperature", "top_p", "frequency_penalty", "presence_penalty"];

pub(crate) fn encode(settings: &Settings, request: &InferenceRequest) -> Result<Bytes, Error> {
    let asked = Asked::read(settings, request)?;
    for name in SAMPLING {
        asked.fields.number(name)?;
    }
    for name in ["seed", "top_k", "min_tokens"] {
        asked.fields.whole(name)?;
    }
    best_of(&asked, settings.dialect, request.stream)?;
    let mut inputs = Inputs { settings, values: BTreeMap::new() };
    match settings.dialect {
        Dialect::Ensemble => ensemble(&mut inputs, &asked, request.stream)?,
        Dialect::LlmApi => llm_api(&mut inputs, &asked, request.stream)?,
        Dialect::Vllm => vllm(&mut inputs, &asked, request.stream)?,
    }
    // It is what it is about, whatever is declared.
    inputs.values.insert("text_input", Value::Text(asked.prompt));
    let mut out = BytesMut::with_capacity(request.payload.len() + 256);
    translate::json(&mut out, &inputs.values);
    Ok(out.freeze())
}

struct Inputs<'a> {
    settings: &'a Settings,
    values: BTreeMap<&'static str, Value<'a>>,
}

impl<'a> Inputs<'a> {
    /// What the gateway adds: it does without where the model has no such input.
    fn ours(&mut self, name: &'static str, value: Value<'a>) {
        if self.settings.declares(name) {
            self.values.insert(name, value);
        }
    }

    /// What the caller asks, as this parameter.
    fn theirs(
        &mut self,
        param: &'static str,
        name: &'static str,
        value: Option<Value<'a>>,
    ) -> Result<(), Error> {
        match value {
            None => Ok(()),
            Some(_) if !self.settings.declares(name) => {
                Err(unsupported(param, format!("this triton's model has no input for '{param}'")))
            }
            Some(value) => {
                self.values.insert(name, value);
                Ok(())
            }
        }
    }
}

/// Refuses the extensions that are given and not known.
fn refuse_others(fields: &Fields<'_>, knows: impl Fn(&str) -> bool) -> Result<(), Error> {
    match EXTENSIONS.iter().find(|name| fields.says(name) && !knows(name)) {
        Some(name) => Err(unsupported(name, format!("this triton has no input for '{name}'"))),
        None => Ok(()),
    }
}

fn best_of(asked: &Asked<'_>, dialect: Dialect, stream: bool) -> Result<(), Error> {
    let most = match dialect {
        Dialect::LlmApi if !stream => usize::MAX,
        _ => asked.choices,
    };
    match asked.fields.field::<usize>("best_of", "a whole number")? {
        Some(best_of) if best_of > most || best_of < asked.choices => {
            Err(unsupported("best_of", "this triton gives what it makes: 'best_of' must be 'n'"))
        }
        _ => Ok(()),
    }
}

/// Elsewhere a number below 0 is how to say that there is no bound; TensorRT-LLM's is 0.
fn top_k<'a>(fields: &Fields<'a>) -> Result<Option<Value<'a>>, Error> {
    let given = fields.whole("top_k")?;
    Ok(given.map(|top_k| match top_k.get().starts_with('-') {
        true => Value::Number(0),
        false => Value::Given(top_k),
    }))
}

fn stops<'a>(asked: &Asked<'a>) -> Option<Value<'a>> {
    (!asked.stops.is_empty()).then(|| Value::Texts(asked.stops.clone()))
}

fn ensemble<'a>(inputs: &mut Inputs<'a>, asked: &Asked<'a>, stream: bool) -> Result<(), Error> {
    const SAME: [&str; 3] = ["repetition_penalty", "length_penalty", "min_tokens"];
    const FORMAT: &str = "response_format";
    let fields = &asked.fields;
    refuse_others(fields, |name| SAME.contains(&name) || matches!(name, "top_k" | "bad_words"))?;
    inputs.values.insert("max_tokens", Value::Number(asked.limit));
    for name in SAMPLING.into_iter().chain(SAME) {
        inputs.theirs(name, name, fields.number(name)?.map(Value::Given))?;
    }
    inputs.theirs("top_k", "top_k", top_k(fields)?)?;
    // Its name before.
    let is_old = !inputs.settings.declares("seed") && inputs.settings.declares("random_seed");
    let seed = if is_old { "random_seed" } else { "seed" };
    inputs.theirs("seed", seed, fields.whole("seed")?.map(Value::Given))?;
    // Older models do not do without these two.
    for name in ["stop_words", "bad_words"] {
        inputs.ours(name, Value::Text("".into()));
    }
    inputs.theirs("stop", "stop_words", stops(asked))?;
    let bad_words = fields.texts("bad_words")?;
    let bad_words = (!bad_words.is_empty()).then_some(Value::Texts(bad_words));
    inputs.theirs("bad_words", "bad_words", bad_words)?;
    if asked.choices > 1 {
        let choices = Some(Value::Number(asked.choices as u64));
        inputs.theirs("n", "num_return_sequences", choices)?;
    }
    if let Some(format) = format(fields)? {
        let (kind, guide) = match format {
            Format::Json => ("json", None),
            Format::Schema(schema) => ("json_schema", Some(Value::Text(schema.into()))),
        };
        let kind = Some(Value::Text(kind.into()));
        inputs.theirs(FORMAT, "guided_decoding_guide_type", kind)?;
        inputs.theirs(FORMAT, "guided_decoding_guide", guide)?;
    }
    inputs.ours("stream", Value::Flag(stream));
    inputs.ours("exclude_input_in_output", Value::Flag(true));
    count(inputs);
    Ok(())
}

fn count(inputs: &mut Inputs<'_>) {
    for name in ["return_num_input_tokens", "return_num_output_tokens"] {
        inputs.ours(name, Value::Flag(true));
    }
}

fn llm_api<'a>(inputs: &mut Inputs<'a>, asked: &Asked<'a>, stream: bool) -> Result<(), Error> {
    let fields = &asked.fields;
    refuse_others(fields, |name| name == "top_k")?;
    if format(fields)?.is_some() {
        let message = "the LLM API behind triton takes no form of an answer";
        return Err(unsupported("response_format", message));
    }
    inputs.ours("sampling_param_max_tokens", Value::Number(asked.limit));
    for (name, input) in [
        ("temperature", "sampling_param_temperature"),
        ("top_p", "sampling_param_top_p"),
        ("frequency_penalty", "sampling_param_frequency_penalty"),
        ("presence_penalty", "sampling_param_presence_penalty"),
        ("seed", "sampling_param_seed"),
    ] {
        inputs.theirs(name, input, fields.given(name).map(Value::Given))?;
    }
    let best_of = fields.given("best_of").filter(|best_of| best_of.get() != "1");
    inputs.theirs("best_of", "sampling_param_best_of", best_of.map(Value::Given))?;
    inputs.theirs("top_k", "sampling_param_top_k", top_k(fields)?)?;
    inputs.theirs("stop", "sampling_param_stop", stops(asked))?;
    inputs.ours("streaming", Value::Flag(stream));
    inputs.ours("sampling_param_exclude_input_from_output", Value::Flag(true));
    inputs.ours("return_finish_reason", Value::Flag(true));
    Ok(())
}

/// All that is asked is one text: it is the only way to say a list.
fn vllm<'a>(inputs: &mut Inputs<'a>, asked: &Asked<'a>, stream: bool) -> Result<(), Error> {
    let fields = &asked.fields;
    refuse_others(fields, |name| name != "length_penalty")?;
    let mut sampling = Pairs(vec![("max_tokens", Value::Number(asked.limit))]);
    for name in SAMPLING.into_iter().chain(["seed"]).chain(EXTENSIONS) {
        sampling.0.extend(fields.given(name).map(|given| (name, Value::Given(given))));
    }
    if asked.choices > 1 {
        sampling.0.push(("n", Value::Number(asked.choices as u64)));
    }
    sampling.0.extend(stops(asked).map(|stops| ("stop", stops)));
    if let Some(format) = format(fields)? {
        let form = match format {
            Format::Json => r#"{"json_object":true}"#.to_owned(),
            Format::Schema(schema) => format!(r#"{{"json":{schema}}}"#),
        };
        sampling.0.push(("guided_decoding", Value::Text(form.into())));
    }
    let sampling = serde_json::to_string(&sampling).map_err(|error| {
        Error::new(Kind::Internal, "the request could not be written").with_source(error)
    })?;
    inputs.values.insert("sampling_parameters", Value::Text(sampling.into()));
    inputs.ours("stream", Value::Flag(stream));
    inputs.ours("exclude_input_in_output", Value::Flag(true));
    inputs.ours("return_finish_reason", Value::Flag(true));
    count(inputs);
    Ok(())
}

/// An object in this order.
struct Pairs<'a>(Vec<(&'static str, Value<'a>)>);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
