//! What a caller asks, field by field.

use std::collections::BTreeMap;

use jairouter_core::Error;
use jairouter_openai::fields::{invalid, unsupported};
use jairouter_openai::read::Fields;
use serde_json::value::RawValue;

/// Fields that go to Ollama as they came.
pub(crate) type Passed<'a> = BTreeMap<&'static str, &'a RawValue>;

/// These fields, as far as they are given.
pub(crate) fn pass<'a>(fields: &Fields<'a>, names: &[&'static str]) -> Passed<'a> {
    names.iter().filter_map(|name| Some((*name, fields.given(name)?))).collect()
}

/// Refuses a number of answers other than one, which is how many Ollama gives.
pub(crate) fn one_only(fields: &Fields<'_>, name: &'static str) -> Result<(), Error> {
    match fields.field::<u64>(name, "a whole number")? {
        None | Some(1) => Ok(()),
        Some(_) => Err(unsupported(name, format!("ollama gives one choice: '{name}' must be 1"))),
    }
}

/// Refuses a number that Ollama would refuse, but without naming it: of alternatives a token.
pub(crate) fn alternatives(fields: &Fields<'_>, name: &'static str) -> Result<(), Error> {
    match fields.field::<u64>(name, "a whole number")? {
        None | Some(0..=20) => Ok(()),
        Some(_) => Err(invalid(name, format!("'{name}' must be between 0 and 20"))),
    }
}

/// JSON of our own.
pub(crate) fn raw(json: &'static str) -> Option<&'static RawValue> {
    serde_json::from_str(json).ok()
}
