//! Transcripts that come in pieces, in OpenAI's events.

use bytes::BytesMut;
use http::Response;
use jairouter_core::translate::{self, Edit, Edited, Message, Needle};
use jairouter_core::{Body, Error, refusal};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answer::{self, cut_off};

/// A stream of vLLM's `transcription.chunk`s as one of `transcript.text.delta` and
/// `transcript.text.done`. Any other answer, whole or in OpenAI's events already, passes as it is.
pub fn decode(answer: Response<Body>) -> Response<Body> {
    if answer::is_event_stream(&answer) {
        answer::edited(answer, Transcript::default())
    } else {
        answer
    }
}

#[derive(Default)]
struct Transcript {
    /// What has been said, once it is known that it is said in chunks.
    text: Option<String>,
    usage: Option<Usage>,
    done: bool,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    object: String,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
}

#[derive(Deserialize, Default)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
struct Usage {
    #[serde(default, rename = "prompt_tokens")]
    prompt: u64,
    #[serde(default, rename = "completion_tokens")]
    completion: u64,
}

#[derive(Serialize)]
struct Told<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<serde_json::Value>,
}

impl Edit for Transcript {
    fn concerns(&mut self, event: &[u8]) -> bool {
        static CHUNK: Needle = Needle::new(b"transcription.chunk");
        static DONE: Needle = Needle::new(b"[DONE]");
        static ERROR: Needle = Needle::new(b"\"error\"");
        [&CHUNK, &DONE, &ERROR].into_iter().any(|word| word.is_in(event))
    }

    fn edit(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<Edited, Error> {
        let data = message.data.trim_ascii();
        if data == b"[DONE]" {
            self.done = true;
            // OpenAI's transcripts end with their last event.
            let Some(text) = &self.text else { return Ok(Edited::Kept) };
            let usage = self.usage.map(|Usage { prompt, completion }| {
                json!({"type": "tokens", "input_tokens": prompt, "output_tokens": completion,
                    "total_tokens": prompt.saturating_add(completion)})
            });
            let r#type = "transcript.text.done";
            translate::event(out, &Told { r#type, delta: None, text: Some(text), usage });
            return Ok(Edited::Replaced);
        }
        let chunk: Chunk = translate::parse(data)?;
        if chunk.error.is_some() {
            return Err(refusal::in_stream(data));
        }
        if chunk.object != "transcription.chunk" {
            return Ok(Edited::Kept);
        }
        let text = self.text.get_or_insert_default();
        for choice in &chunk.choices {
            let delta = choice.delta.content.as_deref().filter(|delta| !delta.is_empty());
            let Some(delta) = delta else { continue };
            text.push_str(delta);
            let r#type = "transcript.text.delta";
            translate::event(out, &Told { r#type, delta: Some(delta), text: None, usage: None });
        }
        self.usage = chunk.usage.or(self.usage);
        Ok(Edited::Replaced)
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        if self.text.is_some() && !self.done { Err(cut_off()) } else { Ok(()) }
    }
}
