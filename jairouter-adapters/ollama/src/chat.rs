//! Chat: `/api/chat`.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use jairouter_core::translate::{self, Message, Translate};
use jairouter_core::{Error, InferenceRequest, Kind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chunk::{Identity, random, wants_usage};
use crate::line::{Call, Line};
use crate::message::{Given, Native, convert};
use crate::options::{Extra, Options, field, given, options};
use crate::{invalid, parse, unsupported};

const OBJECT: &str = "chat.completion.chunk";

#[derive(Serialize)]
struct Asking<'a> {
    model: &'a str,
    messages: Vec<Native<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a RawValue>,
    // Its default is true: it must be said.
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Cow<'a, RawValue>>,
    #[serde(flatten)]
    passed: Extra<'a>,
    options: Options<'a>,
}

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let extra: Extra<'_> = parse(request)?;
    let messages = messages(&extra)?;
    if messages.is_empty() {
        // Ollama would load the model and answer with nothing.
        return Err(invalid("messages", "'messages' must hold at least one message"));
    }
    refuse_the_unsayable(&extra)?;
    let asking = Asking {
        model: &request.model,
        messages: convert(messages)?,
        tools: tools(&extra)?,
        stream: request.stream,
        format: format(&extra)?,
        think: think(&extra)?,
        passed: passed(&extra),
        options: options(&extra)?,
    };
    let mut out = BytesMut::with_capacity(request.payload.len() + 128);
    translate::json(&mut out, &asking);
    Ok(out.freeze())
}

fn messages<'a>(extra: &Extra<'a>) -> Result<Vec<Given<'a>>, Error> {
    let Some(given) = given(extra, "messages") else {
        return Err(invalid("messages", "you must provide a 'messages' parameter"));
    };
    serde_json::from_str(given.get()).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message =
            format!("'messages' is not a list of messages at its line {line} column {column}");
        Error::new(Kind::Invalid, message).with_param("messages").with_code("invalid_value")
    })
}

/// Fields that mean the same to Ollama.
pub(crate) fn passed<'a>(extra: &Extra<'a>) -> Extra<'a> {
    ["keep_alive", "logprobs", "top_logprobs", "truncate", "shift"]
        .into_iter()
        .filter_map(|name| Some((name.into(), given(extra, name)?)))
        .collect()
}

fn refuse_the_unsayable(extra: &Extra<'_>) -> Result<(), Error> {
    let choices: Option<u64> = field(extra, "n", "'n' must be a number")?;
    if choices.is_some_and(|n| n != 1) {
        return Err(unsupported("n", "ollama gives one choice: 'n' must be 1"));
    }
    let says = |name| given(extra, name).is_some_and(|value| !matches!(value.get(), "{}" | "[]"));
    if says("logit_bias") {
        return Err(unsupported("logit_bias", "ollama has no logit_bias"));
    }
    if says("functions") {
        return Err(unsupported("functions", "ollama knows tools, not the older functions"));
    }
    if says("audio") {
        return Err(unsupported("audio", "ollama does not answer in sound"));
    }
    let parallel: Option<bool> =
        field(extra, "parallel_tool_calls", "'parallel_tool_calls' must be true or false")?;
    if parallel == Some(false) && says("tools") {
        let message = "ollama cannot keep a model from calling several tools at once";
        return Err(unsupported("parallel_tool_calls", message));
    }
    Ok(())
}

/// The tools, unless none may be called.
fn tools<'a>(extra: &Extra<'a>) -> Result<Option<&'a RawValue>, Error> {
    let tools = given(extra, "tools").filter(|tools| tools.get() != "[]");
    match given(extra, "tool_choice").map(RawValue::get) {
        None | Some(r#""auto""#) => Ok(tools),
        Some(r#""none""#) => Ok(None),
        Some(_) => {
            let message = "ollama cannot force a tool: 'tool_choice' must be auto or none";
            Err(unsupported("tool_choice", message))
        }
    }
}

fn format<'a>(extra: &Extra<'a>) -> Result<Option<Cow<'a, RawValue>>, Error> {
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow)]
        json_schema: Option<JsonSchema<'a>>,
    }
    #[derive(Deserialize)]
    struct JsonSchema<'a> {
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let wrong = "'response_format' must be of type text, json_object or json_schema";
    let Some(format) = field::<Format<'_>>(extra, "response_format", wrong)? else {
        return Ok(given(extra, "format").map(Cow::Borrowed));
    };
    match &*format.r#type {
        "text" => Ok(None),
        "json_object" => Ok(raw(r#""json""#)),
        "json_schema" => match format.json_schema.and_then(|given| given.schema) {
            Some(schema) => Ok(Some(Cow::Borrowed(schema))),
            None => {
                Err(invalid("response_format", "'response_format' of json_schema has no schema"))
            }
        },
        _ => Err(invalid("response_format", wrong)),
    }
}

