//! Answers that come event by event.

use bytes::BytesMut;
use jairouter_core::translate::{self, Edit, Edited, Message};
use jairouter_core::{Error, InferenceRequest};
use serde_json::json;

use super::choice::{Choices, Form};
use super::whole::mend_usage;
use super::words;
use super::{
    End, Habits, NO_IDS, REASONING, REASONING_TOKENS, REPEATED_DELTAS, SHARED_TOOL_IDS,
    STOP_AFTER_CALLS, UNASKED_USAGE,
};
use crate::answer::cut_off;
use crate::ask::wants_usage;
use crate::fields::{Fields, is_empty};

/// The habits that have to do with tool calls.
pub(super) const CALLS: u16 = REPEATED_DELTAS | SHARED_TOOL_IDS | STOP_AFTER_CALLS;

/// Edits the events of one answer.
pub(super) struct Stream {
    habits: Habits,
    wants_usage: bool,
    id: String,
    choices: Choices,
    /// A chunk without its choices, to say more in the engine's name.
    head: Option<Box<str>>,
    finished: bool,
    done: bool,
}

impl Stream {
    pub(super) fn new(habits: Habits, request: &InferenceRequest) -> Self {
        Self {
            habits,
            wants_usage: wants_usage(request),
            id: habits.id(request),
            choices: Choices::new(habits, habits.stops(request)),
            head: None,
            finished: false,
            done: false,
        }
    }

    /// Says of choices that have called tools that they are finished, if the engine has not.
    fn close(&mut self, out: &mut BytesMut) {
        if !self.habits.has(STOP_AFTER_CALLS) {
            return;
        }
        let head = self.head.as_deref().and_then(|head| serde_json::from_str(head).ok());
        let Some(mut chunk): Option<Fields<'_>> = head else { return };
        for index in self.choices.unfinished() {
            let finish = json!([{"index": index, "delta": {}, "finish_reason": "tool_calls"}]);
            chunk.set("choices", &finish);
            translate::event(out, &chunk);
        }
    }

    fn mend(&mut self, chunk: &mut Fields<'_>) -> Result<bool, Error> {
        let mut changed = false;
        if self.habits.has(NO_IDS) && !chunk.says("id") {
            chunk.set("id", &self.id);
            changed = true;
        }
        if self.habits.has(REASONING_TOKENS) {
            changed |= mend_usage(chunk)?;
        }
        changed |=
            chunk.within_each("choices", |_, choice| self.choices.mend(choice, Form::Piece))?;
        if self.habits.has(STOP_AFTER_CALLS) && self.head.is_none() {
            let mut head = chunk.clone();
            head.take("choices");
            head.take("usage");
            self.head = serde_json::to_string(&head).ok().map(Into::into);
        }
        Ok(changed)
    }
}

impl Edit for Stream {
    fn concerns(&mut self, event: &[u8]) -> bool {
        let habits = self.habits;
        let finish = Finish::of(event);
        self.finished |= finish.is_given;
        let is_unasked = habits.has(UNASKED_USAGE) && !self.wants_usage;
        // Behind it nothing else is said.
        let looks_at_usage = is_unasked || habits.has(STOP_AFTER_CALLS);
        self.choices.holds_back()
            || habits.has(NO_IDS)
            || finish.is_odd
            || finish.is_given && habits.has(STOP_AFTER_CALLS)
            || words::DONE.is_in(event)
            || words::ERROR.is_in(event)
            || words::EVENT.is_in(event)
            || habits.has(REASONING) && words::REASONING.is_in(event)
            || looks_at_usage && words::USAGE.is_in(event)
            || habits.has(REASONING_TOKENS) && words::REASONING_TOKENS.is_in(event)
            || habits.has(CALLS) && words::TOOL_CALLS.is_in(event)
            || habits.has(REPEATED_DELTAS) && words::ROLE.is_in(event)
    }

    fn edit(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<Edited, Error> {
        let data = message.data.trim_ascii();
        if data == b"[DONE]" {
            self.close(out);
            self.done = true;
            return Ok(Edited::Kept);
        }
        // Events with other names are of other things.
        if data.is_empty() || !matches!(message.name, b"" | b"message" | b"error") {
            return Ok(Edited::Kept);
        }
        if message.name == b"error" {
            return Err((self.habits.error)(data));
        }
        let mut chunk: Fields<'_> = translate::parse(data)?;
        if chunk.given("error").is_some_and(|error| !is_empty(error)) {
            return Err((self.habits.error)(data));
        }
        let Some(choices) = chunk.given("choices") else { return Ok(Edited::Kept) };
        if is_empty(choices) {
            self.close(out);
            let is_usage = chunk.given("usage").is_some();
            if is_usage && self.habits.has(UNASKED_USAGE) && !self.wants_usage {
                return Ok(Edited::Replaced);
            }
        }
        if !self.mend(&mut chunk)? {
            return Ok(Edited::Kept);
        }
        translate::event(out, &chunk);
        Ok(Edited::Replaced)
    }

    fn end(&mut self, out: &mut BytesMut) -> Result<(), Error> {
        match self.habits.end {
            _ if self.done => {}
            End::Any => {}
            End::Finished if self.finished => translate::done(out),
            End::Done | End::Finished => return Err(cut_off()),
        }
        Ok(())
    }
}

/// What bytes say of why an answer ended, found without parsing them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finish {
    /// A reason is given.
    pub(super) is_given: bool,
    /// It is none of OpenAI's.
    pub(super) is_odd: bool,
}

impl Finish {
    pub(super) fn of(mut bytes: &[u8]) -> Self {
        const KNOWN: [&[u8]; 5] =
            [b"stop\"", b"length\"", b"tool_calls\"", b"content_filter\"", b"function_call\""];
        let mut finish = Self::default();
        while let Some(at) = words::FINISH_REASON.find(bytes) {
            bytes = &bytes[at + words::FINISH_REASON.length()..];
            let value = bytes.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
            if let Some(reason) = value.trim_ascii_start().strip_prefix(b"\"") {
                finish.is_given |= !reason.starts_with(b"\"");
                finish.is_odd |= !KNOWN.iter().any(|known| reason.starts_with(known));
            }
        }
        finish
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_however_it_is_written() {
        for (bytes, is_given, is_odd) in [
            (r#"{"finish_reason":null}"#, false, false),
            (r#"{"finish_reason":"stop"}"#, true, false),
            (r#"[{"finish_reason":null},{"finish_reason" : "abort"}]"#, true, true),
            (r#"{"finish_reason":""}"#, false, true),
            (r#"{"content":"\"finish_reason\":\"x\""}"#, false, false),
            (r#"{"finish_reason""#, false, false),
        ] {
            assert_eq!(Finish::of(bytes.as_bytes()), Finish { is_given, is_odd }, "{bytes}");
        }
    }
}
