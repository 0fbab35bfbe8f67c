//! Answers of `/api/generate`, whole and line by line.

use bytes::{Bytes, BytesMut};
use jairouter_core::translate::{self, Message, Translate};
use jairouter_core::{Error, InferenceRequest};

use super::choice::{Choice, Logprobs};
use crate::answer::Identity;
use crate::line::Line;
use jairouter_openai::answer::cut_off;
use jairouter_openai::ask::wants_usage;

const OBJECT: &str = "text_completion";

/// Rewrites an answer in one piece.
pub(crate) fn whole(request: &InferenceRequest, bytes: &[u8]) -> Result<Bytes, Error> {
    let line = Line::whole(bytes)?;
    let identity = Identity::of(request, "cmpl", &line);
    let choice = Choice {
        index: 0,
        text: &line.response,
        logprobs: line.logprobs().map(|native| Logprobs::new(native, 0)).transpose()?,
        finish_reason: Some(line.finish_reason(false)),
    };
    let mut out = BytesMut::with_capacity(bytes.len() + 256);
    translate::json(&mut out, &identity.answer(OBJECT, &[choice], Some(line.usage())));
    Ok(out.freeze())
}

/// Rewrites the lines of one answer.
pub(crate) struct Stream {
    identity: Identity,
    include_usage: bool,
    begun: bool,
    /// How many characters have passed.
    offset: usize,
    done: bool,
}

impl Stream {
    pub(crate) fn new(request: &InferenceRequest) -> Self {
        Self {
            identity: Identity::new(request, "cmpl"),
            include_usage: wants_usage(request),
            begun: false,
            offset: 0,
            done: false,
        }
    }

    fn chunk(&self, out: &mut BytesMut, choice: Choice<'_>) {
        translate::event(out, &self.identity.answer(OBJECT, &[choice], None));
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
        }
        let native = line.logprobs();
        if !line.response.is_empty() || native.is_some() {
            let logprobs = native.map(|native| Logprobs::new(native, self.offset)).transpose()?;
            self.offset += line.response.chars().count();
            let choice = Choice { index: 0, text: &line.response, logprobs, finish_reason: None };
            self.chunk(out, choice);
        }
        if line.done {
            self.done = true;
            let finish_reason = Some(line.finish_reason(false));
            self.chunk(out, Choice { index: 0, text: "", logprobs: None, finish_reason });
            if self.include_usage {
                let usage = Some(line.usage());
                translate::event(out, &self.identity.answer::<Choice<'_>>(OBJECT, &[], usage));
            }
            translate::done(out);
        }
        Ok(())
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<(), Error> {
        if self.done { Ok(()) } else { Err(cut_off()) }
    }
}
