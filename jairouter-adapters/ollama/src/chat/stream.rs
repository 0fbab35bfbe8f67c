//! Answers of `/api/chat`, whole and line by line.

use bytes::{Bytes, BytesMut};
use jairouter_core::translate::{self, Message, Translate};
use jairouter_core::{Error, InferenceRequest};

use super::chunk::{Delta, Logprobs, Piece, Said, ToolCall, Whole};
use crate::answer::Identity;
use crate::line::Line;
use jairouter_openai::answer::cut_off;
use jairouter_openai::ask::wants_usage;

/// Rewrites an answer in one piece.
pub(crate) fn whole(request: &InferenceRequest, bytes: &[u8]) -> Result<Bytes, Error> {
    let line = Line::whole(bytes)?;
    let identity = Identity::of(request, "chatcmpl", &line);
    let calls = line.message.tool_calls.iter().flatten();
    let calls: Vec<_> = calls.map(|call| ToolCall::new(call, None)).collect();
    let content = &*line.message.content;
    let choice = Whole {
        index: 0,
        message: Said {
            role: "assistant",
            reasoning_content: filled(&line.message.thinking),
            content: (!content.is_empty() || calls.is_empty()).then_some(content),
            tool_calls: &calls,
        },
        logprobs: line.logprobs().map(|content| Logprobs { content }),
        finish_reason: line.finish_reason(!calls.is_empty()),
    };
    let mut out = BytesMut::with_capacity(bytes.len() + 256);
    let usage = Some(line.usage());
    translate::json(&mut out, &identity.answer("chat.completion", &[choice], usage));
    Ok(out.freeze())
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
        Self {
            identity: Identity::new(request, "chatcmpl"),
            include_usage: wants_usage(request),
            begun: false,
            calls: 0,
            done: false,
        }
    }

    fn chunk(&self, out: &mut BytesMut, choices: &[Piece<'_>]) {
        translate::event(out, &self.identity.answer("chat.completion.chunk", choices, None));
    }

    /// What a line says, in the order a reader expects it: thoughts, words, calls.
    fn said(&mut self, line: &Line<'_>, out: &mut BytesMut) {
        // They are of the line as a whole: the first chunk of it has them.
        let mut logprobs = line.logprobs().map(|content| Logprobs { content });
        let mut say = |this: &Self, delta: Delta<'_>| {
            let logprobs = logprobs.take();
            this.chunk(out, &[Piece { delta, logprobs, ..Piece::default() }]);
        };
        if let Some(thinking) = filled(&line.message.thinking) {
            say(self, Delta { reasoning_content: Some(thinking), ..Delta::default() });
        }
        if let Some(content) = filled(&line.message.content) {
            say(self, Delta { content: Some(content), ..Delta::default() });
        }
        for call in line.message.tool_calls.iter().flatten() {
            let call = ToolCall::new(call, Some(self.calls));
            self.calls += 1;
            say(self, Delta { tool_calls: &[call], ..Delta::default() });
        }
        if logprobs.is_some() {
            // Of tokens whose text comes later, or never.
            self.chunk(out, &[Piece { logprobs, ..Piece::default() }]);
        }
    }

    fn finish(&mut self, line: &Line<'_>, out: &mut BytesMut) {
        self.done = true;
        let finish_reason = Some(line.finish_reason(self.calls > 0));
        self.chunk(out, &[Piece { finish_reason, ..Piece::default() }]);
        if self.include_usage {
            let usage = Some(line.usage());
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
        let line = Line::read(message.data)?;
        if !self.begun {
            self.begun = true;
            self.identity.learn(&line);
            let delta = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            self.chunk(out, &[Piece { delta, ..Piece::default() }]);
        }
        self.said(&line, out);
        if line.done {
            self.finish(&line, out);
        }
        Ok(())
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        if self.done { Ok(()) } else { Err(cut_off()) }
    }
}

fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
