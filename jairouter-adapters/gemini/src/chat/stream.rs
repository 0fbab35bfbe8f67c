//! Answers of `:streamGenerateContent`, piece by piece.

use bytes::BytesMut;
use jairouter_core::translate::{self, Message, Translate};
use jairouter_core::{Error, InferenceRequest};

use super::chunk::{Delta, Image, Logprobs, Piece, ToolCall};
use crate::native::{Answer, Candidate, Counts, finish_reason};
use jairouter_openai::answer::cut_off;
use jairouter_openai::ask::wants_usage;
use jairouter_openai::identity::Identity;

/// Rewrites the pieces of one answer.
///
/// Nothing in the stream says that it is the last: that is what its end says, if by then every
/// candidate has given its reason. Some models give one with every piece.
pub(crate) struct Stream {
    identity: Identity,
    include_usage: bool,
    choices: Vec<Choice>,
    is_blocked: bool,
    counts: Counts,
}

/// What is known of a candidate.
struct Choice {
    index: u32,
    calls: u32,
    finish: Option<String>,
}

impl Stream {
    pub(crate) fn new(request: &InferenceRequest) -> Self {
        Self {
            identity: Identity::new(request),
            include_usage: wants_usage(request),
            choices: Vec::new(),
            is_blocked: false,
            counts: Counts::default(),
        }
    }

    fn chunk(&self, out: &mut BytesMut, choices: &[Piece<'_>]) {
        translate::event(out, &self.identity.answer("chat.completion.chunk", choices, None));
    }

    /// The place of this candidate, which begins with its role.
    fn choice(&mut self, index: u32, out: &mut BytesMut) -> usize {
        if let Some(at) = self.choices.iter().position(|choice| choice.index == index) {
            return at;
        }
        let delta = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
        self.chunk(out, &[Piece { index, delta, ..Piece::default() }]);
        self.choices.push(Choice { index, calls: 0, finish: None });
        self.choices.len() - 1
    }

    fn said(&mut self, candidate: &Candidate<'_>, out: &mut BytesMut) {
        let index = candidate.index;
        let at = self.choice(index, out);
        // They are of the piece as a whole: the first chunk of it has them.
        let mut logprobs = candidate.logprobs_result.as_ref().map(Logprobs::new);
        let mut say = |this: &Self, delta: Delta<'_>| {
            let logprobs = logprobs.take();
            this.chunk(out, &[Piece { index, delta, logprobs, ..Piece::default() }]);
        };
        for part in candidate.parts() {
            let text = (!part.text.is_empty()).then_some(&*part.text);
            if part.thought && text.is_some() {
                say(self, Delta { reasoning_content: text, ..Delta::default() });
            } else if text.is_some() {
                say(self, Delta { content: text, ..Delta::default() });
            }
            if let Some(blob) = &part.inline_data {
                say(self, Delta { images: &[Image::new(blob)], ..Delta::default() });
            }
            if let Some(call) = &part.function_call {
                let nth = self.choices[at].calls;
                let call = ToolCall::new(Some(nth), call, &part.thought_signature);
                self.choices[at].calls += 1;
                say(self, Delta { tool_calls: &[call], ..Delta::default() });
            }
        }
        if logprobs.is_some() {
            // Of tokens whose text comes later, or never.
            self.chunk(out, &[Piece { index, logprobs, ..Piece::default() }]);
        }
        if let Some(finish) = candidate.finish() {
            self.choices[at].finish = Some(finish.to_owned());
        }
    }

    /// Why each candidate ended; an error if one has not.
    fn reasons(&self) -> Result<Vec<(u32, &'static str)>, Error> {
        let reason = |choice: &Choice| match &choice.finish {
            Some(finish) => Ok((choice.index, finish_reason(finish, choice.calls > 0))),
            None if self.is_blocked => Ok((choice.index, "content_filter")),
            None => Err(cut_off()),
        };
        self.choices.iter().map(reason).collect()
    }
}

impl Translate for Stream {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        let answer = Answer::read(message.data)?;
        if self.choices.is_empty() {
            self.identity.learn(&answer.response_id, &answer.model_version);
        }
        self.counts.learn(answer.usage_metadata.unwrap_or_default());
        self.is_blocked |= answer.is_blocked();
        for candidate in answer.candidates.iter().flatten() {
            self.said(candidate, out);
        }
        Ok(())
    }

    fn end(&mut self, out: &mut BytesMut) -> Result<(), Error> {
        let reasons = self.reasons()?;
        if reasons.is_empty() && !self.is_blocked {
            return Err(cut_off());
        }
        for (index, reason) in reasons {
            let finish_reason = Some(reason);
            self.chunk(out, &[Piece { index, finish_reason, ..Piece::default() }]);
        }
        if self.choices.is_empty() {
            // The prompt was not even answered.
            self.choice(0, out);
            let finish_reason = Some("content_filter");
            self.chunk(out, &[Piece { finish_reason, ..Piece::default() }]);
        }
        if self.include_usage {
            let usage = Some(self.counts.usage());
            let chunk = self.identity.answer::<Piece<'_>>("chat.completion.chunk", &[], usage);
            translate::event(out, &chunk);
        }
        translate::done(out);
        Ok(())
    }
}
