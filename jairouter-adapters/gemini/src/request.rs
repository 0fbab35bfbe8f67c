//! What a caller asks, field by field.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jairouter_core::{Error, InferenceRequest, Kind};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields of a request; each is read when somebody asks for it.
pub(crate) struct Fields<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Reads a request, or says where it is not what the API says.
    pub(crate) fn read(request: &'a InferenceRequest) -> Result<Self, Error> {
        serde_json::from_slice(&request.payload).map(Self).map_err(|error| {
            let message = format!("the request is not of this endpoint's form {}", place(&error));
            Error::new(Kind::Invalid, message)
        })
    }

    /// A field that is there and not null.
    pub(crate) fn given(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|value| value.get() != "null")
    }

    /// A field that must be there.
    pub(crate) fn required(&self, name: &'static str) -> Result<&'a RawValue, Error> {
        let missing = || invalid(name, format!("you must provide a '{name}' parameter"));
        self.given(name).ok_or_else(missing)
    }

    /// A field of this type, if it is given.
    pub(crate) fn field<T: Deserialize<'a>>(
        &self,
        name: &'static str,
        must_be: &'static str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.given(name) else { return Ok(None) };
        let wrong = |_| invalid(name, format!("'{name}' must be {must_be}"));
        serde_json::from_str(value.get()).map(Some).map_err(wrong)
    }

    /// A field of this type as it came, to the last digit.
    pub(crate) fn checked<T: Deserialize<'a>>(
        &self,
        name: &'static str,
        must_be: &'static str,
    ) -> Result<Option<&'a RawValue>, Error> {
        self.field::<T>(name, must_be)?;
        Ok(self.given(name))
    }

    /// Whether a field is given and holds anything.
    pub(crate) fn says(&self, name: &str) -> bool {
        self.given(name).is_some_and(|value| !is_empty(value))
    }
}

/// An object or a list with nothing in it.
fn is_empty(value: &RawValue) -> bool {
    let inside = |open, close| value.get().strip_prefix(open)?.strip_suffix(close);
    inside('{', '}').or_else(|| inside('[', ']')).is_some_and(|inside| inside.trim().is_empty())
}

/// Where an error is. serde's own words would repeat the value at fault, which may be a prompt's.
pub(crate) fn place(error: &serde_json::Error) -> String {
    format!("at line {} column {}", error.line(), error.column())
}

/// What Gemini has no word for.
pub(crate) fn unsupported(param: &'static str, message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Unsupported, message).with_param(param)
}

/// What nobody could understand.
pub(crate) fn invalid(param: &'static str, message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Invalid, message).with_param(param).with_code("invalid_value")
}
