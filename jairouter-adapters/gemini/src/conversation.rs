//! The messages of a chat, as Gemini takes them: what the system says on its own, and then user and
//! model in turns.

use std::borrow::Cow;

use jairouter_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::call_id::{self, Told};
use crate::content::{Call, Output, Part, Response, parts, text, text_part};
use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::{Fields, place};

/// What Gemini takes instead of a signature that was lost, or never was.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// A message as `OpenAI` writes it.
#[derive(Deserialize)]
struct Given<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<GivenCall<'a>>>,
    #[serde(default)]
    tool_call_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct GivenCall<'a> {
    #[serde(default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<GivenFunction<'a>>,
    /// As Google's own compatible API writes it.
    #[serde(default)]
    extra_content: Option<Extra>,
}

#[derive(Deserialize)]
struct GivenFunction<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Extra {
    #[serde(default)]
    google: Option<Google>,
}

#[derive(Deserialize)]
struct Google {
    #[serde(default)]
    thought_signature: Option<String>,
}

/// What somebody says at a time.
#[derive(Serialize)]
pub(crate) struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<Part<'a>>,
}

/// A conversation, sorted.
#[derive(Default)]
pub(crate) struct Conversation<'a> {
    pub(crate) system: Option<Content<'a>>,
    pub(crate) contents: Vec<Content<'a>>,
    /// The calls so far: their ids, and what they called.
    calls: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Conversation<'a> {
    /// Reads the messages of a request. Of a model that `must_sign`, a call without a signature is
    /// marked as such.
    pub(crate) fn read(fields: &Fields<'a>, must_sign: bool) -> Result<Self, Error> {
        let given = fields.required("messages")?;
        let given: Vec<Given<'_>> = serde_json::from_str(given.get()).map_err(|error| {
            let place = place(&error);
            invalid("messages", format!("'messages' is not a list of messages {place} of it"))
        })?;
        if given.is_empty() {
            return Err(invalid("messages", "'messages' must hold at least one message"));
        }
        let mut this = Self::default();
        for message in given {
            match &*message.role {
                "system" | "developer" => this.instruct(content(&message)?)?,
                "user" => this.say("user", content(&message)?),
                "assistant" => this.answer(message, must_sign)?,
                "tool" => {
                    let result = this.result(message)?;
                    this.say("user", vec![result]);
                }
                "function" => {
                    let message = "gemini knows the role tool, not the older function";
                    return Err(unsupported("messages", message));
                }
                _ => {
                    let message =
                        "a message's role must be system, developer, user, assistant or tool";
                    return Err(invalid("messages", message));
                }
            }
        }
        if this.contents.is_empty() {
            let message = "gemini answers a user: a message of theirs must say something";
            return Err(unsupported("messages", message));
        }
        Ok(this)
    }

    fn instruct(&mut self, parts: Vec<Part<'a>>) -> Result<(), Error> {
        if !parts.iter().all(|part| matches!(part, Part::Text(_))) {
            return Err(unsupported("messages", "gemini's system speaks in texts alone"));
        }
        if !parts.is_empty() {
            let none = Content { role: None, parts: Vec::new() };
            self.system.get_or_insert(none).parts.extend(parts);
        }
        Ok(())
    }

    /// Neighbours of the same role are one content, and one that says nothing is none.
    fn say(&mut self, role: &'static str, parts: Vec<Part<'a>>) {
        match self.contents.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.role == Some(role) => last.parts.extend(parts),
            _ => self.contents.push(Content { role: Some(role), parts }),
        }
    }

    /// What the model said and called. What it thought is not taken back.
    fn answer(&mut self, message: Given<'a>, must_sign: bool) -> Result<(), Error> {
        let mut said: Vec<_> = match message.content {
            Some(content) => parts(content)?,
            None => message.refusal.and_then(text_part).into_iter().collect(),
        };
        let mut is_signed = !must_sign;
        for given in message.tool_calls.into_iter().flatten() {
            let (call, mut thought_signature) = self.call(given)?;
            // Of calls at the same time only the first is signed.
            if !is_signed && thought_signature.is_none() {
                thought_signature = Some(UNSIGNED.into());
            }
            is_signed = true;
            said.push(Part::Call { function_call: call, thought_signature });
        }
        self.say("model", said);
        Ok(())
    }

    fn call(&mut self, given: GivenCall<'a>) -> Result<(Call<'a>, Option<Cow<'a, str>>), Error> {
        let Some(GivenFunction { name, arguments }) = given.function else {
            return Err(unsupported("messages", "gemini knows calls of functions alone"));
        };
        let arguments = match arguments.trim() {
            // A call without arguments, as some clients keep it.
            "" => "{}",
            arguments => arguments,
        };
        let args = object(arguments)
            .ok_or_else(|| invalid("messages", "a tool call's arguments must be a JSON object"))?;
        let id = given.id.unwrap_or_default();
        let Told { own, signature } = call_id::read(&id);
        let google = given.extra_content.and_then(|extra| extra.google);
        let signature = google.and_then(|google| google.thought_signature).or(signature);
        self.calls.push((id, name.clone()));
        Ok((Call { id: own, name, args }, signature.map(Cow::Owned)))
    }

    /// Gemini knows a result by the name of what was called.
    fn result(&self, message: Given<'a>) -> Result<Part<'a>, Error> {
        let id = message.tool_call_id.unwrap_or_default();
        let called = self.calls.iter().rev().find(|(known, _)| *known == id);
        let name = called.map(|(_, name)| name.clone()).or(message.name).ok_or_else(|| {
            invalid("messages", "a message of a tool answers no call of a message before it")
        })?;
        let Some(content) = message.content else {
            return Err(invalid("messages", "a message has no content"));
        };
        let text = text(content)?;
        let response = object(&text).map_or(Output::Text { output: text }, Output::Object);
        Ok(Part::FunctionResponse(Response { id: call_id::read(&id).own, name, response }))
    }
}

fn content<'a>(message: &Given<'a>) -> Result<Vec<Part<'a>>, Error> {
    match message.content {
        Some(content) => parts(content),
        None => Err(invalid("messages", "a message has no content")),
    }
}

/// A JSON object, as it is written.
fn object(text: &str) -> Option<Box<RawValue>> {
    let value: Box<RawValue> = serde_json::from_str(text.trim()).ok()?;
    value.get().starts_with('{').then_some(value)
}
