//! What is answered, whole or in pieces.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use crate::ask::Ask;
use crate::schema;
use crate::text;

/// How much of a tool call's arguments is one piece.
const PIECE: usize = 8;

/// An answer that is known before its first token.
#[derive(Debug)]
pub(crate) struct Answer {
    id: String,
    model: String,
    is_chat: bool,
    choices: usize,
    tool: Option<String>,
    /// Of the text, or of the tool call's arguments.
    pieces: Vec<String>,
    finish: &'static str,
    prompt_tokens: usize,
    include_usage: bool,
}

impl Answer {
    pub(crate) fn new(ask: &Ask, is_chat: bool, number: u64, length: usize) -> Self {
        let limit = ask.limit().unwrap_or(usize::MAX);
        let tool = ask.tool();
        let (mut pieces, whole) = match (tool, ask.schema()) {
            (Some(function), _) => {
                (pieces_of(&schema::value(&function.parameters).to_string()), "tool_calls")
            }
            (None, Some(wanted)) => (pieces_of(&schema::value(&wanted).to_string()), "stop"),
            (None, None) => (text::tokens(length.min(limit)), "stop"),
        };
        let cut =
            limit < if tool.is_some() || ask.schema().is_some() { pieces.len() } else { length };
        pieces.truncate(limit);
        let stopped = tool.is_none() && text::cut_at(&mut pieces, &ask.stops());
        Self {
            id: format!("{}-simulated-{number}", if is_chat { "chatcmpl" } else { "cmpl" }),
            model: ask.model.clone(),
            is_chat,
            choices: ask.choices(),
            tool: tool.map(|function| function.name.clone()),
            finish: if cut && !stopped { "length" } else { whole },
            pieces,
            prompt_tokens: ask.prompt_tokens(),
            include_usage: ask.include_usage(),
        }
    }

    /// How many tokens take their time.
    pub(crate) fn tokens(&self) -> usize {
        self.pieces.len()
    }

    fn usage(&self) -> Value {
        let completion = self.pieces.len() * self.choices;
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        })
    }

    /// The answer as one object.
    pub(crate) fn whole(&self) -> Bytes {
        let text = self.pieces.concat();
        let choice = |index: usize| {
            let mut choice =
                json!({ "index": index, "logprobs": null, "finish_reason": self.finish });
            if !self.is_chat {
                choice["text"] = json!(text);
            } else if let Some(name) = &self.tool {
                let call = self.call(index, name, &text);
                choice["message"] =
                    json!({ "role": "assistant", "content": null, "tool_calls": [call] });
            } else {
                choice["message"] = json!({ "role": "assistant", "content": text });
            }
            choice
        };
        let object = if self.is_chat { "chat.completion" } else { "text_completion" };
        let mut whole = self.object(object, (0..self.choices).map(choice).collect());
        whole["usage"] = self.usage();
        whole.to_string().into()
    }

    /// The event of one token: of every choice the same.
    pub(crate) fn token(&self, at: usize) -> Bytes {
        let mut out = BytesMut::new();
        if at == 0 && self.is_chat {
            let role =
                |index| self.chunk(index, json!({ "role": "assistant", "content": "" }), None);
            (0..self.choices).map(role).for_each(|chunk| event(&mut out, &chunk));
        }
        let Some(piece) = self.pieces.get(at) else { return out.freeze() };
        for index in 0..self.choices {
            let delta = match &self.tool {
                Some(name) if at == 0 => {
                    let mut call = self.call(index, name, piece);
                    call["index"] = json!(0);
                    json!({ "tool_calls": [call] })
                }
                Some(_) => {
                    json!({ "tool_calls": [{ "index": 0, "function": { "arguments": piece } }] })
                }
                None => json!({ "content": piece }),
            };
            event(&mut out, &self.chunk(index, delta, None));
        }
        out.freeze()
    }

    /// The events that end a stream.
    pub(crate) fn end(&self) -> Bytes {
        let mut out = BytesMut::new();
        for index in 0..self.choices {
            event(&mut out, &self.chunk(index, json!({}), Some(self.finish)));
        }
        if self.include_usage {
            let mut last = self.object(self.chunk_object(), Vec::new());
            last["usage"] = self.usage();
            event(&mut out, &last);
        }
        out.put_slice(b"data: [DONE]\n\n");
        out.freeze()
    }

    fn call(&self, index: usize, name: &str, arguments: &str) -> Value {
        let id = format!("call_{}_{index}", self.id);
        json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
    }

    fn chunk(&self, index: usize, delta: Value, finish: Option<&str>) -> Value {
        let choice = if self.is_chat {
            json!({ "index": index, "delta": delta, "logprobs": null, "finish_reason": finish })
        } else {
            let text = delta.get("content").cloned().unwrap_or(json!(""));
            json!({ "index": index, "text": text, "logprobs": null, "finish_reason": finish })
        };
        self.object(self.chunk_object(), vec![choice])
    }

    fn chunk_object(&self) -> &'static str {
        if self.is_chat { "chat.completion.chunk" } else { "text_completion" }
    }

    fn object(&self, object: &str, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": 0,
            "model": self.model,
            "system_fingerprint": "simulated",
            "choices": choices,
        })
    }
}

fn event(out: &mut BytesMut, value: &Value) {
    out.put_slice(b"data: ");
    out.put_slice(value.to_string().as_bytes());
    out.put_slice(b"\n\n");
}

fn pieces_of(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(PIECE).map(|piece| piece.iter().collect()).collect()
}
