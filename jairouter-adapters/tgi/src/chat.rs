//! What is asked of `/v1/chat/completions`.

use bytes::Bytes;
use jairouter_core::{Error, InferenceRequest};
use jairouter_openai::ask;
use jairouter_openai::fields::{Fields, unsupported};

use crate::request::{Form, form, refuse_the_unsayable, tells_top_p};

/// The caller's fields, where TGI takes them by other names or not at all in other words.
pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let mut asked = Fields::of_request(request)?;
    refuse_the_unsayable(&asked)?;
    let modalities = asked.field::<Vec<String>>("modalities", "a list of texts")?;
    if modalities.is_some_and(|modalities| modalities.iter().any(|modality| modality != "text")) {
        return Err(unsupported("modalities", "tgi answers in text"));
    }
    asked.set("model", &"tgi");
    for idle in ["n", "presence_penalty", "logit_bias"] {
        asked.take(idle);
    }
    if asked.given("max_completion_tokens").is_some() {
        asked.rename("max_completion_tokens", "max_tokens");
    }
    if !tells_top_p(&asked)? {
        asked.take("top_p");
    }
    if let Some(stops) = ask::stops(&asked)? {
        asked.set("stop", &stops);
    }
    match form(&asked)? {
        Form::Grammar(grammar) => asked.set("response_format", &grammar),
        Form::Any => {
            asked.take("response_format");
        }
        Form::Own(_) => {}
    }
    Ok(asked.write())
}
