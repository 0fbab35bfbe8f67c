//! Answers in one piece.

use bytes::Bytes;
use jairouter_core::Error;
use jairouter_core::translate;

use super::choice::{Choices, Form};
use super::{Habits, NO_IDS, REASONING, REASONING_TOKENS, stream, words};
use crate::fields::{Fields, is_empty};

/// Rewrites an answer, if it has to be.
pub(super) fn whole(
    habits: Habits,
    mut choices: Choices,
    id: &str,
    bytes: Bytes,
) -> Result<Bytes, Error> {
    let concerns = choices.holds_back()
        || habits.has(NO_IDS)
        || words::ERROR.is_in(&bytes)
        || stream::Finish::of(&bytes).is_odd
        || habits.has(REASONING) && words::REASONING.is_in(&bytes)
        || habits.has(REASONING_TOKENS) && words::REASONING_TOKENS.is_in(&bytes)
        || habits.has(stream::CALLS) && words::TOOL_CALLS.is_in(&bytes);
    if !concerns {
        // What is half an answer is none.
        translate::check(&bytes)?;
        return Ok(bytes);
    }
    let mut answer: Fields<'_> = translate::parse(&bytes)?;
    if answer.given("error").is_some_and(|error| !is_empty(error)) {
        return Err((habits.error)(&bytes));
    }
    let mut changed = false;
    if habits.has(NO_IDS) && !answer.says("id") {
        answer.set("id", &id);
        changed = true;
    }
    changed |= habits.has(REASONING_TOKENS) && mend_usage(&mut answer)?;
    changed |= answer.within_each("choices", |_, choice| choices.mend(choice, Form::Whole))?;
    Ok(if changed { answer.write() } else { bytes })
}

/// Moves the count of reasoning to where it belongs.
pub(super) fn mend_usage(answer: &mut Fields<'_>) -> Result<bool, Error> {
    answer.within("usage", |usage| {
        let count = usage.given("reasoning_tokens").and_then(|count| count.get().parse().ok());
        let Some(count @ 1_u64..) = count else { return Ok(false) };
        usage.take("reasoning_tokens");
        let add = |details: &mut Fields<'_>| {
            if details.given("reasoning_tokens").is_none() {
                details.set("reasoning_tokens", &count);
            }
        };
        let is_there = usage.within("completion_tokens_details", |details| {
            add(details);
            Ok(true)
        })?;
        if !is_there {
            let mut details = Fields::new();
            add(&mut details);
            usage.set("completion_tokens_details", &details);
        }
        Ok(true)
    })
}
