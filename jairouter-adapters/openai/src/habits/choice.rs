//! Choices, whole or in pieces.

use std::collections::BTreeMap;

use jairouter_core::{Error, Kind};

use super::calls::Calls;
use super::{Habits, REASONING, REPEATED_DELTAS, STOP_AFTER_CALLS};
use crate::fields::Fields;
use crate::stops::Stops;

/// The choices of one answer.
pub(super) struct Choices {
    habits: Habits,
    stops: Stops,
    choices: BTreeMap<u64, Choice>,
}

#[derive(Default)]
struct Choice {
    has_role: bool,
    calls: Calls,
    stops: Stops,
    finished: bool,
}

/// What is said, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `message`.
    Whole,
    /// `delta`.
    Piece,
}

impl Choices {
    pub(super) fn new(habits: Habits, stops: Stops) -> Self {
        Self { habits, stops, choices: BTreeMap::new() }
    }

    /// Whether every piece of text has to be looked at, for it may belong to a stop text.
    pub(super) fn holds_back(&self) -> bool {
        !self.stops.is_empty()
    }

    /// The choices that have called tools and not finished, which they now have.
    pub(super) fn unfinished(&mut self) -> impl Iterator<Item = u64> {
        self.choices.iter_mut().filter_map(|(index, choice)| {
            let is_open = choice.calls.any() && !std::mem::replace(&mut choice.finished, true);
            is_open.then_some(*index)
        })
    }

    /// Mends one choice; true if it was changed.
    pub(super) fn mend(&mut self, choice: &mut Fields<'_>, form: Form) -> Result<bool, Error> {
        let habits = self.habits;
        let index = choice.given("index").and_then(|index| index.get().parse().ok());
        let stops = &self.stops;
        let state = self
            .choices
            .entry(index.unwrap_or(0))
            .or_insert_with(|| Choice { stops: stops.fresh(), ..Choice::default() });
        let reason = choice.text("finish_reason");
        let is_end =
            form == Form::Whole || reason.as_ref().is_some_and(|reason| !reason.is_empty());
        let said = if form == Form::Whole { "message" } else { "delta" };
        let mut changed = choice.within(said, |said| {
            let mut changed = habits.has(REASONING) && mend_reasoning(said);
            if form == Form::Piece && habits.has(REPEATED_DELTAS) && said.says("role") {
                changed |=
                    std::mem::replace(&mut state.has_role, true) && said.take("role").is_some();
            }
            let calls = &mut state.calls;
            changed |= said.within_each("tool_calls", |place, call| {
                calls.mend(habits, place, call, form == Form::Piece)
            })?;
            Ok(changed | trim(said, "content", &mut state.stops, is_end))
        })?;
        if choice.given("text").is_some() {
            changed |= trim(choice, "text", &mut state.stops, is_end);
        }
        let Some(reason) = reason else { return Ok(changed) };
        let told = match &*reason {
            "abort" | "error" => {
                return Err(Error::new(Kind::Broken, "the instance gave up its answer"));
            }
            "" if form == Form::Piece => None,
            reason => Some(meaning(reason)),
        };
        let told = told.filter(|_| !std::mem::replace(&mut state.finished, told.is_some()));
        let told = match told {
            Some("stop") if habits.has(STOP_AFTER_CALLS) && state.calls.any() => Some("tool_calls"),
            told => told,
        };
        if told != Some(&*reason) {
            choice.set("finish_reason", &told);
            changed = true;
        }
        Ok(changed)
    }
}

/// OpenAI's word for a reason; what nobody knows stays.
fn meaning(reason: &str) -> &str {
    match reason {
        "" | "eos" | "eos_token" | "stop_sequence" | "end_turn" | "repetition" => "stop",
        "limit" | "max_tokens" => "length",
        "tool_use" => "tool_calls",
        known => known,
    }
}

fn mend_reasoning(said: &mut Fields<'_>) -> bool {
    if said.given("reasoning").is_none_or(|reasoning| !reasoning.get().starts_with('"')) {
        return false;
    }
    if said.says("reasoning_content") {
        said.take("reasoning");
    } else {
        said.rename("reasoning", "reasoning_content");
    }
    true
}

/// Takes the stop text from the end of what is said.
fn trim(said: &mut Fields<'_>, name: &'static str, stops: &mut Stops, is_end: bool) -> bool {
    if stops.is_empty() {
        return false;
    }
    let text = said.text(name);
    let mut told = stops.push(text.as_deref().unwrap_or_default());
    if is_end {
        told.push_str(&stops.finish());
    }
    let is_same = text.as_deref().unwrap_or_default() == told;
    if !is_same {
        said.set(name, &told);
    }
    !is_same
}
