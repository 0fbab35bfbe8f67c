//! What is asked in any dialect, and what its answer has to be read by.

use std::borrow::Cow;

use jairouter_core::{Endpoint, Error, InferenceRequest};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::messages;
use crate::request::{Fields, Text, invalid, unsupported};
use crate::settings::{Dialect, Settings};

/// The limit of a chat that has none.
const LONGEST_CHAT: u64 = 1024;

/// The same of a completion: `OpenAI`'s own.
const LONGEST_COMPLETION: u64 = 16;

pub(crate) struct Asked<'a> {
    pub(crate) fields: Fields<'a>,
    pub(crate) prompt: Cow<'a, str>,
    pub(crate) stops: Vec<Cow<'a, str>>,
    /// How many tokens an answer may have.
    pub(crate) limit: u64,
    /// How many answers there are to be.
    pub(crate) choices: usize,
    pub(crate) include_usage: bool,
}

/// What would change the answer, and Triton has no word for.
const UNSAYABLE: [(&str, &str); 12] = [
    ("logit_bias", "triton has no logit_bias by tokens"),
    ("logprobs", "triton gives no log probabilities of tokens with their texts"),
    ("top_logprobs", "triton gives no log probabilities of tokens with their texts"),
    ("functions", "triton's prompts have no functions"),
    ("audio", "triton does not answer in sound"),
    ("web_search_options", "triton does not search the web"),
    ("suffix", "triton does not fill in the middle"),
    ("echo", "triton does not repeat the prompt"),
    ("reasoning_effort", "triton's prompts have no levels of effort"),
    ("chat_template", "the template is a setting of the instance"),
    ("chat_template_kwargs", "the template of the instance has no variables"),
    ("structured_outputs", "triton takes a form as response_format"),
];

impl<'a> Asked<'a> {
    pub(crate) fn read(settings: &Settings, request: &'a InferenceRequest) -> Result<Self, Error> {
        let fields = Fields::read(request)?;
        refuse_the_unsayable(&fields)?;
        let is_chat = request.endpoint == Endpoint::ChatCompletions;
        let prompt = match (is_chat, &settings.template) {
            (false, _) => prompt(&fields)?,
            (true, Some(template)) => template.render(messages(&fields)?).into(),
            (true, None) => {
                let message = "this triton has no prompt template set, so it cannot chat";
                return Err(unsupported("messages", message));
            }
        };
        let default = if is_chat { LONGEST_CHAT } else { LONGEST_COMPLETION };
        let mut limit = settings.max_tokens.map_or(default, u64::from);
        for name in ["max_tokens", "max_completion_tokens"] {
            match fields.field::<u64>(name, "a whole number")? {
                Some(0) => return Err(invalid(name, format!("'{name}' must be at least 1"))),
                Some(given) => limit = given,
                None => {}
            }
        }
        let stops = fields.texts("stop")?;
        let choices = choices(&fields, settings, request.stream)?;
        let include_usage = include_usage(&fields)?;
        Ok(Self { fields, prompt, stops, limit, choices, include_usage })
    }
}

fn refuse_the_unsayable(fields: &Fields<'_>) -> Result<(), Error> {
    for (name, message) in UNSAYABLE {
        // A number is a wish even if it is 0, but for that of alternatives to nothing.
        let is_zero =
            name == "top_logprobs" && fields.given(name).is_some_and(|it| it.get() == "0");
        if fields.says(name) && !is_zero {
            return Err(unsupported(name, message));
        }
    }
    let chosen = fields.given("tool_choice").map(RawValue::get);
    if fields.says("tools") && chosen != Some(r#""none""#) {
        return Err(unsupported("tools", "triton's prompts have no tools"));
    }
    if !matches!(chosen, None | Some(r#""none""# | r#""auto""#)) {
        return Err(unsupported("tool_choice", "triton's prompts have no tools"));
    }
    let modalities: Option<Vec<Cow<'_, str>>> = fields.field("modalities", "a list of texts")?;
    if modalities.is_some_and(|modalities| modalities.iter().any(|modality| modality != "text")) {
        return Err(unsupported("modalities", "triton answers in text"));
    }
    Ok(())
}

/// A text, or a list of one.
fn prompt<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, Error> {
    let given = fields.required("prompt")?;
    let one = if given.get().starts_with('"') {
        serde_json::from_str(given.get()).ok()
    } else {
        serde_json::from_str::<[Text<'_>; 1]>(given.get()).ok().map(|[text]| text)
    };
    match one {
        Some(Text(text)) => Ok(text),
        None => Err(unsupported("prompt", "triton takes one prompt, and as a text")),
    }
}

/// How many answers there are to be. The pieces of a stream do not say to which one they belong.
fn choices(fields: &Fields<'_>, settings: &Settings, stream: bool) -> Result<usize, Error> {
    let most = match settings.dialect {
        Dialect::LlmApi => 1,
        _ if stream => 1,
        Dialect::Ensemble | Dialect::Vllm => 128,
    };
    let choices = fields.field::<usize>("n", "a whole number")?.unwrap_or(1);
    match choices {
        0 => Err(invalid("n", "'n' must be at least 1")),
        more if more > most && most == 1 => {
            Err(unsupported("n", "this triton gives one choice like this: 'n' must be 1"))
        }
        more if more > most => Err(invalid("n", "'n' must be at most 128")),
        choices => Ok(choices),
    }
}

/// Whether a stream's caller asked for its usage.
fn include_usage(fields: &Fields<'_>) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct Options {
        include_usage: Option<bool>,
    }
    let options = fields.field::<Options>("stream_options", "an object of options")?;
    Ok(options.and_then(|options| options.include_usage).unwrap_or(false))
}
