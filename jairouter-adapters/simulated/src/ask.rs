//! What a request asks for, as far as the engine cares.

use serde::Deserialize;
use serde_json::Value;

use crate::text;

/// The most choices of one answer.
const MOST_CHOICES: usize = 16;

#[derive(Debug, Deserialize)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) messages: Option<Vec<Message>>,
    pub(crate) prompt: Option<Value>,
    #[serde(default)]
    pub(crate) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    stop: Option<Value>,
    n: Option<usize>,
    tools: Option<Vec<Tool>>,
    tool_choice: Option<Value>,
    response_format: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    role: String,
    content: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tool {
    pub(crate) function: Function,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) parameters: Value,
}

impl Ask {
    /// What makes the request one that cannot be answered, and the field at fault.
    pub(crate) fn fault(&self, is_chat: bool) -> Option<(&'static str, &'static str)> {
        if is_chat {
            match &self.messages {
                None => return Some(("'messages' is missing", "messages")),
                Some(messages) if messages.is_empty() => {
                    return Some(("'messages' is empty", "messages"));
                }
                Some(_) => {}
            }
        } else if self.prompt.is_none() {
            return Some(("'prompt' is missing", "prompt"));
        }
        if !(1..=MOST_CHOICES).contains(&self.choices()) {
            return Some(("'n' must be from 1 to 16", "n"));
        }
        (self.limit() == Some(0)).then_some(("'max_tokens' must be at least 1", "max_tokens"))
    }

    pub(crate) fn include_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false)
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    pub(crate) fn choices(&self) -> usize {
        self.n.unwrap_or(1)
    }

    pub(crate) fn stops(&self) -> Vec<String> {
        match &self.stop {
            Some(Value::String(stop)) => vec![stop.clone()],
            Some(Value::Array(stops)) => {
                stops.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The tool that is called: the one that was named, or the first, unless its result is here.
    pub(crate) fn tool(&self) -> Option<&Function> {
        let tools = self.tools.as_deref().unwrap_or_default();
        let named = match &self.tool_choice {
            Some(Value::String(choice)) if choice == "none" => return None,
            Some(choice) => choice.pointer("/function/name").and_then(Value::as_str),
            None => None,
        };
        let last = self.messages.as_deref().and_then(<[_]>::last)?;
        if last.role == "tool" {
            return None;
        }
        let mut functions = tools.iter().map(|tool| &tool.function);
        match named {
            Some(name) => functions.find(|function| function.name == name),
            None => functions.next(),
        }
    }

    /// The schema of a JSON answer, if one is asked for; any object's if it has none.
    pub(crate) fn schema(&self) -> Option<Value> {
        let format = self.response_format.as_ref()?;
        match format.get("type")?.as_str()? {
            "json_object" => Some(serde_json::json!({ "required": ["text"] })),
            "json_schema" => Some(format.pointer("/json_schema/schema")?.clone()),
            _ => None,
        }
    }

    pub(crate) fn prompt_tokens(&self) -> usize {
        let messages = self.messages.as_deref().unwrap_or_default();
        let contents = messages.iter().filter_map(|message| message.content.as_ref());
        contents.chain(&self.prompt).map(count).sum()
    }
}

/// The words of every text in this value.
fn count(value: &Value) -> usize {
    match value {
        Value::String(text) => text::count(text),
        Value::Array(parts) => parts.iter().map(count).sum(),
        Value::Object(part) => part.get("text").map_or(0, count),
        Value::Number(_) => 1,
        _ => 0,
    }
}
