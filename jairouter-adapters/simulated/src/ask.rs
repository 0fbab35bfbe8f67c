//! What a request asks for, as far as the engine cares.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::input::{self, Input};
use crate::schema;
use crate::text;

/// The most choices of one prompt, and of all prompts of a request together.
const MOST_CHOICES: usize = 16;
const MOST_ALTOGETHER: usize = 128;

/// What is wrong with a request, and the field at fault.
pub(crate) type Fault = (&'static str, Option<&'static str>);

#[derive(Debug, Deserialize)]
pub(crate) struct Ask {
    pub(crate) model: String,
    messages: Option<Vec<Message>>,
    prompt: Option<Value>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    stop: Option<Stop>,
    n: Option<usize>,
    tools: Option<Vec<Tool>>,
    tool_choice: Option<Value>,
    response_format: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    content: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "'stop' is a text or a list of texts")]
enum Stop {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Tool {
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    parameters: Value,
}

/// What the answer is to be.
#[derive(Debug)]
pub(crate) enum Wanted {
    Text,
    Json(String),
    /// A call of this function, with these arguments.
    Call(String, String),
}

impl Ask {
    /// Checks what the types do not say; the number of choices and of prompt tokens if all is well.
    pub(crate) fn check(&self, is_chat: bool) -> Result<(usize, usize), Fault> {
        let fault = |message, field| Err((message, Some(field)));
        let (prompts, tokens) = match (&self.messages, &self.prompt) {
            (None, _) if is_chat => return fault("'messages' is missing", "messages"),
            (Some(messages), _) if is_chat => {
                if messages.is_empty() {
                    return fault("'messages' is empty", "messages");
                }
                let contents = messages.iter().filter_map(|message| message.content.as_ref());
                (1, contents.map(words).sum())
            }
            (_, None) => return fault("'prompt' is missing", "prompt"),
            (_, Some(prompt)) => match input::read(prompt) {
                Some(prompts) => (prompts.len(), prompts.iter().map(Input::tokens).sum()),
                None => return fault("'prompt' is a text, tokens, or a list of either", "prompt"),
            },
        };
        let n = self.n.unwrap_or(1);
        if !(1..=MOST_CHOICES).contains(&n) {
            return fault("'n' must be from 1 to 16", "n");
        }
        if n * prompts > MOST_ALTOGETHER {
            return fault("there are at most 128 choices, 'n' of each prompt", "prompt");
        }
        if self.limit() == Some(0) {
            return fault("'max_tokens' must be at least 1", "max_tokens");
        }
        if self.named().is_some_and(|name| self.tools().all(|tool| tool.name != name)) {
            return fault("'tool_choice' names a tool that is not in 'tools'", "tool_choice");
        }
        Ok((n * prompts, tokens))
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.stream == Some(true)
    }

    pub(crate) fn include_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false)
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    pub(crate) fn stops(&self) -> &[String] {
        match &self.stop {
            None => &[],
            Some(Stop::One(stop)) => std::slice::from_ref(stop),
            Some(Stop::Many(stops)) => stops,
        }
    }

    /// A tool is called if the user spoke last: the one that was named, or the first.
    pub(crate) fn wanted(&self) -> Wanted {
        let user_spoke = self
            .messages
            .as_deref()
            .and_then(<[_]>::last)
            .is_some_and(|message| message.role == "user");
        let forbidden = self.tool_choice.as_ref().is_some_and(|choice| choice == "none");
        if user_spoke && !forbidden {
            let named = self.named();
            let tool = self.tools().find(|tool| named.is_none_or(|name| tool.name == name));
            if let Some(Function { name, parameters }) = tool {
                return Wanted::Call(name.clone(), schema::value(parameters).to_string());
            }
        }
        let format = self.response_format.as_ref();
        match format.and_then(|format| format.get("type")?.as_str()) {
            Some("json_schema") => {
                let schema = format.and_then(|format| format.pointer("/json_schema/schema"));
                Wanted::Json(schema::value(schema.unwrap_or(&Value::Null)).to_string())
            }
            Some("json_object") => Wanted::Json(json!({ "text": "simulated" }).to_string()),
            _ => Wanted::Text,
        }
    }

    fn tools(&self) -> impl Iterator<Item = &Function> {
        self.tools.iter().flatten().map(|tool| &tool.function)
    }

    fn named(&self) -> Option<&str> {
        self.tool_choice.as_ref()?.pointer("/function/name")?.as_str()
    }
}

/// The words of every text in a message's content.
fn words(content: &Value) -> usize {
    match content {
        Value::String(text) => text::count(text),
        Value::Array(parts) => parts.iter().map(words).sum(),
        Value::Object(part) => part.get("text").and_then(Value::as_str).map_or(0, text::count),
        _ => 0,
    }
}
