//! How much a model is to think, and how long its answer may be: Anthropic counts both together.

use std::borrow::Cow;

use jairouter_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::Fields;

/// How long an answer may be if nobody says: Anthropic has to be told.
const LENGTH: u64 = 4096;

/// The fewest tokens a model can be told to think.
const LEAST: u64 = 1024;

/// What `thinking` says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Thinking<'a> {
    Adaptive,
    Enabled {
        budget_tokens: u64,
    },
    Disabled,
    /// As Anthropic itself takes it.
    #[serde(untagged)]
    Own(&'a RawValue),
}

/// How much is to be thought and said.
pub(crate) struct Measure<'a> {
    pub(crate) max_tokens: u64,
    pub(crate) thinking: Option<Thinking<'a>>,
    pub(crate) effort: Option<&'static str>,
}

impl<'a> Measure<'a> {
    /// Reads `reasoning_effort`, or else `thinking`, and the limits.
    pub(crate) fn read(fields: &Fields<'a>, model: &str) -> Result<Self, Error> {
        let limit = limit(fields)?;
        let plain = |thinking, effort| {
            let max_tokens = limit.unwrap_or(LENGTH);
            Self { max_tokens, thinking, effort }
        };
        match effort(fields)? {
            None => {
                let thinking = fields.given("thinking");
                let budget = thinking.map_or(0, budget);
                let max_tokens = limit.unwrap_or(LENGTH.saturating_add(budget));
                let thinking = thinking.map(Thinking::Own);
                Ok(Self { max_tokens, thinking, effort: None })
            }
            Some("none") => Ok(plain(Some(Thinking::Disabled), None)),
            Some(effort) if thinks_by_budget(model) => {
                let wanted = match effort {
                    "low" => LEAST,
                    "medium" => 8192,
                    _ => 24576,
                };
                let max_tokens = limit.unwrap_or(wanted + LENGTH);
                // Something has to be left for the answer.
                let budget_tokens = wanted.min(max_tokens / 5 * 4).max(LEAST);
                if budget_tokens >= max_tokens {
                    let message =
                        "this model thinks in 1024 tokens at least: the limit must be higher";
                    return Err(unsupported("reasoning_effort", message));
                }
                let thinking = Some(Thinking::Enabled { budget_tokens });
                Ok(Self { max_tokens, thinking, effort: None })
            }
            Some(effort) => Ok(plain(Some(Thinking::Adaptive), Some(effort))),
        }
    }
}

/// The newer name goes before the older.
fn limit(fields: &Fields<'_>) -> Result<Option<u64>, Error> {
    let mut limit = None;
    for name in ["max_tokens", "max_completion_tokens"] {
        let given = fields.field::<u64>(name, "a whole number, and at least 1")?;
        if given == Some(0) {
            return Err(invalid(name, format!("'{name}' must be at least 1")));
        }
        limit = given.or(limit);
    }
    Ok(limit)
}

/// In Anthropic's words.
fn effort(fields: &Fields<'_>) -> Result<Option<&'static str>, Error> {
    const NAME: &str = "reasoning_effort";
    const EFFORTS: &str = "none, minimal, low, medium, high, xhigh or max";
    let Some(effort) = fields.field::<Cow<'_, str>>(NAME, EFFORTS)? else { return Ok(None) };
    Ok(Some(match &*effort {
        "none" => "none",
        "minimal" | "low" => "low",
        "medium" => "medium",
        "high" => "high",
        "xhigh" => "xhigh",
        "max" => "max",
        _ => return Err(invalid(NAME, format!("'{NAME}' must be {EFFORTS}"))),
    }))
}

/// What a `thinking` of Anthropic's own takes of the limit.
fn budget(thinking: &RawValue) -> u64 {
    #[derive(Deserialize)]
    struct Own {
        #[serde(default)]
        budget_tokens: u64,
    }
    serde_json::from_str::<Own>(thinking.get()).map_or(0, |own| own.budget_tokens)
}

/// Whether a model is of before 4.6, when thoughts were measured in tokens and not in effort.
fn thinks_by_budget(model: &str) -> bool {
    let Some((_, name)) = model.split_once("claude-") else { return false };
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    // Longer numbers are dates.
    let number = |word: &str| (word.len() < 3).then(|| word.parse::<u32>().ok()).flatten();
    let mut version = words.skip_while(|word| number(word).is_none()).map_while(number);
    match version.next() {
        Some(major) => (major, version.next().unwrap_or(0)) < (4, 6),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_before_4_6_are_told_how_many_tokens_to_think() {
        for model in [
            "claude-2.1",
            "claude-3-7-sonnet-20250219",
            "claude-sonnet-4-20250514",
            "claude-opus-4-1@20250805",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
            "claude-opus-4-0",
        ] {
            assert!(thinks_by_budget(model), "{model}");
        }
        for model in [
            "claude-opus-4-6",
            "claude-opus-4.7",
            "claude-sonnet-5",
            "claude-sonnet-latest",
            "m",
            "",
        ] {
            assert!(!thinks_by_budget(model), "{model}");
        }
    }
}
