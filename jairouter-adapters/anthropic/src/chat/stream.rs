//! Answers of `/v1/messages`, event by event.

use bytes::BytesMut;
use jairouter_core::translate::{self, Message, Translate};
use jairouter_core::{Error, InferenceRequest};
use serde_json::value::RawValue;

use super::chunk::{Delta, Piece, Thought, ToolCall};
use crate::failure;
use crate::ids::Ids;
use crate::native::{Block, Counts, Delta as Added, Event, finish_reason};
use jairouter_openai::answer::cut_off;
use jairouter_openai::ask::wants_usage;
use jairouter_openai::identity::Identity;

/// Rewrites the events of one answer.
pub(crate) struct Stream {
    identity: Identity,
    include_usage: bool,
    begun: bool,
    ids: Ids,
    calls: u32,
    /// The block whose end has not come, if more is to be known of it than what it says.
    open: Open,
    counts: Counts,
    stop_reason: String,
    done: bool,
}

/// An open block. They come one after the other.
enum Open {
    /// None, or one whose pieces stand for themselves.
    Plain,
    Call {
        block: u64,
        index: u32,
        /// What it was called with, until a piece of it comes.
        input: Option<String>,
    },
    Thought {
        block: u64,
        thinking: String,
        signature: String,
    },
}

impl Stream {
    pub(crate) fn new(request: &InferenceRequest) -> Self {
        Self {
            identity: Identity::new(request),
            include_usage: wants_usage(request),
            begun: false,
            ids: Ids::default(),
            calls: 0,
            open: Open::Plain,
            counts: Counts::default(),
            stop_reason: String::new(),
            done: false,
        }
    }

    fn chunk(&self, out: &mut BytesMut, choices: &[Piece<'_>]) {
        translate::event(out, &self.identity.answer("chat.completion.chunk", choices, None));
    }

    fn say(&mut self, out: &mut BytesMut, delta: Delta<'_>) {
        self.begin(out);
        self.chunk(out, &[Piece { delta, ..Piece::default() }]);
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if !self.begun {
            self.begun = true;
            let delta = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            self.chunk(out, &[Piece { delta, ..Piece::default() }]);
        }
    }

    fn words(&mut self, out: &mut BytesMut, text: &str) {
        if !text.is_empty() {
            self.say(out, Delta { content: Some(text), ..Delta::default() });
        }
    }

    fn thoughts(&mut self, out: &mut BytesMut, text: &str) {
        if !text.is_empty() {
            self.say(out, Delta { reasoning_content: Some(text), ..Delta::default() });
        }
    }

    fn call(&mut self, out: &mut BytesMut, call: ToolCall<'_>) {
        self.say(out, Delta { tool_calls: &[call], ..Delta::default() });
    }

    fn start_block(&mut self, index: u64, block: &Block<'_>, out: &mut BytesMut) {
        // Some engines of the same language leave the end of a block out.
        self.end_block(out);
        match &*block.r#type {
            "text" => self.words(out, &block.text),
            "thinking" => {
                self.thoughts(out, &block.thinking);
                let thinking = block.thinking.to_owned();
                let signature = block.signature.to_owned();
                self.open = Open::Thought { block: index, thinking, signature };
            }
            "redacted_thinking" => {
                let thoughts = [Thought::RedactedThinking { data: &block.data }];
                self.say(out, Delta { thinking_blocks: &thoughts, ..Delta::default() });
            }
            "tool_use" => {
                let id = self.ids.next(&block.id);
                let call = ToolCall::new(Some(self.calls), &id, &block.name, "");
                self.call(out, call);
                let input = Some(block.input.map_or("{}", RawValue::get).to_owned());
                self.open = Open::Call { block: index, index: self.calls, input };
                self.calls += 1;
            }
            // Of tools on Anthropic's side, which nobody has asked for.
            _ => {}
        }
    }

    fn add(&mut self, index: u64, added: &Added<'_>, out: &mut BytesMut) {
        self.words(out, &added.text);
        self.thoughts(out, &added.thinking);
        match &mut self.open {
            // The first piece is often an empty one.
            Open::Call { block, index: call, input }
                if *block == index && !added.partial_json.is_empty() =>
            {
                *input = None;
                let call = ToolCall::more(*call, &added.partial_json);
                self.call(out, call);
            }
            Open::Thought { block, thinking, signature } if *block == index => {
                thinking.push_str(&added.thinking);
                signature.push_str(&added.signature);
            }
            _ => {}
        }
    }

    fn end_block(&mut self, out: &mut BytesMut) {
        match std::mem::replace(&mut self.open, Open::Plain) {
            // A call without arguments streams nothing, and one of another engine's all at once.
            Open::Call { index, input: Some(input), .. } => {
                self.call(out, ToolCall::more(index, &input));
            }
            // Without its signature it is not taken back.
            Open::Thought { thinking, signature, .. } if !signature.is_empty() => {
                let thoughts = [Thought::Thinking { thinking: &thinking, signature: &signature }];
                self.say(out, Delta { thinking_blocks: &thoughts, ..Delta::default() });
            }
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.end_block(out);
        self.begin(out);
        self.done = true;
        let finish_reason = Some(finish_reason(&self.stop_reason, self.calls > 0));
        self.chunk(out, &[Piece { finish_reason, ..Piece::default() }]);
        if self.include_usage {
            let usage = Some(self.counts.usage());
            let chunk = self.identity.answer::<Piece<'_>>("chat.completion.chunk", &[], usage);
            translate::event(out, &chunk);
        }
        translate::done(out);
    }
}

impl Translate for Stream {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        if self.done {
            return Ok(());
        }
        if message.name == b"error" {
            return Err(failure::reported(message.data));
        }
        let event: Event<'_> = translate::parse(message.data)?;
        if event.error.is_some() {
            return Err(failure::reported(message.data));
        }
        match &*event.r#type {
            "message_start" => {
                if let Some(start) = &event.message {
                    self.identity.learn(&start.id, &start.model);
                    self.counts.learn(start.usage.unwrap_or_default());
                }
                self.begin(out);
            }
            "content_block_start" => {
                if let Some(block) = &event.content_block {
                    self.start_block(event.index, block, out);
                }
            }
            "content_block_delta" => {
                if let Some(added) = &event.delta {
                    self.add(event.index, added, out);
                }
            }
            "content_block_stop" => self.end_block(out),
            "message_delta" => {
                if let Some(delta) = &event.delta
                    && !delta.stop_reason.is_empty()
                {
                    (*delta.stop_reason).clone_into(&mut self.stop_reason);
                }
                self.counts.learn(event.usage.unwrap_or_default());
            }
            "message_stop" => self.finish(out),
            "error" => return Err(failure::reported(message.data)),
            // Pings, and what the API may add: it asks its readers to pass over that.
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        if self.done { Ok(()) } else { Err(cut_off()) }
    }
}
