//! What is answered, whole or in pieces.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use crate::ask::{Ask, Fault, Wanted};
use crate::text::Said;
use crate::wire::{self, Call, Called, Choice, Delta, Generation, Part, Usage};

/// What a chunk takes beside the model's name and its token.
const CHUNK: usize = 256;

/// An answer that is known before its first token. Its choices all say the same.
#[derive(Debug)]
pub(crate) struct Answer {
    id: String,
    model: String,
    is_chat: bool,
    choices: usize,
    tool: Option<String>,
    said: Said,
    finish: &'static str,
    prompt_tokens: usize,
    include_usage: bool,
}

impl Answer {
    pub(crate) fn new(ask: Ask, is_chat: bool, number: u64, length: usize) -> Result<Self, Fault> {
        let (choices, prompt_tokens) = ask.check(is_chat)?;
        let limit = ask.limit().unwrap_or(usize::MAX);
        let (tool, (mut said, is_cut)) = match ask.wanted() {
            Wanted::Call(name, arguments) => (Some(name), Said::json(arguments, limit)),
            Wanted::Json(json) => (None, Said::json(json, limit)),
            Wanted::Text => (None, (Said::passage(length.min(limit)), limit < length)),
        };
        let is_stopped = tool.is_none() && said.stop_at(ask.stops());
        let finish = match &tool {
            _ if is_cut && !is_stopped => "length",
            Some(_) => "tool_calls",
            None => "stop",
        };
        let id = format!("{}-simulated-{number}", if is_chat { "chatcmpl" } else { "cmpl" });
        let include_usage = ask.include_usage();
        let model = ask.model;
        Ok(Self { id, model, is_chat, choices, tool, said, finish, prompt_tokens, include_usage })
    }

    /// How many tokens take their time.
    pub(crate) fn tokens(&self) -> usize {
        self.said.tokens()
    }

    /// The answer as one object.
    pub(crate) fn whole(&self) -> Bytes {
        let text = self.said.text();
        let choices = (0..self.choices).map(|index| {
            let part = match &self.tool {
                _ if !self.is_chat => Part::Text(text),
                Some(name) => {
                    let call = Call { index: None, ..self.call(index, name, text) };
                    Part::Message(Delta::Role {
                        role: "assistant",
                        content: None,
                        tool_calls: Some([call]),
                    })
                }
                None => Part::Message(Delta::Role {
                    role: "assistant",
                    content: Some(text),
                    tool_calls: None,
                }),
            };
            Choice { index, part, logprobs: (), finish_reason: Some(self.finish) }
        });
        let object = if self.is_chat { "chat.completion" } else { "text_completion" };
        let choices: Vec<_> = choices.collect();
        wire::whole(&self.object(object, choices, Some(self.usage())))
    }

    /// The first events of a chat's stream: who speaks. A completion has none.
    pub(crate) fn role(&self) -> Option<Bytes> {
        let content = self.tool.is_none().then_some("");
        self.is_chat.then(|| {
            self.chunks(|_| Delta::Role { role: "assistant", content, tool_calls: None }, None)
                .freeze()
        })
    }

    /// The events of the token that begins at this byte of the text, of every choice one, and where
    /// the next one begins.
    pub(crate) fn token(&self, from: usize) -> (Bytes, usize) {
        let piece = self.said.piece(from);
        let delta = |index| match &self.tool {
            Some(name) if from == 0 => Delta::Calls { tool_calls: [self.call(index, name, piece)] },
            Some(_) => {
                let function = Called { name: None, arguments: piece };
                Delta::Calls {
                    tool_calls: [Call { index: Some(0), id: None, r#type: None, function }],
                }
            }
            None => Delta::Content { content: piece },
        };
        (self.chunks(delta, None).freeze(), from + piece.len())
    }

    /// The events that end a stream.
    pub(crate) fn end(&self) -> Bytes {
        let mut out = self.chunks(|_| Delta::Nothing {}, Some(self.finish));
        if self.include_usage {
            let none: [Choice<'_>; 0] = [];
            wire::event(&mut out, &self.object(self.chunk(), none, Some(self.usage())));
        }
        out.put_slice(b"data: [DONE]\n\n");
        out.freeze()
    }

    /// An event for each choice.
    fn chunks<'a>(
        &'a self,
        delta: impl Fn(usize) -> Delta<'a>,
        finish: Option<&'static str>,
    ) -> BytesMut {
        let mut out = BytesMut::with_capacity(self.choices * (CHUNK + self.model.len()));
        for index in 0..self.choices {
            let part = match delta(index) {
                delta if self.is_chat => Part::Delta(delta),
                Delta::Content { content } => Part::Text(content),
                _ => Part::Text(""),
            };
            let choice = Choice { index, part, logprobs: (), finish_reason: finish };
            wire::event(&mut out, &self.object(self.chunk(), [choice], None));
        }
        out
    }

    fn chunk(&self) -> &'static str {
        if self.is_chat { "chat.completion.chunk" } else { "text_completion" }
    }

    fn call<'a>(&self, choice: usize, name: &'a str, arguments: &'a str) -> Call<'a> {
        Call {
            index: Some(0),
            id: Some(format!("call_{}_{choice}", self.id)),
            r#type: Some("function"),
            function: Called { name: Some(name), arguments },
        }
    }

    fn usage(&self) -> Usage {
        let completion = self.tokens() * self.choices;
        let total = self.prompt_tokens + completion;
        Usage { prompt: self.prompt_tokens, completion: Some(completion), total }
    }

    fn object<C: Serialize>(
        &self,
        object: &'static str,
        choices: C,
        usage: Option<Usage>,
    ) -> Generation<'_, C> {
        Generation {
            id: &self.id,
            object,
            created: 0,
            model: &self.model,
            system_fingerprint: "simulated",
            choices,
            usage,
        }
    }
}
