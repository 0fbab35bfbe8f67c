//! [`Fields`]: what a caller asks, field by field, for engines whose requests are of another form.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jairouter_core::{Error, InferenceRequest, Kind};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fields::{invalid, is_hollow};

/// The fields of a request; each is read when somebody asks for it.
#[derive(Debug)]
pub struct Fields<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`], with the place where it is no object.
    pub fn read(request: &'a InferenceRequest) -> Result<Self, Error> {
        serde_json::from_slice(&request.payload).map(Self).map_err(|error| {
            let message = format!("the request is not of this endpoint's form {}", place(&error));
            Error::new(Kind::Invalid, message)
        })
    }

    /// A field that is there and not null.
    pub fn given(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|value| value.get() != "null")
    }

    /// A field that must be there.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if it is not.
    pub fn required(&self, name: &'static str) -> Result<&'a RawValue, Error> {
        let missing = || invalid(name, format!("you must provide a '{name}' parameter"));
        self.given(name).ok_or_else(missing)
    }

    /// A field of this type, if it is given.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if it is of another, which `must_be` says in words.
    pub fn field<T: Deserialize<'a>>(
        &self,
        name: &'static str,
        must_be: &'static str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.given(name) else { return Ok(None) };
        let wrong = |_| invalid(name, format!("'{name}' must be {must_be}"));
        serde_json::from_str(value.get()).map(Some).map_err(wrong)
    }

    /// A field of this type as it came, to the last digit.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if it is of another, which `must_be` says in words.
    pub fn checked<T: Deserialize<'a>>(
        &self,
        name: &'static str,
        must_be: &'static str,
    ) -> Result<Option<&'a RawValue>, Error> {
        self.field::<T>(name, must_be)?;
        Ok(self.given(name))
    }

    /// Whether a field is given and holds anything.
    pub fn says(&self, name: &str) -> bool {
        self.given(name).is_some_and(|value| !is_hollow(value))
    }
}

/// Where an error is. serde's own words would repeat the value at fault, which may be a prompt's.
pub fn place(error: &serde_json::Error) -> String {
    format!("at line {} column {}", error.line(), error.column())
}