fn think<'a>(extra: &Extra<'a>) -> Result<Option<Cow<'a, RawValue>>, Error> {
    let Some(effort) = given(extra, "reasoning_effort") else {
        return Ok(given(extra, "think").map(Cow::Borrowed));
    };
    Ok(match effort.get() {
        r#""none""# => raw("false"),
        r#""minimal""# => raw(r#""low""#),
        r#""low""# | r#""medium""# | r#""high""# | r#""max""# => Some(Cow::Borrowed(effort)),
        r#""xhigh""# | r#""ultra""# => raw(r#""max""#),
        _ => {
            let message =
                "'reasoning_effort' must be none, minimal, low, medium, high, xhigh or max";
            return Err(invalid("reasoning_effort", message));
        }
    })
}

fn raw(json: &'static str) -> Option<Cow<'static, RawValue>> {
    RawValue::from_string(json.to_owned()).ok().map(Cow::Owned)
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    delta: Delta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Logprobs<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct WholeChoice<'a> {
    index: u32,
    message: Delta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Logprobs<'a>>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Logprobs<'a> {
    content: &'a RawValue,
}

#[derive(Serialize, Default)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tool_calls: &'a [ToolCall<'a>],
}

#[derive(Serialize)]
struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    id: Cow<'a, str>,
    r#type: &'static str,
    function: ToolFunction<'a>,
}

#[derive(Serialize)]
struct ToolFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> ToolCall<'a> {
    /// A call as OpenAI writes it: its arguments are text, and its id is one of a kind.
    fn new(call: &'a Call<'_>, index: Option<u32>) -> Self {
        let id = match &*call.id {
            "" => Cow::Owned(format!("call_{:016x}", random())),
            id => Cow::Borrowed(id),
        };
        let arguments = call.function.arguments.map_or("{}", RawValue::get);
        let function = ToolFunction { name: &call.function.name, arguments };
        Self { index, id, r#type: "function", function }
    }
}

/// Rewrites the lines of one answer.
pub(crate) struct Stream {
    identity: Identity,
    include_usage: bool,
    begun: bool,
    calls: u32,
    done: bool,
}

impl Stream {
    pub(crate) fn new(request: &InferenceRequest) -> Self {
        let include_usage = wants_usage(request);
        Self {
            identity: Identity::new("chatcmpl"),
            include_usage,
            begun: false,
            calls: 0,
            done: false,
        }
    }

    /// Rewrites an answer in one piece.
    pub(crate) fn whole(bytes: Bytes) -> Result<Bytes, Error> {
        let line = Line::read(&bytes)?;
        if !line.done {
            return Err(Error::new(Kind::Broken, "the instance's answer is not complete"));
        }
        let mut identity = Identity::new("chatcmpl");
        identity.learn(&line);
        let calls: Vec<_> = line
            .message
            .tool_calls
            .iter()
            .flatten()
            .map(|call| ToolCall::new(call, None))
            .collect();
        let (content, thinking) = (&*line.message.content, &*line.message.thinking);
        let choice = WholeChoice {
            index: 0,
            message: Delta {
                role: Some("assistant"),
                reasoning_content: filled(thinking),
                content: Some((!content.is_empty() || calls.is_empty()).then_some(content)),
                tool_calls: &calls,
            },
            logprobs: line.logprobs.map(|content| Logprobs { content }),
            finish_reason: line.finish_reason(!calls.is_empty()),
        };
        let mut out = BytesMut::with_capacity(bytes.len() + 256);
        let usage = Some(line.usage());
        translate::json(&mut out, &identity.object("chat.completion", &[choice], usage));
        Ok(out.freeze())
    }

    fn chunk(&self, out: &mut BytesMut, delta: Delta<'_>, logprobs: Option<&RawValue>) {
        let logprobs = logprobs.map(|content| Logprobs { content });
        let choice = Choice { index: 0, delta, logprobs, finish_reason: None };
        translate::event(out, &self.identity.object(OBJECT, &[choice], None));
    }
}

impl Translate for Stream {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        let line = Line::read(message.data)?;
        if self.done {
            return Ok(());
        }
        if !self.begun {
            self.begun = true;
            self.identity.learn(&line);
            let role = Some("assistant");
            self.chunk(out, Delta { role, content: Some(Some("")), ..Delta::default() }, None);
        }
        if let Some(thinking) = filled(&line.message.thinking) {
            let reasoning_content = Some(thinking);
            self.chunk(out, Delta { reasoning_content, ..Delta::default() }, None);
        }
        if let Some(content) = filled(&line.message.content) {
            let content = Some(Some(content));
            self.chunk(out, Delta { content, ..Delta::default() }, line.logprobs);
        }
        for call in line.message.tool_calls.iter().flatten() {
            let call = ToolCall::new(call, Some(self.calls));
            self.calls += 1;
            self.chunk(out, Delta { tool_calls: &[call], ..Delta::default() }, None);
        }
        if line.done {
            self.done = true;
            let finish_reason = Some(line.finish_reason(self.calls > 0));
            let choice =
                Choice { index: 0, delta: Delta::default(), logprobs: None, finish_reason };
            translate::event(out, &self.identity.object(OBJECT, &[choice], None));
            if self.include_usage {
                let usage = Some(line.usage());
                translate::event(out, &self.identity.object::<Choice<'_>>(OBJECT, &[], usage));
            }
            translate::done(out);
        }
        Ok(())
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        match self.done {
            true => Ok(()),
            false => Err(Error::new(Kind::Broken, "the instance's stream was cut off")),
        }
    }
}

fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
