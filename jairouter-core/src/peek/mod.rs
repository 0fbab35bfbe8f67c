//! A borrowed one-pass read of what routing needs: the model's name and the stream flag.
//!
//! The whole payload is validated on the way, since a gateway that routes on one reading of it and
//! an engine that acts on another disagree about which model was asked.

mod json;
mod multipart;
mod noted;
mod numbers;
mod scan;
mod text;
mod utf8;

use std::ops::Range;

pub(crate) use json::{is_json, json};
pub(crate) use multipart::multipart;
pub(crate) use noted::{Noted, Place};

use crate::error::{Error, Kind};

/// The longest model name taken, in bytes.
const LONGEST_MODEL: usize = 256;

/// What routing needs of a payload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Peek {
    /// The model, if it is not the bytes of its span: it was written with escapes.
    pub(crate) model: Option<String>,
    /// Whether a stream was asked for.
    pub(crate) stream: bool,
    /// Where the model stands: the JSON string with its quotes, or the bare form field.
    pub(crate) span: Range<usize>,
    /// What else of it may be asked; nothing of a form's.
    pub(crate) noted: Noted,
}

fn check_model(model: &str) -> Result<(), Error> {
    let reason = match model.len() {
        0 => "'model' must not be empty",
        1..=LONGEST_MODEL if model.chars().any(char::is_control) => {
            "'model' must not hold control characters"
        }
        1..=LONGEST_MODEL => return Ok(()),
        _ => "'model' must be at most 256 bytes long",
    };
    Err(Error::new(Kind::Invalid, reason).with_code("invalid_value").with_param("model"))
}

fn missing_model() -> Error {
    Error::new(Kind::Invalid, "you must provide a 'model' parameter")
        .with_code("missing_required_parameter")
        .with_param("model")
}
